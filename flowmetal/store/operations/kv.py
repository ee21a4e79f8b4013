"""The durable key-value table: keys are texts, values any value that can leave its process.

A key whose time is over is absent at once, whatever is read; what it takes in the store goes a little later, with Fire.
nil and no value at all count as the same where values are compared.
"""

from __future__ import annotations

from typing import Any, Final

from flowmetal import packing
from flowmetal.store.changes import Changes
from flowmetal.store.codec import unpack, unreadable
from flowmetal.store.errors import StoreError
from flowmetal.store.layout import KV, KV_EXPIRY, read_u64, u64
from flowmetal.store.limits import MAX_KV_KEY_BYTES, MAX_KV_VALUE_BYTES, MAX_TIME
from flowmetal.store.operations.table import Operation, arguments_of, data_of, options_of
from flowmetal.values import (
    Duration,
    ErrorValue,
    Instant,
    LanguageError,
    Vector,
    decode_value,
    encode_value,
    equal,
    fail,
    keyword,
    parse_duration,
    print_string,
)

#: Entries of one answer of kv/list, unless it is told otherwise and at most; and the bytes of their values.
LISTED: Final = 100
MAX_LISTED: Final = 1000
LISTED_BYTES: Final = 4 << 20
#: Keys whose time is over that are removed in one Fire.
MAX_EXPIRED: Final = 1000


def get(changes: Changes, asker: int, payload: Any) -> Any:
    """kv/get [key default?]"""
    key, default = arguments_of("kv/get", payload, 1, 2)
    found = _find(changes, _key("kv/get", key))
    return default if found is None else decode_value(found[1])


def put(changes: Changes, asker: int, payload: Any) -> Any:
    """kv/put [key value {:expires}?]"""
    key, value, options = arguments_of("kv/put", payload, 2, 3)
    stored, data = _key("kv/put", key), _value("kv/put", value)
    _write(changes, stored, data, _expires(changes, "kv/put", options))
    return None


def delete(changes: Changes, asker: int, payload: Any) -> Any:
    """kv/delete [key]: whether it was there"""
    (key,) = arguments_of("kv/delete", payload, 1, 1)
    stored = _key("kv/delete", key)
    found = _find(changes, stored)
    _remove(changes, stored)
    return found is not None


def compare_and_set(changes: Changes, asker: int, payload: Any) -> Any:
    """kv/compare-and-set [key old new {:expires}?]: whether the value was the old one, and is the new one now"""
    who = "kv/compare-and-set"
    key, old, new, options = arguments_of(who, payload, 3, 4)
    stored, data = _key(who, key), _value(who, new)
    expires = _expires(changes, who, options)
    found = _find(changes, stored)
    if not equal(None if found is None else decode_value(found[1]), old):
        return False
    _write(changes, stored, data, expires)
    return True


def entries(changes: Changes, asker: int, payload: Any) -> Any:
    """kv/list [prefix {:limit :after}?]: entries [key value], in order of key"""
    prefix, given = arguments_of("kv/list", payload, 1, 2)
    options = options_of("kv/list", given, ("limit", "after"))
    limit, after = options.get("limit", LISTED), options.get("after")
    if limit.__class__ is not int or not 1 <= limit <= MAX_LISTED:
        fail("argument", f":limit is an integer from 1 to {MAX_LISTED}, not {print_string(limit, limit=80)}")
    begins = b"" if prefix is None or prefix == "" else _key("kv/list", prefix)
    start = b"" if after is None else _key("kv/list", after) + b"\x00"
    found: list[Vector] = []
    size = 0
    while True:
        page = changes.transaction.scan(KV, begins, start=start, limit=min(limit - len(found), LISTED))
        for stored, data in page:
            expires, value = _decode(data)
            if expires and expires <= changes.now:
                continue
            size += len(value)
            if found and size > LISTED_BYTES:
                return Vector.of(found)
            found.append(Vector.of([stored.decode(), decode_value(value)]))
        if len(found) >= limit or not page:
            return Vector.of(found)
        start = page[-1][0] + b"\x00"


def forget_expired(changes: Changes) -> None:
    """Removes some of the keys whose time is over."""
    for due, _ in changes.transaction.scan(KV_EXPIRY, stop=u64(changes.now + 1), limit=MAX_EXPIRED, values=False):
        changes.transaction.delete(KV_EXPIRY, due)
        try:
            data = changes.transaction.get(KV, due[8:])
            if data is not None and _decode(data)[0] == read_u64(due):
                changes.transaction.delete(KV, due[8:])
        except StoreError as error:
            if not error.is_damage:
                raise  # a damaged one stays, for whoever asks for it to be told


# ---- what they are made of ---------------------------------------------------------------------------------------


def _key(who: str, key: Any) -> bytes:
    if key.__class__ is str:
        try:
            data: bytes = key.encode()
        except UnicodeEncodeError:
            data = b""
        if 0 < len(data) <= MAX_KV_KEY_BYTES:
            return data
    fail("argument", f"the keys of {who} are texts of 1 to {MAX_KV_KEY_BYTES} bytes, not {print_string(key, limit=80)}")
    raise AssertionError


def _value(who: str, value: Any) -> bytes:
    data = encode_value(value)
    if len(data) > MAX_KV_VALUE_BYTES:
        text = f"a value of {who} has at most {MAX_KV_VALUE_BYTES} bytes; this has {len(data)}"
        raise LanguageError(
            ErrorValue(keyword("limit"), text, data_of(limit=keyword("kv-value"), max=MAX_KV_VALUE_BYTES))
        )
    return data


def _expires(changes: Changes, who: str, given: Any) -> int:
    """When it is over, in nanoseconds since 1970; 0: never."""
    time = options_of(who, given, ("expires",)).get("expires")
    due = 0
    if time is None:
        return 0
    if time.__class__ is str:
        try:
            time = parse_duration(time)
        except ValueError:
            fail("argument", f":expires is no duration such as PT1H: {print_string(time, limit=80)}")
    if time.__class__ is Duration and time.ns > 0:
        due = changes.now + time.ns
    elif time.__class__ is Instant:
        due = max(time.ns, 1)
    if not 0 < due <= MAX_TIME:
        fail("argument", f":expires is a duration or an instant before 2262, not {print_string(time, limit=80)}")
    return due


def _find(changes: Changes, stored: bytes) -> tuple[int, bytes] | None:
    data = changes.transaction.get(KV, stored)
    if data is None:
        return None
    found = _decode(data)
    return None if found[0] and found[0] <= changes.now else found


def _decode(data: bytes) -> tuple[int, bytes]:
    try:
        expires, value = unpack(KV, data)
    except (TypeError, ValueError) as error:
        raise unreadable(KV, error) from error
    return expires, value


def _write(changes: Changes, stored: bytes, value: bytes, expires: int) -> None:
    _remove(changes, stored)
    changes.transaction.put(KV, stored, packing.pack((expires, value)))
    if expires:
        changes.transaction.put(KV_EXPIRY, u64(expires) + stored, b"")


def _remove(changes: Changes, stored: bytes) -> None:
    data = changes.transaction.get(KV, stored)
    if data is not None:
        changes.transaction.delete(KV, stored)
        expires = _decode(data)[0]
        if expires:
            changes.transaction.delete(KV_EXPIRY, u64(expires) + stored)


OPERATIONS = {
    "kv/get": Operation(get),
    "kv/put": Operation(put),
    "kv/delete": Operation(delete),
    "kv/compare-and-set": Operation(compare_and_set),
    "kv/list": Operation(entries),
}
