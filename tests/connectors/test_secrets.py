"""Where secrets are read from, who may use them, and that no spelling of a value gets past the redactor."""

from __future__ import annotations

import base64
import html
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowmetal.connectors.secrets import Redactor, SecretProblem, Secrets, filled, read_secrets
from flowmetal.connectors.secrets.redactor import SECRETS_MAX
from flowmetal.diagnostics import FlowmetalError
from flowmetal.values import ErrorValue, Map, Secret, Vector, decode_value, from_python, keyword, secret_text

VALUE = "s3cr3t/+Value\"'\\ <é>&=42"


def secrets_of(table: dict[str, Any], environment: dict[str, str] | None = None, **more: Any) -> Secrets:
    return Secrets(read_secrets(table), {} if environment is None else environment, **more)


def problem_of(call: Callable[[], Any]) -> SecretProblem:
    with pytest.raises(SecretProblem) as caught:
        call()
    assert VALUE not in str(caught.value)
    return caught.value


# ---- settings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({}, "H535"),
        ({"env": "A", "file": "/f"}, "H535"),
        ({"value": "inline"}, "H535"),
        ({"env": "A", "value": "inline"}, "H535"),
        ({"command": []}, "H535"),
        ({"env": 7}, "H202"),
        ({"enw": "A"}, "H201"),
        ({"env": "A", "hosts": ["a b"]}, "H202"),
        ({"env": "A", "effects": ["log"]}, "H202"),
        ({"env": "A", "timeout_seconds": 0}, "H202"),
        ({"env": "A", "cache_seconds": -1}, "H202"),
        ("inline", "H202"),
    ],
)
def test_wrong_settings(entry: Any, code: str) -> None:
    with pytest.raises(FlowmetalError) as caught:
        read_secrets({"api": entry})
    assert caught.value.code == code
    assert "inline" not in str(caught.value) or entry == "inline"


def test_a_wrong_name() -> None:
    with pytest.raises(FlowmetalError, match="letters"):
        read_secrets({"a b": {"env": "A"}})


# ---- sources ------------------------------------------------------------------------------------------------------


def test_variables_are_read_each_time() -> None:
    environment = {"A": f" {VALUE}\n"}
    secrets = secrets_of({"api": {"env": "A"}}, environment)
    assert secrets.values(["api"]) == {"api": VALUE}
    environment["A"] = "another value"
    assert secrets.values(["api"]) == {"api": "another value"}
    assert secrets.redactor.text(f"{VALUE}, another value") == "#secret[api], #secret[api]"
    del environment["A"]
    found = problem_of(lambda: secrets.values(["api"]))
    assert (found.code, found.kind) == ("H531", "secret/missing")
    assert "the variable A, which is not set" in found.diagnostic.text


def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "api"
    secrets = secrets_of({"api": {"file": str(path)}})
    assert "No such file" in problem_of(lambda: secrets.values(["api"])).diagnostic.text
    path.write_text(VALUE + "\n")
    assert secrets.values(["api"]) == {"api": VALUE}
    os.utime(path, ns=(1, 1))
    path.write_text("a longer value than that")
    assert secrets.values(["api"]) == {"api": "a longer value than that"}
    path.write_bytes(b"\xff" * 20)
    assert "UTF-8" in problem_of(lambda: secrets.values(["api"])).diagnostic.text
    path.write_bytes(b"x" * 70_000)
    assert "more than" in problem_of(lambda: secrets.values(["api"])).diagnostic.text
    path.unlink()
    os.mkfifo(path)  # nobody writes to it: it must not be waited for
    assert "not a file" in problem_of(lambda: secrets.values(["api"])).diagnostic.text


def test_commands_are_run_again_after_their_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = f"import sys; open({str(log)!r}, 'a').write('.'); print({VALUE!r}); sys.stderr.write('told')"
    now = [0.0]
    table = {"api": {"command": [sys.executable, "-c", code], "cache_seconds": 60}}
    secrets = secrets_of(table, {"PATH": os.defpath}, clock=lambda: now[0])
    for _ in range(3):
        assert secrets.values(["api"]) == {"api": VALUE}
    assert log.read_text() == "."
    now[0] = 61.0
    secrets.values(["api"])
    assert log.read_text() == ".."


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["/nowhere/pass"], "cannot be run"),
        (["sh", "-c", "echo s3cr3t-in-err >&2; exit 3"], "ended with code 3"),
        (["sh", "-c", "kill -9 $$"], "killed by signal 9"),
        (["sh", "-c", "sleep 30"], "within 0.3 s"),
        (["sh", "-c", "sleep 30 & sleep 30"], "within 0.3 s"),
        (["yes"], "prints more"),
        (["true"], "prints nothing"),
    ],
)
def test_commands_that_give_nothing(command: list[str], text: str) -> None:
    table = {"api": {"command": command, "timeout_seconds": 0.3}}
    secrets = secrets_of(table, {"PATH": os.environ.get("PATH", os.defpath)})
    found = problem_of(lambda: secrets.values(["api"])).diagnostic.text
    assert text in found
    assert "s3cr3t" not in found


@pytest.mark.parametrize("value", ["short", "x" * 4097])
def test_lengths_are_bounded(value: str) -> None:
    found = problem_of(lambda: secrets_of({"api": {"env": "A"}}, {"A": value}).values(["api"]))
    assert found.code == "H532"


def test_what_is_missing_is_said_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    table = {"a": {"env": "A"}, "b": {"env": "B"}, "c": {"command": ["/nowhere/c"]}}
    secrets = secrets_of(table, {"B": VALUE})
    secrets.know()
    assert [record.getMessage()[:4] for record in caplog.records] == ["H531"]
    assert secrets.redactor.text(VALUE) == "#secret[b]"


# ---- who may use them ---------------------------------------------------------------------------------------------


def test_effects() -> None:
    table = {
        "all": {"env": "A"},
        "web": {"env": "A", "hosts": ["a.example"]},
        "sh": {"env": "A", "effects": ["shell/run"]},
    }
    secrets = secrets_of(table)
    for name, effects in (("all", {"http/request", "shell/run"}), ("web", {"http/request"}), ("sh", {"shell/run"})):
        for effect in ("http/request", "shell/run"):
            if effect in effects:
                secrets.check([name], effect)
            else:
                assert problem_of(lambda n=name, e=effect: secrets.check([n], e)).kind == "secret/refused"
    found = problem_of(lambda: secrets.check(["al"], "http/request"))
    assert (found.code, found.kind, found.diagnostic.hint) == ("H530", "secret/missing", "Did you mean `all`?")


@pytest.mark.parametrize(
    ("hosts", "goal", "code"),
    [
        (["a.example"], ("https", "a.example", 443), None),
        (["a.example"], ("https", "A.example.", 443), None),
        (["a.example"], ("https", "b.example", 443), "H533"),
        (["a.example"], ("https", "xa.example", 443), "H533"),
        (["a.example"], ("https", "a.example.evil", 443), "H533"),
        (["*.a.example"], ("https", "x.a.example", 443), None),
        (["*.a.example"], ("https", "a.example", 443), "H533"),
        (["a.example:8443"], ("https", "a.example", 443), "H533"),
        (["a.example:8443"], ("https", "a.example", 8443), None),
        (["127.0.0.1:1"], ("http", "127.0.0.1", 1), None),
        (["127.0.0.1:1"], ("http", "127.0.0.1", 2), "H533"),
        (["127.0.0.1"], ("http", "localhost", 2), "H533"),
        ([], ("https", "anything.example", 443), None),
        ([], ("http", "anything.example", 80), "H534"),
        ([], ("http", "localhost.evil", 80), "H534"),
        ([], ("http", "localhost", 80), None),
        ([], ("http", "::1", 80), None),
    ],
)
def test_hosts(hosts: list[str], goal: tuple[str, str, int], code: str | None) -> None:
    secrets = secrets_of({"api": {"env": "A", "hosts": hosts}})
    if code is None:
        secrets.check_host(["api"], *goal)
    else:
        assert problem_of(lambda: secrets.check_host(["api"], *goal)).code == code
        assert secrets_of({"api": {"env": "A", "hosts": hosts, "insecure": True}}) is not None


def test_insecure() -> None:
    secrets_of({"api": {"env": "A", "insecure": True}}).check_host(["api"], "http", "a.example", 80)


def test_filled() -> None:
    text = secret_text(["a ", Secret.named("x"), " b ", Secret.named("y")])
    assert filled(text, {"x": "1", "y": "2"}) == "a 1 b 2"
    assert filled(text, {"x": "1/2", "y": "2"}, lambda value: quote(value, safe="")) == "a 1%2F2 b 2"


# ---- the redactor -------------------------------------------------------------------------------------------------


def units(value: str) -> list[int]:
    raw = value.encode("utf-16-be")
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]


def json_hex(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def spellings(value: str) -> dict[str, str]:
    """The ways in which a value comes back as text, by name."""
    raw = value.encode()
    found = {
        "plain": value,
        "url": quote(value),
        "url, all of it": "".join(f"%{byte:02x}" for byte in raw),
        "form": quote_plus(value),
        "url twice": quote(quote(value, safe=""), safe=""),
        "json": json.dumps(value),
        "json, utf-8": json.dumps(value, ensure_ascii=False),
        "json in json": json.dumps(json.dumps(value)),
        "html": html.escape(value),
        "html, numbers": "".join(f"&#{ord(letter)};" for letter in value),
        "hex": raw.hex(),
        "HEX": raw.hex().upper(),
        "hex with colons": raw.hex(":"),
        "hex dump": " ".join(f"0x{byte:02x}," for byte in raw),
        "escaped bytes": "".join(f"\\x{byte:02x}" for byte in raw),
        "od": raw.hex(" ", 1),
        "octal": "".join(f"\\{byte:03o}" for byte in raw),
        "octal, the rest plain": "".join(
            c if c.isalnum() else "".join(f"\\{b:03o}" for b in c.encode()) for c in value
        ),
        "hex escapes, the rest plain": "".join(c if c.isalnum() and c.isascii() else json_hex(c) for c in value),
        "escapes, all of it": "".join(f"\\u{unit:04X}" for unit in units(value)),
        "escapes in braces": "".join(f"\\u{{{ord(c):x}}}" for c in value),
        "long escapes": "".join(f"\\U{ord(c):08x}" for c in value),
        "Python": repr(value),
        "Python's bytes": repr(raw),
        "shell": "".join(c if c.isalnum() or c == "\n" else "\\" + c for c in value),
        "html twice": html.escape(html.escape(value)),
        "other line ends": value.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n"),
        "old line ends": value.replace("\r\n", "\n").replace("\n", "\r"),
        "small letters": "".join(c.lower() if c.isascii() else c for c in value),
        "as Latin-1": raw.decode("latin-1"),
        "base64 of UTF-16": base64.b64encode(value.encode("utf-16-le")).decode(),
    }
    for shift in range(3):
        before = b"user:"[: 3 + shift]
        packed = base64.b64encode(before + raw + b"tail")
        found[f"base64 {shift}"] = packed.decode()
        found[f"base64, the end {shift}"] = base64.b64encode(before + raw).decode()
        found[f"base64 in lines {shift}"] = base64.encodebytes(before + raw * 5).decode()
        found[f"base64 for URLs {shift}"] = base64.urlsafe_b64encode(before + raw).decode()
        found[f"base64 in a URL {shift}"] = quote(packed, safe="")
        found[f"base64 in JSON {shift}"] = json.dumps(base64.encodebytes(before + raw * 5).decode())
    return found


@pytest.mark.parametrize("spelling", spellings(VALUE))
def test_spellings(spelling: str) -> None:
    redactor = Redactor()
    redactor.add("api", VALUE)
    text = spellings(VALUE)[spelling]
    cleaned = redactor.text(f"before {text} after")
    assert "#secret[api]" in cleaned
    assert cleaned.startswith("before ") and cleaned.endswith(" after")
    # Nothing of some length is left of it.
    for start in range(12, len(text) - 18):
        assert text[start : start + 7] not in cleaned


@given(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=8, max_size=60),
    st.randoms(use_true_random=False),
)
@settings(max_examples=30, deadline=None)
def test_any_value_in_any_spelling(value: str, chance: random.Random) -> None:
    redactor = Redactor()
    redactor.add("api", value)
    name = chance.choice(sorted(spellings(value)))
    text = spellings(value)[name]
    assert "#secret[api]" in redactor.text(f"({text})"), name
    for encoding in ("utf-16-le", "utf-16-be"):
        assert b"#secret[api]" in redactor.octets(b"(" + value.encode(encoding) + b")").replace(b"\0", b"")


def test_other_texts_stay_as_they_are() -> None:
    redactor = Redactor()
    redactor.add("api", VALUE)
    for text in ("", "s3cr3t/+Valu", "x" * 1000, base64.b64encode(b"another value").decode(), "é" * 10):
        assert redactor.text(text) is text
    data = bytes(range(256)) * 10
    assert redactor.octets(data) is data


def test_values_that_overlap() -> None:
    redactor = Redactor()
    redactor.add("a", "abcdefgh")
    redactor.add("b", "efghijkl")
    assert redactor.text("<abcdefghijkl>") == "<#secret[a]>"
    redactor.add("c", "abcdefghijkl!")
    assert "ijkl" not in redactor.text("<abcdefghijkl!>")


def test_values_of_the_language() -> None:
    redactor = Redactor()
    redactor.add("api", VALUE)
    redactor.add("pin", "12345678")
    value = from_python({"a": [VALUE, {VALUE: 12345678, "b": VALUE.encode()}], VALUE[:9]: 1, "n": 5})
    cleaned = decode_value(redactor.encoded(value))
    assert VALUE not in repr(cleaned) and "12345678" not in repr(cleaned)
    inner = cleaned.get(keyword("a")).get(1)
    assert inner.get("#secret[api]") == "#secret[pin]"
    assert cleaned.get(keyword("n")) == 5
    error = ErrorValue(keyword("http/x"), f"said {VALUE}", Map.of([(keyword("a"), VALUE)]), None, None)
    cleaned = decode_value(redactor.encoded(error))
    assert cleaned.message == "said #secret[api]"
    assert cleaned.data.get(keyword("a")) == "#secret[api]"


def test_kinds_of_errors_and_other_numbers() -> None:
    redactor = Redactor()
    redactor.add("api", "abcdefghij")
    redactor.add("pin", "12345678")
    error = ErrorValue(
        keyword("w/abcdefghij"), "m", Vector.of([12345678.0, -12345678, 1.5, float("inf"), float("nan")]), None
    )
    cleaned = decode_value(redactor.encoded(error))
    assert cleaned.kind is keyword("secret")
    assert list(cleaned.data)[:4] == ["#secret[pin]", "-#secret[pin]", 1.5, float("inf")]
    assert redactor.plain({"a": [12345678, 12345678.0, True, None]}) == {
        "a": ["#secret[pin]", "#secret[pin]", True, None]
    }


def test_a_key_that_reads_as_a_keyword() -> None:
    redactor = Redactor()
    redactor.add("api", "abcdefghij")
    cleaned = decode_value(redactor.encoded(from_python({"abcdefghij": 1})))
    assert cleaned == Map.of([("#secret[api]", 1)])


def test_deep_values() -> None:
    redactor = Redactor()
    redactor.add("api", VALUE)
    value: Any = VALUE
    for _ in range(511):
        value = Vector.of([value])
    cleaned = decode_value(redactor.encoded(value))
    for _ in range(511):
        cleaned = cleaned.get(0)
    assert cleaned == "#secret[api]"


def test_former_values_are_bounded_and_current_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 4
    monkeypatch.setattr("flowmetal.connectors.secrets.redactor.FORMER_MAX", most)
    redactor = Redactor()
    redactor.add("first", "the-first-value")
    for number in range(most + 2):
        redactor.add("api", f"value-{number:05}")
    assert redactor.text("value-00000 value-00001") == "value-00000 #secret[api]"
    assert redactor.text("the-first-value") == "#secret[first]"
    # One that is set again is the current one.
    redactor.add("api", "value-00001")
    for number in range(most):
        redactor.add("other", f"other-{number:05}")
    assert redactor.text("value-00001") == "#secret[api]"


def test_too_many_secrets_are_refused() -> None:
    table = {f"s{number}": {"env": "A"} for number in range(SECRETS_MAX)}
    assert len(read_secrets(table)) == SECRETS_MAX
    with pytest.raises(FlowmetalError) as caught:
        read_secrets({**table, "more": {"env": "A"}})
    assert caught.value.code == "H540"


PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhk/+iG9w==\n0BAQEFAASCB=\n-----END KEY-----"


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\n    ", "\\n", "\\r\\n", "%0D%0A", "%0A", "&#13;&#10;", "\\015\\012"]
)
@pytest.mark.parametrize("own", ["\n", "\r\n"])
def test_line_ends(end: str, own: str) -> None:
    redactor = Redactor()
    redactor.add("key", PEM.replace("\n", own))
    assert redactor.text(f"<{PEM.replace(chr(10), end)}>") == "<#secret[key]>"
    for ended in (PEM, PEM.replace("\n", "\r\n")):
        assert "#secret[key]" in redactor.text(base64.encodebytes(b"x" + ended.encode()).decode())
        assert "#secret[key]" in redactor.text(ended.encode().hex())


@pytest.mark.parametrize("charset", ["latin-1", "cp1252", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_charsets(charset: str) -> None:
    redactor = Redactor()
    redactor.add("key", "gef\u00e4hrlich-4711")
    cleaned = redactor.octets("<gef\u00e4hrlich-4711>".encode(charset))
    assert cleaned.decode(charset) == "<#secret[key]>"


def cut_spellings(value: str) -> dict[str, bytes]:
    found = {name: text.encode() for name, text in spellings(value).items()}
    return found | {name: value.encode(name) for name in ("utf-16-le", "utf-16-be")}


@pytest.mark.parametrize("spelling", cut_spellings(VALUE))
def test_what_is_cut_off_ends_with_no_part(spelling: str) -> None:
    """Wherever it is cut: what stands before it is left, as far as its end is not dropped."""
    redactor = Redactor()
    redactor.add("api", VALUE)
    before = b"line\n" * 400
    text = cut_spellings(VALUE)[spelling]
    for length in range(1, len(text)):
        cleaned = redactor.cut(before + text[:length])
        assert len(cleaned) > 1000 and before.startswith(cleaned.partition(b"#secret")[0]), (length, cleaned[-40:])


def test_what_is_left_of_cut_output_says_nothing_about_a_value() -> None:
    """Whoever decides how output ends could otherwise guess a value, one letter after the other."""
    redactor = Redactor()
    redactor.add("api", VALUE)
    redactor.add("other", "x" * 100)
    for before in (b"", b"line\n" * 1000):
        left = {redactor.cut(before + end) for end in (VALUE[:5].encode(), b"qqqqq", b"s3c\x00q", VALUE[3:8].encode())}
        assert len(left) == 1
    assert redactor.cut(b"begun\n" * 1000 + VALUE.encode() + b"y" * 3000).count(b"#secret[api]") == 1


def test_cut_output_stays_where_no_value_is_known() -> None:
    assert Redactor().cut(b"begun\n") == b"begun\n"


def test_cutting_takes_no_time() -> None:
    redactor = Redactor()
    redactor.add("key", PEM * 40)
    begun = time.process_time()
    redactor.cut(b"a\0" * 200_000 + b"bb\0")
    assert time.process_time() - begun < 10  # a second at most; a pattern with a choice at each byte took minutes


def test_own_secrets_of_a_server() -> None:
    redactor = Redactor()
    key = bytes(range(128, 160))
    assert redactor.add_own("store:key", key) and redactor.add_own("flowmetal:token", b"a-token-of-the-api")
    assert not redactor.add_own("short", b"short") and not redactor.add_own("long", b"x" * 5000)
    assert redactor.octets(b"<" + key + b">") == b"<#secret[store:key]>"
    for text in (key.hex(), base64.b64encode(key).decode()[:-2]):
        assert redactor.text(f"<{text}>").startswith("<#secret[store:key]")
    assert redactor.text("a-token-of-the-api short") == "#secret[flowmetal:token] short"


def test_long_values() -> None:
    value = "".join(random.Random(1).choices('abcdefghijklmnop+/ \n"é', k=3800))
    redactor = Redactor()
    redactor.add("key", value)
    for name in ("plain", "json", "base64 in lines 1", "hex"):
        assert "#secret[key]" in redactor.text(spellings(value)[name])


def test_values_of_odd_characters() -> None:
    for value in ("😀" * 300, '"\\' * 600, ("abcdefgh" * 8 + "\n") * 16 + "=", "a b+" * 300):
        redactor = Redactor()
        redactor.add("key", value)
        assert redactor.text(f"<{value}>") == "<#secret[key]>"
