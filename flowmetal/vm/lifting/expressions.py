"""Python expressions of operations on values, in the language's own meaning.

An operation gets its operands as `Operand` and gives an `Operand`.  Where inference knows no kind the expression looks
at the classes first and leaves all but the plain case to the function that frames use too.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from flowmetal.dataclass import dataclass
from flowmetal.values import Keyword, Vector
from flowmetal.vm.builtins.strings import LIFTED_MAX
from flowmetal.vm.lifting.kinds import ANY, BOOL, DIVISIONS, FACTOR_BITS_MAX, INT, SMALL, SMALL_BITS

GET = 408
PATH_MAX = 4  # keywords of a path that is written out
REPEATED_MAX = 40  # characters of an expression that is written twice


@dataclass(frozen=True, slots=True)
class Operand:
    """An expression.  `atomic`: it is a name or literal, and may stand twice.  `safe`: it cannot raise.

    `start`: the first instruction that it is made of.  `uses`: the registers that it reads.  `value`: of a constant.
    """

    text: str
    kind: int = ANY
    atomic: bool = False
    safe: bool = False
    start: int = -1
    uses: frozenset[int] = frozenset()
    value: Any = None
    constant: bool = False


def _may_repeat(operand: Operand) -> bool:
    """Whether an expression may stand in two places of which one is run: it is short and changes nothing."""
    return operand.safe and len(operand.text) <= REPEATED_MAX and ":=" not in operand.text


def bits_of(operand: Operand) -> int:
    """The bits of a constant integer; many for anything else."""
    return operand.value.bit_length() if operand.constant and operand.value.__class__ is int else SMALL_BITS


class Expressions:
    """Makes expressions for one function; hands out its temporary names and keeps what its namespace must hold."""

    def __init__(
        self,
        namespace: dict[str, Any],
        builtin: Callable[[int], str],
        constant: Callable[[Any], Operand],
        bounded: bool,
    ) -> None:
        self.namespace = namespace
        self.constant = constant  # the operand of a constant
        self.builtin = builtin  # the name of a builtin's Python function
        self.bounded = bounded  # additions of integers need no look at their size
        self._temporaries = count(1)

    def name(self) -> str:
        """A fresh temporary name."""
        return f"t{next(self._temporaries)}"

    def twice(self, operand: Operand) -> tuple[str, str]:
        """An operand that stands twice: how it stands first, and then."""
        if operand.atomic:
            return operand.text, operand.text
        name = self.name()
        return f"({name} := {operand.text})", name

    # ---- arithmetic ----------------------------------------------------------------------------------------------

    def arithmetic(
        self, sign: str, function: str, left: Operand, right: Operand, counted: bool = True
    ) -> tuple[str, int, bool]:
        """A sum, difference or product: (text, kind, safe).  `counted`: by `additions` of kinds.py."""
        if left.kind == INT == right.kind:
            if self.bounded and counted and (sign != "*" or min(bits_of(left), bits_of(right)) <= FACTOR_BITS_MAX):
                return f"({left.text} {sign} {right.text})", INT, True
            name = self.name()
            return (
                f"({name} if -{SMALL} < ({name} := {left.text} {sign} {right.text}) < {SMALL} else tame({name}))",
                INT,
                False,
            )
        tests, first, second = self._integers(left, right)
        name = self.name()
        tests.append(f"-{SMALL} < ({name} := {first} {sign} {second}) < {SMALL}")
        return f"({name} if {' and '.join(tests)} else {function}({first}, {second}))", ANY, False

    def comparison(self, sign: str, function: str, left: Operand, right: Operand) -> tuple[str, int, bool]:
        """Less, or less or equal."""
        if left.kind == INT == right.kind:
            return f"({left.text} {sign} {right.text})", BOOL, True
        tests, first, second = self._integers(left, right)
        return f"({first} {sign} {second} if {' and '.join(tests)} else {function}({first}, {second}))", BOOL, False

    def _integers(self, left: Operand, right: Operand) -> tuple[list[str], str, str]:
        """Tests that the operands are integers, which come first, and how the operands stand after them."""
        tests: list[str] = []
        texts = []
        for operand, other in ((left, right), (right, left)):
            if operand.kind == INT and (operand.atomic or other.kind == INT or _may_repeat(operand)):
                texts.append(operand.text)
            elif operand.kind == INT:
                first, again = self.twice(operand)
                tests.insert(0, f"{first} is not None")
                texts.append(again)
            else:
                first, again = self.twice(operand)
                tests.append(f"type({first}) is int")
                texts.append(again)
        if len(tests) == 2 and tests[0] == tests[1]:
            del tests[1]
        # A test that fails keeps the ones behind it from being run: what they would name must not be missing.
        if len(tests) == 2 and not (left.atomic and right.atomic):
            tests = [f"({tests[0]}) & ({tests[1]})"]
        return tests, texts[0], texts[1]

    def equality(self, left: Operand, right: Operand) -> tuple[str, int, bool]:
        """`=` of two values."""
        if left.kind == INT == right.kind:
            return f"({left.text} == {right.text})", BOOL, True
        for one, other in ((left, right), (right, left)):
            if not one.constant:
                continue
            value = one.value
            if other.constant:
                break
            if value is None or value is True or value is False or value.__class__ is Keyword:
                return f"({other.text} is {one.text})", BOOL, other.safe
            if value.__class__ is int or value.__class__ is str:
                first, again = self.twice(other)
                kind = "int" if value.__class__ is int else "str"
                if other.kind == INT:
                    return f"({other.text} == {one.text})" if kind == "int" else "False", BOOL, other.safe
                return f"(type({first}) is {kind} and {again} == {one.text})", BOOL, other.safe
        return f"equal({left.text}, {right.text})", BOOL, False

    def negation(self, operand: Operand) -> tuple[str, int, bool]:
        """`not`."""
        return self.truth(operand, False), BOOL, operand.safe

    def truth(self, operand: Operand, wanted: bool = True) -> str:
        """The test whether a value counts as true, or (not `wanted`) as false."""
        if operand.kind == BOOL:
            return operand.text if wanted else f"(not {operand.text})"
        if operand.constant:
            return str((operand.value is not None and operand.value is not False) is wanted)
        if operand.kind == INT and operand.safe:
            return str(wanted)
        first, again = self.twice(operand)
        if wanted:
            return f"({first} is not None and {again} is not False)"
        return f"({first} is None or {again} is False)"

    # ---- builtins ------------------------------------------------------------------------------------------------

    def call(self, number: int, arguments: list[Operand]) -> tuple[str, int, bool]:
        """A call of a builtin that changes nothing and needs no process: (text, kind, safe)."""
        special = _SPECIAL.get((number, len(arguments)))
        if special is not None:
            made = special(self, number, arguments)
            if made is not None:
                return made
        texts = ", ".join(operand.text for operand in arguments)
        return f"{self.builtin(number)}({texts})", ANY, False

    def plain(self, number: int, *texts: str) -> str:
        """The call of the builtin itself, for all but the plain case."""
        return f"{self.builtin(number)}({', '.join(texts)})"


_Made = tuple[str, int, bool] | None
_Maker = Callable[[Expressions, int, list[Operand]], _Made]


def _identity(what: str, negated: bool = False) -> _Maker:
    """Whether a value is None, True or False."""

    def make(_: Expressions, number: int, arguments: list[Operand]) -> _Made:
        operand = arguments[0]
        if operand.constant:
            return str((operand.text == what) is not negated), BOOL, True
        return f"({operand.text} is {'not ' if negated else ''}{what})", BOOL, operand.safe

    return make


def _class_test(name: str) -> _Maker:
    def make(_: Expressions, number: int, arguments: list[Operand]) -> _Made:
        return f"(type({arguments[0].text}) is {name})", BOOL, arguments[0].safe

    return make


def _integer_test(pattern: str) -> _Maker:
    """A test of an integer; `pattern` has {} where it stands."""

    def make(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
        operand = arguments[0]
        if operand.kind == INT:
            return f"({pattern.format(operand.text)})", BOOL, operand.safe
        first, again = maker.twice(operand)
        return f"({pattern.format(again)} if type({first}) is int else {maker.plain(number, again)})", BOOL, False

    return make


def _step(sign: str) -> _Maker:
    def make(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
        one = Operand("1", INT, True, True, value=1, constant=True)
        return maker.arithmetic(sign, "add" if sign == "+" else "subtract", arguments[0], one)

    return make


def _sum(sign: str, function: str) -> _Maker:
    return lambda maker, number, arguments: maker.arithmetic(sign, function, arguments[0], arguments[1], counted=False)


def _order(sign: str, function: str, swapped: bool) -> _Maker:
    def make(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
        left, right = arguments
        if not swapped:
            return maker.comparison(sign, function, left, right)
        if not (left.atomic and right.atomic):
            return None  # the second operand would be evaluated first
        return maker.comparison(sign, function, right, left)

    return make


def _division(pattern: str) -> _Maker:
    """quot, rem, mod by a positive constant.  `pattern`: {0} is the dividend where it stands first, {1} where it stands
    again, {2} the divisor.
    """

    def make(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
        left, right = arguments
        if right.constant and right.value.__class__ is int and 0 < right.value < SMALL:
            first, again = maker.twice(left)
            if left.kind == INT:
                return f"({pattern.format(first, again, right.text)})", INT, left.safe
            text = pattern.format(again, again, right.text)
            return f"(({text}) if type({first}) is int else {maker.plain(number, again, right.text)})", ANY, False
        kind = INT if left.kind == INT == right.kind else ANY
        if kind == INT and number == 106 and right.atomic and not right.constant:
            plain = maker.plain(number, left.text, right.text)
            return f"({left.text} % {right.text} if {right.text} else {plain})", INT, False
        return maker.plain(number, left.text, right.text), kind, False

    return make


def _unreduced(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    first, again = maker.twice(arguments[0])
    return f"({again}.value if type({first}) is Reduced else {again})", ANY, arguments[0].safe


def _method(kind: str, method: str, position: int = 0) -> _Maker:
    """A method of a class in its plain case: of the first argument, called with the others."""

    def make(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
        first, again = maker.twice(arguments[0])
        rest = []
        for operand in arguments[1:]:
            if not operand.atomic:
                return None
            rest.append(operand.text)
        others = ", ".join(rest)
        return (
            f"({again}.{method}({others}) if type({first}) is {kind} else {maker.plain(number, again, *rest)})",
            ANY,
            False,
        )

    return make


def _get(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    coll, key = arguments
    if key.constant and key.value.__class__ is Keyword:
        # A keyword is its own key, and most maps are small ones, whose entries are in one dict.
        first, again = maker.twice(coll)
        return (
            f"({again}.table.get({key.text}) if type({first}) is Map and {again}.table is not None"
            f" else {maker.plain(number, again, key.text)})",
            ANY,
            False,
        )
    return _method("Map", "get")(maker, number, arguments)


def _get_in(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    """`get-in` with a constant path of keywords."""
    coll, path = arguments
    if not path.constant or path.value.__class__ is not Vector or not 1 <= len(path.value) <= PATH_MAX:
        return None
    found = coll
    for key in path.value:
        if key.__class__ is not Keyword:
            return None
        made = _get(maker, GET, [found, maker.constant(key)])
        assert made is not None
        found = Operand(*made[:2], safe=made[2])
    return found.text, found.kind, found.safe


def _get_or(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    coll, key, other = arguments
    if not (key.constant and key.value.__class__ is Keyword and other.atomic):
        return None
    first, again = maker.twice(coll)
    return (
        f"({again}.table.get({key.text}, {other.text}) if type({first}) is Map and {again}.table is not None"
        f" else {maker.plain(number, again, key.text, other.text)})",
        ANY,
        False,
    )


def _nth(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    coll, place = arguments
    if not (coll.atomic and place.atomic):
        return None
    test = f"type({coll.text}) is Vector"
    if place.kind != INT:
        test += f" and type({place.text}) is int"
    v, i = coll.text, place.text
    # Short vectors are one tuple.
    return (
        f"({v}.tail[{i}] if {test} and {v}.root is None and 0 <= {i} < len({v}.tail) else {maker.plain(number, v, i)})",
        ANY,
        False,
    )


def _count(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    first, again = maker.twice(arguments[0])
    short = f"len({again}.tail) if type({first}) is Vector and {again}.root is None"
    return f"({short} else {maker.plain(number, again)})", INT, False


def _of_vector(text: str, kind: int) -> _Maker:
    """What is plain of a vector; {} is the vector."""

    def make(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
        first, again = maker.twice(arguments[0])
        return f"({text.format(again)} if type({first}) is Vector else {maker.plain(number, again)})", kind, False

    return make


def _cons(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    item, coll = arguments
    if not (item.atomic and coll.atomic):
        return None
    other = maker.plain(number, item.text, coll.text)
    return f"(List({item.text}, {coll.text}) if type({coll.text}) is List else {other})", ANY, False


def _get_cell(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    first, again = maker.twice(arguments[0])
    return f"({again}.value if type({first}) is Cell else {maker.plain(number, again)})", ANY, False


def _plain_class(name: str) -> _Maker:
    """What gives a value of one class as it is."""

    def make(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
        first, again = maker.twice(arguments[0])
        return f"({again} if type({first}) is {name} else {maker.plain(number, again)})", ANY, False

    return make


def _boolean(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    return f"{maker.builtin(number)}({arguments[0].text})", BOOL, False


def _not(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    return maker.negation(arguments[0])


def _equal(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    return maker.equality(arguments[0], arguments[1])


def _chain(sign: str, function: str) -> _Maker:
    """A sum or product of three."""

    def make(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
        first, second, third = arguments
        if not (second.atomic and third.atomic):
            return None  # an error of the first two is to come before what the third does
        text, kind, safe = maker.arithmetic(sign, function, first, second, counted=False)
        return maker.arithmetic(sign, function, Operand(text, kind, safe=safe), third, counted=False)

    return make


def _assoc_pairs(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    return f"assoc_pairs({', '.join(operand.text for operand in arguments)})", ANY, False


def _not_equal(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    text, _, safe = maker.equality(arguments[0], arguments[1])
    return f"(not {text})", BOOL, safe


def _assoc(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    if not all(operand.atomic for operand in arguments):
        return f"assoc({', '.join(operand.text for operand in arguments)})", ANY, False
    coll, key, value = (operand.text for operand in arguments)
    return f"({coll}.assoc({key}, {value}) if type({coll}) is Map else assoc({coll}, {key}, {value}))", ANY, False


def _vector(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    return f"Vector(({', '.join(operand.text for operand in arguments)},))", ANY, all(one.safe for one in arguments)


def text_parts(maker: Expressions, arguments: list[Operand]) -> str:
    """What `str` makes of values, as one Python string."""
    parts = []
    for operand in arguments:
        if operand.constant and operand.value.__class__ is str:
            parts.append(operand.text)
        elif operand.kind == INT:
            parts.append(f"str({operand.text})")
        else:
            first, again = maker.twice(operand)
            parts.append(
                f"({again} if type({first}) is str else str({again}) if type({again}) is int else display({again}))"
            )
    return parts[0] if len(parts) == 1 else f"({' + '.join(parts)})"


def _text(maker: Expressions, number: int, arguments: list[Operand]) -> _Made:
    name = maker.name()
    text = text_parts(maker, arguments)
    return f"({name} if len({name} := {text}) <= {LIFTED_MAX} else too_long())", ANY, False


_SPECIAL: dict[tuple[int, int], _Maker] = {
    (100, 2): _sum("+", "add"),
    (101, 2): _sum("-", "subtract"),
    (102, 2): _sum("*", "multiply"),
    (104, 2): _division("{1} // {2} if {0} >= 0 else -(-{1} // {2})"),
    (105, 2): _division("{1} % {2} if {0} >= 0 else -(-{1} % {2})"),
    (106, 2): _division("{0} % {2}"),
    (107, 1): _step("+"),
    (108, 1): _step("-"),
    (109, 2): _order("<", "less", False),
    (110, 2): _order("<=", "less_equal", False),
    (111, 2): _order("<", "less", True),
    (112, 2): _order("<=", "less_equal", True),
    (117, 1): _integer_test("{} == 0"),
    (118, 1): _integer_test("{} > 0"),
    (119, 1): _integer_test("{} < 0"),
    (120, 1): _integer_test("not {} & 1"),
    (121, 1): _integer_test("{} & 1 == 1"),
    **{(200, number): _text for number in range(1, 7)},
    **{(400, number): _vector for number in range(1, 9)},
    (GET, 2): _get,
    (409, 2): _get_in,
    (100, 3): _chain("+", "add"),
    (102, 3): _chain("*", "multiply"),
    (408, 3): _get_or,
    (412, 3): _assoc,
    **{(412, number): _assoc_pairs for number in (5, 7, 9)},
    (415, 2): _method("Vector", "conj"),
    (504, 2): _cons,
    (505, 1): _count,
    (506, 2): _nth,
    (601, 1): _get_cell,
    (609, 1): _class_test("Reduced"),
    (610, 1): _unreduced,
    (700, 2): _equal,
    (701, 2): _not_equal,
    (706, 1): _not,
    (707, 1): _identity("None"),
    (708, 1): _identity("None", negated=True),
    (709, 1): _identity("True"),
    (710, 1): _identity("False"),
    **{(number, 1): _boolean for number in (508, *range(711, 744))},
    (507, 1): _of_vector("False", BOOL),
    (536, 1): _plain_class("Map"),
    (541, 1): _of_vector("{}", ANY),
    (713, 1): _class_test("int"),
    (719, 1): _class_test("str"),
    (721, 1): _class_test("Keyword"),
    (730, 1): _class_test("Vector"),
}
assert {104, 105, 106} == DIVISIONS
