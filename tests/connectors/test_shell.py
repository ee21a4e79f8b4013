"""The shell/run connector over a memory store and real commands: what it lets run, what it gives, what it kills."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driver import Driver, eventually, running

from flowmetal.connectors.secrets import Secrets, read_secrets
from flowmetal.connectors.shell import ShellConnector, ShellSettings, read_shell
from flowmetal.connectors.shell.command import NotAllowed, NotFound, Surroundings, read_command
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.policies import read_options, usual_options
from flowmetal.store.interface import PutArtifact, Request
from flowmetal.values import Duration, ErrorValue, Map, Secret, Vector, encode_value, from_python, keyword, secret_text

VALUE = "s3cr3t/value+4711"
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/", "API_TOKEN": VALUE, "OTHER": "not passed"}
FILES = "import os; print(sorted(os.listdir('/proc/self/fd')))"


def k(text: str) -> Any:
    return keyword(text)


def connector(driver: Driver, settings: ShellSettings, **more: Any) -> ShellConnector:
    secrets = Secrets(
        read_secrets({"api": {"env": "API_TOKEN"}, "web": {"env": "API_TOKEN", "hosts": ["a"]}}), ENVIRONMENT
    )
    return ShellConnector(driver.store, settings, secrets=secrets, environment=ENVIRONMENT, **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jobs").resolve()
    (folder / "inner").mkdir()
    (folder / "out").symlink_to("/")
    return folder


@pytest.fixture(scope="module")
def world(folder: Path) -> Iterator[Driver]:
    """Any command may run, in one folder."""
    driver = Driver()
    settings = ShellSettings(
        commands=("*",), directories=(str(folder),), environment=("*",), timeout_seconds=30.0, max_bytes=100_000
    )
    with running(connector(driver, settings)):
        yield driver
    driver.store.close()


@pytest.fixture(scope="module")
def narrow(folder: Path) -> Iterator[Driver]:
    """Two commands may run."""
    driver = Driver()
    with running(connector(driver, ShellSettings(commands=("echo", "/bin/cat")))):
        yield driver
    driver.store.close()


def command(*arguments: Any, **more: Any) -> Any:
    vector = Vector.of(arguments)
    if not more:
        return vector
    return Map.of([(k("command"), vector), *((k(name.replace("_", "-")), value) for name, value in more.items())])


def perform(world: Driver, *arguments: Any, options: Any = None, **more: Any) -> tuple[bool, Any]:
    return world.answer(world.request("shell/run", command(*arguments, **more), options))


def answered(world: Driver, *arguments: Any, **more: Any) -> tuple[Any, Any, Any, Any]:
    ok, value = perform(world, *arguments, **more)
    assert ok, value.message
    return tuple(value.get(k(key)) for key in ("exit", "signal", "out", "err"))  # type: ignore[return-value]


def failed(world: Driver, kind: str, *arguments: Any, **more: Any) -> ErrorValue:
    ok, value = perform(world, *arguments, **more)
    assert not ok, value
    assert value.kind is k(kind), value.message
    return value  # type: ignore[no-any-return]


def alive(mark: str) -> list[int]:
    """Processes with this text in their command line, zombies apart."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                line = Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in line:
                found.append(int(name))
    return found


# ---- what comes back ----------------------------------------------------------------------------------------------


def test_a_command(world: Driver) -> None:
    assert answered(world, "echo", "a b", "$HOME", 1, 2.5) == (0, None, "a b $HOME 1 2.5\n", "")
    assert answered(world, "sh", "-c", "echo out; echo err >&2; exit 7") == (7, None, "out\n", "err\n")
    assert answered(world, "sh", "-c", "kill -9 $$") == (None, 9, "", "")
    assert answered(world, "cat", stdin="é") == (0, None, "é", "")
    assert answered(world, "cat", stdin=b"\xff\0", **{"as": k("bytes")}) == (0, None, b"\xff\0", b"")
    assert answered(world, "printf", "\\377") == (0, None, "\ufffd", "")
    assert answered(world, "cat") == (0, None, "", "")  # its input is empty, not that of the server


def test_input_that_is_not_read(world: Driver) -> None:
    assert answered(world, "true", stdin="x" * 1_000_000) == (0, None, "", "")


def test_much_of_everything(world: Driver) -> None:
    size = 90_000
    code = f"import sys; data = sys.stdin.read(); sys.stderr.write(data[:{size}]); print(data[:{size}], end='')"
    assert answered(world, sys.executable, "-c", code, stdin="y" * 500_000)[2:] == ("y" * size, "y" * size)


def test_the_environment(world: Driver) -> None:
    out = answered(world, "env", env=from_python({"A": "1", "HOME": "/x"}))[2]
    variables = dict(line.split("=", 1) for line in out.splitlines())
    assert {name: variables[name] for name in ("A", "HOME", "FLOWMETAL_IDEMPOTENCY_KEY")} == {
        "A": "1",
        "HOME": "/x",
        "FLOWMETAL_IDEMPOTENCY_KEY": "key-1",
    }
    assert set(variables) == {"A", "HOME", "PATH", "FLOWMETAL_IDEMPOTENCY_KEY", "FLOWMETAL_COMMAND"}


def test_the_directory(world: Driver, folder: Path) -> None:
    assert answered(world, "pwd")[2] == f"{folder}\n"
    assert answered(world, "pwd", directory=str(folder / "inner"))[2] == f"{folder / 'inner'}\n"
    for other in ("/", str(folder.parent), f"{folder}/../", f"{folder}/out/etc", f"{folder}-other"):
        failed(world, "shell/not-allowed", "pwd", directory=other)
    failed(world, "shell/bad-command", "pwd", directory="inner")
    failed(world, "shell/bad-command", "pwd", directory=str(folder / "not-there"))


def test_nothing_of_the_server_is_inherited(world: Driver) -> None:
    with open(os.devnull) as held:
        os.set_inheritable(held.fileno(), True)
        assert answered(world, sys.executable, "-c", FILES)[2] == "['0', '1', '2', '3']\n"


# ---- limits -------------------------------------------------------------------------------------------------------


def test_a_command_that_takes_too_long(world: Driver) -> None:
    mark = "31.4151"
    began = time.monotonic()
    script = (
        f"echo begun; (trap '' TERM; sleep {mark}) & setsid sleep {mark} & trap '' TERM; sleep {mark}; sleep {mark}"
    )
    error = failed(world, "shell/timeout", "sh", "-c", script, timeout=Duration(400_000_000))
    assert time.monotonic() - began < 20
    assert error.data.get(k("out")) == "begun\n"
    eventually(lambda: not alive(mark))  # killed, which may take the system a moment


def test_nothing_is_left_behind(world: Driver) -> None:
    mark = "31.4152"
    script = f"sleep {mark} & (setsid sleep {mark} >/dev/null 2>&1 </dev/null &) ; echo over"
    assert answered(world, "sh", "-c", script) == (0, None, "over\n", "")
    eventually(lambda: not alive(mark))  # killed, which may take the system a moment


def test_a_command_that_writes_too_much(world: Driver) -> None:
    error = failed(world, "shell/too-large", "sh", "-c", "yes 31.4153")
    assert "100000 bytes" in error.message
    eventually(lambda: not alive("31.4153"))
    assert answered(world, "sh", "-c", "printf 1234", max_bytes=4)[2] == "1234"
    failed(world, "shell/too-large", "sh", "-c", "printf 12345 >&2", max_bytes=4)


def test_a_cancelled_command(world: Driver) -> None:
    mark = "31.4154"
    pid = world.request("shell/run", command("sh", "-c", f"sleep {mark}; true"))
    eventually(lambda: alive(mark))
    world.finish(pid, "cancelled", None)
    eventually(lambda: not alive(mark))


def test_a_server_that_stops() -> None:
    mark = "31.4155"
    driver = Driver()
    served = connector(driver, ShellSettings(commands=("*",)))
    served.start()
    driver.request("shell/run", command("sh", "-c", f"sleep {mark}; true"))
    eventually(lambda: alive(mark))
    assert served.stop(3.0)
    eventually(lambda: not alive(mark))  # killed, which may take the system a moment
    driver.store.close()


def test_what_is_left_of_a_lost_attempt_is_killed_first(world: Driver) -> None:
    """The server of the first attempt was killed: nobody ended its command.  The next attempt does, and then begins."""
    mark = "31.4156"
    pid = world.start()
    variables = {"FLOWMETAL_COMMAND": f"{world.store.id}-{pid}-1"}
    orphan = os.posix_spawn("/bin/sleep", ["sleep", mark], variables, setsid=True)
    other = os.posix_spawn("/bin/sleep", ["sleep", mark], {"FLOWMETAL_COMMAND": f"{world.store.id}-{pid}-11"})
    try:
        value = encode_value(command("echo", "again"))
        again = Request(pid, 1, "shell/run", value, encode_value(None), "key-1", attempt=1)
        assert world.turn(pid, requests=(again,))
        ok, answer = world.answer(pid)
        assert ok and answer.get(k("out")) == "again\n"
        assert os.waitpid(orphan, 0)[1] == signal.SIGKILL
        eventually(lambda: alive(mark) == [other])
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)


# ---- what is refused ----------------------------------------------------------------------------------------------


def test_commands_that_are_not_listed(narrow: Driver) -> None:
    assert answered(narrow, "echo", "1")[2] == "1\n"
    assert answered(narrow, "/bin/cat", stdin="2")[2] == "2"
    for name in ("env", "cat", "/bin/sh", "/usr/bin/env", "/bin/../bin/sh", "Echo"):
        if name == "cat" and os.path.realpath("/bin") != "/bin":
            continue  # /bin is /usr/bin here, and PATH has the one or the other first
        failed(narrow, "shell/not-allowed", name)
    failed(narrow, "shell/bad-command", "./echo")
    failed(narrow, "shell/not-allowed", "echo", directory="/")


@pytest.mark.parametrize("name", ["LD_PRELOAD", "PATH", "HOME", "PERL5OPT", "GIT_SSH", "ANYTHING"])
def test_variables_that_are_not_listed(narrow: Driver, name: str) -> None:
    error = failed(narrow, "shell/not-allowed", "echo", env=from_python({name: "x"}))
    assert "`environment` in [shell]" in error.message


def test_variables_that_are_listed() -> None:
    driver = Driver()
    with running(connector(driver, ShellSettings(commands=("env",), environment=("PGPASSWORD",)))):
        assert "PGPASSWORD=x\n" in answered(driver, "env", env=from_python({"PGPASSWORD": "x"}))[2]
        failed(driver, "shell/not-allowed", "env", env=from_python({"PGPASSWORD": "x", "PGHOST": "y"}))
        failed(driver, "shell/not-allowed", "env", env=from_python({"PGPASSWORD2": "x"}))
    driver.store.close()


def test_a_narrowed_grant_holds_for_what_is_run(folder: Path) -> None:
    """Any command may run here, and any variable may be set; a process that was granted one command gets that one."""
    driver = Driver()
    settings = ShellSettings(commands=("*",), directories=(str(folder),), environment=("*", "TOLD"))
    report = folder / "report"
    report.write_text("#!/bin/sh\necho reported\n")
    report.chmod(0o755)
    driver.submit(PutArtifact(b"\x01" * 32, b"artifact", "deploy", (f"shell/run={report}",)))
    with running(connector(driver, settings)):
        assert answered(driver, str(report))[2] == "reported\n"
        assert answered(driver, str(report), env=from_python({"TOLD": "1"}))[2] == "reported\n"
        for variable in ("BASH_ENV", "ENV", "LD_PRELOAD", "HOME"):
            failed(driver, "shell/not-allowed", str(report), env=from_python({variable: "$(id >&2)"}))
        failed(driver, "flowmetal/not-granted", "id")
        failed(driver, "flowmetal/not-granted", "report")
        driver.submit(PutArtifact(b"\x01" * 32, b"artifact", "deploy", ("kv/*",)))
        failed(driver, "flowmetal/not-granted", str(report))
        driver.submit(PutArtifact(b"\x01" * 32, b"artifact", "deploy", ("shell/run",)))
        assert answered(driver, "id", "-u")[2] == f"{os.getuid()}\n"
    driver.store.close()


def test_entries_of_path_that_are_relative_are_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trap = folder / "bin" / "report"
    trap.parent.mkdir()
    trap.write_text("#!/bin/sh\necho trapped\n")
    trap.chmod(0o755)
    monkeypatch.chdir(folder / "bin")
    around = Surroundings({"PATH": f":.:../bin:{os.defpath}"}, "k", "m")
    for settings in (ShellSettings(commands=("report",)), ShellSettings(commands=("*",))):
        with pytest.raises((NotFound, NotAllowed)):
            read_command(command("report"), settings, around, {})
    around = Surroundings({"PATH": f"/nowhere:{folder}:{folder / 'bin'}"}, "k", "m")
    found = read_command(command("report"), ShellSettings(commands=("report",)), around, {})
    assert found.command.executable in (str(trap), str(folder / "report"))


@pytest.mark.parametrize(
    "payload",
    [
        "echo hello",
        None,
        Vector.of([]),
        command(k("echo")),
        command(Secret.named("api")),
        command(""),
        command("echo", None),
        command("echo", k("a")),
        command("echo", "a\0b"),
        command("echo", "x" * 131_072),
        command("echo", *["x" * 100_000] * 11),
        command("echo", *["x"] * 4096),
        command("echo", "Bearer #secret[api]"),
        command("echo", stdin=7),
        command("echo", env=Vector.of([])),
        command("echo", env=from_python({"a b": "1"})),
        command("echo", env=from_python({"A": "x\0"})),
        command("echo", env=from_python({"FLOWMETAL_IDEMPOTENCY_KEY": "mine"})),
        command("echo", env=from_python({"A": ["x"]})),
        command("echo", timeout=30),
        command("echo", timeout=Duration(0)),
        command("echo", max_bytes=0),
        command("echo", max_bytes=1 << 40),
        command("echo", comand="x"),
        Map.of([("command", Vector.of(["echo"]))]),
        command("echo", **{"as": k("json")}),
    ],
)
def test_payloads_that_are_wrong(world: Driver, payload: Any) -> None:
    ok, error = world.answer(world.request("shell/run", payload))
    assert not ok and error.kind is k("shell/bad-command"), error


def test_commands_that_are_not_there(world: Driver, folder: Path) -> None:
    failed(world, "shell/not-found", "no-such-command-anywhere")
    failed(world, "shell/not-found", "/nowhere/at/all")
    failed(world, "shell/not-found", str(folder))
    script = folder / "script"
    script.write_text("#!/nowhere/interpreter\n")
    failed(world, "shell/not-found", str(script))
    script.chmod(0o755)
    failed(world, "shell/not-found", str(script))


def test_retried_codes(world: Driver) -> None:
    options = from_python({"retry": 3})
    error = failed(world, "shell/exit", "sh", "-c", "echo no; exit 3", options=options)
    assert (error.data.get(k("exit")), error.data.get(k("out"))) == (3, "no\n")
    assert perform(world, "true", options=options)[0]


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ({"commands": ["bin/x"]}, "H202"),
        ({"commands": [""]}, "H202"),
        ({"commands": 7}, "H202"),
        ({"directories": ["jobs"]}, "H202"),
        ({"concurrency": 0}, "H202"),
        ({"environment": ["A B"]}, "H202"),
        ({"environment": "A"}, "H202"),
        ({"command": ["x"]}, "H201"),
    ],
)
def test_wrong_settings(table: dict[str, Any], code: str) -> None:
    with pytest.raises(FlowmetalError) as caught:
        read_shell(table)
    assert caught.value.code == code


# ---- secrets ------------------------------------------------------------------------------------------------------


def test_secrets_go_in_and_do_not_come_back(world: Driver) -> None:
    api = Secret.named("api")
    length = f"{len(VALUE)}\n"
    assert answered(world, "sh", "-c", "printf %s $1 | wc -c", "sh", api)[2].strip() == length.strip()
    assert answered(world, "sh", "-c", "printf %s $A | wc -c", env=Map.of([("A", api)]))[2].strip() == length.strip()
    assert answered(world, "wc", "-c", stdin=secret_text(["<", api, ">"]))[2].strip() == str(len(VALUE) + 2)
    script = "printf %s $A; echo; printf %s x$A | base64; printf %s $A | od -An -tx1 >&2; printf %s $A; sleep 0.1; echo"
    _, _, out, err = answered(world, "sh", "-c", script, env=Map.of([("A", api)]))
    assert out.count("#secret[api]") == 3 and err.count("#secret[api]") == 1
    raw = answered(world, "cat", stdin=api, **{"as": k("bytes")})[2]
    assert raw == b"#secret[api]"


def test_a_secret_written_in_two_pieces(world: Driver) -> None:
    code = "import os, sys, time; v = sys.argv[1]; os.write(1, v[:9].encode()); time.sleep(0.2); os.write(1, v[9:].encode())"
    assert answered(world, sys.executable, "-c", code, Secret.named("api"))[2] == "#secret[api]"


def test_secrets_that_cannot_be_used(world: Driver) -> None:
    assert failed(world, "secret/missing", "echo", Secret.named("nope")).data.get(k("code")) == "H530"
    error = failed(world, "secret/refused", "echo", Secret.named("web"))
    assert "shell/run" in error.message and error.data.get(k("secret")) == "web"


def test_the_output_of_a_command_that_was_killed(world: Driver) -> None:
    """Its end is not shown, whatever it is; what stands before it is, without the value."""
    script = "seq 1 500; printf '<%s>' $A; seq 1 3000; sleep 30"
    more = {"env": Map.of([("A", Secret.named("api"))]), "timeout": Duration(300_000_000)}
    error = failed(world, "shell/timeout", "sh", "-c", script, **more)
    out = error.data.get(k("out"))
    assert out.startswith("1\n2\n3\n") and "\n500\n<#secret[api]>1\n2\n" in out and not out.endswith("3000\n")


@pytest.mark.parametrize(
    "script",
    [
        "printf %s \"$A\" | tr -d '\\n' | cut -c1-{n} | tr -d '\\n' >&2; printf 'begun\\n'; printf %s \"$A\" | tr -d '\\n' | cut -c1-{n} | tr -d '\\n'; {end}",
        "printf 'begun\\n'; printf 'xy%s' \"$A\" | base64 | tr -d '\\n' | cut -c1-{n} | tr -d '\\n'; {end}",
        "printf 'begun\\n'; printf %s \"$A\" | od -An -tx1 | tr -d '\\n' | cut -c1-{n} | tr -d '\\n'; {end}",
    ],
)
@pytest.mark.parametrize("end", ["sleep 30", "kill -9 $$", "exit 137"])
def test_output_that_is_cut_does_not_end_with_a_part_of_a_secret(world: Driver, script: str, end: str) -> None:
    more = {"env": Map.of([("A", Secret.named("api"))]), "timeout": Duration(700_000_000)}
    text = script.format(n=13, end=end)
    if end == "sleep 30":
        data = failed(world, "shell/timeout", "sh", "-c", text, **more).data
    else:
        ok, data = perform(world, "sh", "-c", text, **more)
        assert ok
    out, err = data.get(k("out")), data.get(k("err"))
    assert (out, err) == ("", "")


def test_a_lost_command_is_not_tried_again_unless_the_program_says_so() -> None:
    fail, retry = keyword("fail"), keyword("retry")
    unknown = keyword("when-unknown")
    assert usual_options("shell/run", None) == Map.of([(unknown, fail)])
    assert usual_options("shell/run", from_python({"retry": 3})).get(unknown) is fail
    assert usual_options("shell/run", Map.of([(unknown, retry)])).get(unknown) is retry
    assert usual_options("http/request", None) is None
    assert read_options(usual_options("shell/run", None)).when_unknown == "fail"
