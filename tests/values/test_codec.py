"""The codec: round trips, identity, deltas, constants, functions, mutables."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from flowmetal.values import (
    EMPTY_LIST,
    EMPTY_MAP,
    EMPTY_SORTED_MAP,
    EMPTY_VECTOR,
    Cell,
    Closure,
    CodecError,
    Cons,
    Decoder,
    Encoder,
    ErrorValue,
    LanguageError,
    LazySeq,
    List,
    Map,
    ModuleOwner,
    NeedsProgram,
    NeedsRealize,
    Promise,
    Resumption,
    Set,
    SortedMap,
    SortedSet,
    Vector,
    decode_value,
    encode_value,
    encoder_after,
    equal,
    insert_at,
    is_entry,
    keyword,
    meta_of,
    pack,
    set_state,
    state_of,
    symbol,
    unpack,
    with_meta,
    with_span,
)
from flowmetal.values.encoder import EventEncoder
from tests.values.strategies import TEXT_LONG, VALUES

K = keyword


class Function:
    """What a closure is of, as far as values know."""

    def __init__(self, name: str) -> None:
        self.name = name


class Modules:
    """A module table of two modules with three functions each, and constants."""

    def __init__(self) -> None:
        self.functions = [[Function(f"m{module}/f{index}") for index in range(3)] for module in range(2)]
        self.constants: list[dict[int, Any]] = [{}, {}]
        self.owners = [ModuleOwner("m0"), ModuleOwner("m1")]

    def index_of(self, function: Any) -> tuple[int, int]:
        for module, functions in enumerate(self.functions):
            if function in functions:
                return module, functions.index(function)
        raise LookupError

    def function(self, module_index: int, function_index: int) -> Any:
        return self.functions[module_index][function_index]

    def constant_ref(self, value: Any) -> tuple[int, int] | None:
        return (self.owners.index(value.owner), value.oid) if value.owner in self.owners else None

    def constant(self, module_index: int, number: int) -> Any:
        return self.constants[module_index][number]

    def module_hash(self, module_index: int) -> bytes:
        return bytes([module_index]) * 32

    def module_index(self, hash: bytes) -> int | None:
        return hash[0] if hash in (b"\0" * 32, b"\1" * 32) else None


def through(value: Any, modules: Any = None) -> tuple[Any, Decoder]:
    """The value written and read again, as an image does it."""
    encoder = Encoder(object(), 1, modules)
    atom = encoder.atom(value)
    decoder = Decoder(object(), modules)
    decoder.add(1, [unpack(pack(record)) for record in encoder.records])
    return decoder.value(unpack(pack(atom))), decoder


@given(VALUES)
def test_values_come_back(value: Any) -> None:
    for found in (decode_value(encode_value(value)), through(value)[0]):
        assert equal(found, value)
        assert repr(found) == repr(value)
        assert found.__class__ is value.__class__
        assert meta_of(found) == meta_of(value)
    assert encode_value(decode_value(encode_value(value))) == encode_value(value)


@given(TEXT_LONG)
def test_long_texts_are_written_once(text: str) -> None:
    encoder = Encoder(object(), 1)
    atom = encoder.atom(text)
    assert encoder.atom("".join(list(text))) == atom
    encoder.atom(Vector.of([text, Map.of([(text, text)]), text.encode(), text.encode()]))
    assert len(pack(encoder.records)) < 2 * len(text) + 60 if len(text) >= 64 else atom == text


@pytest.mark.parametrize("value", [EMPTY_LIST, EMPTY_VECTOR, EMPTY_MAP, Set.of([]), EMPTY_SORTED_MAP, SortedSet()])
def test_empty_collections_are_atoms(value: Any) -> None:
    encoder = Encoder(object(), 1)
    encoder.atom(value)
    assert not encoder.records and value.owner is None
    held = with_meta(value, Map.of([(K("a"), 1)]))
    found, _ = through(held)
    assert found == value and meta_of(found) == meta_of(held) and found.__class__ is value.__class__


def test_spans_are_not_written_and_metadata_is() -> None:
    form = with_span(with_meta(Vector.of([with_span(symbol("a"), "place")]), Map.of([(K("x"), 1)])), "place")
    found, _ = through(form)
    assert found.meta == Map.of([(K("x"), 1)]) and found.get(0).meta is None
    assert through(with_meta(symbol("a/b"), EMPTY_MAP))[0].meta == EMPTY_MAP
    assert through(with_meta(List.of([1, 2]), EMPTY_MAP))[0].meta == EMPTY_MAP


def test_identity_survives_within_an_image() -> None:
    shared = Map.of([(K("a"), 1)])
    found, _ = through(Vector.of([shared, List.of([shared]), shared]))
    assert found.get(0) is found.get(1).first is found.get(2)
    chain: Any = EMPTY_VECTOR
    for _ in range(200):
        chain = Vector.of([chain, chain])
    assert len(encode_value(chain)) < 4000
    again = decode_value(encode_value(chain))
    assert again.get(0) is again.get(1) and equal(again, chain)


def test_ids_are_consecutive_and_children_come_first() -> None:
    encoder = Encoder(owner := object(), 10)
    inner = Vector.of([1])
    outer = List.of([inner, inner])
    assert encoder.atom(outer) == [12]
    assert (inner.owner, inner.oid, outer.oid) == (owner, 10, 12)
    assert encoder.drain() == (10, [[3, None, 1], [13, [10], None], [13, [10], 11]], [])
    assert encoder.atom(outer) == [12] and encoder.atom(Vector.of([outer])) == [13]
    assert encoder.drain()[:2] == (13, [[3, None, [12]]])


@pytest.mark.parametrize(
    ("large", "change"),
    [
        (Vector.of(range(100_000)), lambda value: value.assoc(54_321, "new")),
        (Vector.of(range(100_000)), lambda value: value.conj("new")),
        (Map.of((f"key-{number}", number) for number in range(10_000)), lambda value: value.assoc("key-77", "new")),
        (Map.of((number, number) for number in range(100_000)), lambda value: value.assoc(5, "new")),
        (Set.of(range(10_000)), lambda value: value.conj("new")),
        (SortedMap.of((number, number) for number in range(10_000)), lambda value: value.assoc(5, "new")),
    ],
    ids=["vector assoc", "vector conj", "map 10k", "map 100k", "set", "sorted map"],
)
def test_one_change_writes_a_path(large: Any, change: Any) -> None:
    encoder = Encoder(object(), 1)
    encoder.atom(large)
    decoder = Decoder(object())
    decoder.add(*encoder.drain()[:2])
    changed = change(large)
    atom = encoder.atom(changed)
    first, records, _ = encoder.drain()
    assert len(pack(records)) < 2000
    assert len(records) <= 20
    decoder.add(first, unpack(pack(records)))
    found = decoder.value(atom)
    assert equal(found, changed) and list(found) == list(changed)


def test_an_encoder_goes_on_after_a_decoder() -> None:
    text = "x" * 100
    value = Vector.of([List.of([1]), text])
    first = Encoder(object(), 1)
    atom = first.atom(value)
    decoder = Decoder(object())
    decoder.add(*first.drain()[:2])
    restored = decoder.value(atom)
    second = encoder_after(decoder)
    more, other = value.conj(text), restored.conj(text)
    assert first.atom(more) == second.atom(other)
    assert first.drain() == second.drain()


def test_constants_are_references() -> None:
    modules = Modules()
    constant = Map.of((number, number) for number in range(1000))
    writer = Encoder(modules.owners[1], 1)
    writer.atom(constant)
    reader = Decoder(modules.owners[1])
    reader.add(*writer.drain()[:2])
    modules.constants[1] = reader.objects
    shared = reader.objects[constant.oid]
    assert Encoder(object(), 1, modules).atom(shared) == [1, "g", constant.oid]
    encoder = Encoder(object(), 1, modules)
    atom = encoder.atom(Vector.of([shared.assoc(5, "new"), shared]))
    assert len(pack(encoder.records)) < 1000
    assert shared.owner is modules.owners[1]
    decoder = Decoder(object(), modules)
    decoder.add(1, unpack(pack(encoder.records)))
    found = decoder.value(atom)
    assert found.get(1) is shared and found.get(0) == constant.assoc(5, "new")
    # Of a module that is not in the table they are copied, and stay the module's.
    stranger = Encoder(object(), 1)
    assert stranger.atom(shared) == stranger.atom(shared) != [1, "g", constant.oid]
    assert shared.owner is modules.owners[1]
    assert decode_value(encode_value(shared)) == shared


def test_functions() -> None:
    modules = Modules()
    closure = Closure(modules.functions[1][2], (1, Vector.of([2])))
    found, _ = through(closure, modules)
    assert found.function is closure.function and found.captures == closure.captures
    other = Closure(modules.functions[0][1], ())
    value = decode_value(encode_value(Vector.of([closure, other]), modules), modules)
    assert value.get(0).function is closure.function and value.get(1).function is other.function
    with pytest.raises(LanguageError) as caught:
        encode_value(closure)
    assert caught.value.error.kind is K("type")
    with pytest.raises(CodecError):
        decode_value(encode_value(closure, modules))
    data = encode_value(closure, modules).replace(b"\1" * 32, b"\7" * 32)
    with pytest.raises(CodecError):
        decode_value(data, modules)


def test_entries_stay_entries() -> None:
    for value in Map.of([(1, 2), (2.0, "a")]):
        found, _ = through(value)
        assert is_entry(found) and found == value == Vector.of(list(value))
        assert is_entry(decode_value(encode_value(value)))
        assert not is_entry(decode_value(encode_value(Vector.of(list(value)))))


def test_collections_keep_an_order_of_the_program() -> None:
    modules = Modules()
    order = Closure(modules.functions[0][0], ())
    tree = None
    for place in range(50):
        tree = insert_at(tree, 0, place, None)  # from the last to the first, which no natural order allows
    for value in (SortedSet(tree, None, order), SortedMap(tree, None, order), SortedSet(None, None, order)):
        found, _ = through(value, modules)
        assert found.__class__ is value.__class__ and found.order.function is order.function
        assert list(found) == list(value)
        for act in (lambda found=found: found.get(1), lambda found=found: found.contains(1)):
            with pytest.raises(NeedsProgram):
                act()
        again = decode_value(encode_value(value, modules), modules)
        assert again.order.function is order.function and list(again) == list(value)
    with pytest.raises(CodecError):  # a tree of one kind is none of the other
        encoder = Encoder(object(), 1, modules)
        encoder.atom(SortedSet(tree, None, order))
        Decoder(object(), modules).add(1, [*encoder.records[:-1], [18, encoder.records[-1][2]]])


def test_mutables_are_bare_and_may_stand_in_cycles() -> None:
    modules = Modules()
    cell, promise, lazy, resumption = Cell(), Promise(request=4), LazySeq(None), Resumption()
    closure = Closure(modules.functions[0][0], (cell, lazy))
    cell.value = Vector.of([closure, promise])
    lazy.thunk = closure
    encoder = Encoder(object(), 1, modules)
    root = encoder.atom(List.of([cell, lazy, promise, resumption]))
    states = {}
    first, records = encoder.first_id, encoder.records
    while encoder.mutables:
        pending = list(encoder.mutables)
        encoder.mutables.clear()
        for mutable in pending:
            if mutable.__class__ is not Resumption:
                states[mutable.oid] = [encoder.atom(part) for part in state_of(mutable)]
    assert sorted(record[0] for record in records if len(record) == 1) == [25, 26, 27, 28]
    decoder = Decoder(object(), modules)
    decoder.add(first, unpack(pack(records)))
    for number, state in states.items():
        set_state(decoder.objects[number], [decoder.value(atom) for atom in state])
    new_cell, new_lazy, new_promise, new_resumption = decoder.value(root)
    assert new_cell.value.get(0).captures[0] is new_cell
    assert new_lazy.thunk is new_cell.value.get(0) and new_lazy.state == "new"
    assert new_cell.value.get(1) is new_promise and new_promise.request == 4 and new_promise.state == "pending"
    assert new_resumption.__class__ is Resumption and not new_cell.dirty


STATES: list[tuple[Any, list[Any]]] = [
    (Cell(), []),
    (Cell(), [1, 2]),
    (Promise(), ["other", None, 0, 0]),
    (Promise(), ["done", None, -1, 0]),
    (Promise(), ["done", None, 0, True]),
    (Promise(), ["failed", "no error", 0, 0]),
    (LazySeq(None), ["done", 5]),
    (LazySeq(None), ["done", LazySeq(None)]),
    (LazySeq(None), ["new", 5, 0]),
    (LazySeq(None), ["open", None, 0]),
    (LazySeq(None), [Vector.of([]), None]),
    (Resumption(), [1]),
]


@pytest.mark.parametrize(("mutable", "state"), STATES)
def test_impossible_states_are_refused(mutable: Any, state: list[Any]) -> None:
    with pytest.raises(CodecError):
        set_state(mutable, state)


def test_possible_states() -> None:
    error = ErrorValue(K("a"), "m")
    for old, new in [
        (Promise(1, 2), Promise()),
        (LazySeq(None), LazySeq(None)),
        (Cell(EMPTY_MAP), Cell()),
    ]:
        set_state(new, state_of(old))
        assert state_of(new) == state_of(old)
    promise = Promise()
    for state in ("failed", "seen"):
        set_state(promise, [state, error, 0, 0])
        assert promise.state == state
    lazy = LazySeq(None)
    set_state(lazy, ["done", Cons(1, None)])
    assert state_of(lazy) == ["done", List.of([1])] and list(lazy) == [1]


@pytest.mark.parametrize("value", [Cell(1), Promise(), Resumption()])
def test_what_cannot_leave_its_process(value: Any) -> None:
    with pytest.raises(LanguageError) as caught:
        encode_value(Vector.of([List.of([value])]))
    assert caught.value.error.kind is K("type") and "cannot leave its process" in caught.value.error.message


def test_lazy_sequences_leave_as_lists() -> None:
    def done(value: Any) -> LazySeq:
        lazy = LazySeq(None)
        lazy.state, lazy.value = "done", value
        return lazy

    value = Vector.of([done(Cons(1, done(Cons(2, done(None))))), done(None), done(done(List.of([3])).value)])
    assert decode_value(encode_value(value)) == value
    assert decode_value(encode_value(done(None))) is EMPTY_LIST
    with pytest.raises(NeedsRealize) as caught:
        encode_value(Vector.of([Cons(1, lazy := LazySeq(None))]))
    assert caught.value.seq is lazy and caught.value.whole


def test_events_leave_owners_alone() -> None:
    value = Vector.of([List.of([1])])
    encoder = Encoder(owner := object(), 1)
    encoder.atom(value)
    number = value.oid
    encode_value(value)
    assert value.owner is owner and value.oid == number


def test_what_is_no_value_is_refused() -> None:
    for value in (object(), {1: 2}, (1, 2)):
        with pytest.raises(LanguageError):
            encode_value(value)
        with pytest.raises(LanguageError):
            Encoder(object(), 1).atom(Vector.of([value]))


def test_leaves_of_colliding_keys() -> None:
    modules = Modules()
    cells = [Cell(number) for number in range(1000)]
    table = Map.of((cell, number) for number, cell in enumerate(cells))
    encoder = Encoder(object(), 1, modules)
    atom = encoder.atom(table)
    assert max(map(len, encoder.records)) == 2001
    decoder = Decoder(object(), modules)
    decoder.add(1, unpack(pack(encoder.records)))
    found = decoder.value(atom)
    assert list(found.values()) == list(range(1000)) and found.get(decoder.objects[cells[7].oid]) == 7


@given(VALUES)
def test_the_short_way_of_scalars_writes_and_reads_the_same(value: Any) -> None:
    encoder = EventEncoder()
    atom = encoder.atom(value)
    data = encode_value(value)
    assert data == pack([atom, *encoder.records])
    decoder = Decoder(None)
    decoder.add(1, unpack(data)[1:])
    assert equal(decoder.value(unpack(data)[0]), decode_value(data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x91",
        b"\x91\x91",
        b"\x91\x91\x01",
        b"\x91\x93\x00\xa1g\x00",
        b"\x91\x80",
        b"\x91\x01\x01",
        b"\x91" * 5000 + b"\x01",
        b"\x91\xc1",
        b"\x91\xdb\xff\xff\xff\xff",
        b"\x91\xc7\x00\x63",
        b"\x91\xa1\xff",
    ],
)
def test_hostile_scalars(data: bytes) -> None:
    with pytest.raises(CodecError):
        decode_value(data)
