"""Open tables and what is looked up in them: hierarchies and multimethods.

Look-ups are leaves: a program's tables are data, and isa? and preference are questions about data.  What is found is
called by the library, in the language.  Nothing that is kept with the program is handed out, since an image would take
it for an object of its process; entries of modules are constants, and the rest is made anew for each caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowmetal.bytecode.heap import instantiate
from flowmetal.bytecode.open_tables import MEMO_MAX, OpenTables, checked, entry_of, tables
from flowmetal.bytecode.program import Program
from flowmetal.values import (
    EMPTY_MAP,
    BuiltinFn,
    Closure,
    ErrorValue,
    Keyword,
    LanguageError,
    Map,
    Set,
    SortedMap,
    Symbol,
    Vector,
    equal,
    fail,
    key_of,
    keyword,
    print_string,
)
from flowmetal.values.errors import shortly
from flowmetal.vm.arities import wrong_count
from flowmetal.vm.builtins.check import index, shown
from flowmetal.vm.builtins.registry import BUILTINS, builtin
from flowmetal.vm.state import Process

HIERARCHY = "flowmetal.core/hierarchy"
_PARENTS, _ANCESTORS, _DESCENDANTS = keyword("parents"), keyword("ancestors"), keyword("descendants")
KIND_NO_METHOD = keyword("no-method")
KIND_AMBIGUOUS = keyword("ambiguous-method")
_MULTIMETHOD, _VALUE, _METHODS = keyword("multimethod"), keyword("value"), keyword("methods")

#: Nesting of vectors that isa? looks into; dispatch values do not come near it.
NESTING_MAX = 64


@builtin(1707, "bindings", 0, context=True)
def bindings(process: Process) -> Map:
    """What dynamic names are bound to where this is called: a map from their full names, which are symbols."""
    found = Map.of(())
    for data in process.bindings():
        found = found.merge(data.items())
    return found


def table(process: Process, name: str) -> Map:
    """The entries of a table, as this process sees it; not to be handed out."""
    found = tables(process.program)
    made: Map | None = found.made.get(name)
    if made is not None:
        return made
    pairs: list[tuple[Any, Any]] = []
    kept = True
    for module, entry in found.index.get(name, ()):
        pair = entry_of(module, entry)
        if pair is None:
            kept = False  # it holds a cell or the like, of which each process has its own
            if (module.name, entry) not in process.globals:
                process.globals.update(instantiate(process.program))
            pair = checked(process.globals[module.name, entry], module, entry)
        pairs.append(pair.tail)
    for other, key, value in process.program.growing or ():
        if other == name:
            pairs.append((key, value))
    made = Map.of(pairs)
    made = Map.of([(key, value) for key, value in made.items() if value is not None and value is not False])
    if kept:
        found.made[name] = made
    return made


def _text(name: Any) -> str:
    if name.__class__ is not Symbol:
        fail("type", f"a symbol names an open table, not {shown(name)}")
    return str(name.text)


@builtin(1700, "contribute", 3, context=True)
def contribute(process: Process, name: Any, key: Any, value: Any) -> None:
    """Adds an entry to an open table of the program that is being compiled; nil as value takes the key away."""
    program = process.program
    if program.growing is None:
        fail("sealed", "methods, extensions and derivations are added at the top level of a module, not while it runs")
    program.growing.append((_text(name), key, value))
    program.open = None


@builtin(1701, "open-entries", 1, context=True)
def open_entries(process: Process, name: Any) -> Map:
    """The entries of an open table."""
    return Map.of(table(process, _text(name)).items())


# ---- hierarchies ---------------------------------------------------------------------------------------------------


def _global(process: Process) -> Map:
    """The hierarchy that the program's modules make, in the form of `make-hierarchy`; not to be handed out."""
    found = tables(process.program)
    made: Map | None = found.made.get(" hierarchy")
    if made is None:
        entries = table(process, HIERARCHY)
        made = _hierarchy(_keys(entries))
        if HIERARCHY in found.made:
            found.made[" hierarchy"] = made
    return made


def _keys(entries: Map) -> list[tuple[Any, Any]]:
    """The keys of a table whose keys are vectors of two."""
    return [key.tail for key, _ in entries.items() if key.__class__ is Vector and len(key) == 2]


def _hierarchy(pairs: list[tuple[Any, Any]]) -> Map:
    """The hierarchy of these (tag, parent), as a map from :parents, :ancestors and :descendants to maps of sets."""
    parents: dict[Any, dict[Any, Any]] = {}
    names: dict[Any, Any] = {}
    for tag, parent in pairs:
        names[key_of(tag)], names[key_of(parent)] = tag, parent
        parents.setdefault(key_of(tag), {})[key_of(parent)] = parent
    ancestors: dict[Any, dict[Any, Any]] = {}
    descendants: dict[Any, dict[Any, Any]] = {}
    for key, direct in parents.items():
        above = ancestors[key] = {}
        pending = list(direct)
        while pending:
            parent = pending.pop(0)
            if parent in above:
                continue
            if parent == key:
                fail("hierarchy", f"modules of the program derive {print_string(names[key])} from itself")
            above[parent] = names[parent]
            descendants.setdefault(parent, {})[key] = names[key]
            pending.extend(parents.get(parent, ()))
    parts = ((_PARENTS, parents), (_DESCENDANTS, descendants), (_ANCESTORS, ancestors))
    return Map.of(
        [(name, Map.of([(names[key], Set.of(sets.values())) for key, sets in part.items()])) for name, part in parts]
    )


@builtin(1702, "hierarchy", 0, context=True)
def hierarchy(process: Process) -> Map:
    """The global hierarchy of the program, in the form of `make-hierarchy`."""
    return _hierarchy(_keys(table(process, HIERARCHY)))


def _above(tree: Map, tag: Any) -> Any:
    """The set of the ancestors of a tag, or None."""
    ancestors = tree.get(_ANCESTORS)
    return ancestors.get(tag) if ancestors.__class__ in (Map, SortedMap) else None


def _isa(tree: Map, child: Any, parent: Any, nesting: int = 0) -> bool:
    if equal(child, parent):
        return True
    above = _above(tree, child)
    if above.__class__ is Set and above.contains(parent):
        return True
    if child.__class__ is not Vector or parent.__class__ is not Vector or len(child) != len(parent):
        return False
    if nesting >= NESTING_MAX:
        fail("limit", f"isa? looks into vectors to a depth of {NESTING_MAX}")
    return all(_isa(tree, one, other, nesting + 1) for one, other in zip(child, parent, strict=True))


def _tree(process: Process, given: Any) -> Map:
    if given is None:
        return _global(process)
    if given.__class__ is not Map:
        fail("type", f"a hierarchy is a map made by make-hierarchy, not {shown(given)}")
    tree: Map = given
    return tree


@builtin(1703, "isa", 3, context=True)
def isa(process: Process, tree: Any, child: Any, parent: Any) -> bool:
    """Whether one value is another, derives from it in a hierarchy (nil: the global one), or does so item by item."""
    return _isa(_tree(process, tree), child, parent)


# ---- multimethods --------------------------------------------------------------------------------------------------


def _prefers(tree: Map, preferences: Map, one: Any, other: Any) -> bool:
    """Whether `one`, or what it derives from, is preferred over `other` or what that derives from."""
    if not len(preferences):
        return False
    left, right = _above(tree, one), _above(tree, other)
    for x in (one, *(left or ())):
        for y in (other, *(right or ())):
            if preferences.contains(Vector.of((x, y))):
                return True
    return False


def _best(process: Process, name: str, value: Any, tree: Map) -> Any:
    """The method whose dispatch value is closest to a value; None.  LanguageError :ambiguous-method."""
    methods = table(process, name)
    exact = methods.get(value)
    best: tuple[Any, Any] | None = None
    fits = [(key, method) for key, method in methods.items() if _isa(tree, value, key)]
    if len(fits) <= 1:
        return exact if not fits else fits[0][1]
    preferences = table(process, f"{name} prefers")

    def dominates(one: Any, other: Any) -> bool:
        return _prefers(tree, preferences, one, other) or _isa(tree, one, other)

    for entry in fits:
        if best is None or dominates(entry[0], best[0]):
            best = entry
        if not dominates(best[0], entry[0]):
            keys = Vector.of((best[0], entry[0]))
            text = f"{name} has methods for {shown(entry[0])} and {shown(best[0])}, and {shown(value)} is both"
            data = Map.of([(_MULTIMETHOD, Symbol(*_split(name))), (_VALUE, value), (_METHODS, keys)])
            raise LanguageError(ErrorValue(KIND_AMBIGUOUS, f"{text}; say which with prefer-method", data))
    assert best is not None
    return best[1]


def _split(name: str) -> tuple[str | None, str]:
    space, mark, rest = name.partition("/")
    return (space, rest) if mark and rest else (None, name)


def remember(program: Program, found: OpenTables, key: Any, make: Callable[[], Any]) -> Any:
    """What a look-up in a sealed program gave before, or gives now."""
    if program.growing is not None:
        return make()
    memo = found.memo
    result = memo.get(key)
    if result is None:
        result = make()
        if result is not None:
            if len(memo) >= MEMO_MAX:
                memo.clear()
            memo[key] = result
    return result


def _method(process: Process, name: Any, value: Any, default: Any, tree: Any) -> Any:
    text = _text(name)
    program = process.program

    def search() -> Any:
        found = _best(process, text, value, _tree(process, tree))
        return table(process, text).get(default) if found is None else found

    found = tables(program)
    if tree is None and (text in found.made or text not in found.index):
        return remember(program, found, (text, key_of(value)), search)
    return search()


@builtin(1704, "find-method", 4, context=True)
def find_method(process: Process, name: Any, value: Any, default: Any, tree: Any) -> Any:
    """The method of a multimethod for a dispatch value, in a hierarchy or nil; an error where there is none."""
    found = _method(process, name, value, default, tree)
    if found is None:
        data = Map.of([(_MULTIMETHOD, name), (_VALUE, value)])
        raise LanguageError(
            ErrorValue(KIND_NO_METHOD, f"{name.text} has no method for the dispatch value {shown(value)}", data)
        )
    return found


@builtin(1705, "get-method", 4, context=True)
def get_method(process: Process, name: Any, value: Any, default: Any, tree: Any) -> Any:
    """The method of a multimethod for a dispatch value, or nil."""
    return _method(process, name, value, default, tree)


@builtin(1706, "prefers", 1, context=True)
def prefers(process: Process, name: Any) -> Map:
    """The preferences of a multimethod: a map from dispatch values to the sets of those they are preferred over."""
    found: Map = EMPTY_MAP
    for one, other in _keys(table(process, f"{_text(name)} prefers")):
        found = found.assoc(one, found.get(one, Set.of(())).conj(other))
    return found


@builtin(1708, "taking", 3)
def taking(name: Any, function: Any, count: Any) -> Any:
    """The function, if it takes so many arguments; if not, the :arity error is one of the multimethod of that name.

    What a multimethod calls, its dispatch function and its methods, nobody has called by name.
    """
    called = _text(name)
    index("a multimethod", count)
    kind = function.__class__
    if kind is Closure:
        codes = [function.function.module.codes[index] for index in function.function.codes]
        fixed = [code.parameters for code in codes if not code.variadic]
        least = next((code.parameters for code in codes if code.variadic), None)
        if count not in fixed and (least is None or count < least):
            wrong_count(called, fixed, least, count)
    elif kind is Keyword or kind is Symbol:
        if not 1 <= count <= 2:
            wrong_count(called, (1, 2), None, count)
    elif kind is BuiltinFn:
        info = BUILTINS.get(function.number)
        if info is not None and not info.accepts(count):
            fail("arity", f"{called} does not take {shortly(count)} argument{'' if count == 1 else 's'}")
    return function
