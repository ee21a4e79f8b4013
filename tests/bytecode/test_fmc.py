"""Artifacts: what goes in comes out, always as the same bytes, lazily, with sharing and identity as it was."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given

from flowmetal.bytecode.fmc import decode_artifact, encode_artifact, strip_artifact
from flowmetal.bytecode.heap import instantiate, instantiate_global
from flowmetal.bytecode.link import ProgramTable, link, verify_artifact
from flowmetal.bytecode.opcodes import MACHINE_VERSION
from flowmetal.bytecode.program import PER_PROCESS, UNBOUND, Code, Function, Global, Module, Program, captures_of
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import (
    Cell,
    Closure,
    Encoder,
    LazySeq,
    List,
    ModuleOwner,
    Promise,
    Resumption,
    TransientVector,
    Vector,
    equal,
    keyword,
    meta_of,
)

from .generated import codes
from .samples import app, define, lib


def arity(number: int) -> tuple[int, int | None] | None:
    return (0, None) if number == 2 else None


def program() -> Program:
    """Both modules in one artifact, decoded and linked."""
    library = lib()
    data = encode_artifact([library, app(library)])
    return link(decode_artifact(data, arity))


def separate() -> tuple[Program, Program]:
    """The library's program, and the program of an app compiled against it."""
    library = link(decode_artifact(encode_artifact([lib()])))
    module = library.modules["lib"]
    values = {name: value for (_, name), value in instantiate(library).items()}
    data = encode_artifact([app(module, values)])
    artifact = decode_artifact(data, arity)
    return library, link(artifact, lambda name, hash: module if hash == module.hash else None)


CODE_FIELDS = [
    field.name for field in dataclasses.fields(Code) if field.name not in ("index", "module", "ready", "live")
]


def assert_same_code(one: Code, other: Code) -> None:
    for name in CODE_FIELDS:
        assert getattr(one, name) == getattr(other, name), name


@given(codes())
def test_codes(code: Code) -> None:
    module = Module("generated")
    module.codes.append(code)
    code.module = module
    module.functions.append(Function("generated/code", (0,), index=0, module=module))
    found = decode_artifact(encode_artifact([module])).modules["generated"]
    assert_same_code(found.codes[0], code)
    assert found.codes[0].index == 0
    assert found.codes[0].module is found


def test_module() -> None:
    before, after = lib(), link(decode_artifact(encode_artifact([lib()]))).modules["lib"]
    assert (after.name, after.file, after.source, after.requires) == ("lib", "lib.fm", before.source, {})
    assert list(after.references) == list(before.references)
    assert list(after.effect_sites) == list(before.effect_sites)
    for one, other in zip(after.functions, before.functions, strict=True):
        assert (one.name, one.doc, one.effects, one.open) == (other.name, other.doc, other.effects, other.open)
        assert captures_of(one) == captures_of(other)
        assert len(one.codes) == len(other.codes)
        for here, there in zip(one.codes, other.codes, strict=True):
            assert_same_code(after.codes[here], before.codes[there])
    for one, other in zip(after.constants, before.constants, strict=True):
        assert equal(one, other)
    assert list(after.globals) == list(before.globals)
    kept = [field.name for field in dataclasses.fields(Global) if field.name not in ("value", "contract", "mutable")]
    for name, found in before.globals.items():
        for field in kept:
            assert getattr(after.globals[name], field) == getattr(found, field)
    assert after.globals["big"].value == before.globals["big"].value
    assert after.globals["tagged"].value == before.globals["tagged"].value
    assert meta_of(after.globals["tagged"].value) == meta_of(before.globals["tagged"].value)
    assert after.globals["text"].value == before.globals["text"].value
    assert after.globals["checked"].contract == before.globals["checked"].contract
    assert after.globals["later"].value is UNBOUND


def test_two_builds_are_equal() -> None:
    first, second = lib(), lib()
    assert encode_artifact([first, app(first)]) == encode_artifact([app(second), second], "app")
    # Writing leaves nothing behind in the module, whatever was written before it.
    assert encode_artifact([first, app(first)]) == encode_artifact([second, app(second)])
    # A decoded artifact gives the same bytes, and so does its program.
    data = encode_artifact([first, app(first)])
    artifact = decode_artifact(data)
    assert encode_artifact(artifact.modules.values(), artifact.main) == data
    assert encode_artifact(link(artifact)) == data


def test_stripping_keeps_the_hashes_of_modules() -> None:
    library = lib()
    data = encode_artifact([library, app(library)])
    stripped = strip_artifact(data)
    assert len(stripped) < len(data)
    one, other = decode_artifact(data), decode_artifact(stripped)
    assert one.hash != other.hash
    assert [module.hash for module in one.modules.values()] == [module.hash for module in other.modules.values()]
    found = link(other).modules["lib"]
    assert (found.source, found.file, found.codes[0].spans, found.codes[0].locals) == (None, "", (), ())
    assert found.globals["increment"].span is None
    assert found.effect_sites[0].span is None
    assert verify_artifact(stripped).hash == other.hash


def test_one_changed_instruction_changes_the_hash() -> None:
    before, after = lib(), lib()
    code = after.codes[0]
    code.instructions = ((*code.instructions[0][:3], 2), *code.instructions[1:])
    hashes = [decode_artifact(encode_artifact([module])).modules["lib"].hash for module in (before, after)]
    assert hashes[0] != hashes[1]


def test_decoding_is_lazy() -> None:
    library = lib()
    data = bytearray(encode_artifact([library]))
    module = decode_artifact(data).modules["lib"]
    for part in (module.codes, module.constants, module.functions):
        assert part._made == {}  # type: ignore[attr-defined]
    assert module.codes[0] is module.codes[0]
    assert module.codes[-1] is module.codes[len(module.codes) - 1]
    assert [code.name for code in module.codes[:2]] == ["lib/increment", "lib/adder"]
    with pytest.raises(TypeError):
        module.codes.append(module.codes[0])
    with pytest.raises(TypeError):
        module.globals["x"] = module.globals["big"]


def test_shared_objects_are_shared() -> None:
    linked = program()
    library, main = linked.modules["lib"], linked.modules["app"]
    routes = library.globals["routes"].value
    assert main.constants[0] is routes
    increment = library.globals["increment"].value
    assert routes.get(keyword("up")) is increment
    assert sorted(map(id, main.globals["pair"].value)) == sorted(map(id, (routes, increment)))
    assert routes.get(keyword("two")).captures == (2,)
    assert routes.get(keyword("two")).function is library.functions[2]
    # A vector that grew out of another module's shares its nodes.
    big, more = library.globals["big"].value, main.globals["more"].value
    assert len(more) == len(big) + 1
    assert more.root is big.root


def test_images_refer_to_shared_objects() -> None:
    linked = program()
    table, again = ProgramTable(linked), ProgramTable(program())
    assert [module.name for module in table.modules] == ["app", "lib"]
    for module in linked.modules.values():
        for found in module.globals.values():
            value = found.value
            if getattr(value, "owner", None).__class__ is not ModuleOwner:
                continue
            reference = table.constant_ref(value)
            assert reference is not None
            assert table.constant(*reference) is value
            encoder = Encoder(object(), 1, table)
            assert encoder.atom(value) == [reference[0], "g", reference[1]]
            assert encoder.records == []
            if value.__class__ is not Closure:
                assert equal(again.constant(*reference), value) or value.__class__ is not Vector
    function = linked.modules["lib"].functions[1]
    assert table.index_of(function) == (1, 1)
    assert table.function(1, 1) is function
    assert table.code(0, 0) is linked.modules["app"].codes[0]
    assert table.module_index(table.module_hash(1)) == 1
    assert table.module_index(b"") is None
    for ask in (table.function, table.constant, table.code):
        for indexes in ((0, 999999), (2, 0), (-1, 0), (0, -1)):
            with pytest.raises(LookupError):
                ask(*indexes)
    with pytest.raises(LookupError):
        table.index_of(program().modules["lib"].functions[0])


def mutable_names(module: Module) -> list[str]:
    return [name for name, found in module.globals.items() if found.mutable]


@pytest.mark.parametrize("together", [True, False])
def test_mutable_globals(together: bool) -> None:
    linked = program() if together else separate()[1]
    library, main = linked.modules["lib"], linked.modules["app"]
    assert mutable_names(library) == ["counter", "count-up", "state", "numbers", "realized", "knot"]
    assert mutable_names(main) == ["same-counter", "mixed"]
    assert all(library.globals[name].value is PER_PROCESS for name in mutable_names(library))

    values = instantiate(linked)
    assert sorted(values) == sorted(
        [("lib", name) for name in mutable_names(library)] + [("app", name) for name in mutable_names(main)]
    )
    counter = values["lib", "counter"]
    assert counter.__class__ is Cell
    assert counter.value == 0
    # What the module's values shared, the copies share, over modules too.
    assert values["lib", "count-up"].captures == (counter,)
    assert values["lib", "state"].get(keyword("cell")) is counter
    assert values["lib", "state"].get(keyword("big")) is library.globals["big"].value
    assert values["lib", "knot"].value.get(0) is values["lib", "knot"]
    assert values["lib", "knot"].value.get(1) is counter
    assert values["app", "same-counter"] is counter
    mixed = values["app", "mixed"]
    assert mixed.get(0) is counter
    assert mixed.get(1) is library.globals["routes"].value
    assert mixed.get(2).value is values["lib", "state"]
    lazy, realized = values["lib", "numbers"], values["lib", "realized"]
    assert (lazy.__class__, lazy.state, lazy.thunk.function) == (LazySeq, "new", library.functions[3])
    assert (realized.state, realized.value) == ("done", List.of([1, 2]))

    # Another process has its own.
    assert instantiate(linked)["lib", "counter"] is not counter
    alone = instantiate_global(library, "state")
    assert alone.get(keyword("cell")) is not counter
    # An image of a process writes them like everything else of the process.
    encoder = Encoder(object(), 1, ProgramTable(linked))
    encoder.atom(counter)
    assert len(encoder.records) == 1


def test_an_app_compiled_against_a_library() -> None:
    library, linked = separate()
    assert linked.modules["lib"] is library.modules["lib"]
    assert linked.modules["app"].requires == {"lib": library.modules["lib"].hash}
    assert list(decode_artifact(encode_artifact(linked)).modules) == ["app"]
    bundle = decode_artifact(encode_artifact(linked, bundle=True))
    assert list(bundle.modules) == ["lib", "app"]
    assert bundle.modules["app"].hash == linked.modules["app"].hash
    again = link(bundle)
    assert again.modules["app"].constants[0] is again.modules["lib"].globals["routes"].value


def test_closures_of_other_modules_without_declared_requirement() -> None:
    library = link(decode_artifact(encode_artifact([lib()]))).modules["lib"]
    module = Module("user")
    define(module, "f", library.globals["increment"].value)
    artifact = decode_artifact(encode_artifact([module]))
    assert artifact.requires() == {"lib": library.hash}
    linked = link(artifact, lambda name, hash: library)
    assert linked.modules["user"].globals["f"].value is library.globals["increment"].value


def test_manifest() -> None:
    linked = program()
    library = lib()
    artifact = decode_artifact(encode_artifact([library, app(library)], name="demo"), arity)
    link(artifact)
    assert (artifact.name, artifact.main, artifact.requires()) == ("demo", "app", {})
    (main,) = artifact.exports()
    assert (main.name, main.arities, main.parameters, main.effects) == ("main", ((1, False),), ("[x]",), ("http/get",))
    assert [site.function for site in artifact.effects()["http/get"]] == ["lib/adder", "app/main"]
    assert linked.hash != b""


# ---- refusals ----------------------------------------------------------------------------------------------------


def failure(code: str, call: Any, *arguments: Any, **more: Any) -> FlowmetalError:
    with pytest.raises(FlowmetalError) as raised:
        call(*arguments, **more)
    assert raised.value.code == code, raised.value
    assert "?" not in str(raised.value)
    return raised.value


def test_files_that_are_none() -> None:
    data = encode_artifact([lib()])
    failure("B001", decode_artifact, b"")
    failure("B001", decode_artifact, b"#!/bin/sh")
    failure("B004", decode_artifact, data[:8])
    failure("B004", decode_artifact, data[:-1])
    failure("B004", decode_artifact, data + b"\0")
    failure("B002", decode_artifact, data[:4] + b"\x63" + data[5:])
    failure("B003", decode_artifact, data[:6] + bytes([MACHINE_VERSION + 1]) + data[7:])
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    failure("B004", decode_artifact, flipped)


def test_values_that_cannot_be_stored() -> None:
    resumption, pending, running = Resumption(), Promise(), LazySeq(None)
    running.state = "running"
    for value in (resumption, pending, running, Vector.of([Cell(pending)]), TransientVector(Vector.of([]))):
        module = lib()
        define(module, "bad", value)
        failure("B301", encode_artifact, [module])
    module = lib()
    module.constants.append(Vector.of([Cell(1)]))
    failure("B301", encode_artifact, [module])
    module = lib()
    define(module, "stray", Closure(Function("lib/gone", (0,), index=7, module=module)))
    failure("B301", encode_artifact, [module])


def test_modules_that_are_missing() -> None:
    library = lib()
    failure("B302", encode_artifact, [app(library)])
    failure("B302", encode_artifact, [library], "app")
    failure("B302", encode_artifact, [])
    one, two = Module("one", requires={"two": b""}), Module("two", requires={"one": b""})
    failure("B302", encode_artifact, [one, two])


def test_what_does_not_verify_is_not_written() -> None:
    module = lib()
    module.codes[0].registers = 1
    failure("B103", encode_artifact, [module])
    library = lib()
    failure("B109", encode_artifact, [library, app(library)], builtin_arity=lambda number: None)


def test_links_that_do_not_hold() -> None:
    library, linked = separate()
    artifact = decode_artifact(encode_artifact(linked))
    module = library.modules["lib"]
    failure("B011", link, artifact)
    changed = lib()
    del changed.globals["increment"]
    other = link(decode_artifact(encode_artifact([changed]))).modules["lib"]
    failure("B015", link, artifact, lambda name, hash: other)
    # An artifact that uses what its library does not define.
    stale = app(changed, {"increment": 1, "counter": 1, "state": 1})
    data = encode_artifact([changed, stale])
    failure("B013", link, decode_artifact(data))
    failure("B013", verify_artifact, data)
    # Two modules that were built against different versions of a third.
    user, second = Module("user", requires={"lib": other.hash or b""}), Module("second")
    second.requires = {"lib": module.hash or b""}
    both = decode_artifact(encode_artifact([user, second]))
    failure("B012", link, both, lambda name, hash: module if hash == module.hash else other)


def test_an_unlinked_artifact_says_so() -> None:
    _, linked = separate()
    artifact = decode_artifact(encode_artifact(linked), arity)
    module = artifact.modules["app"]
    assert module.codes[0].name == "app/main"
    failure("B201", lambda: module.constants[0])
    failure("B201", lambda: module.globals["pair"])


def test_verify_artifact() -> None:
    library = lib()
    assert verify_artifact(encode_artifact([library, app(library)]), arity).main == "app"
    found, linked = separate()
    module = found.modules["lib"]
    data = encode_artifact(linked)
    assert verify_artifact(data, arity).main == "app"  # without the library its values are not looked at
    assert verify_artifact(data, arity, lambda name, hash: module).main == "app"
    failure("B109", verify_artifact, data, lambda number: None)


def test_threads_get_the_same_objects() -> None:
    """Whoever decodes first, every thread has the same functions and values."""
    library = lib()
    data = encode_artifact([library, app(library)])
    for _ in range(20):
        modules = link(decode_artifact(data, arity)).modules
        barrier = threading.Barrier(4)

        def look(modules: dict[str, Module] = modules, barrier: threading.Barrier = barrier) -> list[int]:
            barrier.wait()
            values = [found.value for module in modules.values() for found in module.globals.values()]
            return [id(value) for value in [*values, *modules["app"].codes, *modules["lib"].functions]]

        with ThreadPoolExecutor(4) as pool:
            seen = [future.result() for future in [pool.submit(look) for _ in range(4)]]
        assert all(one == seen[0] for one in seen)
