"""Settings from flowmetal.toml: what is read, and what is refused with which words."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from flowmetal.cli import serving
from flowmetal.connectors.http_callback.secrets import load_secrets
from flowmetal.diagnostics import FlowmetalError
from flowmetal.server.config import ServerConfig, load_config, read_config
from flowmetal.server.schedule_settings import put_schedules
from flowmetal.store.interface import Operate
from flowmetal.store.memory import MemoryStore
from flowmetal.values import decode_value, encode_value, to_python

FULL = """
[project]
name = "anything"

[serve]
host = "127.0.0.1"
port = 9000
public_url = "https://flow.example.com/"
token_env = "TOKEN"

[http]
allow = ["127.0.0.1:8080", "*.inner.example", "10.0.0.0/8"]
timeout_seconds = 10

[endpoints.github]
scheme = "github"
secret_env = "GITHUB_SECRET"
events = ["push"]
start = "deploy/main"

[endpoints.open]
scheme = "none"
insecure = true
start = "deploy/main"
program = "other"
"""


def read(text: str) -> ServerConfig:
    return read_config(tomllib.loads(text))


def test_everything_is_read() -> None:
    config = read(FULL)
    assert config.serve.port == 9000
    assert config.base_url() == "https://flow.example.com"
    assert config.http.allow == ("127.0.0.1:8080", "*.inner.example", "10.0.0.0/8")
    assert config.http.timeout_seconds == 10.0
    assert config.endpoints["github"].secret_env == ("GITHUB_SECRET",)
    assert config.endpoints["github"].events == ("push",)
    assert config.endpoints["open"].program == "other"
    assert config.token({"TOKEN": " s3cret "}) == "s3cret"


def test_an_empty_file_is_enough() -> None:
    config = read("")
    assert config == ServerConfig()
    assert config.base_url() == "http://127.0.0.1:8080"
    assert config.base_url(5555) == "http://127.0.0.1:5555"
    assert config.token({}) is None


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[serv]", "H201", "Did you mean `serve`?"),
        ("[serve]\nprot = 1", "H201", "Did you mean `port`?"),
        ("[http]\nallowed = []", "H201", "Did you mean `allow`?"),
        ("[http]\nzzzzzz = []", "H201", "Settings here: allow,"),
        ('[serve]\nport = "80"', "H202", "a whole number"),
        ("[serve]\nport = true", "H202", "a whole number"),
        ("[serve]\nport = 70000", "H202", "from 0 to 65535"),
        ("[serve]\nhost = 1", "H202", "a string"),
        ("[serve]\nmax_body_bytes = 0", "H202", "above zero"),
        ('[serve]\npublic_url = "flow.example"', "H202", "begins with http"),
        ("serve = 1", "H202", "a table"),
        ('[http]\nallow = ["a b"]', "H202", "a host"),
        ("[http]\nallow = [1]", "H202", "a list of strings"),
        ("[http]\ntimeout_seconds = nan", "H202", "a number"),
        ("[http]\nconcurrency = -1", "H202", "above zero"),
        ("endpoints = 1", "H202", "a table of tables"),
        ('[endpoints.x]\nscheme = "none"\nstart = "a/b"', "H204", "insecure = true"),
        ('[endpoints.x]\nscheme = "github"\nstart = "a/b"', "H202", "secret_file"),
        ('[endpoints.x]\nscheme = "githup"\nstart = "a/b"', "H202", "one of github"),
        ('[endpoints.x]\nscheme = "github"\nsecret_env = "S"', "H202", "`start`"),
        ('[endpoints.x]\nscheme = "github"\nsecret_env = "S"\nstart = "main"', "H202", "module/function"),
        ('[endpoints.x]\nscheme = "hmac"\nsecret_env = "S"\nstart = "a/b"\nid_header = "X Y"', "H202", "header"),
        ('[endpoints.x]\nsecret = "S"\nstart = "a/b"', "H201", "`secret`"),
        ('[endpoints."x y"]\nscheme = "github"', "H202", "letters"),
    ],
)
def test_what_is_wrong_is_named(text: str, code: str, words: str) -> None:
    with pytest.raises(FlowmetalError) as raised:
        read(text)
    shown = f"{raised.value} {raised.value.diagnostic.hint}"
    assert raised.value.code == code
    assert words in shown, shown


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "flow.example"])
def test_an_open_address_needs_a_token(host: str) -> None:
    with pytest.raises(FlowmetalError) as raised:
        read(f'[serve]\nhost = "{host}"').token({})
    assert raised.value.code == "H103"
    assert read(f'[serve]\nhost = "{host}"\ntoken_env = "T"').token({"T": "x"}) == "x"


@pytest.mark.parametrize("environment", [{}, {"T": ""}, {"T": "  "}])
def test_a_token_that_is_named_must_be_there(environment: dict[str, str]) -> None:
    with pytest.raises(FlowmetalError) as raised:
        read('[serve]\ntoken_env = "T"').token(environment)
    assert raised.value.code == "H203"


def test_secrets_come_from_variables_and_files(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    path.write_text("first\n\n second \n")
    text = f'[endpoints.x]\nscheme = "github"\nstart = "a/b"\nsecret_env = ["A", "B"]\nsecret_file = "{path}"'
    endpoint = read(text).endpoints["x"]
    assert load_secrets(endpoint, {"A": "a", "B": "b"}) == (b"a", b"b", b"first", b"second")
    with pytest.raises(FlowmetalError) as raised:
        load_secrets(endpoint, {"A": "a"})
    assert "the variable B" in str(raised.value)
    path.write_text("\n")
    for problem in ("is empty", "cannot be read"):
        with pytest.raises(FlowmetalError) as raised:
            load_secrets(endpoint, {"A": "a", "B": "b"})
        assert problem in str(raised.value)
        path.unlink(missing_ok=True)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "flowmetal.toml"
    with pytest.raises(FlowmetalError) as raised:
        load_config(path)
    assert raised.value.code == "H205"
    for bad in (b"[serve", b"\xff"):
        path.write_bytes(bad)
        with pytest.raises(FlowmetalError) as raised:
            load_config(path)
        assert raised.value.code == "H205"
    path.write_text(FULL)
    assert load_config(path).serve.port == 9000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[serv]", "`serv` in {path} is not"),
        ("[serve]\nprot = 1", "`prot` in [serve] of {path} is not"),
        ("[serve]\nport = -5", "`port` in [serve] of {path} is -5"),
        ("serve = 1", "`serve` in {path} is 1"),
    ],
)
def test_the_file_is_named(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(FlowmetalError) as raised:
        load_config(path)
    assert words.format(path=path) in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        '[shell]\ncommands = "sh"',
        '[shell]\ndirectories = "/srv"',
        '[http]\nallow = "a.example"',
        '[secrets.x]\ncommand = "echo hi"',
        '[secrets.x]\nenv = "X"\nhosts = "a.example"',
        '[endpoints.x]\nscheme = "none"\nevents = "push"\nstart = "a/b"',
        '[grants]\nx = "all"',
    ],
)
def test_a_string_is_no_list(text: str) -> None:
    with pytest.raises(FlowmetalError) as raised:
        read(text)
    assert raised.value.code == "H202"


SCHEDULES = """
[schedules.nightly]
cron = "0 3 * * *"
zone = "Europe/Berlin"
program = "reports"
args = ["daily", { deep = 1 }]
pass_run = true

[schedules.once]
at = 2026-12-24T18:00:00+01:00
program = "reports"
"""


def test_schedules_are_read_and_put() -> None:
    now = [1_795_521_600 * 10**9]
    store = MemoryStore(lambda: now[0])
    put_schedules(store, read(SCHEDULES).schedules)
    put_schedules(store, read(SCHEDULES).schedules)
    assert store.next_due() == 1_795_572_000 * 10**9  # 2026-11-25T02:00:00Z
    shown = decode_value(store.submit([Operate("schedule/show", encode_value("once"))]).result()[0])
    assert to_python(shown)["next"] == "2026-12-24T17:00:00.000Z"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('cron = "0 25 * * *"', ("cron", "character 3")),
        ('cron = "0 3 * * *"\nzone = "Europe/Berln"', ("zone", "Europe/Berlin")),
        ('every = "5 minutes"', ("every", "a duration")),
        ("every = 5", ("every", "a duration")),
        ("at = 2026-12-24T18:00:00", ("an instant", "offset")),
        ('every = "1h"\noverlapp = "skip"', ("overlap",)),
        ('every = "1h"\nname = "y"', ("name",)),
        ('every = "1h"\nargs = [nan]', ("args",)),
        ("", ("none of them",)),
    ],
)
def test_schedules_that_are_wrong(line: str, words: tuple[str, ...]) -> None:
    with pytest.raises(FlowmetalError) as caught:
        read(f'[schedules.x]\nprogram = "p"\n{line}\n')
    assert caught.value.code == "H202"
    assert caught.value.facts["section"] == "[schedules.x]"
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("text", ["schedules = 1", "[schedules]\nx = 1"])
def test_schedules_are_tables(text: str) -> None:
    with pytest.raises(FlowmetalError) as caught:
        read(text)
    assert caught.value.code == "H202"


def test_the_interpreter() -> None:
    config = read_config({"interpreter": {"hot_processes": 50, "lease_seconds": 2.5}})
    made = serving.interpreter(MemoryStore(), "http://x", config).config
    assert (made.hot_processes, made.lease_ms, made.function_threads) == (50, 2500, 4)
    for table in ({"hot_process": 1}, {"hot_processes": 0}, {"lease_seconds": 0.1}, {"lease_seconds": 10**6}, 5):
        with pytest.raises(FlowmetalError) as raised:
            read_config({"interpreter": table})
        assert raised.value.code in ("H201", "H202")


def test_one_full_stop_is_enough(tmp_path: Path) -> None:
    with pytest.raises(FlowmetalError) as caught:
        load_config(tmp_path)
    assert caught.value.diagnostic.text.endswith("is a folder, and not a file.")
    with pytest.raises(FlowmetalError) as caught:
        read_config({"grants": {"a": ["x y"]}})
    assert caught.value.diagnostic.text.endswith("`x y` is no grant.")
    assert FlowmetalError("H102", host="h", port=1, reason="...").diagnostic.text.count(".") >= 3


@pytest.mark.parametrize("text", ["[http]\na = " + "9" * 5000, "a = " + "[" * 5000])
def test_numbers_too_long_and_lists_too_deep_are_told(text: str, tmp_path: Path) -> None:
    file = tmp_path / "flowmetal.toml"
    file.write_text(text)
    with pytest.raises(FlowmetalError) as raised:
        load_config(file)
    assert raised.value.code == "H205"
