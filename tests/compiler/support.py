"""Compiling in tests: the standard library once, small sources against it, every module through the verifier."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from flowmetal.bytecode.opcodes import BY_NUMBER
from flowmetal.bytecode.program import Code, Module
from flowmetal.bytecode.verify import verify_module
from flowmetal.compiler import compile_module, compile_project
from flowmetal.diagnostics import CompileFailed, Diagnostic, render
from flowmetal.values import Closure, print_string
from flowmetal.vm.builtins import BUILTINS
from flowmetal.vm.evaluate import CompileTime

STDLIB = Path(__file__).resolve().parents[2] / "stdlib"


def builtin_arity(number: int) -> tuple[int, int | None] | None:
    """What the verifier asks about builtins."""
    row = BUILTINS.get(number)
    return None if row is None else (row.min_args, row.max_args)


def library_sources() -> dict[str, str]:
    """The standard library's files."""
    return {
        path.relative_to(STDLIB).as_posix(): path.read_text(encoding="utf-8") for path in sorted(STDLIB.rglob("*.fm"))
    }


@cache
def library() -> dict[str, Module]:
    """The standard library's modules, compiled once."""
    modules = compile_project(library_sources(), {}, CompileTime(), BUILTINS)
    return {module.name: module for module in modules}


def compile_text(text: str, file: str = "t.fm") -> Module:
    """A module compiled against the standard library, and verified."""
    module = compile_module(text, file, libraries=library(), evaluate=CompileTime(), builtins=BUILTINS)
    verify_module(module, builtin_arity)
    return module


def compile_bare(text: str, file: str = "t.fm") -> Module:
    """A module compiled as one of the standard library would be, without anything but builtins."""
    module = compile_module(text, file, libraries={}, evaluate=CompileTime(), builtins=BUILTINS)
    verify_module(module, builtin_arity)
    return module


def value_of(module: Module, name: str = "result") -> Any:
    """The value of a global."""
    return module.globals[name].value


def result(text: str) -> str:
    """What the global `result` of a source is, printed."""
    return print_string(value_of(compile_text(text)))


def diagnostics(text: str | bytes, file: str = "t.fm") -> list[Diagnostic]:
    """What is wrong with a source; empty if nothing is."""
    try:
        module = compile_module(text, file, libraries=library(), evaluate=CompileTime(), builtins=BUILTINS)
    except CompileFailed as failure:
        return list(failure.diagnostics)
    verify_module(module, builtin_arity)
    return []


def codes_of(text: str) -> list[str]:
    """The codes of what is wrong with a source, with their places."""
    places: list[str] = []
    for found in diagnostics(text):
        places.append(f"{found.code} {found.span.line}:{found.span.column}" if found.span else found.code)
    return places


def rendered(text: str) -> str:
    """All diagnostics of a source as people see them."""
    return "\n".join(render(found, {"t.fm": text}) for found in diagnostics(text))


def code(module: Module, name: str, arity: int = 0) -> Code:
    """One code of the function that a global holds."""
    closure = value_of(module, name)
    assert closure.__class__ is Closure
    number: int = closure.function.codes[arity]
    return module.codes[number]


def listing(module: Module, found: Code) -> list[str]:
    """Instructions as text: mnemonic and operands, constants and references spelled out."""
    lines: list[str] = []
    for instruction in found.instructions:
        opcode = BY_NUMBER[instruction[0]]
        parts = [opcode.name]
        for operand, value in zip(opcode.operands, instruction[1:], strict=True):
            if operand.name == "CONSTANT":
                parts.append(print_string(module.constants[value]))
            elif operand.name == "REFERENCE":
                reference = module.references[value]
                parts.append(f"{reference.module}/{reference.name}")
            elif operand.name == "BUILTIN":
                parts.append("%" + BUILTINS[value].name)
            elif operand.name == "REGISTERS":
                parts.append(f"({' '.join(map(str, value))})")
            else:
                parts.append(str(value))
        lines.append(" ".join(parts))
    return lines
