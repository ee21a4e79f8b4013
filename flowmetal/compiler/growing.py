"""Growing: modules that take forms one at a time and are never finished, as a person at a prompt writes them.

A name may be defined again, and everything that uses it sees the new value: nothing here is linked, pruned or given a
hash, and so cannot be shipped.  A form that fails leaves all definitions as they were.  Macros are run by the pure
evaluator, as in any compilation; what a form itself evaluates is run by the function that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowmetal.bytecode.program import UNBOUND, Function, Global, Module, Program
from flowmetal.compiler import expand
from flowmetal.compiler.analyze import DEPTH_MAX, Analyzer
from flowmetal.compiler.building import Builder
from flowmetal.compiler.calls import PendingCall, check_counts, check_local_counts
from flowmetal.compiler.compile import deep_recursion
from flowmetal.compiler.emit import emit_function
from flowmetal.compiler.emit.assembly import TooLarge
from flowmetal.compiler.evaluation import BuiltinRow, Evaluator
from flowmetal.compiler.forms.namespace import apply_namespace
from flowmetal.compiler.names import Names, Special, Target
from flowmetal.compiler.nodes import Const, FnNode, FunctionScope, GlobalRead, Node
from flowmetal.compiler.proving import check_contracts
from flowmetal.compiler.reader import read_source
from flowmetal.compiler.report import Reporter
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import depth_exceeds, is_list, is_symbol, items_of
from flowmetal.compiler.toplevel import TopLevel
from flowmetal.compiler.watch import Watch
from flowmetal.dataclass import dataclass, field
from flowmetal.diagnostics import CompileFailed, Diagnostic, Span
from flowmetal.values import Closure, Keyword, List, Symbol, keyword

#: The module of `*1`, `*2`, `*3` and `*e`, which every module at the prompt can see.
PROMPT = "flowmetal.prompt"
RECENT = ("*1", "*2", "*3", "*e")

#: Runs a function of no arguments and gives its value; raises what carries the language's error.
Run = Callable[[Program, Function], Any]

#: A question that is answered about a name, not evaluated: (what is asked, its arguments) -> the value of the form.
Ask = Callable[[str, list[Any]], Any]

#: Forms that only the prompt knows, where their name means nothing else.
QUESTIONS = frozenset(("doc", "source", "apropos", "macroexpand-1", "macroexpand", "dir"))


@dataclass(slots=True)
class _Unit:
    """A module that grows: what compiles its forms."""

    analyzer: Analyzer
    pending: list[PendingCall] = field(default_factory=list)


class Growing:
    """The modules of one session.  `program` is what its process runs; library modules are shared and never changed."""

    def __init__(
        self,
        libraries: Mapping[str, Module],
        rows: Mapping[str, BuiltinRow],
        evaluate: Evaluator,
        run: Run,
        ask: Ask,
        name: str = "user",
    ) -> None:
        self.libraries = libraries
        self.modules: dict[str, Module] = dict(libraries)
        self.program = Program(self.modules, name, growing=[])
        self.warnings: list[Diagnostic] = []
        self._rows = rows
        self._evaluate = evaluate
        self.run = run
        self.ask = ask
        self._units: dict[str, _Unit] = {}
        recent = Module(PROMPT)
        recent.globals.update((one, Global(one, None, span=None)) for one in RECENT)
        self.modules[PROMPT] = recent
        self.current = self.unit(name)

    @property
    def name(self) -> str:
        """The module that forms go to."""
        return self.current.analyzer.names.module.name

    @property
    def names(self) -> Names:
        """What symbols mean in the current module."""
        return self.current.analyzer.names

    def enter(self, name: str) -> bool:
        """Goes on in a module of this session; False where there is none of that name."""
        found = self._units.get(name)
        if found is not None:
            self.current = found
        return found is not None

    def remember(self, name: str, value: Any) -> None:
        """Gives `*1` and the like their values."""
        self.modules[PROMPT].globals[name].value = value

    def recall(self, name: str) -> Any:
        """The value of `*1` and the like."""
        return self.modules[PROMPT].globals[name].value

    def unit(self, name: str) -> _Unit:
        """The growing module of a name, made where there is none."""
        found = self._units.get(name)
        if found is None:
            module = self.modules[name] = Module(name)
            names = Names(module, self.modules, self._rows, library=False, late=True)
            names.refers.update((one, (PROMPT, one)) for one in RECENT)
            builder = Builder(module, {})
            builder.program = self.program
            found = self._units[name] = _Unit(Analyzer(names, builder, Reporter(), self._evaluate, name))
        return found

    def take(self, text: str | bytes, file: str) -> Iterator[Any]:
        """Takes the forms of a text one by one; the value of each.

        Raises CompileFailed, or what `run` raises.  Text that cannot be read changes nothing; a form that fails leaves
        what the forms before it did.
        """
        read = read_source(text, file, self.name, self.names.aliases)
        if read.diagnostics:
            raise CompileFailed(read.diagnostics)
        for form, span in zip(read.forms, read.spans, strict=True):
            yield self.form(form, span, read.text)

    def form(self, form: Any, span: Span | None, text: str) -> Any:
        """Takes one form of a text."""
        reporter = Reporter()
        before = {name: dict(unit.analyzer.names.module.globals) for name, unit in self._units.items()}
        current, names = self.current, self.names
        spaces = (dict(names.aliases), dict(names.refers), list(names.refer_whole), set(names.excluded))
        try:
            value = self._form(form, span, text, reporter)
        except BaseException:
            self._restore(before)
            self.current = current
            names.aliases, names.refers, names.refer_whole, names.excluded = spaces
            raise
        finally:
            for unit in self._units.values():
                analyzer = unit.analyzer
                analyzer.names.missing.clear()
                analyzer.names.missing_names.clear()
                analyzer.names.ambiguous.clear()
                analyzer.watch = Watch()
                analyzer.pending.calls.clear()
                analyzer.pending.locals.clear()
                analyzer.functions.clear()
                unit.pending.clear()
        return value

    def _form(self, form: Any, span: Span | None, text: str, reporter: Reporter) -> Any:
        with deep_recursion():
            if depth_exceeds(form, DEPTH_MAX):
                reporter.error("A104", span, limit=DEPTH_MAX)
                raise CompileFailed(reporter.in_order())
            top = _Top(self, reporter)
            top.form(form, span)
            if not reporter.errors:
                top.check_late()
        if reporter.errors:
            raise CompileFailed(reporter.in_order())
        watch = top.analyzer.watch
        watch.required.clear()  # what a form requires or defines is for the forms to come
        watch.written.clear()
        self.warnings += watch.finish(top.analyzer, (form,), text)
        return top.value

    def _restore(self, before: dict[str, dict[str, Global]]) -> None:
        """Puts back the globals of all modules.  Hidden ones stay: a function that got away may still need them."""
        self.program.open = None
        if self.program.growing:
            self.program.growing.clear()
        for name in list(self._units):
            unit = self._units[name]
            module, hidden = unit.analyzer.names.module, unit.analyzer.builder.hidden
            kept = {one: found for one, found in module.globals.items() if one in hidden}
            module.globals.clear()
            module.globals.update({**before.get(name, {}), **kept})


class _Top(TopLevel):
    """One form at the prompt; `value` is what it came to."""

    def __init__(self, growing: Growing, reporter: Reporter) -> None:
        self.growing = growing
        self.value: Any = None
        self._defining: set[str] = set()
        growing.current.analyzer.reporter = reporter
        super().__init__(growing.current.analyzer)

    def _enter(self, unit: _Unit) -> None:
        """Goes on in another module."""
        span = self.analyzer.span
        unit.analyzer.reporter = self.reporter
        unit.analyzer.span = span
        unit.analyzer.origin = self.analyzer.origin
        self.analyzer = unit.analyzer
        self.builder = unit.analyzer.builder
        self.name = unit.analyzer.names.module.name
        self._scope = Scope(FunctionScope(None, f"{self.name}/<top>"))
        self.growing.current = unit

    def _form(self, form: Any, scope: Scope) -> None:
        self.value = None
        if not self._command(form, scope):
            super()._form(form, scope)

    def _namespace(self, items: list[Any]) -> None:
        if len(items) > 1 and items[1].__class__ is Symbol and not self._switch(items[1]):
            return
        apply_namespace(self.analyzer, items)
        self.value = Symbol(None, self.name)

    def _switch(self, symbol: Symbol) -> bool:
        name = str(symbol)
        if name in self.growing.libraries or name == PROMPT:
            self.analyzer.error("A160", span=self.analyzer.span_at(symbol), name=name)
            return False
        self._enter(self.growing.unit(name))
        return True

    # ---- what only the prompt knows -------------------------------------------------------------------------------

    def _command(self, form: Any, scope: Scope) -> bool:
        """Whether a form was one of `require`, `in-ns` and the questions, which has then been seen to."""
        items = items_of(form) if is_list(form) else []
        if not items or items[0].__class__ is not Symbol or items[0].namespace is not None:
            return False
        head = items[0].name
        if head not in ("require", "in-ns") and head not in QUESTIONS:
            return False
        if scope.find(head) is not None or self.analyzer.names.resolve(items[0]) is not None:
            return False
        arguments = [_unquoted(one) for one in items[1:]]
        if head == "in-ns":
            if len(arguments) != 1 or arguments[0].__class__ is not Symbol:
                self.analyzer.error("A161", written="(in-ns 'name)")
            elif self._switch(arguments[0]):
                self.value = Symbol(None, self.name)
        elif head == "require":
            specs = [one for one in arguments if one.__class__ is not Keyword]
            clause = List.of([keyword("require"), *specs])
            apply_namespace(self.analyzer, [Symbol(None, "ns"), Symbol(None, self.name), clause])
        elif head in ("macroexpand", "macroexpand-1"):
            self._expansion(head, arguments, scope)
        else:
            self.value = self.growing.ask(head, arguments)
        return True

    def _expansion(self, head: str, arguments: list[Any], scope: Scope) -> None:
        if len(arguments) != 1:
            self.analyzer.error("A161", written=f"({head} '(form ...))")
            return
        form = arguments[0]
        while True:
            items = items_of(form) if is_list(form) else []
            found = self.analyzer.names.resolve(items[0]) if items and items[0].__class__ is Symbol else None
            if not isinstance(found, Target) or not found.definition.macro or isinstance(found, Special):
                break
            form = expand.expand(self.analyzer, items[0], found, form, scope)
            if head == "macroexpand-1" or self.reporter.errors:
                break
        self.value = form

    # ---- definitions and values -----------------------------------------------------------------------------------

    def _define(self, special: str, items: list[Any], scope: Scope) -> None:
        module = self.builder.module
        symbol = items[1] if len(items) > 1 else None
        if symbol.__class__ is Symbol and len(items) > 2:
            name = symbol.name
            if symbol.namespace not in (None, module.name):
                name = f"{symbol.namespace}/{symbol.name}"
            self.analyzer.defined.pop(name, None)
            self._defining.add(name)
            existing = module.globals.get(name)
            if existing is not None:
                # A new one, so that a failure can put back the old one; until it has its value it has the old value.
                module.globals[name] = Global(name, existing.value)
        super()._define(special, items, scope)
        if symbol.__class__ is Symbol:
            self.value = Symbol(self.name, symbol.name)

    def _expression(self, form: Any, scope: Scope) -> None:
        errors = self.reporter.errors
        node = self.analyzer.analyze(form, Scope(FunctionScope(None, f"{self.name}/<top>"), scope))
        if self.reporter.errors == errors:
            value = self._value(node, "<top>")
            self.value = None if value is UNBOUND else value

    def _value(self, node: Node, name: str) -> Any:
        if not self._checked():
            return UNBOUND
        if isinstance(node, Const):
            return node.value
        if isinstance(node, GlobalRead) and not node.dynamic:
            found = self.builder.find(node.reference)
            if found is not None and found.value is not UNBOUND and not self.analyzer.names.settled(found_module(node)):
                return found.value
        try:
            if isinstance(node, FnNode) and not node.scope.captures:
                return Closure(emit_function(self.builder, node), ())
            function = self._unit(node, name)
        except TooLarge as problem:
            self._too_large(problem)
            return UNBOUND
        value = self.growing.run(self.growing.program, function)
        self.builder.take_entries(node.span)
        return value

    def _checked(self) -> bool:
        """Judges the calls seen since the last time, but those of what is being defined, whose value is not known."""
        unit = self.growing.current
        errors = self.reporter.errors
        check_local_counts(self.analyzer)
        self.analyzer.pending.locals.clear()
        calls = self.analyzer.pending.calls
        now = [one for one in calls if one.reference.module != self.name or one.reference.name not in self._defining]
        unit.pending += [one for one in calls if one.reference.module == self.name and one not in now]
        self._judge(now)
        return self.reporter.errors == errors

    def check_late(self) -> None:
        """Judges the calls that had to wait until the form was done."""
        self._checked()
        self._judge(self.growing.current.pending)

    def _judge(self, calls: list[PendingCall]) -> None:
        self.analyzer.pending.calls = list(calls)
        check_counts(self.analyzer)
        check_contracts(self.analyzer)
        self.analyzer.pending.calls = []


def found_module(node: GlobalRead) -> str:
    """The module of the global that a node reads."""
    return node.reference.module


def _unquoted(form: Any) -> Any:
    items = items_of(form) if is_list(form) else []
    return items[1] if len(items) == 2 and is_symbol(items[0], "quote") else form
