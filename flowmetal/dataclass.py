"""Data classes that cost nothing to define: what the code uses of `dataclasses`, made when it is first needed.

The standard library's decorator writes the source of four or five methods for every class and compiles it as the module
is imported; over the classes behind `flowvm run` that is a third of the time from the prompt to the output.  Here
`__init__` is written when the first object is made, and the other methods are shared.  `dataclasses.fields`, `replace`
and `asdict` take these classes as well; type checkers see the standard library's decorator.
"""

from __future__ import annotations

import importlib
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "field", "fields", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass, field, fields, replace
else:
    _MISSING = object()

    class Field:
        """A field of a class: its name, the text of its type, and what it is where it is not given."""

        __slots__ = ("default", "default_factory", "init", "name", "type")

        def __init__(self, default, default_factory, init):
            self.name = ""
            self.type = ""
            self.default = default
            self.default_factory = default_factory
            self.init = init

    def field(*, default=_MISSING, default_factory=_MISSING, init=True):
        """What a field is made of where it is not given."""
        return Field(default, default_factory, init)

    def dataclass(cls=None, /, *, frozen=False, slots=False, eq=True):
        """Makes a class one of data, see `dataclasses.dataclass`."""
        if cls is None:
            return lambda cls: _made(cls, frozen, slots, eq)
        return _made(cls, frozen, slots, eq)

    def fields(kind):
        """The fields of a class of data or of an object of one, in order."""
        return tuple((kind if isinstance(kind, type) else kind.__class__).__data_fields__.values())

    def replace(one, /, **changes):
        """A copy with other values in some fields."""
        for found in fields(one):
            if found.init and found.name not in changes:
                changes[found.name] = getattr(one, found.name)
        return one.__class__(**changes)

    # ---- making a class -------------------------------------------------------------------------------------------

    def _made(cls, frozen, slots, eq):
        namespace = dict(cls.__dict__)
        found = {}
        for base in reversed(cls.__mro__[1:]):
            found.update(base.__dict__.get("__data_fields__", ()))
        inherited = set(found)
        for name, kind in namespace.get("__annotations__", {}).items():
            if kind.startswith("ClassVar"):
                continue
            default = namespace.get(name, _MISSING)
            one = default if default.__class__ is Field else Field(default, _MISSING, True)
            if one.default.__class__ in (list, dict, set):
                raise ValueError(f"the default of {name} would be shared: use default_factory")
            one.name = name
            one.type = kind
            found[name] = one
            if slots or one.default is _MISSING:
                namespace.pop(name, None)
            else:
                namespace[name] = one.default
        if slots:
            namespace["__slots__"] = tuple(name for name in found if name not in inherited)
        namespace.pop("__dict__", None)
        namespace.pop("__weakref__", None)
        namespace["__data_fields__"] = found
        namespace["__dataclass_fields__"] = _STANDARD_FIELDS
        namespace.setdefault("__match_args__", tuple(one.name for one in found.values() if one.init))
        namespace.setdefault("__repr__", _repr)
        if eq:
            _compared(namespace, tuple(found), frozen)
        if frozen:
            namespace.update(
                __setattr__=_cannot_set, __delattr__=_cannot_delete, __getstate__=_state, __setstate__=_set_state
            )
        given = "__init__" in namespace
        if not given:

            def __init__(self, *args, **kwargs):
                made.__init__ = _init(made, frozen)
                made.__init__(self, *args, **kwargs)

            __init__.__qualname__ = f"{cls.__qualname__}.__init__"
            namespace["__init__"] = __init__
        made = type(cls)(cls.__name__, cls.__bases__, namespace)
        made.__qualname__ = cls.__qualname__
        return made

    def _init(cls, frozen):
        """The `__init__` of a class, from source: a loop over the fields would cost each object what this costs."""
        scope = {"MISSING": _MISSING}
        parameters = ["self"]
        lines = []
        for name, one in cls.__data_fields__.items():
            value = name
            if one.default_factory is not _MISSING:
                scope[f"make_{name}"] = one.default_factory
                value = f"make_{name}() if {name} is MISSING else {name}" if one.init else f"make_{name}()"
            if one.init:
                default = one.default if one.default_factory is _MISSING else _MISSING
                scope[f"default_{name}"] = default
                needed = one.default is _MISSING and one.default_factory is _MISSING
                parameters.append(name if needed else f"{name}=default_{name}")
            elif one.default_factory is _MISSING:
                continue
            if frozen:
                slot = getattr(cls, name, None)
                if hasattr(slot, "__set__"):
                    scope[f"set_{name}"] = slot.__set__
                    lines.append(f" set_{name}(self, {value})")
                else:
                    scope["set_any"] = object.__setattr__
                    lines.append(f" set_any(self, {name!r}, {value})")
            else:
                lines.append(f" self.{name} = {value}")
        if hasattr(cls, "__post_init__"):
            lines.append(" self.__post_init__()")
        exec(f"def __init__({', '.join(parameters)}):\n" + ("\n".join(lines) or " pass"), scope)
        made = scope["__init__"]
        made.__qualname__ = f"{cls.__qualname__}.__init__"
        made.__module__ = cls.__module__
        return made

    def _compared(namespace, names, frozen):
        """Objects of one class are equal where their fields are, and hash so where they are frozen."""
        if len(names) > 1:
            key = attrgetter(*names)
        else:

            def key(one):
                return tuple(getattr(one, name) for name in names)

        def __eq__(self, other):
            return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

        def __hash__(self):
            return hash(key(self))

        namespace.setdefault("__eq__", __eq__)
        if namespace.get("__hash__") is None:
            namespace["__hash__"] = __hash__ if frozen else None

    # ---- what all of them share -----------------------------------------------------------------------------------

    @recursive_repr("...")
    def _repr(self):
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__data_fields__)
        return f"{self.__class__.__qualname__}({shown})"

    def _cannot_set(self, name, value):
        raise importlib.import_module("dataclasses").FrozenInstanceError(f"cannot assign to field {name!r}")

    def _cannot_delete(self, name):
        raise importlib.import_module("dataclasses").FrozenInstanceError(f"cannot delete field {name!r}")

    def _state(self):
        return [getattr(self, name) for name in self.__data_fields__]

    def _set_state(self, state):
        for name, value in zip(self.__data_fields__, state, strict=True):
            object.__setattr__(self, name, value)

    class _StandardFields:
        """The fields as `dataclasses` has them, for whoever asks in its way; made when somebody does."""

        def __get__(self, one, kind):
            standard = importlib.import_module("dataclasses")
            namespace: dict[str, Any] = {"__annotations__": {}}
            for name, found in kind.__data_fields__.items():
                namespace["__annotations__"][name] = found.type
                given = {
                    key: value
                    for key in ("default", "default_factory")
                    if (value := getattr(found, key)) is not _MISSING
                }
                namespace[name] = standard.field(init=found.init, **given)
            twin = standard.dataclass(type(kind.__name__, (), namespace))
            kind.__dataclass_fields__ = twin.__dataclass_fields__
            return kind.__dataclass_fields__

    _STANDARD_FIELDS = _StandardFields()
