"""FlowmetalError and CompileFailed: what they carry, what they print, that they survive pickling."""

from __future__ import annotations

import pickle

import pytest

from flowmetal.diagnostics import CompileFailed, Diagnostic, FlowmetalError, Label, Span

SPAN = Span("a.fm", 3, 7, 3, 9)


class SpecialError(FlowmetalError):
    """A subclass, as the store has one."""


def test_error_has_facts_and_words() -> None:
    error = FlowmetalError("R030", name="a/b/c")
    assert str(error) == "bad name: `a/b/c` is not a name."
    assert error.code == "R030"
    assert error.facts == {"name": "a/b/c"}
    assert error.diagnostic == Diagnostic("R030", None, {"name": "a/b/c"})


def test_error_at_a_place() -> None:
    label = Label(Span("a.fm", 1, 1, 1, 2), "here")
    error = FlowmetalError("R030", SPAN, labels=[label], name="x:")
    assert error.diagnostic.span == SPAN
    assert error.diagnostic.labels == (label,)
    assert str(error.diagnostic) == "a.fm:3:7: bad name: `x:` is not a name. [R030]"


@pytest.mark.parametrize("kind", [FlowmetalError, SpecialError])
def test_error_survives_pickling(kind: type[FlowmetalError]) -> None:
    error = pickle.loads(pickle.dumps(kind("R030", SPAN, name="x:")))
    assert type(error) is kind
    assert error.diagnostic == Diagnostic("R030", SPAN, {"name": "x:"})


def test_unknown_code_is_reported_as_our_own_fault() -> None:
    assert str(FlowmetalError("Z999", path="x")).startswith("internal error: ")


def test_compile_failed() -> None:
    first = Diagnostic("R030", SPAN, {"name": "x:"})
    warning = Diagnostic("R030", SPAN, {"name": "y:"}, level="warning")
    assert CompileFailed([first]).diagnostics == (first,)
    assert str(CompileFailed([warning, first])) == "a.fm:3:7: bad name: `x:` is not a name. [R030]"
    assert str(CompileFailed([first, first, first])).endswith("(and 2 more)")
    assert pickle.loads(pickle.dumps(CompileFailed([first]))).diagnostics == (first,)
