"""The formatter: source text to source text, with the line breaks and comments that were there, by cljfmt's rules.

tokens.py cuts a text into all its tokens, white space and comments included; rules.py says how forms are indented;
layout.py writes the tokens again, one pass, in time proportional to the text.
"""

from flowmetal.compiler.formatter.layout import format_source

__all__ = ["format_source"]
