"""Codes of the reader: R001 to R999.

R00x brackets and marks, R01x strings, R02x numbers, R03x names, R04x maps and sets, R05x tagged literals, R06x code,
R07x the file as a whole, R08x data.
"""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

CODES: dict[str, Entry] = {
    "R001": Entry(
        "unclosed bracket",
        "This `{bracket}` is never closed.",
        (
            "Add {count} closing brackets, the innermost a `{closer}`, where the form ends.",
            "Add a `{closer}` where the form ends.",
        ),
        "Every `(`, `[`, `{{`, `#{{` and `#(` needs its closing partner.  A form that starts in the first column "
        "of a line is taken for the start of the next definition, so that one missing bracket is one error.",
    ),
    "R002": Entry(
        "mismatched bracket",
        "This `{found}` does not close the `{bracket}` that is open here, which needs a `{closer}`.",
        "Write `{closer}` here, or add the `{closer}` that is missing before it.",
        "Brackets close in the reverse order in which they were opened: `(f [x y])`, not `(f [x y)]`.",
    ),
    "R003": Entry(
        "stray bracket",
        "This `{found}` closes nothing: no bracket is open here.",
        "Remove it, or look for a bracket too many just before.",
        "A closing bracket stands where every bracket before it is already closed.",
    ),
    "R004": Entry(
        "missing form",
        "`{mark}` has no form after it.",
        "Add the form that `{mark}` belongs to, or remove the mark.",
        "`'` `` ` `` `~` `~@` `@` `#'` `#_` `^` and tags like `#inst` belong to the form that follows them; `^` "
        "takes two, the metadata and the form that gets it.",
    ),
    "R010": Entry(
        "unterminated string",
        'This string has no closing `"`.',
        'Add a `"` where the string ends.',
        'A string may run over several lines, so one missing `"` turns everything after it inside out: what was '
        'text reads as code up to the last `"` of the file, where this is noticed.  The string that really lacks '
        "its end is often an earlier one; the last string that runs over lines is shown with the error.",
    ),
    "R011": Entry(
        "bad escape",
        "`{escape}` is not an escape.",
        'Write `\\\\` for a backslash.  The escapes are \\n \\t \\r \\b \\f \\" \\\\ \\u0041 and octal \\101.',
        "A `\\u` takes exactly four hexadecimal digits; an octal escape goes up to `\\377`.",
    ),
    "R012": Entry(
        "lone surrogate",
        "`{escape}` is one half of a surrogate pair and no character by itself.",
        "Write both halves, `\\uD83D\\uDE00`, or the character itself.",
        "Strings hold Unicode characters.  Code points D800 to DFFF exist only in pairs that stand for one "
        "character beyond FFFF; a single one cannot be stored or sent as UTF-8.",
    ),
    "R013": Entry(
        "unterminated regex",
        'This regular expression has no closing `"`.',
        'Add a `"` where the pattern ends; a quote inside it is written `\\"`.',
        "See R010: the pattern that really lacks its end is often an earlier one.",
    ),
    "R014": Entry(
        "bad regex",
        "This regular expression cannot be used: {reason}.",
        'A backslash is written once in `#"..."`: `#"\\d+"`.',
        "Patterns are checked when they are read.",
    ),
    "R015": Entry(
        "missing character",
        "There is no character after this `\\`.",
        "Write `\\newline`, `\\space` or `\\tab` for white space.",
        "A character is a backslash and the character itself, its name, or `\\u` and four hexadecimal digits.",
    ),
    "R016": Entry(
        "unknown character",
        "`\\{name}` is not a character.",
        (
            "Did you mean `\\{suggestion}`?",
            "A longer text is a string, in double quotes.",
        ),
        "Characters: one code point after the backslash (`\\a`, `\\λ`, `\\(`), the names newline, space, tab, "
        "backspace, formfeed and return, `\\u0041` (four hexadecimal digits) and `\\o101` (octal, up to 377).",
    ),
    "R020": Entry(
        "bad number",
        "`{text}` is not a number.",
        (
            "{hint}",
            "What starts with a digit must be a number or a duration; a name cannot.",
        ),
        "Numbers: `42` `1_000_000` `0xFF` `017` (octal) `2r101` `36rZZ` `42N`, ratios `22/7`, floats `1.5` `1e3`, "
        "decimals `1.50M`, durations `250ms` `30s` `5m` `2h` `7d`.",
    ),
    "R021": Entry(
        "number too large",
        "This number is beyond the limit of {limit}.",
        "Compute it in the program, or write it in hexadecimal pieces.",
        "The limits keep the time to read a file in proportion to its length.",
    ),
    "R022": Entry(
        "zero denominator",
        "A ratio cannot have zero below the line.",
        "Write `##Inf` or `##NaN` if a float without a finite value was meant.",
        "`22/7` is a ratio, computed when it is read.",
    ),
    "R023": Entry(
        "bad radix",
        "The base {radix} is not from 2 to 36.",
        "Write `16rFF` or `2r1010`: the base, an `r`, the digits.",
        "Digits above 9 are the letters a to z, of either case.",
    ),
    "R030": Entry(
        "bad name",
        "`{name}` is not a name.",
        (
            "{hint}",
            "A name has at most one `/`, between a namespace and a name, and does not end in `:`.",
        ),
        "Names are `order`, `order-id`, `valid?`, `save!`, `orders/total`; `/` by itself is division.",
    ),
    "R031": Entry(
        "bad keyword",
        "`{name}` is not a keyword.",
        "A keyword is `:name`, `:namespace/name` or `::name`.",
        "`::name` puts the keyword into the namespace of the file, `::alias/name` into one named in `:require`.",
    ),
    "R032": Entry(
        "unknown alias",
        "No namespace is required here as `{alias}`.",
        (
            "Did you mean `::{suggestion}/{name}`?",
            "Add `(:require [full.name :as {alias}])` to the `ns` form, or write the full name with one `:`.",
        ),
        "`::alias/name` looks the alias up in the `ns` form of the file.",
    ),
    "R033": Entry(
        "invisible character",
        "`{name}` contains the character {character}, which cannot be seen.",
        "Delete it and type the name again; it often comes along with pasted text.",
        "Two names that look the same must be the same.  Zero-width characters and marks that turn the direction "
        "of text are allowed in strings and comments only.",
    ),
    "R034": Entry(
        "unexpected character",
        "The control character {character} cannot stand here.",
        "Delete it; inside a string write `\\u{digits}`.",
        "Outside of strings a file holds text and white space only.",
    ),
    "R035": Entry(
        "unknown value",
        "`{name}` is not a value.",
        "There are `##Inf`, `##-Inf` and `##NaN`.",
        "Two `#` start the floats that have no digits.",
    ),
    "R040": Entry(
        "odd map",
        "This key has no value: the map has an odd number of forms.",
        "Add the value, or look for one that is missing before.",
        'A map literal is key, value, key, value: `{{:id 7 :name "x"}}`.  A form behind `#_` does not count.',
    ),
    "R041": Entry(
        "duplicate key",
        "The key `{key}` is in this map twice.",
        "Remove one of the two.",
        "A map has each key once.  Keys that are code (`{{(f) 1 (f) 2}}`) count as the same when they are written "
        "the same.",
    ),
    "R042": Entry(
        "duplicate element",
        "`{key}` is in this set twice.",
        "Remove one of the two.",
        "A set literal names each element once; use `(set [...])` for elements that may be equal.",
    ),
    "R050": Entry(
        "unknown tag",
        "There is no literal `#{tag}`.",
        (
            "Did you mean `#{suggestion}`?",
            "The tags are {tags}.",
        ),
        'A tag says how the next form is read: `#inst "2026-11-24T06:30:00Z"`, `#uuid "..."`, `#duration "P1DT2H"`.',
    ),
    "R051": Entry(
        "bad literal",
        "`#{tag}` cannot read this: {reason}.",
        "It looks like this: `{example}`.",
        "The form after a tag must be of the shape the tag asks for.",
    ),
    "R052": Entry(
        "unreadable value",
        "`#{tag}` is how such a value is printed; it cannot be read back.",
        "Write the code that makes the value.",
        "Functions, cells, promises, processes and errors print as `#fn name`, `#cell 1` and so on for people to "
        "read.  They belong to a running program and text cannot stand for them.",
    ),
    "R053": Entry(
        "unknown mark",
        "`{mark}` does not start anything.",
        "After `#` there can be `{{` `(` `\"` `_` `'` `:` `#`, a tag, or `!` for a comment.",
        "Reader conditionals (`#?`) and read-time evaluation (`#=`) are not part of this language: there is one "
        "platform, and macros run at compile time.",
    ),
    "R060": Entry(
        "misplaced argument",
        "`{name}` has a meaning only inside `#(...)`.",
        "Wrap the expression in `#(...)`, or use a name.",
        "`%` and `%1` are the first argument of the function that `#(...)` makes, `%2` the second, `%&` all the "
        "others.",
    ),
    "R061": Entry(
        "nested function literal",
        "`#(...)` cannot stand inside another `#(...)`.",
        "Write the inner or the outer one as `(fn [x] ...)`.",
        "It would not be clear which of the two functions a `%` belongs to.",
    ),
    "R062": Entry(
        "bad argument",
        "`{name}` is not an argument of `#(...)`.",
        "Arguments are `%`, `%1` to `%{limit}`, and `%&` for all the others.",
        "A function that needs more arguments is better written as `(fn [a b c] ...)`.",
    ),
    "R063": Entry(
        "stray unquote",
        "`{mark}` has a meaning only inside a syntax-quote.",
        "Put a `` ` `` before the form that surrounds it, or remove the mark.",
        "`` `(f ~x ~@more) `` builds code: `~` puts a value in, `~@` the items of a sequence.",
    ),
    "R064": Entry(
        "bad metadata",
        "Metadata is a map, keyword, symbol or string, and this is {kind}.",
        'Write `^{{:doc "..."}} name`, `^:private name` or `^Type name`.',
        "`^:key` is short for `^{{:key true}}`, and `^Name` for `^{{:tag Name}}`.",
    ),
    "R065": Entry(
        "metadata on a literal",
        "Metadata cannot be put on {kind}.",
        "Put it on a symbol, list, vector, map or set.",
        "Numbers, strings, keywords, characters and other simple values carry no metadata.",
    ),
    "R070": Entry(
        "not UTF-8",
        "Byte {byte} (0x{value}) is not UTF-8 text.",
        "Save the file as UTF-8.",
        "Source files are UTF-8.  The place counts bytes from the start of the file, beginning with 0; only the "
        "first such byte is reported.",
    ),
    "R071": Entry(
        "lone surrogate in text",
        "The text contains half of a surrogate pair (U+{digits}) and cannot be UTF-8.",
        "Read the file as bytes, so that the place of the bad byte can be shown.",
        "Python puts such code points in place of bytes that it could not decode.",
    ),
    "R072": Entry(
        "file too large",
        "The text has {size} characters; the limit is {limit}.",
        "Split the file, or read large data at run time.",
        "The limit bounds the memory and time one file can take.",
    ),
    "R073": Entry(
        "too many errors",
        "There are more errors; reading ended here after {limit}.",
        "Repair the first ones, they often cause the others.",
        "A file that is not Flowmetal source at all would give an error for every line.",
    ),
    "R074": Entry(
        "nested too deep",
        "More than {limit} brackets are open here; reading ended.",
        "Look for text that is no source, or for brackets that are not closed.",
        "No program comes near this depth.",
    ),
    "R080": Entry(
        "code in data",
        "`{mark}` is read in programs only, and this is data.",
        "",
        "Data has no quotes, function literals, `@`, `::name` or syntax-quote.",
    ),
    "R081": Entry(
        "no data",
        "There is no value in this text.",
        "",
        "Reading data gives one value; white space and comments are none.",
    ),
    "R082": Entry(
        "more than one value",
        "A second value starts here, after the one that was read.",
        "Put several values into a vector: `[1 2 3]`.",
        "Reading data gives one value.",
    ),
}
