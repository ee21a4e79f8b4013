"""Plans: random programs as data for plans.fm, with what must come of them.

A plan is a vector `[:op argument ...]`.  `expect` says what its value may be: one number where the plan is deterministic
by construction, several where time decides (`late`), None where other processes do.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from flowmetal.values import Vector, keyword

Plan = list[Any]

#: Values a plan may have; more than this many count as anything.
VALUES_MAX = 16

#: Operations that a plan of a small size may have; the numbers say how often which.
LEAVES = {
    "value": 2, "call": 6, "inline": 3, "pool": 3, "flaky": 2, "deciding": 1, "refused": 1, "sleep": 5, "race": 2,
    "stream": 2, "chat": 1, "link": 1, "leash": 1, "add": 2, "cas": 2, "callback": 3, "post": 3, "select": 1,
    "entity": 1, "local": 1, "cancel": 2,
}  # fmt: skip
BRANCHES = {
    "sum": 4, "last": 1, "all": 5, "pmap": 2, "late": 1, "any": 1, "timeout": 2, "finally": 3, "shield": 1, "catch": 1,
    "handle": 2, "abandon": 1, "deep": 2, "big": 2, "cell": 2, "lazy": 1, "spawn": 3, "watch": 1, "queue": 2, "lock": 1,
}  # fmt: skip

#: Nested plans by operation: the place of one in the vector, or of several, as a list.
ONE = {
    "late": 1, "any": 1, "finally": 2, "shield": 1, "catch": 1, "handle": 1, "deep": 2, "big": 2, "lazy": 1, "spawn": 2,
    "watch": 1, "lock": 3,
}  # fmt: skip
SEVERAL = {"sum": 1, "last": 1, "all": 1, "pmap": 1, "cell": 1, "queue": 3}
CLEANUP = {"timeout": 3, "cancel": 3, "finally": 3, "abandon": 3}


class Generator:
    """Draws plans from one source of randomness.  `ids` are counted, so that every `finally` has its own."""

    def __init__(self, source: random.Random, http: bool = True) -> None:
        self.random = source
        self.ids = 0
        self.asking = 0  # handlers around
        self.queued = False  # in a queue already: another one in there could wait for this one's slot
        leaves = {op: weight for op, weight in LEAVES.items() if http or op != "post"}
        self._leaves = (tuple(leaves), tuple(leaves.values()))
        both = leaves | BRANCHES
        self._all = (tuple(both), tuple(both.values()))

    def plan(self, size: int) -> Plan:
        """A plan of about so many operations."""
        names, weights = self._all if size > 1 else self._leaves
        if self.asking and self.random.random() < 0.3:
            return ["ask", self.random.randrange(100)]
        op = self.random.choices(names, weights)[0]
        while self.queued and op == "queue":
            op = self.random.choices(names, weights)[0]
        return self._made(op, size)

    def _id(self) -> int:
        self.ids += 1
        return self.ids

    def _ms(self) -> int:
        return self.random.choice((0, 1, 3, 10, 50, 400, 1000, 3000) if self.random.random() < 0.95 else (7000, 90_000))

    def _some(self, size: int) -> list[Plan]:
        count = self.random.randint(1, max(1, min(5, size)))
        return [self.plan(max(1, (size - 1) // count)) for _ in range(count)]

    def _made(self, op: str, size: int) -> Plan:
        number = self.random.randrange(100)
        below = max(1, size - 1)
        match op:
            case "value" | "call" | "inline" | "pool" | "refused" | "callback" | "post" | "local":
                return [op, number]
            case "flaky" | "deciding":
                return [op, number, self.random.randint(0, 2)]
            case "sleep":
                return [op, self._ms()]
            case "race":
                one = self._ms()
                other = one
                while other == one:
                    other = self._ms()
                return [op, one, other]
            case "stream":
                return [op, self._id(), self.random.randint(1, 5)]
            case "chat":
                return [op, self.random.randint(1, 3)]
            case "link" | "leash":
                return [op, self._id()]
            case "add" | "cas":
                return [op, f"key/{self.random.randint(1, 2)}", self.random.randint(1, 9)]
            case "select":
                return [op, self._id(), number]
            case "entity":
                return [op, f"entity/{self.random.randint(1, 2)}", self.random.randint(1, 9)]
            case "cancel":
                return [op, self._ms(), self._id(), self._cleanup()]
            case "sum" | "last" | "all" | "pmap" | "cell":
                return [op, self._some(below)]
            case "queue":
                self.queued = True
                try:
                    plans = self._without_asking(self._some, below)
                finally:
                    self.queued = False
                return [op, f"queue/{self.random.randint(1, 2)}", self._id(), plans]
            case "late":
                return [op, self.plan(below), self._ms()]
            case "any" | "shield" | "lazy":
                return [op, self.plan(below)]
            case "watch":
                return [op, self._without_asking(self.plan, below)]
            case "timeout":
                return [op, self._ms(), self._id(), self._cleanup()]
            case "finally":
                return [op, self._id(), self.plan(below), self._cleanup()]
            case "abandon":
                return [op, self._id(), number, self._cleanup()]
            case "catch":
                return [op, self.plan(below), number]
            case "handle":
                self.asking += 1
                try:
                    return [op, self.plan(below), self.random.randint(1, 9)]
                finally:
                    self.asking -= 1
            case "deep":
                return [op, self.random.choice((1, 5, 60, 300)), self.plan(below)]
            case "big":
                return [op, self.random.choice((1, 40, 300, 1500)), self.plan(below)]
            case "spawn":
                return [op, self._id(), self._without_asking(self.plan, below)]
            case "lock":
                return [op, f"lock{self.random.randint(1, 2)}", self._id(), self._without_lock(below)]
        raise AssertionError(op)

    def _cleanup(self) -> Plan:
        return self.random.choice((["value", 0], ["local", 1], ["call", 2], ["inline", 3], ["sleep", 10]))

    def _without_asking(self, make: Callable[[int], Any], size: int) -> Any:
        asking, self.asking = self.asking, 0  # a child begins without handlers
        try:
            return make(size)
        finally:
            self.asking = asking

    def _without_lock(self, size: int) -> Plan:
        """What goes on while a lock is held takes no other one, and waits for nobody who may want it."""
        return ["sum", [self._made(self.random.choice(("call", "inline", "sleep", "local")), 1) for _ in range(2)]]


Values = frozenset[int] | None


def _plus(parts: list[Values]) -> Values:
    found = {0}
    for part in parts:
        if part is None:
            return None
        found = {one + other for one in found for other in part}
        if len(found) > VALUES_MAX:
            return None
    return frozenset(found)


def _moved(values: Values, by: int) -> Values:
    return None if values is None else frozenset(value + by for value in values)


def _one(value: int) -> Values:
    return frozenset((value,))


def expect(plan: Plan, asked: int = 0) -> Values:
    """The values that a plan may have; None: anything.  `asked`: what the innermost handler adds."""
    op, *a = plan
    match op:
        case "value" | "refused" | "sleep" | "stream" | "chat" | "callback" | "local" | "cancel" | "timeout":
            return _one(a[1] if op == "stream" else a[0])
        case "call" | "post":
            return _one(2 * a[0])
        case "inline" | "pool":
            return _one(a[0] + 10)
        case "flaky" | "deciding":
            return _one(a[0])
        case "race":
            return frozenset(a)  # whoever is held up in between begins its wait later
        case "link":
            return _one(7)
        case "leash":
            return _one(5)
        case "add" | "cas" | "select" | "entity" | "abandon":
            return _one(a[1])
        case "sum" | "all" | "pmap" | "cell":
            return _plus([expect(one, asked) for one in a[0]])
        case "last":
            return expect(a[0][-1], asked)
        case "queue":
            return _plus([expect(one) for one in a[2]])
        case "late":
            value = expect(a[0], asked)
            return None if value is None else value | {-1}
        case "any" | "shield":
            return expect(a[0], asked)
        case "lazy":
            value = expect(a[0], asked)
            return None if value is None else frozenset(2 * one for one in value)
        case "watch":
            return _one(1)
        case "finally":
            return expect(a[1], asked)
        case "catch":
            return _one(a[1])
        case "handle":
            return expect(a[0], a[1])
        case "ask":
            return _one(a[0] + asked)
        case "deep":
            return _moved(expect(a[1], asked), a[0])
        case "big":
            return _moved(expect(a[1], asked), 2 * a[0] - 1)
        case "spawn":
            return expect(a[1])
        case "lock":
            return expect(a[2])
    raise AssertionError(op)


def encoded(plan: Plan) -> Vector:
    """A plan as a value of the language."""
    return Vector.of([keyword(plan[0]), *(_argument(one) for one in plan[1:])])


def _argument(argument: Any) -> Any:
    if not isinstance(argument, list):
        return argument
    if argument and isinstance(argument[0], str):
        return encoded(argument)
    return Vector.of([encoded(one) for one in argument])


def nested(plan: Plan) -> Iterator[Plan]:
    """All plans in a plan, itself first."""
    yield plan
    for argument in plan[1:]:
        if isinstance(argument, list):
            yield from nested(argument) if argument and isinstance(argument[0], str) else _all(argument)


def _all(plans: list[Plan]) -> Iterator[Plan]:
    for plan in plans:
        yield from nested(plan)


def smaller(plan: Plan) -> Iterator[Plan]:
    """Plans that are a little less than this one: a part in place of the whole, or a part left out or made smaller."""
    for index, argument in enumerate(plan):
        if not isinstance(argument, list):
            continue
        if argument and isinstance(argument[0], str):
            yield argument
            for part in smaller(argument):
                yield [*plan[:index], part, *plan[index + 1 :]]
        else:
            for position, one in enumerate(argument):
                if len(argument) > 1:
                    yield [*plan[:index], argument[:position] + argument[position + 1 :], *plan[index + 1 :]]
                yield one
                for part in smaller(one):
                    yield [*plan[:index], [*argument[:position], part, *argument[position + 1 :]], *plan[index + 1 :]]


def text(plan: Plan) -> str:
    """A plan as the language writes it."""
    return (
        "["
        + " ".join(
            [
                f":{plan[0]}",
                *(
                    str(a)
                    if isinstance(a, int)
                    else f'"{a}"'
                    if isinstance(a, str)
                    else text(a)
                    if a and isinstance(a[0], str)
                    else "[" + " ".join(map(text, a)) + "]"
                    for a in plan[1:]
                ),
            ]
        )
        + "]"
    )
