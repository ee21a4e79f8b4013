"""Policies: what options are taken for, what is refused, and what follows from a failed or lost attempt."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowmetal.engine.policies import (
    LOST_MAX,
    NO_POLICY,
    SECOND,
    Again,
    Pause,
    Policy,
    Retry,
    Throw,
    after_error,
    after_lost,
    read_options,
)
from flowmetal.values import Duration, ErrorValue, LanguageError, Map, Set, Vector, keyword


def k(name: str) -> Any:
    return keyword(name)


def m(**pairs: Any) -> Map:
    return Map.of([(k(name.replace("_", "-")), value) for name, value in pairs.items()])


def seconds(number: float) -> Duration:
    return Duration(int(number * SECOND))


ERROR = ErrorValue(k("http/status"), "bad", m(status=503))


def test_no_options() -> None:
    assert read_options(None) is NO_POLICY
    assert read_options(Map.of([])) == Policy()


def test_all_options() -> None:
    policy = read_options(
        m(
            timeout=seconds(30),
            retry=m(
                max=3,
                backoff=seconds(2),
                factor=3,
                max_delay=seconds(60),
                jitter=0.5,
                on=Set.of([k("http/timeout"), 503]),
            ),
            idempotency_key="k1",
            when_unknown=k("ask"),
            exhausted=k("throw"),
        ).assoc(k("billing/other-things"), "are for the worker")
    )
    assert policy == Policy(
        timeout=30 * SECOND,
        retry=Retry(3, 2 * SECOND, 3.0, 60 * SECOND, 0.5, frozenset({k("http/timeout"), 503})),
        key="k1",
        when_unknown="ask",
        exhausted="throw",
    )


@pytest.mark.parametrize(
    ("value", "retry"),
    [(True, Retry()), (False, None), (7, Retry(max=7)), (None, None)],
)
def test_short_forms_of_retry(value: Any, retry: Retry | None) -> None:
    assert read_options(m(retry=value)).retry == retry


def test_exhausted_may_stand_in_the_retry_map() -> None:
    assert read_options(m(retry=m(max=1, exhausted=k("throw")))).exhausted == "throw"


@pytest.mark.parametrize(
    "options",
    [
        5,
        Vector.of([1]),
        m(timeout=30),
        m(timeout=Duration(-1)),
        m(retry="often"),
        m(retry=-1),
        m(retry=m(max=1.5)),
        m(retry=m(max=True)),
        m(retry=m(backoff=1)),
        m(retry=m(factor=0)),
        m(retry=m(factor=float("nan"))),
        m(retry=m(jitter=2)),
        m(retry=m(on=Set.of(["503"]))),
        m(idempotency_key=""),
        m(idempotency_key=5),
        m(idempotency_key="x" * 1000),
        m(when_unknown=k("perhaps")),
        m(exhausted=True),
        m(deadline=seconds(1)),
        m(timout=seconds(1)),
        m(retry=m(maxx=3)),
        Map.of([("timeout", seconds(1))]),
    ],
)
def test_wrong_options_are_argument_errors(options: Any) -> None:
    with pytest.raises(LanguageError) as caught:
        read_options(options)
    assert caught.value.error.kind.text.endswith("argument")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (m(timout=seconds(1)), "an effect has no option :timout; did you mean :timeout?"),
        (m(retry=m(maxx=3)), ":retry has no option :maxx; did you mean :max?"),
        (m(backoff=seconds(1)), "an effect has no option :backoff; it belongs into the map of :retry"),
        (m(retry=m(timeout=seconds(1))), ":retry has no option :timeout; it stands beside :retry"),
        (Map.of([("timeout", 1)]), 'an effect has no option "timeout"; did you mean :timeout?'),
        (m(attempts=3), "an effect has no option :attempts; there are :timeout, :deadline, :retry, "),
    ],
)
def test_an_unknown_option_says_what_was_meant(options: Any, message: str) -> None:
    with pytest.raises(LanguageError) as caught:
        read_options(options)
    assert caught.value.error.message.startswith(message)


def test_delays_grow_and_are_capped() -> None:
    retry = Retry(backoff=1 * SECOND, factor=2.0, max_delay=10 * SECOND, jitter=0.0)
    assert [retry.delay(1, 1, attempt) // SECOND for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert retry.delay(1, 1, 100_000) == 10 * SECOND


@given(st.integers(1, 1 << 62), st.integers(1, 1 << 40), st.integers(1, 1_000_000))
def test_jitter_stays_within_its_share_and_repeats(pid: int, number: int, attempt: int) -> None:
    retry = Retry(backoff=8 * SECOND, factor=1.0, jitter=0.25)
    delay = retry.delay(pid, number, attempt)
    assert 6 * SECOND <= delay <= 10 * SECOND
    assert delay == retry.delay(pid, number, attempt)


def test_jitter_differs_between_processes() -> None:
    retry = Retry(jitter=0.5)
    assert len({retry.delay(pid, 1, 1) for pid in range(100)}) > 90


NO_JITTER = Retry(max=2, backoff=SECOND, factor=2.0, jitter=0.0)


@pytest.mark.parametrize(
    ("policy", "attempt", "decision"),
    [
        (Policy(), 1, Throw()),
        (Policy(retry=NO_JITTER), 1, Again(SECOND)),
        (Policy(retry=NO_JITTER), 2, Again(2 * SECOND)),
        (Policy(retry=NO_JITTER), 3, Pause()),
        (Policy(retry=NO_JITTER, exhausted="throw"), 3, Throw()),
        (Policy(retry=Retry(on=frozenset({k("other")}))), 1, Throw()),
        (Policy(retry=Retry(jitter=0.0, on=frozenset({k("http/status")}))), 1, Again(SECOND)),
        (Policy(retry=Retry(jitter=0.0, on=frozenset({503}))), 1, Again(SECOND)),
        (Policy(retry=Retry(jitter=0.0, on=frozenset({500}))), 1, Throw()),
        (Policy(retry=Retry(max=0)), 1, Pause()),
    ],
)
def test_after_an_error(policy: Policy, attempt: int, decision: Any) -> None:
    assert after_error(policy, 1, 1, attempt, ERROR) == decision


def test_after_a_lost_attempt() -> None:
    assert isinstance(after_lost(Policy(), 1, 1, 1), Again)
    assert isinstance(after_lost(Policy(), 1, 1, LOST_MAX + 1), Pause)
    assert after_lost(Policy(when_unknown="fail"), 1, 1, 1) == Throw()
    assert after_lost(Policy(when_unknown="ask"), 1, 1, 1) == Pause()
    assert after_lost(Policy(retry=NO_JITTER), 1, 1, 1) == Again(SECOND)
    assert after_lost(Policy(retry=NO_JITTER, exhausted="throw"), 1, 1, 3) == Throw()


def test_answers_with_a_listed_status_count_as_failures() -> None:
    retry = Retry(on=frozenset({500, 503}))
    assert retry.takes_answer(m(status=503))
    assert not retry.takes_answer(m(status=200))
    assert not retry.takes_answer(503)
    assert not Retry().takes_answer(m(status=503))


@pytest.mark.parametrize("kind", ["http/bad-request", "http/blocked", "worker/bad-payload"])
def test_what_cannot_get_better_is_not_tried_again(kind: str) -> None:
    error = ErrorValue(k(kind), "no", None)
    assert after_error(Policy(retry=Retry()), 1, 1, 1, error) == Throw()
    assert isinstance(after_error(Policy(retry=Retry(on=frozenset({k(kind)}))), 1, 1, 1, error), Again)
