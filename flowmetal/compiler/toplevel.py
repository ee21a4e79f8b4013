"""Top level: takes the forms of a file one by one, evaluates what they define, and gives the globals their values.

Definitions may stand in `do`, `let` and `if` at top level; the locals of such a `let` become hidden globals, since the
functions defined under it outlive it.
"""

from __future__ import annotations

from typing import Any

from flowmetal.bytecode.program import UNBOUND, Function, Global, Reference
from flowmetal.compiler import expand
from flowmetal.compiler.analyze import DEPTH_MAX, EXPANSIONS_MAX, Analyzer
from flowmetal.compiler.destructure import bind_pattern, split_bindings
from flowmetal.compiler.emit import emit_function
from flowmetal.compiler.emit.assembly import TooLarge
from flowmetal.compiler.forms import DEFINITIONS
from flowmetal.compiler.forms.namespace import apply_namespace
from flowmetal.compiler.names import Special, Target
from flowmetal.compiler.nodes import Arity, Binding, Const, FnNode, FunctionScope, GlobalRead, Node
from flowmetal.compiler.scopes import Scope
from flowmetal.compiler.shapes import is_list, items_of, span_within
from flowmetal.compiler.watch import MACRO
from flowmetal.diagnostics import Span
from flowmetal.values import Closure, Symbol, Vector


class TopLevel:
    """Compiles and evaluates top-level forms of one module."""

    def __init__(self, analyzer: Analyzer) -> None:
        self.analyzer = analyzer
        self.reporter = analyzer.reporter
        self.builder = analyzer.builder
        self.name = analyzer.names.module.name
        self._scope = Scope(FunctionScope(None, f"{self.name}/<top>"))
        self._started = False
        self._depth = 0

    def form(self, form: Any, span: Span | None) -> None:
        """Takes one form of the file."""
        self.analyzer.span = span
        self._form(form, self._scope)
        self._started = True

    # ---- forms ----------------------------------------------------------------------------------------------------

    def _form(self, form: Any, scope: Scope) -> None:
        analyzer = self.analyzer
        before, origin = analyzer.span, analyzer.origin
        if self._depth >= DEPTH_MAX:  # an expansion that has itself in it
            analyzer.error("A104", limit=DEPTH_MAX)
            return
        self._depth += 1
        analyzer.span = span_within(form, before)
        analyzer.take_origin(form)
        form, items, special = self._expanded(form, scope)
        analyzer.form = form
        if special in DEFINITIONS:
            self._define(special, items, scope)
        elif special == "ns":
            self._namespace(items)
        elif special == "do":
            for item in items[1:]:
                self._form(item, scope)
        elif special in ("let", "let*") and defines(items[2:]) and len(items) > 1 and items[1].__class__ is Vector:
            self._let(items, scope)
        elif special == "if" and defines(items[2:]) and 3 <= len(items) <= 4:
            self._if(items, scope)
        else:
            self._expression(form, scope)
        analyzer.span, analyzer.origin = before, origin
        self._depth -= 1

    def _namespace(self, items: list[Any]) -> None:
        if self._started:
            self.analyzer.error("A133")
        else:
            apply_namespace(self.analyzer, items)

    def _expanded(self, form: Any, scope: Scope) -> tuple[Any, list[Any], str]:
        """The form with macros at its head expanded, its items, and the special form it is ("" for none)."""
        analyzer = self.analyzer
        for _ in range(EXPANSIONS_MAX):
            items = items_of(form) if is_list(form) else []
            if not items or items[0].__class__ is not Symbol:
                return form, items, ""
            head = items[0]
            resolved = analyzer.resolve(head)
            if isinstance(resolved, Special):
                return form, items, resolved.name
            if not isinstance(resolved, Target) or not resolved.definition.macro:
                return form, items, ""
            if head.namespace is None and scope.find(head.name) is not None:
                return form, items, ""
            analyzer.watch.macro_call(analyzer, resolved.module, resolved.definition.name, form)
            form = expand.expand(analyzer, head, resolved, form, scope)
            analyzer.expanded_by(resolved)
            analyzer.take_origin(form)
            analyzer.span = span_within(form, analyzer.span)
        analyzer.error("M102", name=str(items_of(form)[0]), limit=EXPANSIONS_MAX)
        return None, [], ""

    def _define(self, special: str, items: list[Any], scope: Scope) -> None:
        errors = self.reporter.errors
        made = DEFINITIONS[special](self.analyzer, items, scope)
        if made is None:
            return
        if made.value is None or self.reporter.errors > errors:
            return
        value = self._value(made.value, made.definition.name)
        if value is not UNBOUND:
            made.definition.value = value

    def _expression(self, form: Any, scope: Scope) -> None:
        """A form that defines nothing is evaluated for its errors."""
        errors = self.reporter.errors
        node = self.analyzer.analyze(form, Scope(FunctionScope(None, f"{self.name}/<top>"), scope))
        if self.reporter.errors == errors and not isinstance(node, FnNode):
            self._value(node, "<top>")

    def _let(self, items: list[Any], scope: Scope) -> None:
        analyzer = self.analyzer
        for pattern, contract, value in split_bindings(analyzer, items[1]) or []:
            errors = self.reporter.errors
            # Patterns are taken apart by the same code as anywhere; each binding it makes becomes a hidden global.
            unit = Scope(FunctionScope(None, f"{self.name}/<top>"), scope)
            bindings: list[tuple[Binding, Node]] = []
            node = analyzer.analyze(value, unit)
            scope = scope.child()
            if pattern.__class__ is Symbol and contract is None:
                self._hide(scope, pattern.name, node, errors)
                continue
            whole = analyzer.gensym("let")
            self._hide(scope, whole, node, errors)
            for name in pattern_names(pattern):
                inner = Scope(FunctionScope(None, f"{self.name}/<top>"), scope)
                bindings = []
                source = analyzer.analyze(Symbol(None, whole), inner)
                origin, analyzer.origin = analyzer.origin, MACRO  # taken apart once for each name, to read that one
                bind_pattern(analyzer, inner, pattern, source, bindings, contract=contract)
                analyzer.origin = origin
                binding = inner.find(name)
                if isinstance(binding, Binding):
                    self._hide(scope, name, analyzer.let(bindings, analyzer.read(inner, binding)), errors)
        for item in items[2:]:
            self._form(item, scope)

    def _hide(self, scope: Scope, name: str, node: Node, errors: int) -> None:
        hidden = f"{name}__{len(self.builder.hidden)}__let"
        self.builder.hidden[hidden] = None
        value = self._value(node, hidden) if self.reporter.errors == errors else UNBOUND
        self.builder.module.globals[hidden] = Global(hidden, value, private=True, span=self.analyzer.span)
        scope.add(name, Reference(self.name, hidden))

    def _if(self, items: list[Any], scope: Scope) -> None:
        errors = self.reporter.errors
        unit = Scope(FunctionScope(None, f"{self.name}/<top>"), scope)
        node = self.analyzer.analyze(items[1], unit)
        if self.reporter.errors > errors:
            return
        value = self._value(node, "<top>")
        if value is UNBOUND:
            return
        if value is not None and value is not False:
            self._form(items[2], scope)
        elif len(items) == 4:
            self._form(items[3], scope)

    # ---- evaluation -----------------------------------------------------------------------------------------------

    def _unit(self, node: Node, name: str) -> Function:
        """A function of no arguments that gives the value of a node.  Raises TooLarge."""
        scope = FunctionScope(None, f"{self.name}/{name}")
        return emit_function(self.builder, FnNode(node.span, scope, [Arity([], None, node, False, "[]")]))

    def _value(self, node: Node, name: str) -> Any:
        """The value of a node at compile time; UNBOUND after an error, which is reported."""
        if isinstance(node, Const):
            return node.value
        if isinstance(node, GlobalRead):
            found = self.builder.find(node.reference)
            if found is not None and found.value is not UNBOUND and node.reference.module == self.name:
                return found.value
        try:
            if isinstance(node, FnNode) and not node.scope.captures:
                return Closure(emit_function(self.builder, node), ())
            value = self.analyzer.run(self._unit(node, name))
            self.builder.take_entries(node.span)
            return value
        except TooLarge as problem:
            self._too_large(problem)
        except Exception as problem:
            error = expand.error_of(problem)
            if error is None:
                raise
            self._failed(error, node.span)
        return UNBOUND

    def _too_large(self, problem: TooLarge) -> None:
        self.analyzer.error("A134", span=problem.span, what=problem.what, limit=problem.limit)

    def _failed(self, error: Any, span: Span | None) -> None:
        kind = error.kind.text
        if kind == "compile/effect":
            self.analyzer.error("A136", span=span, effect=str(error.data))
        elif kind != "unbound" or not self.reporter.errors:
            # A name that has no value because its own definition failed is no second error.
            self.analyzer.error("A135", span=span, kind=f":{kind}", message=error.message)


def defines(forms: list[Any]) -> bool:
    """Whether forms look as if a definition were in them: a list whose head begins with `def`, at any depth."""
    pending = list(forms)
    while pending:
        form = pending.pop()
        if not is_list(form):
            continue
        items = items_of(form)
        head = items[0] if items else None
        if head.__class__ is Symbol:
            if head.name.startswith("def") or head.name == "declare":
                return True
            if head.name in ("quote", "syntax-quote", "fn", "fn*"):
                continue
        pending.extend(items)
    return False


def pattern_names(pattern: Any) -> list[str]:
    """The names that a pattern binds, in order."""
    probe = _Probe()
    probe.collect(pattern)
    return list(probe.names)


class _Probe:
    """Collects the names in a pattern: every symbol in it, and the names listed under `:keys` and the like."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def collect(self, form: Any) -> None:
        """Takes the names of a form."""
        if form.__class__ is Symbol:
            if form.name != "&":
                self.names[form.name] = None
        elif form.__class__ is Vector:
            for item in items_of(form):
                self.collect(item)
        elif hasattr(form, "items"):
            for key, value in form.items():
                self.collect(key)
                self.collect(value)
        elif hasattr(form, "name") and form.name not in ("as", "or", "keys", "strs", "syms"):
            self.names[form.name] = None
