"""Analyzer: forms to core nodes.

Knows symbols, calls and collections; special forms are in forms/, one a file.  A form that is wrong is reported and
stands as nil, so that one run finds what is wrong in the others too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowmetal.bytecode.program import Function, Reference
from flowmetal.compiler import calls, expand
from flowmetal.compiler.absent import ABSENT, names_made
from flowmetal.compiler.building import Builder
from flowmetal.compiler.evaluation import Evaluator
from flowmetal.compiler.forms import FORMS
from flowmetal.compiler.names import HARD_FORMS, Names, Percent, Resolved, Special, Target, is_core
from flowmetal.compiler.nodes import (
    Binding,
    BuiltinCall,
    Collection,
    Const,
    Do,
    FnNode,
    FunctionScope,
    GlobalRead,
    Let,
    Local,
    Node,
    Throw,
)
from flowmetal.compiler.nodes import Target as RecurTarget
from flowmetal.compiler.report import Reporter
from flowmetal.compiler.scopes import Scope, use
from flowmetal.compiler.shapes import is_list, items_of, span_within, text_of
from flowmetal.compiler.watch import BINDING_MACRO, MACRO, WRITTEN, Watch, binds_as_written, is_written
from flowmetal.diagnostics import Span
from flowmetal.values import (
    EMPTY_LIST,
    BuiltinFn,
    Cell,
    Map,
    Promise,
    Resumption,
    Set,
    Symbol,
    Vector,
    iterate,
    meta_of,
    span_of,
)

#: Forms nest at most this deep, expansions included; deeper source is generated, or an attack.
DEPTH_MAX = 1000

#: Expansions of one form, one after the other.
EXPANSIONS_MAX = 1000


class Analyzer:
    """Analyzes the forms of one module."""

    def __init__(self, names: Names, builder: Builder, reporter: Reporter, evaluate: Evaluator, file: str) -> None:
        self.names = names
        self.builder = builder
        self.reporter = reporter
        self.evaluate = evaluate
        self.file = file
        self.span: Span | None = None
        self.form: Any = None  # the list being looked at, until its items are
        self.watch = Watch()
        self.origin = WRITTEN  # who wrote the form being analyzed, see watch.py
        self.pending = calls.PendingCalls()
        self.functions: dict[Binding, FnNode] = {}  # locals that are known to be these functions
        self.values: dict[Binding, tuple[Node, int]] = {}  # of locals, and `branches` where they were bound
        self.branches = 0  # a number of its own for each branch of an `if`, and for what is around it
        self.defined: dict[str, Span | None] = {}  # names of the module that have their definition, and where
        self._depth = 0
        self._gensyms = 0
        self._branch_count = 0

    # ---- for the special forms ------------------------------------------------------------------------------------

    def error(self, code: str, span: Span | None = None, **facts: Any) -> Const:
        """Reports an error at `span` or at the form being analyzed; gives the node that stands for it."""
        self.reporter.error(code, span if span is not None else self.span, **facts)
        return Const(self.span, None)

    def span_at(self, form: Any) -> Span | None:
        """The span of a form, or of the innermost form around it that has one."""
        return span_within(form, self.span)

    def gensym(self, base: str) -> str:
        """A name no source can hold, the same in every compilation of the file."""
        self._gensyms += 1
        return f"{base}__{self._gensyms}__auto__"

    def run(self, function: Function) -> Any:
        """Calls a function of no arguments at compile time."""
        self.evaluate.names = self._gensyms
        try:
            return self.evaluate.run(self.builder.program, function)
        finally:
            self._gensyms = self.evaluate.names

    def call(self, function: Any, arguments: Sequence[Any]) -> Any:
        """Calls a function at compile time."""
        self.evaluate.names = self._gensyms
        try:
            return self.evaluate.call(self.builder.program, function, arguments)
        finally:
            self._gensyms = self.evaluate.names

    def bind(self, scope: Scope, name: str, span: Span | None = None) -> Binding:
        """A new binding of the function of `scope`, visible in `scope`."""
        binding = Binding(name, scope.function, span, hidden="__" in name)
        scope.add(name, binding)
        return binding

    def hidden(self, scope: Scope, base: str) -> Binding:
        """A binding that no source can name."""
        return Binding(self.gensym(base), scope.function, None, hidden=True)

    def read(self, scope: Scope, binding: Binding) -> Local:
        """Reads a binding from the function of `scope`."""
        use(scope.function, binding)
        return Local(self.span, binding)

    def let(self, bindings: list[tuple[Binding, Node]], body: Node) -> Node:
        """A body under bindings."""
        return Let(self.span, bindings, body) if bindings else body

    def builtin(self, name: str, *arguments: Node) -> Node:
        """A call of a builtin that the compiler itself relies on."""
        return BuiltinCall(self.span, self.names.builtins[name].number, name, list(arguments))

    def body(self, forms: Sequence[Any], scope: Scope, target: RecurTarget | None) -> Node:
        """Forms evaluated in order; the last one gives the value, nil if there is none."""
        if not forms:
            return Const(self.span, None)
        statements: list[Node] = []
        for position, form in enumerate(forms[:-1]):
            statements.append(self.analyze(form, scope))
            if type(statements[-1]) is Throw and is_written(form):
                # What follows may come from the template of a macro, as the turn of a `while` does.
                after = next((one for one in forms[position + 1 :] if is_written(one)), None)
                if after is not None:
                    self.reporter.warn("W107", self.span_at(after))
        result = self.analyze(forms[-1], scope, target)
        return Do(self.span, statements, result) if statements else result

    def function_scope(self, scope: Scope, name: str) -> FunctionScope:
        """A function inside the one of `scope`."""
        line = f"@{self.span.line}" if self.span is not None else ""
        outer = scope.function.name
        return FunctionScope(scope.function, f"{outer}/{name}" if name else f"{outer}/fn{line}")

    def count_branch(self) -> int:
        """A number that no other branch has."""
        self._branch_count += 1
        return self._branch_count

    def origin_of(self, node: Node) -> Node:
        """What a node that reads a local is known to give: the node of its value.

        Only of names a person bound, and not where a test stands in between: it may ask for this very value.
        """
        for _ in range(DEPTH_MAX):
            found = self.values.get(node.binding) if isinstance(node, Local) else None
            if found is None or found[1] != self.branches:
                break
            node = found[0]
        return node

    def resolve(self, symbol: Symbol) -> Resolved:
        """What a symbol means that is no local; a name that could mean two things is reported."""
        resolved = self.names.resolve(symbol)
        if symbol.namespace is None and symbol.name in self.names.ambiguous:
            one, other = self.names.ambiguous[symbol.name]
            self.error("A141", self.span_at(symbol), name=symbol.name, one=one, other=other)
        return resolved

    def take_origin(self, form: Any) -> None:
        """Notes who wrote a list that is looked at: whoever wrote what it stands in, unless it has a place itself."""
        if is_list(form) and is_written(form):
            self.origin = WRITTEN

    def expanded_by(self, found: Target) -> None:
        """From here on, what has no place was made by this macro."""
        if binds_as_written(found.module, found.definition.name):
            self.origin = BINDING_MACRO
        elif self.origin != BINDING_MACRO or not is_core(found.module):
            self.origin = MACRO

    # ---- analysis -------------------------------------------------------------------------------------------------

    def analyze(self, form: Any, scope: Scope, target: RecurTarget | None = None) -> Node:
        """The node of a form.  `target` is where a `recur` may go, where the form is the last thing before it."""
        before, origin = self.span, self.origin
        self.span = span_within(form, before)
        self.take_origin(form)
        self._depth += 1
        try:
            if self._depth > DEPTH_MAX:
                return self.error("A104", limit=DEPTH_MAX)
            return self._form(form, scope, target)
        finally:
            self._depth -= 1
            self.span, self.origin = before, origin

    def _form(self, form: Any, scope: Scope, target: RecurTarget | None) -> Node:
        kind = form.__class__
        if kind is Symbol:
            return self._symbol(form, scope)
        if is_list(form):
            items = items_of(form)
            return self._list(form, items, scope, target) if items else Const(self.span, EMPTY_LIST)
        if kind is Vector:
            return self._with_meta(form, self._collection("vector", items_of(form), scope), scope)
        if kind is Map:
            flat = [part for pair in form.items() for part in pair]
            return self._with_meta(form, self._collection("map", flat, scope), scope)
        if kind is Set:
            return self._with_meta(form, self._collection("set", list(iterate(form)), scope), scope)
        if kind in (Cell, Promise, Resumption):
            return self.error("A118", value=text_of(form))
        return Const(self.span, form)

    # ---- symbols --------------------------------------------------------------------------------------------------

    def _symbol(self, symbol: Symbol, scope: Scope) -> Node:
        if symbol.namespace is None:
            local = scope.find(symbol.name)
            if isinstance(local, Binding):
                self.watch.read(local, symbol)
                return self.read(scope, local)
            if local is not None:
                return GlobalRead(self.span, local)
        resolved = self.resolve(symbol)
        if isinstance(resolved, Target):
            return self.global_read(symbol, resolved)
        if isinstance(resolved, Percent):
            row = self.names.builtins.get(resolved.name)
            if row is not None:
                return Const(self.span, BuiltinFn(row.number, row.name))
        if isinstance(resolved, Special):
            return self.error("A102", name=resolved.name)
        return self.unknown(symbol, scope)

    def unknown(self, symbol: Symbol, scope: Scope) -> Node:
        """Reports a name that means nothing."""
        written = str(symbol)
        if written in ("unquote", "unquote-splicing"):
            return self.error("A139", mark="~" if written == "unquote" else "~@")
        if written == "%":
            return self.error("R060", name=written)  # where no `:post` condition gives it a meaning
        if symbol.namespace in self.names.missing or written in self.names.missing_names:
            self.reporter.errors += 1  # the `ns` form has been reported; the form around this one has no value either
            return Const(self.span, None)
        if written in ABSENT:
            return self.error("A140", name=written, advice=ABSENT[written])
        if symbol.namespace is not None and self.names.module_named(symbol.namespace) is None:
            suggestion = self.names.suggestion(symbol, ())
            return self.error("A105", name=written, namespace=symbol.namespace, suggestion=suggestion)
        return self.error("A101", name=written, suggestion=self.names.suggestion(symbol, scope.visible()))

    def global_read(self, symbol: Symbol, found: Target) -> Node:
        """Reads a global, after the checks on who may and how."""
        definition = found.definition
        if definition.macro:
            return self.error("A103", name=str(symbol))
        self.check_private(symbol, found)
        if definition.value.__class__ is BuiltinFn and self.names.settled(found.module):
            return Const(self.span, definition.value)
        return GlobalRead(self.span, Reference(found.module, definition.name), definition.dynamic)

    def check_private(self, symbol: Symbol, found: Target) -> None:
        """What a macro of the other module wrote may name its private globals; it has no span of its own.

        The modules of the core share theirs.
        """
        if is_core(found.module) and is_core(self.names.module.name):
            return
        if found.definition.private and found.module != self.names.module.name and span_of(symbol) is not None:
            self.error("A106", self.span_at(symbol), name=str(symbol), module=found.module)

    # ---- lists ----------------------------------------------------------------------------------------------------

    def _list(self, form: Any, items: list[Any], scope: Scope, target: RecurTarget | None) -> Node:
        for _ in range(EXPANSIONS_MAX):
            head = items[0]
            if head.__class__ is not Symbol:
                break
            if head.namespace is None and head.name not in HARD_FORMS and scope.find(head.name) is not None:
                break
            resolved = self.resolve(head)
            if isinstance(resolved, Special):
                self.form = form
                return FORMS[resolved.name](self, items, scope, target)
            if isinstance(resolved, Percent):
                return calls.percent(self, resolved.name, items, scope)
            if resolved is None:
                return self._unknown_call(head, items, scope)
            if not resolved.definition.macro:
                self.form = form
                return calls.known(self, head, resolved, items, scope)
            self.check_private(head, resolved)
            self.watch.macro_call(self, resolved.module, resolved.definition.name, form)
            expansion = expand.expand(self, head, resolved, form, scope)
            self.expanded_by(resolved)
            if not is_list(expansion) or not items_of(expansion):
                return self.analyze(expansion, scope, target)
            form, items = expansion, items_of(expansion)
            self.take_origin(form)
            # The span of the expansion, where it is a form the author wrote.
            self.span = span_within(form, self.span)
        else:
            return self.error("M102", name=items[0].name, limit=EXPANSIONS_MAX)
        return calls.unknown(self, items, scope)

    def _unknown_call(self, head: Symbol, items: list[Any], scope: Scope) -> Node:
        """Reports the name, and what is wrong in the arguments all the same."""
        before, self.span = self.span, self.span_at(head)
        if head.namespace is None and head.name in ABSENT and self._repeats(items):
            self.reporter.errors += 1
            node: Node = Const(self.span, None)
        else:
            node = self.unknown(head, scope)
        self.span = before
        if head.namespace is None and head.name in ABSENT:
            # What stands in it follows rules that are not known here; what it was to define is not reported again.
            self.names.missing_names.update(names_made(items))
            return node
        for item in items[1:]:
            self.analyze(item, scope)
        return node

    def _repeats(self, items: list[Any]) -> bool:
        """Whether a form goes on with what has been reported: a `defmethod` of a `defmulti`."""
        return len(items) > 1 and items[1].__class__ is Symbol and str(items[1]) in self.names.missing_names

    def arguments(self, forms: Sequence[Any], scope: Scope) -> list[Node]:
        """The nodes of several forms, none of them in tail position."""
        nodes: list[Node] = []
        for form in forms:
            nodes.append(self.analyze(form, scope))
        return nodes

    # ---- collections ----------------------------------------------------------------------------------------------

    def _collection(self, mnemonic: str, forms: list[Any], scope: Scope) -> Node:
        return collection(self, mnemonic, self.arguments(forms, scope))

    def _with_meta(self, form: Any, node: Node, scope: Scope) -> Node:
        meta = meta_of(form)
        if meta is None:
            return node
        return self.builtin("with-meta", node, self.analyze(meta, scope))


def collection(analyzer: Analyzer, mnemonic: str, nodes: list[Node]) -> Node:
    """A collection of nodes: a constant where all of them are, parts put together where there are too many."""
    constants = [node.value for node in nodes if type(node) is Const]
    if len(constants) == len(nodes):
        if mnemonic == "vector":
            return Const(analyzer.span, Vector.of(constants))
        if mnemonic == "set":
            made = Set.of(constants)
            if len(made) == len(constants):
                return Const(analyzer.span, made)
            return analyzer.error("A119", kind="set", item="item", value=_repeated(constants))
        table = Map.of(list(zip(constants[::2], constants[1::2], strict=True)))
        if len(table) * 2 == len(constants):
            return Const(analyzer.span, table)
        return analyzer.error("A119", kind="map", item="key", value=_repeated(constants[::2]))
    if len(nodes) <= calls.ITEMS_MAX:
        return Collection(analyzer.span, mnemonic, nodes)
    parts: list[Node] = []
    for start in range(0, len(nodes), calls.ITEMS_MAX):
        parts.append(collection(analyzer, "vector", nodes[start : start + calls.ITEMS_MAX]))
    whole = analyzer.builtin("concat-vector", *parts)
    return whole if mnemonic == "vector" else analyzer.builtin(f"to-{mnemonic}", whole)


def _repeated(values: list[Any]) -> str:
    """The first of several values that is there twice, as text."""
    seen = Set.of(())
    for value in values:
        if value in seen:
            return text_of(value)
        seen = seen.conj(value)
    return ""
