"""Codes of artifacts (.fmc files).

B0xx the file and its modules, B1xx the verifier, B2xx stored values, B3xx writing, B4xx assembler text.
"""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

_REBUILD = "Build the artifact again from its source with `flowc build`, or get another copy of it."
_BROKEN = (
    "The verifier looks at every code body of an artifact before the machine runs it.  What the compiler\n"
    "writes always passes; an artifact that does not was damaged on the way, or written by something else.\n"
    "Nothing of it was run."
)
_CLAIMS = (
    "An artifact says of each function which effects it may perform, and where, so that one can look before it is\n"
    "run.  The verifier holds that against the code: what a function performs itself, and what the functions it\n"
    "names may perform.  The compiler always tells the truth; this artifact was written by something else.\n"
    "Nothing was run."
)

CODES: dict[str, Entry] = {
    # ---- B0xx: the file, its modules and what they need --------------------------------------------------------
    "B001": Entry(
        "not an artifact",
        "This is not a compiled Flowmetal program: it does not begin as a .fmc file does.",
        "Compile a source file with `flowc build FILE.fm` and give the .fmc file that it writes.",
        "A .fmc file begins with the letters FMC and a zero byte.",
    ),
    "B002": Entry(
        "unknown artifact format",
        "The artifact has format {found}, and this Flowmetal reads format {expected}.",
        "Build it again with this Flowmetal, or run it with the one it was built with.",
        "The layout of .fmc files has a version of its own, which rises when the layout changes.",
    ),
    "B003": Entry(
        "machine too old",
        "The artifact needs machine version {found}, and this Flowmetal has version {expected}.",
        "Install a newer Flowmetal, or build the artifact again with this one.",
        "The instruction set only grows.  An artifact says which version of it the compiler had; an older machine\n"
        "may not know some of its instructions.",
    ),
    "B004": Entry(
        "damaged artifact",
        "The artifact is cut short or its bytes have changed: its checksum does not fit.",
        _REBUILD,
        "A .fmc file ends with the SHA-256 of everything before it.  A download that broke off, or a transfer in\n"
        "text mode, are the usual causes.",
    ),
    "B005": Entry(
        "malformed artifact",
        "{place} {problem}.",
        _REBUILD,
        "The checksum fits, but a part of the artifact does not have the form it should have.  It was not written\n"
        "by this compiler.",
    ),
    "B006": Entry(
        "artifact too large",
        "{place}: more than {limit}.",
        "Split the program, or keep large data outside of it.",
        "Artifacts have limits on their size and on the number of modules, so that one can be loaded anywhere.",
    ),
    "B011": Entry(
        "missing library",
        "`{module}` needs the library `{library}` in version {hash}, which is not here.",
        (
            "Version {other} of it is here: build the program again against that one.",
            "Put the library into the artifact with `flowc build --bundle`, or store it first.",
        ),
        "A compiled module names each module it uses by the SHA-256 of its code, so that it always runs with what\n"
        "it was built with.",
    ),
    "B012": Entry(
        "two versions of a library",
        "`{module}` and `{other}` need different versions of `{library}`.",
        "Build both against the same version.",
        "A program has each module once.",
    ),
    "B013": Entry(
        "missing global",
        "`{module}` uses `{name}` of `{library}`, which does not define it.",
        _REBUILD,
        "The module's table of references names a global that its library lacks.",
    ),
    "B014": Entry(
        "missing export",
        "`{module}` has no function `{name}`.",
        (
            "`{private}` is private; define it with `defn` to make it one that can be started.",
            "Did you mean `{suggestion}`?  It is deployed as `{program}`, so add `--program {program}`.",
            "Did you mean `{suggestion}`?",
            "It has: {known}.",
        ),
        "A process is started on a public function that the module defines.",
    ),
    "B015": Entry(
        "changed library",
        "The library `{library}` was asked for by version {hash} and came as {found}.",
        "",
        "Whoever keeps libraries gave a module whose code does not have the hash it is kept under.",
    ),
    "B016": Entry(
        "wrong number of arguments",
        "`{name}` takes {takes}, and is given {count}.",
        "Its parameters: {parameters}.",
        "The number of arguments is checked before a process is started, so that none is made that fails at once.",
    ),
    # ---- B1xx: the verifier ------------------------------------------------------------------------------------
    "B101": Entry("unknown instruction", "{place}: there is no instruction {number}.", _REBUILD, _BROKEN),
    "B102": Entry("malformed instruction", "{place}: it does not have the operands it should have.", _REBUILD, _BROKEN),
    "B103": Entry(
        "register out of range", "{place}: register {register} is used, and there are {registers}.", _REBUILD, _BROKEN
    ),
    "B104": Entry(
        "unwritten register",
        "{place}: register {register} is read and was not written on every way here.",
        _REBUILD,
        _BROKEN,
    ),
    "B105": Entry("bad jump", "{place}: it jumps to {target}, which is not a later instruction.", _REBUILD, _BROKEN),
    "B106": Entry(
        "bad jump back",
        "{place}: it jumps back to {target}, which is not the head of a loop around it.",
        _REBUILD,
        _BROKEN,
    ),
    "B107": Entry("no end", "{place}: control would run over the end of the code.", _REBUILD, _BROKEN),
    "B108": Entry("index out of range", "{place}: there is no {what} {operand}; there are {size}.", _REBUILD, _BROKEN),
    "B109": Entry(
        "unknown builtin",
        "{place}: there is no builtin {number}.",
        "Install a newer Flowmetal, or build the artifact again with this one.",
        "Builtins have permanent numbers.  A number that is not known here belongs to a later release.",
    ),
    "B110": Entry(
        "wrong arity of a builtin", "{place}: builtin {number} is given {given} arguments.", _REBUILD, _BROKEN
    ),
    "B111": Entry(
        "wrong captures", "{place}: a function that captures {wanted} values is given {found}.", _REBUILD, _BROKEN
    ),
    "B112": Entry("unknown region", "{place}: there is no region of kind {kind}.", _REBUILD, _BROKEN),
    "B113": Entry("odd map", "{place}: a map is made of a key without a value.", _REBUILD, _BROKEN),
    "B114": Entry(
        "too many arguments",
        "{place}: {count} registers are listed, and at most {limit} are allowed.",
        _REBUILD,
        _BROKEN,
    ),
    "B115": Entry("integer out of range", "{place}: {operand} does not fit into 32 bits.", _REBUILD, _BROKEN),
    "B116": Entry("bad try row", "{place}: row {row} of the try table {problem}.", _REBUILD, _BROKEN),
    "B117": Entry(
        "nested too deep",
        "{place}: more than {limit} {what} stand inside each other.",
        "Move an inner part into a function of its own.",
        "One function body holds a limited number of loops inside loops and of tries inside tries, so that the\n"
        "analysis of a body takes linear time.",
    ),
    "B118": Entry("bad code header", "{place}: the body {problem}.", _REBUILD, _BROKEN),
    "B119": Entry(
        "bad code size",
        "{place}: a body has 1 to {limit} instructions.",
        "Split the function.",
        "A body that is larger than the limit was most likely generated by a macro.",
    ),
    "B120": Entry("bad function", "{place}: the function {problem}.", _REBUILD, _BROKEN),
    "B121": Entry("bad debug table", "{place}: the body {problem}.", _REBUILD, _BROKEN),
    "B122": Entry("unstructured jumps", "{place}: {problem}.", _REBUILD, _BROKEN),
    "B123": Entry(
        "false claim",
        "{place}: it may perform `{effect}`, and its function does not say so.",
        _REBUILD,
        _CLAIMS,
    ),
    "B124": Entry(
        "false claim to be closed",
        "{place}: it may run what is not known before, and its function does not say so.",
        _REBUILD,
        _CLAIMS,
    ),
    "B125": Entry(
        "missing call site",
        "{place}: it may perform `{effect}`, which the list of call sites leaves out.",
        _REBUILD,
        _CLAIMS,
    ),
    "B130": Entry(
        "bad open table",
        "{place} is no entry of an open table: its value is no vector of a key and a value.",
        _REBUILD,
        "What modules add to multimethods, protocols and the hierarchy is stored in hidden globals.  No compiler\n"
        "writes such a one as this.",
    ),
    # ---- B2xx: values stored in an artifact --------------------------------------------------------------------
    "B201": Entry(
        "malformed value",
        "{place} is not a value: {problem}.",
        _REBUILD,
        "Constants and the values of globals are stored as a list of objects that refer to each other by number.",
    ),
    "B202": Entry(
        "value of another kind",
        "{place} refers to an object that it may not hold: {problem}.",
        _REBUILD,
        "Constants are shared by all processes, so nothing that can change may be reached from one.",
    ),
    # ---- B3xx: writing -----------------------------------------------------------------------------------------
    "B301": Entry(
        "value cannot be stored",
        "{place} holds {problem}.",
        "Make it inside a function instead of at the top level.",
        "The values of a module's top level are written into the artifact.  Functions, cells and lazy sequences\n"
        "can be; what belongs to a running process (an unfinished promise, a transient, a continuation) cannot.",
    ),
    "B302": Entry(
        "module not compiled",
        "`{module}` needs `{library}`, which {problem}.",
        "",
        "Modules are written in the order in which they need each other; each must be compiled before those that\n"
        "use it.",
    ),
    # ---- B4xx: assembler text ----------------------------------------------------------------------------------
    "B401": Entry(
        "bad assembler text",
        "Line {line}: {problem}.",
        "`flowc disasm` shows how it is written.",
        "The assembler reads what the disassembler writes.",
    ),
    # ---- B51x: signatures
    "B510": Entry(
        "damaged signatures",
        "The signatures of this artifact cannot be read: {problem}.",
        "Get the artifact again, or sign it anew with `flowc sign`.",
        "Signatures stand behind an artifact in one form only, in order of their keys.",
    ),
    "B511": Entry(
        "untrue signature",
        "The signature of {key} is not one of this artifact.",
        "Get the artifact again from whoever signed it.",
        "A signature holds for the very bytes that were signed.  These were changed since, or the signature was, or\n"
        "it was made for something else.",
    ),
    "B512": Entry(
        "not signed by a trusted key",
        "This artifact has no signature of a key that is trusted; it is signed by {signers}.",
        "Sign it with `flowc sign ARTIFACT --key KEY`, or add the key to [trust] of flowmetal.toml.",
        "With `require_signed = true` no artifact is deployed or run that has no signature of a key in [trust].",
    ),
    "B513": Entry(
        "no usable key",
        "{path} cannot be used as a key: {problem}",
        "`flowc keygen` makes a pair of keys; `openssl genpkey -algorithm ed25519` does so too.",
        "Keys are Ed25519: private ones in PKCS 8 and PEM, in a file that its owner alone can read; public ones in\n"
        "PEM, or as text that begins with ed25519: and goes on with the 32 bytes in base64.",
    ),
    "B514": Entry(
        "signatures need a package",
        "The package `cryptography`, which signatures need, is not installed.",
        "Install it with `pip install flowmetal[crypto]`.",
        "It is loaded when a key is used; programs that need no signature run without it.",
    ),
    # ---- B5xx: the standard library ----------------------------------------------------------------------------
    "B501": Entry(
        "no standard library",
        "This installation has no standard library: {path} is missing.",
        "Install Flowmetal again.",
        "The library is part of the package, compiled.  In a source tree it is compiled from `stdlib/*.fm` at first\n"
        "use.",
    ),
}
