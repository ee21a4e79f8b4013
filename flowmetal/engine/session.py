"""Session: what a person, a script or an editor evaluates forms in.

A session is a growing module with one live process (prompt_process.py).  It is not a process of a store: it has no
log and no image, and what is defined in it cannot be shipped; that is what `flowc build` is for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from flowmetal.bytecode.program import UNBOUND, Function, Global, Program
from flowmetal.compiler.growing import QUESTIONS, Growing
from flowmetal.compiler.names import HARD_FORMS, SOFT_FORMS
from flowmetal.compiler.reader import read_source
from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import Diagnostic, FlowmetalError
from flowmetal.engine.library import standard_library
from flowmetal.engine.prompt_process import Outside, PromptProcess, closure_of
from flowmetal.reading.data import read_data
from flowmetal.values import Closure, LanguageError, NeedsRealize, Symbol, Vector, print_string
from flowmetal.vm import Limits
from flowmetal.vm.builtins.registry import BUILTINS
from flowmetal.vm.evaluate import COMPILE_FUEL, CompileTime, EvaluationFailed
from flowmetal.vm.quota import unrealized_inside

#: Codes of the reader for what is still open at the end of a text: a bracket, a string, a regex.
OPEN = frozenset(("R001", "R010", "R013"))

#: Fuel for a call of a macro, besides what runs in it.
CALL_FUEL = 200

#: Names that one completion or `apropos` gives.
NAMES_MAX = 500


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one form may use: fuel (calls and loop turns), heap objects, nested calls, seconds, characters printed."""

    fuel: int = 1 << 62
    heap: int = 4_000_000
    frames: int = 2_000_000
    seconds: float | None = None
    characters: int = 1 << 20
    print_fuel: int = 2_000_000  # for what is lazy in a value that is printed


@dataclass(frozen=True, slots=True)
class Named:
    """What a name means, for people: `place` is "file:line" where its source is known."""

    module: str
    name: str
    parameters: tuple[str, ...]
    doc: str
    kind: str  # "function", "macro", "effect", "value", "special form"
    place: str = ""
    line: int = 0
    column: int = 0
    file: str = ""


@cache
def _rows() -> Mapping[str, Any]:
    return {row.name: row for row in BUILTINS.values()}


class Session:
    """Evaluates forms.  One thread at a time; `interrupt` may be called from any."""

    def __init__(
        self,
        tell: Callable[[str], None],
        bounds: Bounds | None = None,
        outside: Outside | None = None,
        name: str = "user",
    ) -> None:
        self.bounds = bounds or Bounds()
        limits = Limits(frames=self.bounds.frames, heap_objects=self.bounds.heap)
        macros = _Macros(self, limits)
        self.growing = Growing(standard_library().modules, _rows(), macros, self._run, self._answer, name)
        self.process = PromptProcess(self.growing.program, limits, outside, tell, self.bounds.seconds)
        self.tell = tell
        self._sources: dict[str, str] = {}  # texts by file, for excerpts and `source`
        self._inputs = 0

    # ---- evaluation -----------------------------------------------------------------------------------------------

    def evaluate(self, text: str, file: str | None = None) -> Iterator[Any]:
        """Takes the forms of a text; gives the value of each as soon as it has it.

        Raises CompileFailed, or LanguageError for an error that a form raised; the forms before it stand.
        """
        if file is None:
            self._inputs += 1
            file = f"input-{self._inputs}"
        self._sources[file] = text
        self.process.interrupted.clear()
        self.process.begin(self.bounds.fuel)
        try:
            for value in self.growing.take(text, file):
                self._remember(value)
                yield value
                self.process.begin(self.bounds.fuel)
        except LanguageError as problem:
            self.growing.remember("*e", problem.error)
            raise

    def last(self, text: str, file: str | None = None) -> Any:
        """Takes the forms of a text; the value of the last one, nil if there is none."""
        last = None
        for value in self.evaluate(text, file):
            last = value
        return last

    def printed(self, value: Any) -> str:
        """The text of a value that reads back; what is lazy in it is realized.

        LanguageError where that raises one or takes too much; FlowmetalError U122 where the text is too long.
        """
        limit = self.bounds.characters
        if unrealized_inside(value) is not None:
            found = self.growing.names.core("identity")
            assert found is not None and found.definition.value.__class__ is Closure
            self.process.begin(min(self.bounds.fuel, self.bounds.print_fuel))
            try:
                value = self.process.call(found.definition.value, [value], realizes=True)
            except LanguageError as problem:
                if problem.error.kind.text == "flowmetal/limit":
                    raise FlowmetalError("U122", limit=limit) from None
                raise
        try:
            text = print_string(value, limit=limit, realize=True)
        except NeedsRealize:
            return print_string(value, limit=limit)
        if len(text) > limit:
            raise FlowmetalError("U122", limit=limit)
        return text

    def enter(self, space: str) -> bool:
        """Lets forms go to a module of this session; False where there is none of that name."""
        return self.growing.enter(space)

    def interrupt(self) -> None:
        """Ends the form that runs with an error; whatever it defined is not defined."""
        self.process.interrupted.set()

    def close(self) -> None:
        """Ends the form that runs, and every one that is to come.  May be called from any thread."""
        self.process.closed = True
        self.process.interrupted.set()

    @property
    def sources(self) -> Mapping[str, str]:
        """Texts by file."""
        return self._sources

    @property
    def warnings(self) -> list[Diagnostic]:
        """Warnings since the last time this was asked."""
        found, self.growing.warnings = self.growing.warnings, []
        return found

    @property
    def namespace(self) -> str:
        """The module that forms go to."""
        return self.growing.name

    def _remember(self, value: Any) -> None:
        growing = self.growing
        growing.remember("*3", growing.recall("*2"))
        growing.remember("*2", growing.recall("*1"))
        growing.remember("*1", value)
        # Counted as part of the heap, which only knows what the process itself holds.
        self.process.process.globals["", "held"] = Vector.of(
            [growing.recall("*1"), growing.recall("*2"), growing.recall("*3")]
        )

    def _run(self, program: Program, function: Function) -> Any:
        value = self.process.call(closure_of(function), [])
        self.process.process.globals["", function.name] = value
        return value

    # ---- questions ------------------------------------------------------------------------------------------------

    def describe(self, name: str) -> Named | None:
        """What a name means where forms go now; None if nothing."""
        names = self.growing.names
        space, slash, rest = name.partition("/")
        symbol = Symbol(space, rest) if slash and space and rest else Symbol(None, name)
        found = names.resolve(symbol)
        if found is None:
            return None
        definition = getattr(found, "definition", None)
        if definition is None:
            return Named("", getattr(found, "name", name), (), "", "special form")
        return _named(getattr(found, "module", ""), definition)

    def complete(self, prefix: str) -> list[Named]:
        """The names that begin with a prefix, sorted."""
        names = self.growing.names
        found: dict[str, Named] = {}
        space, slash, start = prefix.partition("/")
        if slash and space:
            module = self.growing.modules.get(names.aliases.get(space, space))
            for one in _public(module, names.module.name):
                if one.name.startswith(start):
                    found[f"{space}/{one.name}"] = _named(module.name if module else "", one)
        else:
            for form in [*HARD_FORMS, *SOFT_FORMS]:
                if form.startswith(prefix):
                    found[form] = Named("", form, (), "", "special form")
            for core in names.core_modules:
                for one in _public(self.growing.modules[core], names.module.name):
                    if one.name.startswith(prefix):
                        found[one.name] = _named(core, one)
            for one in _public(names.module, names.module.name):
                if one.name.startswith(prefix):
                    found[one.name] = _named(names.module.name, one)
            for here, (other, there) in names.refers.items():
                definition = self.growing.modules[other].globals.get(there)
                if here.startswith(prefix) and definition is not None:
                    found[here] = _named(other, definition)
            for alias in [*names.aliases, *self.growing.modules]:
                if alias.startswith(prefix):
                    found.setdefault(alias, Named(names.aliases.get(alias, alias), alias, (), "", "namespace"))
        return [
            Named(one.module, text, one.parameters, one.doc, one.kind, one.place, one.line, one.column, one.file)
            for text, one in sorted(found.items())
        ][:NAMES_MAX]

    def apropos(self, text: str) -> list[str]:
        """Full names of what has a text in its name."""
        found = [
            one.name if module.startswith("flowmetal.core") else f"{module}/{one.name}"
            for module in self.growing.modules
            for one in _public(self.growing.modules[module], self.namespace)
            if text in one.name
        ]
        return sorted(set(found))[:NAMES_MAX]

    def source(self, name: str) -> str | None:
        """The text of the form that defines a name; None where it is not known."""
        found = self.describe(name)
        module = self.growing.modules.get(found.module) if found is not None else None
        if found is None or module is None or not found.line:
            return None
        text = self._sources.get(found.file) or module.source
        return None if text is None else _form_at(text, found.line)

    def _answer(self, what: str, arguments: Sequence[Any]) -> Any:
        """Answers `(doc name)` and the like at the prompt."""
        assert what in QUESTIONS
        asked = arguments[0] if len(arguments) == 1 else None
        if what == "apropos" and (asked.__class__ is str or asked.__class__ is Symbol):
            return Vector.of([Symbol(None, one) for one in self.apropos(str(asked))])
        if asked.__class__ is not Symbol:
            raise FlowmetalError("A161", written='(apropos "text")' if what == "apropos" else f"({what} name)")
        name = str(asked)
        if what == "dir":
            module = self.growing.modules.get(self.growing.names.aliases.get(name, name))
            if module is None:
                raise FlowmetalError("A162", name=name)
            return Vector.of([Symbol(None, one) for one in sorted(one.name for one in _public(module, self.namespace))])
        found = self.describe(name)
        if found is None:
            raise FlowmetalError("A162", name=name)
        if what == "doc":
            self.tell(doc_text(found))
            return None
        text = self.source(name)
        if text is None:
            raise FlowmetalError("A163", name=name)
        self.tell(text)
        return None


def incomplete(text: str) -> bool:
    """Whether a text only lacks its end: brackets or a string that are still open."""
    found = read_source(text, "input").diagnostics
    return bool(found) and all(one.code in OPEN for one in found)


def read_answer(text: str) -> Any:
    """The value that a person writes.  FlowmetalError for what is none."""
    return read_data(text, "answer")


class _Macros:
    """The compiler's evaluator; macros take their fuel from that of the form."""

    def __init__(self, session: Session, limits: Limits) -> None:
        self._session = session
        self._machine = CompileTime(COMPILE_FUEL, limits)

    @property
    def names(self) -> int:
        """See flowmetal.compiler."""
        return self._machine.names

    @names.setter
    def names(self, count: int) -> None:
        self._machine.names = count

    def run(self, program: Program, function: Function) -> Any:
        """See flowmetal.compiler."""
        return self._do(lambda: self._machine.run(program, function))

    def call(self, program: Program, closure: Closure, args: Sequence[Any]) -> Any:
        """See flowmetal.compiler."""
        return self._do(lambda: self._machine.call(program, closure, args))

    def _do(self, action: Callable[[], Any]) -> Any:
        machine, process = self._machine, self._session.process
        process.check()
        machine.fuel = max(min(COMPILE_FUEL, process.fuel), 1)
        before = machine.used
        try:
            return action()
        except EvaluationFailed as failed:
            raise LanguageError(failed.error) from None
        finally:
            process.fuel -= machine.used - before + CALL_FUEL


def doc_text(found: Named) -> str:
    """What is known about a name, for people."""
    title = (
        f"{found.module}/{found.name}" if found.module and not found.module.startswith("flowmetal.core") else found.name
    )
    lines = [title, *(f"  {one}" for one in found.parameters)]
    if found.kind != "function":
        lines.append(f"  {found.kind}")
    return "\n".join([*lines, f"  {found.doc}"] if found.doc else lines)


def _public(module: Any, own: str) -> list[Global]:
    if module is None:
        return []
    return [
        one for name, one in list(module.globals.items())  # an editor may ask while a form defines
        if "__" not in name and (not one.private or module.name == own)
    ]  # fmt: skip


def _named(module: str, found: Global) -> Named:
    kind = "macro" if found.macro else "effect" if found.effect else "value"
    if kind == "value" and (found.parameters or found.value.__class__ is Closure):
        kind = "function"
    span = found.span
    place, line, column, file = "", 0, 0, ""
    if span is not None:
        place, line, column, file = f"{span.file}:{span.line}", span.line, span.column, span.file
    declared = "" if found.value is not UNBOUND else "declared, not defined yet"
    return Named(module, found.name, found.parameters, found.doc or declared, kind, place, line, column, file)


def _form_at(text: str, line: int) -> str:
    """The top-level form around a line: from the last line above that begins with a bracket to where brackets end."""
    lines = text.split("\n")
    start = min(line, len(lines)) - 1
    while start > 0 and not lines[start].startswith("("):
        start -= 1
    end = start + 1
    while end < len(lines) and not lines[end].startswith(("(", ";")):
        end += 1
    return "\n".join(lines[start:end]).rstrip()
