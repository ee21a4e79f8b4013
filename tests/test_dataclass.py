"""The project's data classes behave as those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import pytest

from flowmetal import dataclass as own


def classes(maker: Any, field: Any) -> dict[str, type[Any]]:
    """The same classes, made by `maker`."""

    @maker(frozen=True, slots=True)
    class Point:
        """Two places."""

        x: int
        y: int = 2

        @property
        def sum(self) -> int:
            return self.x + self.y

    @maker(slots=True)
    class Bag:
        name: str
        items: list[int] = field(default_factory=list)
        late: int = field(init=False)

        def __post_init__(self) -> None:
            self.late = len(self.items)

    @maker(slots=True, eq=False)
    class Thing:
        x: int

    @maker(frozen=True, slots=True)
    class One:
        x: Any

    @maker(frozen=True, slots=True)
    class Nothing:
        pass

    @maker
    class Open:
        x: int = 1

    return {one.__name__: one for one in (Point, Bag, Thing, One, Nothing, Open)}


OWN = classes(own.dataclass, own.field)
STANDARD = classes(dataclasses.dataclass, dataclasses.field)


@pytest.mark.parametrize("name", OWN)
def test_the_fields_are_those_of_the_standard_library(name: str) -> None:
    def facts(one: type[Any]) -> list[Any]:
        return [(f.name, f.type, f.default, f.default_factory, f.init) for f in dataclasses.fields(one)]

    assert facts(OWN[name]) == facts(STANDARD[name])
    assert [f.name for f in own.fields(OWN[name])] == [f.name for f in dataclasses.fields(STANDARD[name])]
    assert OWN[name].__match_args__ == STANDARD[name].__match_args__
    assert OWN[name].__doc__ == STANDARD[name].__doc__ or STANDARD[name].__doc__.startswith(name)


@pytest.mark.parametrize("found", [OWN, STANDARD], ids=["own", "standard"])
def test_objects(found: dict[str, type[Any]]) -> None:
    Point, Bag, Thing, One, Nothing, Open = found.values()
    assert Point(1) == Point(x=1, y=2) != Point(2)
    assert Point(1) != One(1) and Nothing() == Nothing() and One(1) != 1
    assert hash(Point(1)) == hash(Point(1, 2)) and hash(One(1)) == hash(One(1)) and hash(Nothing()) == hash(())
    assert repr(Point(1)).endswith("Point(x=1, y=2)") and Point(1).sum == 3
    bag, thing = Bag("a", [1]), Thing(1)
    assert (bag.late, Bag("a").items) == (1, []) and Bag("a").items is not Bag("a").items
    bag.items.append(bag)
    assert "items=[1, ..." in repr(bag)
    assert thing != Thing(1) and thing in [thing] and hash(thing)
    with pytest.raises(TypeError):
        hash(bag)
    assert Open().x == 1 and Open.x == 1 and vars(Open(3)) == {"x": 3}
    nan = float("nan")
    assert One(nan) == One(nan)
    with pytest.raises(AttributeError):
        thing.more = 1
    for wrong in ((), (1, 2, 3)):
        with pytest.raises(TypeError):
            Point(*wrong)
    with pytest.raises(TypeError):
        Point(1, z=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Point(1).x = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        del Point(1).x
    assert copy.deepcopy(Point(1)) == copy.copy(Point(1)) == Point(1)
    match Point(1, 5):
        case Point(1, y):
            assert y == 5
    assert dataclasses.replace(Point(1), y=7) == Point(1, 7) == own_replace(found, Point(1), 7)
    assert dataclasses.asdict(Bag("a")) == {"name": "a", "items": [], "late": 0}
    assert list(inspect.signature(Point(1).__init__).parameters) == ["x", "y"]


def own_replace(found: dict[str, type[Any]], one: Any, y: int) -> Any:
    return own.replace(one, y=y) if found is OWN else dataclasses.replace(one, y=y)


@own.dataclass(frozen=True, slots=True)
class Base:
    x: int


@own.dataclass(frozen=True, slots=True)
class Derived(Base):
    y: int = 1


def test_a_class_that_extends_another() -> None:
    assert Derived(1) == Derived(1, 1) and Derived.__slots__ == ("y",)
    assert Base(1) != Derived(1)
    assert pickle.loads(pickle.dumps(Derived(4, 5))) == Derived(4, 5)
    assert [f.name for f in dataclasses.fields(Derived)] == ["x", "y"]


def test_a_shared_default_is_refused() -> None:
    with pytest.raises(ValueError, match="default_factory"):

        @own.dataclass
        class Wrong:
            x: list[int] = []  # noqa: RUF012
