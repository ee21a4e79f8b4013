"""Parameters of commands without pydantic.

Newer releases of typer turn every parameter that is no flag into its Python value with a pydantic adapter, and load and
build that for a tenth of a second before the command begins.  Text and paths, which are nearly all of ours, need none.
Where typer has no such step, or another one than this knows, everything is left to typer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from typer import Typer
from typer.core import TyperCommand, TyperGroup

from flowmetal.cli.common import OK, guarded, reader_gone
from flowmetal.diagnostics import FlowmetalError


class Command(TyperCommand):
    """A command whose flags, texts and paths are turned into values directly."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See TyperCommand."""
        _prepare(self.get_params(ctx))
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """See TyperCommand, which would end with 1 when the reader of the output has gone."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            reader_gone()


class Group(TyperGroup):
    """What holds the commands, likewise."""

    def main(self, *arguments: Any, **more: Any) -> Any:
        """See TyperGroup; where JSON is wanted, mistakes in the command line are told in it as all others are."""
        if "--json" not in sys.argv:
            return super().main(*arguments, **more)
        try:
            code = super().main(*arguments, **{**more, "standalone_mode": False})
        except Exception as error:
            said = getattr(error, "format_message", None)
            if said is None:
                raise
            raise FlowmetalError("U215", problem=str(said())) from None
        sys.exit(code if code.__class__ is int else 0)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See TyperGroup."""
        _prepare(self.get_params(ctx))
        return super().parse_args(ctx, args)


@contextmanager
def convert_directly(app: Typer) -> Iterator[None]:
    """Lets an app and its commands do so, of which only the one that is asked for is made."""
    commands = app.registered_commands
    asked = [command for command in commands if _name(command) == (sys.argv[1:] or [""])[0]]
    if asked and not any(name.endswith("_COMPLETE") for name in os.environ):
        app.registered_commands = asked
    for command in app.registered_commands:
        if command.cls in (None, TyperCommand):
            command.cls = Command
    for info in (app.info, app.registered_callback):
        if info is not None and getattr(info.cls, "value", info.cls) in (None, TyperGroup):  # it may be wrapped
            info.cls = Group
    try:
        yield
    finally:
        app.registered_commands = commands


def run_app(app: Typer) -> NoReturn:
    """Runs the command that the arguments ask for, see common.guarded()."""

    def work() -> int:
        with convert_directly(app):
            app()
        return OK

    guarded(work)


def _name(command: Any) -> str:
    return str(command.name or command.callback.__name__.replace("_", "-"))


class _Direct:
    """Stands for typer's RuntimeParam."""

    def __init__(self, convert: type[Any]) -> None:
        self._convert = convert

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of a parameter as the command wants it."""
        if param.multiple or param.nargs == -1:
            return [self._convert(one) for one in value] if value is not None else ()
        return None if value is None else self._convert(value)


class _Flag:
    """Stands for it at a flag: what is no truth value yet is typer's business."""

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of a parameter as the command wants it."""
        if value is None or value.__class__ is bool:
            return value
        param._runtime_param = None
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)


#: What stands for typer's conversion at a parameter of a type.
_STAND_INS: list[tuple[Any, Any]] = [
    (str, _Direct(str)),
    (Path, _Direct(Path)),
    (list[str], _Direct(str)),
    (list[Path], _Direct(Path)),
    (bool, _Flag()),
]

#: What makes typer look at a value closer.
_ASKED = ("exists", "resolve_path", "parser", "click_type", "allow_dash", "path_type")


def _prepare(parameters: Iterable[Any]) -> None:
    for parameter in parameters:
        descriptor = getattr(parameter, "type_descriptor", None)
        annotation, info = getattr(descriptor, "annotation", None), getattr(descriptor, "parameter_info", None)
        if getattr(parameter, "_runtime_param", parameter) is None and not any(getattr(info, k, None) for k in _ASKED):
            parameter._runtime_param = next((made for known, made in _STAND_INS if annotation == known), None)
