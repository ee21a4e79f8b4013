"""The disassembler: a code body, or a module, as text to read; the text of a body assembles back to the same body.

What is behind an index (a constant, the name of a global, the source line) stands in comments.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from flowmetal.bytecode.assemble import PREFIXES
from flowmetal.bytecode.opcodes import BY_NUMBER, REGION_KINDS, Operand
from flowmetal.bytecode.program import UNBOUND, Code, Function, Global, Instruction, Module
from flowmetal.bytecode.shape import jump_target
from flowmetal.diagnostics import FlowmetalError, Span
from flowmetal.values import print_string

VALUE_CHARACTERS = 60  # of a constant shown in a comment, so that a line can be read
_OPERANDS_COLUMN = 22
_COMMENT_COLUMN = 52


def disassemble(code: Code, module: Module | None = None) -> str:
    """The text of one body.  With its module, comments say what operands mean and show the source lines."""
    return "\n".join(_body(code, module)) + "\n"


def disassemble_module(module: Module) -> str:
    """The text of a module: what it needs, has and defines as comments, then every body."""
    notes = [f"module {module.name}" + (f", {module.hash.hex()}" if module.hash else "")]
    notes += [f"requires {name} {hash.hex()}" for name, hash in sorted(module.requires.items())]
    for site in module.effect_sites:
        place = f" at {site.span}" if site.span is not None else ""
        notes.append(f"may perform {site.effect} in {site.function}{place}")
    notes += [f"global {_global(module, name)}" for name in module.globals]
    notes += [f"function f{number} {_function(function)}" for number, function in enumerate(module.functions)]
    lines = [f"; {_one_line(note)}" for note in notes]
    for code in module.codes:
        lines.append("")
        lines += _body(code, module)
    return "\n".join(lines) + "\n"


def _global(module: Module, name: str) -> str:
    try:
        found: Global = module.globals[name]
    except FlowmetalError:
        return f"{name}, which refers to another module"
    flags = [name for name in ("private", "macro", "dynamic", "mutable") if getattr(found, name)]
    if found.value is UNBOUND:
        flags.append("unbound")
    return " ".join([found.name, *flags, *found.parameters])


def _function(function: Function) -> str:
    parts = [function.name, "codes " + " ".join(map(str, function.codes))]
    if function.effects:
        parts.append("performs " + " ".join(function.effects))
    if function.open:
        parts.append("open")
    return ", ".join(parts)


def _body(code: Code, module: Module | None) -> Iterator[str]:
    labels = _labels(code)
    yield f".code {_quoted(code.name)}"
    if code.index >= 0:
        yield f".index {code.index}"
    yield f".parameters {code.parameters}"
    if code.variadic:
        yield ".variadic"
    if code.captures:
        yield f".captures {code.captures}"
    if code.takes_self:
        yield ".self"
    yield f".registers {code.registers}"
    for row in code.tries:
        yield f".try {row.kind} {labels[row.start]} {labels[row.end]} {labels[row.target]} r{row.register}"
    for local in code.locals:
        yield f".local {_quoted(local.name)} r{local.register} {labels[local.start]} {labels[local.end]}"
    file, line = "", 0
    source = module.source.split("\n") if module is not None and module.source is not None else []
    for index, instruction in enumerate(code.instructions):
        span = code.spans[index] if code.spans else None
        if span is not None:
            if span.file != file:
                file = span.file
                yield f".file {_quoted(file)}"
            if span.line != line:
                line = span.line
                shown = source[line - 1].strip() if module and file == module.file and line <= len(source) else ""
                yield "  ; " + _one_line(f"{file}:{line}" + (f"  {shown}" if shown else ""))
        if index in labels:
            yield f"{labels[index]}:"
        yield _instruction(instruction, span, labels, module)
    if len(code.instructions) in labels:
        yield f"{labels[len(code.instructions)]}:"


def _labels(code: Code) -> dict[int, str]:
    """The name of each place that something points at."""
    places = {target for instruction in code.instructions if (target := jump_target(instruction)) is not None}
    for row in code.tries:
        places |= {row.start, row.end, row.target}
    for local in code.locals:
        places |= {local.start, local.end}
    return {place: f"L{place}" for place in sorted(places)}


def _instruction(instruction: Instruction, span: Span | None, labels: dict[int, str], module: Module | None) -> str:
    opcode = BY_NUMBER[instruction[0]]
    operands, comments = [], []
    for kind, operand in zip(opcode.operands, instruction[1:], strict=True):
        if kind is Operand.REGISTERS:
            operands.append("(" + " ".join(f"r{register}" for register in operand) + ")")
        elif kind is Operand.REGION:
            operands.append(REGION_KINDS[operand][0])
        elif kind is Operand.LABEL or kind is Operand.BACK:
            operands.append(labels[operand])
        else:
            operands.append(f"{PREFIXES[kind]}{operand}")
        meaning = _meaning(kind, operand, module) if module is not None else ""
        if meaning:
            comments.append(meaning)
    line = f"    {opcode.name} ".ljust(_OPERANDS_COLUMN) + " ".join(operands)
    if span is not None:
        line = f"{line.rstrip()} @{span.line}:{span.column}-{span.end_line}:{span.end_column}"
    if comments:
        line = line.ljust(_COMMENT_COLUMN) + " ; " + _one_line(", ".join(comments))
    return line.rstrip()


def _meaning(kind: Operand, operand: int, module: Module) -> str:
    """What an index refers to; nothing where it is out of range, since unverified code can be looked at too."""
    if kind is Operand.CONSTANT and 0 <= operand < len(module.constants):
        return _value(module.constants, operand)
    if kind is Operand.REFERENCE and 0 <= operand < len(module.references):
        reference = module.references[operand]
        return f"{reference.module}/{reference.name}"
    if kind is Operand.FUNCTION and 0 <= operand < len(module.functions):
        return module.functions[operand].name
    return ""


def _value(constants: Sequence[Any], index: int) -> str:
    try:
        return print_string(constants[index], limit=VALUE_CHARACTERS)
    except FlowmetalError:
        return "of another module"  # an artifact that is not linked can be looked at too


def _quoted(text: str) -> str:
    return json.dumps(text)


def _one_line(comment: str) -> str:
    return comment.replace("\n", "\\n")
