"""The compiler: source text to modules of register code.

reader/ makes forms of text; toplevel.py takes them one by one; analyze.py, with the special forms in forms/, makes core
nodes of them (expand.py runs macros); emit/ makes code of nodes; prune.py and effects.py finish the module.  Pure: it
sees no clock, file or network, and runs programs only through the Evaluator it is handed.
"""

from flowmetal.compiler.compile import compile_module
from flowmetal.compiler.evaluation import BuiltinRow, Evaluator
from flowmetal.compiler.project import compile_project

__all__ = ["BuiltinRow", "Evaluator", "compile_module", "compile_project"]
