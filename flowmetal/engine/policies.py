"""What a request's options mean: time limit, retries, what to do about an attempt whose outcome is unknown.

Options are a map in the program, `{:timeout 30s :retry {:max 5 :backoff 1s} :idempotency-key "k" :when-unknown :fail}`.
`read_options` checks them when the request is opened, so that a mistake is an error at the call and not hours later.
Keys with a namespace (`:billing/dry-run`) are not looked at: they are between the program and who serves the effect.
The delays are a function of process, request and attempt alone: the same run plans the same retries everywhere.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.diagnostics import suggest
from flowmetal.store.limits import MAX_TIME
from flowmetal.values import (
    Duration,
    ErrorValue,
    Instant,
    Keyword,
    Map,
    Set,
    Vector,
    fail,
    iterate,
    keyword,
    print_string,
)

SECOND = 1_000_000_000

#: Where `:retry` leaves something out.
DEFAULT_MAX = 5  # retries after the first attempt
DEFAULT_BACKOFF = 1 * SECOND
DEFAULT_FACTOR = 2.0
DEFAULT_MAX_DELAY = 3600 * SECOND
DEFAULT_JITTER = 0.1

#: Retries of attempts that were lost (their worker died), for requests without `:retry`.  A request that kills every
#: worker that takes it must come to rest.
LOST_MAX = 10

#: More retries than this are not a policy but an endless loop in disguise.
RETRIES_MAX = 1_000_000

#: Longer delays between retries (a hundred years) are a mistake and would not fit the store's clock.
DELAY_MAX = 100 * 366 * 86400 * SECOND

#: An idempotency key travels in headers; longer ones are refused.
KEY_CHARACTERS_MAX = 512

K_TIMEOUT = keyword("timeout")
K_DEADLINE = keyword("deadline")
K_RETRY = keyword("retry")
K_KEY = keyword("idempotency-key")
K_WHEN_UNKNOWN = keyword("when-unknown")
K_EXHAUSTED = keyword("exhausted")
#: The request by which the program hears of failed attempts and decides on them; see deciding.py.
K_DECIDER = keyword("flowmetal/decider")
K_STATUS = keyword("status")
K_FAIL, K_ASK, K_THROW, K_PAUSE = keyword("fail"), keyword("ask"), keyword("throw"), keyword("pause")
K_MAX, K_BACKOFF, K_FACTOR = keyword("max"), keyword("backoff"), keyword("factor")
K_MAX_DELAY, K_JITTER, K_ON = keyword("max-delay"), keyword("jitter"), keyword("on")

#: Errors that no further attempt makes better: retried only where :on names them.
HOPELESS = frozenset(
    keyword(kind)
    for kind in (
        "http/bad-request",
        "http/blocked",
        "worker/bad-payload",
        "shell/bad-command",
        "shell/not-allowed",
        "secret/refused",
    )
)

OPTIONS = (K_TIMEOUT, K_DEADLINE, K_RETRY, K_KEY, K_WHEN_UNKNOWN, K_EXHAUSTED)
RETRY_OPTIONS = (K_MAX, K_BACKOFF, K_FACTOR, K_MAX_DELAY, K_JITTER, K_ON, K_EXHAUSTED)


#: Effects of which a lost attempt is not tried again unless the program says so: nobody can tell what it has done.
FAIL_WHEN_UNKNOWN = frozenset({"shell/run"})


@dataclass(frozen=True, slots=True)
class Retry:
    """How failed attempts are tried again.  Times in nanoseconds; `on` None: every error but HOPELESS ones."""

    max: int = DEFAULT_MAX
    backoff: int = DEFAULT_BACKOFF
    factor: float = DEFAULT_FACTOR
    max_delay: int = DEFAULT_MAX_DELAY
    jitter: float = DEFAULT_JITTER
    on: frozenset[Keyword | int] | None = None

    def takes(self, error: ErrorValue) -> bool:
        """Whether this error is one to try again."""
        if self.on is None:
            return error.kind not in HOPELESS
        return error.kind in self.on or status_of(error.data) in self.on

    def takes_answer(self, value: Any) -> bool:
        """Whether an answer is a failure all the same: a map whose :status is listed in `on`."""
        if self.on is None or value.__class__ is not Map:
            return False
        return status_of(value) in self.on

    def delay(self, pid: int, number: int, attempt: int) -> int:
        """Nanoseconds to wait after failed attempt `attempt` (from 1): backoff * factor^(attempt-1), with jitter."""
        try:
            planned = min(float(self.max_delay), self.backoff * self.factor ** (attempt - 1))
        except OverflowError:
            planned = float(self.max_delay)
        seed = sha256(b"%d/%d/%d" % (pid, number, attempt)).digest()
        swing = int.from_bytes(seed[:7], "big") / (1 << 55) - 1.0  # from -1 up to 1
        return max(0, round(planned * (1.0 + self.jitter * swing)))


@dataclass(frozen=True, slots=True)
class Policy:
    """The options of one request, checked."""

    timeout: int | None = None
    deadline: int = 0  # when its time is over, ns since 1970; 0: never
    retry: Retry | None = None
    key: str | None = None
    when_unknown: str = "retry"  # "retry", "fail", "ask"
    exhausted: str = "pause"  # "pause", "throw"
    decider: int = 0  # the request that hears of failed attempts, where the program decides; 0: `retry` does


@dataclass(frozen=True, slots=True)
class Again:
    """Try again after `delay` nanoseconds."""

    delay: int


@dataclass(frozen=True, slots=True)
class Throw:
    """Hand the error to the program."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop the process and keep the error for a person."""


@dataclass(frozen=True, slots=True)
class AskProgram:
    """Let a function of the program decide."""


Decision = Again | Throw | Pause | AskProgram

NO_POLICY = Policy()


def after_error(policy: Policy, pid: int, number: int, attempt: int, error: ErrorValue) -> Decision:
    """What follows when attempt `attempt` (from 1) answered with an error."""
    retry = policy.retry
    if retry is not None and policy.decider:
        return AskProgram()
    if retry is None or not retry.takes(error):
        return Throw()
    return again(policy, pid, number, attempt)


def again(policy: Policy, pid: int, number: int, attempt: int) -> Decision:
    """What follows a failed attempt whose error is one to try again."""
    retry = policy.retry or Retry()
    if attempt <= retry.max:
        return Again(retry.delay(pid, number, attempt))
    return _exhausted(policy)


def after_lost(policy: Policy, pid: int, number: int, attempt: int) -> Decision:
    """What follows when the worker of attempt `attempt` vanished, so that nobody knows whether it took effect."""
    if policy.when_unknown == "fail":
        return Throw()
    if policy.when_unknown == "ask":
        return Pause()
    retry = policy.retry or Retry(max=LOST_MAX)
    if attempt <= retry.max:
        return Again(retry.delay(pid, number, attempt))
    return _exhausted(policy)


def usual_options(effect: str, options: Any) -> Any:
    """The options of an effect, with what it has of its own where they leave that out."""
    if effect not in FAIL_WHEN_UNKNOWN:
        return options
    if options is None:
        return Map.of([(K_WHEN_UNKNOWN, K_FAIL)])
    if options.__class__ is not Map or options.get(K_WHEN_UNKNOWN) is not None:
        return options
    return options.assoc(K_WHEN_UNKNOWN, K_FAIL)


def read_options(options: Any) -> Policy:
    """The policy in an options value (a map or nil).  Raises LanguageError :argument that names what is wrong."""
    if options is None:
        return NO_POLICY
    if options.__class__ is not Map:
        fail("argument", f"the options of an effect must be a map, not {_short(options)}")
    _check_keys(options, OPTIONS, "an effect", RETRY_OPTIONS)
    retry_map = options.get(K_RETRY)
    exhausted = options.get(K_EXHAUSTED)
    if exhausted is None and retry_map.__class__ is Map:
        exhausted = retry_map.get(K_EXHAUSTED)
    key = options.get(K_KEY)
    if key is not None and (key.__class__ is not str or not 0 < len(key) <= KEY_CHARACTERS_MAX):
        fail("argument", f":idempotency-key must be a string of 1 to {KEY_CHARACTERS_MAX} characters")
    return Policy(
        timeout=_nanoseconds(options.get(K_TIMEOUT), ":timeout"),
        deadline=_instant(options.get(K_DEADLINE), ":deadline"),
        retry=_read_retry(retry_map),
        key=key,
        when_unknown=_choice(options.get(K_WHEN_UNKNOWN), ":when-unknown", (K_RETRY, K_FAIL, K_ASK), K_RETRY),
        exhausted=_choice(exhausted, ":exhausted", (K_PAUSE, K_THROW), K_PAUSE),
        decider=_request_number(options.get(K_DECIDER)),
    )


def status_of(data: Any) -> int:
    """The :status of a map, or 0."""
    status = data.get(K_STATUS) if data.__class__ is Map else None
    return status if status.__class__ is int else 0


def _exhausted(policy: Policy) -> Decision:
    return Throw() if policy.exhausted == "throw" else Pause()


def _read_retry(value: Any) -> Retry | None:
    if value is None or value is False:
        return None
    if value is True:
        return Retry()
    if value.__class__ is int:
        return Retry(max=_count(value))
    if value.__class__ is not Map:
        fail("argument", f":retry must be a map, a number or true, not {_short(value)}")
    _check_keys(value, RETRY_OPTIONS, ":retry", OPTIONS)
    backoff = _nanoseconds(value.get(K_BACKOFF), ":backoff", DELAY_MAX)
    max_delay = _nanoseconds(value.get(K_MAX_DELAY), ":max-delay", DELAY_MAX)
    times = value.get(K_MAX)
    return Retry(
        max=DEFAULT_MAX if times is None else _count(times),
        backoff=DEFAULT_BACKOFF if backoff is None else backoff,
        factor=_number(value.get(K_FACTOR), ":factor", DEFAULT_FACTOR, 1.0, 1000.0),
        max_delay=DEFAULT_MAX_DELAY if max_delay is None else max_delay,
        jitter=_number(value.get(K_JITTER), ":jitter", DEFAULT_JITTER, 0.0, 1.0),
        on=_read_on(value.get(K_ON)),
    )


def _check_keys(options: Map, known: tuple[Keyword, ...], whose: str, elsewhere: tuple[Keyword, ...]) -> None:
    """Refuses keys that mean nothing; one that belongs to the other map of options is said to."""
    for key, _ in options.items():
        if key in known or (key.__class__ is Keyword and key.namespace is not None):
            continue
        text = key.text if key.__class__ is Keyword else _short(key)
        names = [option.text for option in known]
        near = suggest(text, names)
        if near is not None:
            advice = f"did you mean :{near}?"
        elif key in elsewhere:
            advice = "it belongs into the map of :retry" if whose != ":retry" else "it stands beside :retry"
        else:
            advice = "there are " + ", ".join(f":{name}" for name in names)
        fail("argument", f"{whose} has no option {_short(key)}; {advice}", key)


def _read_on(value: Any) -> frozenset[Keyword | int] | None:
    if value is None:
        return None
    items = list(iterate(value)) if value.__class__ in (Set, Vector) else [value]
    for item in items:
        if item.__class__ is not Keyword and item.__class__ is not int:
            fail("argument", f":on takes error kinds (keywords), statuses (integers) or a function, not {_short(item)}")
    return frozenset(items)


def _request_number(value: Any) -> int:
    """The number of a request; 0 for what cannot be one, which no request has."""
    return value if value.__class__ is int and value > 0 else 0


def _count(value: Any) -> int:
    if value.__class__ is not int or not 0 <= value <= RETRIES_MAX:
        fail("argument", f":max must be an integer from 0 to {RETRIES_MAX}, not {_short(value)}")
    count: int = value
    return count


def _nanoseconds(value: Any, name: str, longest: int = MAX_TIME) -> int | None:
    if value is None:
        return None
    if value.__class__ is not Duration or value.ns < 0:
        fail("argument", f"{name} must be a duration such as 30s, not {_short(value)}")
    if value.ns > longest:
        fail("argument", f"{name} can be {longest // (86400 * SECOND)}d at most, not {_short(value)}")
    nanoseconds: int = value.ns
    return nanoseconds


def _instant(value: Any, name: str) -> int:
    if value is None:
        return 0
    if value.__class__ is not Instant or value.ns < 0:
        fail("argument", f"{name} must be an instant, not {_short(value)}")
    if value.ns >= MAX_TIME:
        fail("argument", f"{name} must be before the year 2262, not {_short(value)}")
    nanoseconds: int = value.ns
    return nanoseconds


def with_deadline(options: Map | None, policy: Policy, now: int) -> tuple[Any, int]:
    """The options with their deadline as an instant, and the deadline (0: none).

    It goes with the stored request, so that whoever loads it, and whoever serves it, knows how much time is left.
    LanguageError :argument where it would be later than any time there is.
    """
    until = policy.deadline
    if policy.timeout is not None:
        until = min(until, now + policy.timeout) if until else now + policy.timeout
    if until >= MAX_TIME:
        fail("argument", ":timeout must end before the year 2262")
    if not until or options is None:
        return options, until
    return options.assoc(K_DEADLINE, Instant(until)), until


def _number(value: Any, name: str, default: float, low: float, high: float) -> float:
    if value is None:
        return default
    if value.__class__ not in (int, float) or not low <= value <= high:
        fail("argument", f"{name} must be a number from {low:g} to {high:g}, not {_short(value)}")
    return float(value)


def _choice(value: Any, name: str, allowed: tuple[Keyword, ...], default: Keyword) -> str:
    if value is None:
        return str(default.text)
    if value not in allowed:
        names = ", ".join(f":{choice.text}" for choice in allowed)
        fail("argument", f"{name} must be one of {names}, not {_short(value)}")
    return str(value.text)


def _short(value: Any) -> str:
    return print_string(value, limit=80)
