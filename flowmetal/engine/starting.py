"""What a process begins with: the call of its start event, and the start that a program asks for with `spawn`.

The arguments of a start are an encoded vector.  The vector of a spawned process carries metadata besides: who asked for
it (the trace of the spawner, which the traces of the child go on with), and the function, where it is no plain
function of a module that its name would find again.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.link import ProgramTable
from flowmetal.bytecode.program import Program
from flowmetal.dataclass import dataclass
from flowmetal.engine.effects import merged_attributes
from flowmetal.engine.queueing import OPTIONS as QUEUE_OPTIONS
from flowmetal.engine.queueing import place_of
from flowmetal.store.errors import StoreError, check_name
from flowmetal.store.interface import Start
from flowmetal.store.limits import MAX_NAME_BYTES
from flowmetal.values import (
    EMPTY_MAP,
    Closure,
    Keyword,
    Map,
    Vector,
    decode_value,
    encode_value,
    fail,
    keyword,
    meta_of,
    print_string,
    with_meta,
)
from flowmetal.vm.arities import wrong_count

_FUNCTION, _SPAWNED_BY = keyword("function"), keyword("spawned-by")
_ATTRIBUTES = keyword("attributes")

#: Options of a spawn that the store's operation gets; and all of them.
_BONDS = (keyword("link"), keyword("monitor"), keyword("leash"))
SPAWN_OPTIONS = ("link", "monitor", "leash", "id", "name", "attributes", *QUEUE_OPTIONS)


@dataclass(frozen=True, slots=True)
class Begin:
    """The first call of a process.  `spawned_by`: the trace of its spawner, or None."""

    closure: Closure
    arguments: list[Any]
    spawned_by: Vector | None


def find_function(program: Program, name: str) -> Closure:
    """The function a process runs: "deploy/main", or "main" in the artifact's main module.  LanguageError :unbound."""
    module, slash, function = name.rpartition("/")
    found = program.lookup(module if slash else program.main, function)
    if found is None or found.value.__class__ is not Closure:
        fail("unbound", f"the program has no function {name}")
        raise AssertionError
    closure: Closure = found.value
    return closure


def check_startable(program: Program, name: str) -> None:
    """LanguageError :unbound for what cannot be started by its name: only public functions of the program's own modules
    can.

    Whoever starts a process may not be who wrote the program, and may have less granted than it: a private function
    relies on its callers, and one of a library (`perform*`) does whatever it is told to.
    """
    module, slash, function = name.rpartition("/")
    module = module if slash else program.main
    found = program.lookup(module, function)
    if found is not None and (found.private or found.macro):
        fail("unbound", f"{name} is {'private' if found.private else 'a macro'}, and cannot be started by its name")
    if found is not None and program.own and module not in program.own:
        fail("unbound", f"{name} is a function of a library, and cannot be started by its name")


def marked_spawned(arguments: Vector) -> Vector:
    """The arguments of a process that a program has started, now or before: any of its functions may take them."""
    about = meta_of(arguments)
    if about.__class__ is Map and (about.get(_SPAWNED_BY) is not None or about.get(_FUNCTION) is not None):
        return arguments
    marked: Vector = with_meta(arguments, Map.of([(_SPAWNED_BY, Vector.of([]))]))
    return marked


def begin_of(program: Program, table: ProgramTable, function: str, data: bytes, named: bool = False) -> Begin:
    """The call of a start event.  `named`: only what can be started by its name, as nobody spawned the process.

    Raises LanguageError for a missing function or arguments that are no vector, CodecError for bytes that are no value.
    """
    values = decode_value(data, table)
    if values.__class__ is not Vector:
        fail("type", "the arguments of a process are a vector")
    about = meta_of(values)
    closure = spawned_by = None
    if about.__class__ is Map:
        closure, spawned_by = about.get(_FUNCTION), about.get(_SPAWNED_BY)
    if closure.__class__ is not Closure:
        if named and spawned_by.__class__ is not Vector:
            check_startable(program, function)
        closure = find_function(program, function)
    return Begin(closure, list(values), spawned_by if spawned_by.__class__ is Vector else None)


def child_of(
    program: Program,
    table: ProgramTable,
    artifact: bytes,
    payload: Any,
    trace: Vector,
    now: int,
    grants: tuple[str, ...] | None = None,
) -> tuple[Start, Map]:
    """The start of a child, which runs the same artifact, and what ties it to its parent: a map for the operation.

    `grants`: those of the parent, which the child gets.

    LanguageError :argument for what is no function with a vector of arguments, or where one of them cannot leave its
    process, or for a wrong option.
    """
    if payload.__class__ is not Vector or not 2 <= len(payload) <= 3 or payload.get(0).__class__ is not Closure:
        fail("argument", "spawn takes a function and its arguments")
    function, arguments = payload.get(0), payload.get(1)
    if arguments.__class__ is not Vector:
        fail("argument", "the arguments of spawn are a vector")
    _check_count(function, len(arguments))
    options = _options(payload.get(2) if len(payload) == 3 else None)
    id, register = _name_of("id", options), _name_of("name", options)
    attributes = options.get(_ATTRIBUTES)
    name = function.function.name
    module, _, short = name.rpartition("/")
    found = program.lookup(module, short)
    # Starts with an id are compared by their arguments: where they were asked for does not count.
    about = {_SPAWNED_BY: trace} if id is None else {}
    if found is None or found.value is not function:
        about[_FUNCTION] = function
    data = encode_value(with_meta(Vector.of(list(arguments)), Map.of(about.items())), table)
    # The name of a function within functions may be longer than the store takes; it is for people only then.
    shown = name.encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore") if _FUNCTION in about else name
    start = Start(
        shown or "fn",
        data,
        artifact,
        id=id,
        attributes={} if attributes is None else merged_attributes(":attributes", {}, attributes),
        queue=place_of(options, now),
        register=register,
        grants=grants,
    )
    return start, Map.of([(key, True) for key in _BONDS if options.get(key)])


def _check_count(function: Closure, count: int) -> None:
    """LanguageError :arity where a function does not take so many arguments: better here than in a child that fails."""
    codes = [function.function.module.codes[index] for index in function.function.codes]
    least = min((code.parameters for code in codes if code.variadic), default=None)
    fixed = {code.parameters for code in codes if not code.variadic}
    if count not in fixed and (least is None or count < least):
        wrong_count(function.function.name, fixed, least, count)


def _options(given: Any) -> Map:
    if given is None:
        return EMPTY_MAP
    if given.__class__ is not Map:
        fail("argument", f"the options of spawn are a map, not {print_string(given, limit=80)}")
    for key, _ in given.items():
        if key.__class__ is not Keyword or key.text not in SPAWN_OPTIONS:
            known = ", ".join(f":{name}" for name in SPAWN_OPTIONS)
            fail("argument", f"spawn has no option {print_string(key, limit=60)}; there are {known}")
    options: Map = given
    return options


def _name_of(option: str, options: Map) -> str | None:
    value = options.get(keyword(option))
    if value is None:
        return None
    text = value.text if value.__class__ is Keyword else value
    if text.__class__ is str:
        try:
            check_name(f":{option}", text)
        except StoreError as error:
            fail("argument", str(error))
        return str(text)
    fail("argument", f":{option} is a string or a keyword, not {print_string(value, limit=80)}")
    raise AssertionError
