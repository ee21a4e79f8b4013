"""Codes of the compiler's analysis: A001 to A999."""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

CODES: dict[str, Entry] = {
    # Names.
    "A101": Entry(
        "unknown name",
        "Nothing here is called `{name}`.",
        (
            "It is defined in line {later}: move that up, or write `(declare {name})` before this.",
            "Did you mean `{suggestion}`?",
            "A name is defined above its use, or declared with `(declare {name})`.",
        ),
        "A symbol means a local, a global of its module, a name that `ns` refers to, or a name of the core.\n"
        "Names are defined from top to bottom: a function that is used above its definition is declared first.\n\n"
        "    (declare odd)\n"
        "    (defn even [n] (if (= n 0) true (odd (- n 1))))",
    ),
    "A102": Entry(
        "special form as a value",
        "`{name}` is a special form; it has no value.",
        "It can stand only at the head of a list.",
        "Special forms are part of the language, not functions: they can be written but not passed around.",
    ),
    "A103": Entry(
        "macro as a value",
        "`{name}` is a macro; it has no value.",
        "Call it, or put the call into a function: `#({name} ...)`.",
        "A macro works on source text while the module is compiled and is gone when the program runs.",
    ),
    "A104": Entry(
        "nested too deep",
        "Forms are nested more than {limit} deep here.",
        "Give parts of it names of their own, or keep large data in a file that is read.",
        "The compiler stops at a fixed depth, so that no source can exhaust it. Expansions of macros count.",
    ),
    "A105": Entry(
        "unknown module",
        "`{name}` names the module `{namespace}`, which is not known here.",
        ("Did you mean `{suggestion}`?", "Require it in the `ns` form: `(:require [{namespace} ...])`."),
        "The part before the slash is a module of the library, an alias from `(:require [module :as alias])`, or\n"
        "the first part of an effect that the module defines.",
    ),
    "A106": Entry(
        "private name",
        "`{name}` is private to `{module}`.",
        "Only `{module}` itself can use it; its public functions are its face.",
        "`defn-` and `^:private` keep a name inside its module.",
    ),
    # Calls.
    "A107": Entry(
        "not a function",
        "`{value}` is called here, but it is not a function.",
        (
            "`{value}` is `{holds}`, which cannot be called.",
            "A list is a call of its first item; a list of data is written `'(...)` or `[...]`.",
        ),
        "Functions, keywords, maps, sets, vectors and symbols can be called.",
    ),
    "A108": Entry(
        "too many items",
        "There are {count} arguments here, and at most {limit} can be written.",
        "Put them into a vector and use `apply`.",
        "One call takes a limited number of arguments in its instruction.",
    ),
    "A109": Entry(
        "wrong number of arguments",
        "`{name}` is called with {count}, but takes {takes}.",
        "It is defined with the parameters {parameters}.",
        "The compiler knows what is called, and that no arity of it takes this number of arguments.",
    ),
    "A110": Entry(
        "unknown builtin",
        "There is no builtin `{name}`.",
        "",
        "Names that begin with `%` are primitives of the machine, for the standard library only.",
    ),
    # Forms.
    "A111": Entry(
        "malformed form",
        "This `{name}` is not written as it should be.",
        "It is written `{syntax}`.",
        "Each special form has one shape; the hint shows it. `?` marks what may be left out.",
    ),
    "A112": Entry(
        "definition inside an expression",
        "`{name}` stands inside an expression.",
        "Define it at top level; inside a function use `let` or `letfn`.",
        "Definitions are made while a module is compiled, so a function that runs cannot make one. They may stand\n"
        "at top level, also inside of `do`, `let` and `if` there.",
    ),
    "A113": Entry(
        "part without its form",
        "`{name}` stands outside of a `try`.",
        "It is written `(try body ... (catch kind name body ...) (finally body ...))`.",
        "`catch` and `finally` are the last parts of a `try` form.",
    ),
    "A114": Entry(
        "not dynamic",
        "`{name}` cannot be given another value by `binding`.",
        "Define it with `(def ^:dynamic {name} ...)`.",
        "Only names defined as dynamic have a value that depends on who calls.",
    ),
    "A115": Entry(
        "misplaced recur",
        "This `recur` is not the last thing that its loop or function does.",
        "Make it the last form of the loop, outside of the body of `try`.",
        "`recur` goes back instead of returning, so nothing can be left to do after it. The body of `try` has its\n"
        "handlers left to leave; a `catch` clause has nothing left unless there is a `finally`.",
    ),
    "A116": Entry(
        "wrong number of values",
        "This `recur` gives {count}, and its loop or function takes {wanted}.",
        "Give one value for each name that the loop binds, or for each parameter.",
        "`recur` gives a next value to each binding of the loop or parameter of the function.",
    ),
    "A117": Entry(
        "not a pattern",
        "`{pattern}` cannot be bound to a value.",
        "A pattern is a name, a vector of patterns, or a map such as `{{:keys [a b] :or {{a 1}} :as all}}`.",
        "Patterns are as in Clojure, nested as needed:\n\n"
        "    [a b & more :as all]\n"
        "    {{a :key, :keys [b], :strs [c], :or {{b 0}}, :as all}}",
    ),
    "A118": Entry(
        "not a form",
        "`{value}` cannot stand in source text.",
        "A macro returned it; make it when the program runs instead.",
        "Cells and promises belong to a process, and no process runs while a module is compiled.",
    ),
    "A119": Entry(
        "duplicate item",
        "This {kind} has the {item} `{value}` twice.",
        "Remove one of the two.",
        "Keys of a map literal and items of a set literal are different from each other.",
    ),
    "A120": Entry(
        "two arities alike",
        "The function has two bodies that take the same arguments: {parameters}.",
        "Each body takes a different number of arguments, and at most one takes any number.",
        "Which body runs is chosen by the number of arguments alone.",
    ),
    "A121": Entry(
        "arity out of reach",
        "A body of this function has more parameters than the one that takes {count} or more.",
        "",
        "As in Clojure, no body may have more parameters than the one with `&` has before it.",
    ),
    "A122": Entry(
        "parameter after the rest",
        "`{name}` comes after the parameter that takes the rest.",
        "One pattern follows the `&`, and it is the last.",
        "",
    ),
    "A123": Entry(
        "duplicate parameter",
        "Two parameters are called `{name}`.",
        "Rename one; a parameter that is not used is called `_`.",
        "",
    ),
    "A124": Entry(
        "effect handled twice",
        "Two clauses of this `handle` answer `{name}`.",
        "",
        "A handler has one clause for each effect.",
    ),
    "A125": Entry(
        "not an effect",
        "`{name}` is not an effect.",
        "An effect is defined with `defeffect`, or named by a keyword.",
        "",
    ),
    "A126": Entry(
        "misplaced splice",
        "`~@` stands where there is no collection to splice into.",
        "Use `~` here, or put it into a list or vector.",
        "",
    ),
    "A139": Entry(
        "unquote without a template",
        "`{mark}` stands outside of a template.",
        "It has a meaning only inside of a form after a backquote.",
        "",
    ),
    "A140": Entry(
        "not in this language",
        "`{name}` is not in this language.",
        "{advice}",
        "Clojure has it, Flowmetal does not: what rests on the Java machine, on shared memory between threads, or on\n"
        "types of one's own has no form that could be saved with a process.  The hint names what takes its place.",
    ),
    # Definitions and modules.
    "A127": Entry(
        "name of another module",
        "`{name}` cannot be defined in the module `{module}`.",
        "Leave the part before the slash away; only effects have names with a slash.",
        "",
    ),
    "A128": Entry(
        "reserved name",
        "`{name}` is part of the language and cannot be defined.",
        "Choose another name.",
        "The special forms and names that begin with `%` keep their meaning in every module.",
    ),
    "A129": Entry(
        "defined twice",
        "`{name}` is defined twice in this module.",
        "Remove one of the definitions, or give it another name.",
        "Modules are sealed: a name means one thing. `(declare name)` may come before the definition.",
    ),
    "A130": Entry(
        "unfit parameters",
        "The parameters of the effect `{name}` are plain names, without `&` and patterns.",
        "",
        "They name the parts of the payload, for those who answer the effect.",
    ),
    "A131": Entry(
        "unknown module",
        "There is no module `{name}`.",
        "Did you mean `{suggestion}`?",
        "Modules come from the project's own files and from the standard library.",
    ),
    "A132": Entry(
        "unknown name",
        "The module `{module}` has no public name `{name}`.",
        "Did you mean `{suggestion}`?",
        "",
    ),
    "A133": Entry(
        "misplaced ns",
        "The `ns` form is not the first of its file.",
        "Move it to the top.",
        "",
    ),
    "A134": Entry(
        "too large",
        "This function needs more than {limit} {what}.",
        "Split it into several functions.",
        "One function's code has limits; hand-written code does not come near them.",
    ),
    "A135": Entry(
        "evaluation failed",
        "This threw an error of kind {kind} while it was evaluated: {message}.",
        "What is to happen when the program runs stands in a function.",
        "The top level of a module is evaluated by the compiler, and its values are part of the artifact.",
    ),
    "A136": Entry(
        "effect at compile time",
        "This performs `{effect}` while it is evaluated.",
        "Effects happen when the program runs: put it into a function.",
        "The top level of a module is evaluated by the compiler, where there is no outside world.",
    ),
    "A137": Entry(
        "module twice",
        "The module `{name}` is also in {other}.",
        "",
        "A project has one file for each module.",
    ),
    "A138": Entry(
        "circular modules",
        "Modules require each other: {circle}.",
        "Move what both need into a third module.",
        "",
    ),
    "A141": Entry(
        "ambiguous name",
        "`{name}` is a name of `{one}` and of `{other}`, and both are referred to as a whole.",
        "Write `{one}/{name}` or `{other}/{name}`, or refer to single names instead of `:all`.",
        "Where two modules with `:refer :all` have a name in common, it is an error to use it, not to require both.",
    ),
    "A142": Entry(
        "name referred to twice",
        "`{name}` is taken from `{one}` and from `{other}`.",
        "Leave one out, or give it another name: `:rename {{{name} other-name}}`.",
        "",
    ),
    "A143": Entry(
        "alias twice",
        "The alias `{name}` means `{one}` already, and here `{other}`.",
        "Choose another alias.",
        "",
    ),
    "A144": Entry(
        "conditions that are no vector",
        "`{name}` holds a vector of conditions; this is none.",
        "Write it as `{name} [(pos? x)]`.",
        "A function's conditions stand in vectors, each an expression that must be true.  Anything else would guard\n"
        "nothing, and nobody would be told.",
    ),
    # Patterns, messages and `select`: A145 to A159.
    "A145": Entry(
        "not a pattern",
        "`{pattern}` is no pattern.",
        "{advice}",
        "Patterns of `match`, `receive` and `select`: `_` is anything, `?name` binds (a second time: must be equal),\n"
        "a keyword, number, string or quoted form must be equal, `{{:key pattern}}` is a map that has at least these\n"
        "keys, `[pattern ... & pattern]` a vector or list, `(= expression)` compares with a value, `(is predicate)`\n"
        "asks a function, `(and ...)` and `(or ...)` combine.",
    ),
    "A146": Entry(
        "clause cut short",
        "A clause of `{who}` ends too soon: `{pattern}` misses {missing}.",
        "Write `pattern expression`, or `pattern :when guard expression`; `else` is the pattern `_`.",
        "",
    ),
    "A147": Entry(
        "`after` in the wrong place",
        "{problem}",
        "It is the last clause, with a duration or an instant: `(after 30s :too-late)`.",
        "`(after 0s ...)` only looks at what has come by now.",
    ),
    "A148": Entry(
        "not a clause of select",
        "`{form}` is no clause of `select`: {problem}.",
        "Clauses are `(await [name promise] ...)`, one `(receive pattern expression ...)` and one `(after time ...)`.",
        "`select` waits for whichever comes first, and leaves the others as they are.",
    ),
    # The prompt: A160 to A169.
    "A160": Entry(
        "a library's module",
        "The module `{name}` belongs to a library, so nothing can be defined in it here.",
        "Define the name in a module of your own, and refer to the library's others with `:require`.",
        "Library modules are shared by every program and are never changed.",
    ),
    "A161": Entry(
        "not a question",
        "This is written `{written}`.",
        "",
        'Some forms are for the prompt alone: `(doc name)`, `(source name)`, `(apropos "text")`, `(dir module)`,\n'
        "`(macroexpand-1 '(form ...))`, `(in-ns 'module)`, `(require '[module :as alias])`.",
    ),
    "A162": Entry(
        "nothing to tell",
        "Nothing here is called `{name}`.",
        '`(apropos "text")` lists the names that have a text in them.',
        "",
    ),
    "A163": Entry(
        "no source",
        "The source of `{name}` is not known.",
        "",
        "Builtins and special forms have none, and artifacts may be built without it.",
    ),
    # Projects: A200 to A209.
    "A200": Entry(
        "misplaced module",
        "This file holds the module `{name}`, and by its place it is `{expected}`.",
        "Write `(ns {expected} ...)`, or move the file to {path}.",
        "In a project the name of a module follows from its path below the folder of sources: src/shop/orders.fm\n"
        "holds `(ns shop.orders)`.  So whoever reads a name knows which file to open.",
    ),
    "A201": Entry(
        "module out of reach",
        "The module `{name}` cannot be required here: {reason}.",
        "Move it into a folder of sources, which flowmetal.toml lists as `source`.",
        "A program consists of the modules in its folders of sources, of the libraries that its flowmetal.toml names,\n"
        "and of the standard library.  Tests may require the program's modules, not the other way round.",
    ),
}
