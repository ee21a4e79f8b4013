"""Compiling the standard library; library.py loads what this made."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

from flowmetal.bytecode.fmc import encode_artifact
from flowmetal.bytecode.program import Function, Program
from flowmetal.compiler import compile_project
from flowmetal.engine.source_tree import source_texts
from flowmetal.values import Closure, LanguageError
from flowmetal.vm.builtins.registry import BUILTINS, builtin_arity
from flowmetal.vm.evaluate import CompileTime, EvaluationFailed

#: The library's module that its bundle is named after.
MAIN = "flowmetal.core"


class Evaluate:
    """The compiler's evaluator, made of the machine."""

    def __init__(self) -> None:
        self._machine = CompileTime()

    @property
    def names(self) -> int:
        """See flowmetal.compiler."""
        return self._machine.names

    @names.setter
    def names(self, count: int) -> None:
        self._machine.names = count

    def run(self, program: Program, function: Function) -> Any:
        """See flowmetal.compiler."""
        try:
            return self._machine.run(program, function)
        except EvaluationFailed as failed:
            raise LanguageError(failed.error) from None

    def call(self, program: Program, closure: Closure, args: Sequence[Any]) -> Any:
        """See flowmetal.compiler."""
        try:
            return self._machine.call(program, closure, args)
        except EvaluationFailed as failed:
            raise LanguageError(failed.error) from None


def compile_stdlib(folder: str | PathLike[str]) -> bytes:
    """Compiles the `.fm` files of a folder into the library's bundle.  Raises CompileFailed."""
    modules = compile_project(source_texts(folder), {}, Evaluate(), BUILTINS)
    return encode_artifact(modules, MAIN, builtin_arity=builtin_arity)
