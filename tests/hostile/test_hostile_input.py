"""A share of the campaign, the cases made by hand, and that the harness can see what it looks for."""

from __future__ import annotations

import random
import re
from pathlib import Path

import msgpack
import pytest

from flowmetal.bytecode import stored
from flowmetal.bytecode.claims import Claims
from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.bytecode.link import link, verify_artifact
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.build import build_artifact
from flowmetal.engine.opening import library_module
from flowmetal.values import LanguageError, Range, Vector, print_string
from flowmetal.vm import load
from flowmetal.vm.builtins.registry import BY_NAME, builtin_arity
from flowmetal.vm.faults import exception_text
from flowmetal.vm.lifting.function import Making
from tests.hostile import artifacts, campaign, commands, corpus, running
from tests.hostile.campaign import Tally
from tests.hostile.cases import CASES, FILES, base, made
from tests.hostile.tree import packed


@pytest.fixture(autouse=True)
def _heat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs say from when on code is lifted; other tests have what it was."""
    monkeypatch.setattr(load, "HEAT", load.HEAT)


@pytest.mark.parametrize("name", CASES)
def test_made_by_hand(name: str) -> None:
    with pytest.raises(FlowmetalError) as raised:
        verify_artifact(made(name), builtin_arity, library_module)
    assert raised.value.code == CASES[name][0], str(raised.value)


@pytest.mark.parametrize("name", FILES)
def test_files_made_by_hand(name: str) -> None:
    with pytest.raises(FlowmetalError) as raised:
        verify_artifact(FILES[name][1](), builtin_arity)
    assert raised.value.code == FILES[name][0], str(raised.value)


def test_what_the_cases_begin_with_is_accepted() -> None:
    assert verify_artifact(base(), builtin_arity).name == "x"
    assert len(CASES) + len(FILES) >= 100


@pytest.mark.parametrize(("kind", "count"), [("artifacts", 800), ("images", 800)])
def test_a_share(kind: str, count: int) -> None:
    tally = campaign.campaign(kind, random.SystemRandom().randrange(10**6), 0, count, jobs=1)
    assert not tally.failures, "\n".join(tally.failures)
    assert sum(tally.ends.values()) == count
    assert sum(tally.ends[end] for end in ("value", "error", "limit")) > count // 40


@pytest.fixture
def _commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What commands change in a process is put back; their time is not looked at, since the machine may be busy."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(campaign, "SECONDS", 30.0)


@pytest.mark.usefixtures("_commands")
def test_a_share_of_commands() -> None:
    tally = campaign.campaign("commands", random.SystemRandom().randrange(10**6), 0, 300, jobs=1)
    assert not tally.failures, "\n".join(tally.failures)
    assert sum(tally.ends.values()) == 300
    for kind in commands.KINDS:
        assert tally.ends[f"{kind} 0"] > 5 and sum(tally.ends[f"{kind} {code}"] for code in range(1, 8)) > 20


@pytest.mark.usefixtures("_commands")
def test_it_sees_commands_that_end_wrongly(plain: pytest.MonkeyPatch) -> None:
    commands.prepare()
    Path("x.fmc").write_bytes(b"x")
    row = ("flowc", "check", "x.fmc")
    assert not commands.judged(row, *commands.run(*row))
    plain.setattr("flowmetal.cli.common.exit_code", lambda code: 77)
    assert "77" in commands.judged(row, *commands.run(*row))
    plain.setattr("flowmetal.cli.checking.check_files", lambda *_, **__: {}["no"])
    plain.setattr("flowmetal.cli.common.exit_code", lambda code: 1)
    assert "not catalogued" in commands.judged(row, *commands.run(*row))
    assert "says nothing" in commands.judged(row, 1, "", "")
    assert "by itself" in commands.judged(row, 130, "", "")


# ---- the harness sees what it looks for --------------------------------------------------------------------------


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing is run beforehand, since what is looked for is broken on purpose."""
    corpus.artifacts()
    monkeypatch.setattr(campaign, "prepare", lambda kind: None)
    return monkeypatch


def _failures(count: int) -> str:
    return "\n".join(campaign.campaign("artifacts", 1, 0, count, jobs=1).failures)


def test_it_sees_an_exception(plain: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("not a diagnostic")

    plain.setattr(running, "open_artifact", broken)
    found = _failures(count=3)
    assert "raises KeyError" in found and "python -m tests.hostile --artifacts 1 --first 0 --seed 1" in found


def test_it_sees_a_hang(plain: pytest.MonkeyPatch) -> None:
    def endless(*_: object) -> None:
        while True:
            pass

    plain.setattr(running, "open_artifact", endless)
    assert "takes more than 1.0 s" in _failures(count=1)


def test_it_sees_a_child_that_dies(plain: pytest.MonkeyPatch) -> None:
    def deadly(*_: object) -> None:
        campaign.os._exit(3)

    plain.setattr(running, "open_artifact", deadly)
    assert _failures(count=3).count("ends the process") == 3


def test_it_sees_an_escape(plain: pytest.MonkeyPatch) -> None:
    def reaching(*_: object) -> None:
        open("/etc/hostname").close()
        raise FlowmetalError("B001")

    plain.setattr(running, "open_artifact", reaching)
    assert "touches the system: open" in _failures(count=1)


def test_it_sees_an_undeclared_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Claims, "check", lambda *_: None)
    found = {"B123": 0, "performed": 0}
    for name, (code, _) in CASES.items():
        if code != "B123":
            continue
        artifact = verify_artifact(made(name), builtin_arity)
        for seed in range(30):
            try:
                running.run_artifact(artifact, random.Random(seed))
            except running.Found as problem:
                found["performed"] += "which it does not declare" in str(problem)
        found["B123"] += 1
    assert found["performed"] and found["B123"] >= 5


# ---- if the verifier were wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lifted", [False, True])
def test_code_that_nobody_verified_ends_in_a_catalogued_error(lifted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verifier is switched off: mutants still end in an error with a code, without harm to anything else."""
    monkeypatch.setattr(stored, "verify_code", lambda *_: None)
    monkeypatch.setattr(load, "HEAT", 0 if lifted else 1 << 40)
    limits = running.LIMITS if lifted else running.FRAMES_ONLY
    ends: dict[str, int] = {}
    small = corpus.artifacts()[:60]
    for seed in range(250):
        dice = random.Random(f"unverified {seed}")
        data = artifacts.mutant(dice.choice(small), dice)
        try:
            artifact = decode_artifact(data, builtin_arity)
            program = link(artifact, library_module)
            found = program.modules[artifact.main].globals.get("main")
            if found is None or found.value.__class__.__name__ != "Closure":
                continue
            process = running.vm.new_process(program, running.ProgramTable(program), limits)
            running.vm.start(process, found.value, [None] * dice.randrange(2))
            outcome = running.vm.run(process, 300)
            end = type(outcome).__name__
            if isinstance(outcome, running.vm.Failed) and outcome.error.kind is running.vm.KIND_INTERNAL:
                end = "V350"
                assert print_string(outcome.error.data) == '{:code "V350"}'
        except LanguageError:
            end = "LanguageError"
        except FlowmetalError as error:
            end = error.code
        ends[end] = ends.get(end, 0) + 1
    assert ends.get("V351", 0) > 5, ends
    assert set(ends) <= {"Finished", "Failed", "Performed", "OutOfFuel", "Idle", "LanguageError", "V350"} | {
        end for end in ends if re.fullmatch(r"[BV]\d{3}", end)
    }


def test_no_text_of_an_artifact_is_in_lifted_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, strings and constants that would be harmful as Python: the source has none but generated names."""
    monkeypatch.setattr(load, "HEAT", 0)
    sources: list[str] = []
    finish = Making.finish

    def noted(self: Making, *arguments: object) -> object:
        made = finish(self, *arguments)  # type: ignore[arg-type]
        sources.append(self.info.source)
        return made

    monkeypatch.setattr(Making, "finish", noted)
    evil = "evil\\\"'''\\n__import__('os').system('x')#"
    program = f"""
        (defn evil*__import__ [evil-x & more] (str evil-x "{evil}" :evil/__import__ 'evil (count more)))
        (def evil-table {{:evil "{evil}" "{evil}" [1.5 -3 12345678901234567890123]}})
        (defn main [evil-n] (loop [evil-i 0 s ""] (if (< evil-i 20)
          (recur (+ evil-i 1) (str (evil*__import__ evil-i 1 2) (get evil-table "{evil}") (:evil evil-table)))
          [(count s) ((fn evil-inner [x] (if (= x "{evil}") 1 (- x -9))) 5)])))
    """
    data = build_artifact({"evil.fm": f"(ns evil.__import__)\n{program}"}).data
    for seed in range(20):
        running.run_artifact(verify_artifact(data, builtin_arity, library_module), random.Random(seed))
    assert len(sources) >= 3
    assert not [line for source in sources for line in source.splitlines() if "evil" in line or "import" in line]
    words = {word for source in sources for word in re.findall(r"[A-Za-z_]\w*", source)}
    generated = re.compile(r"[a-zA-Z]\d+|[FSqjG]")
    assert {word for word in words if not generated.fullmatch(word)} <= set(_KNOWN) | set(_base_names())
    assert not any(quote in source for source in sources for quote in "'\"\\")


_KNOWN = set(
    """
    _ def if else elif for in while True False None pass break continue return raise try except not is and or lifted extra
    value captures function table get root tail children size shift find append left first rest count assoc nth conj
    call_nth base state strings
""".split()  # noqa: SIM905
)


def _base_names() -> list[str]:
    from flowmetal.vm.lifting.function import BASE

    return list(BASE)


# ---- what the campaigns found ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("catches", (5, None)),
        ("taking", (5, 5, 5)),
        ("take", (1 << 80, "abc")),
        ("assoc", ([], 1 << 60_000, 1)),
        ("pad-left", ("a", 1 << 60_000)),
        ("nthnext", ("r", 10**11)),
    ],
)
def test_builtins_that_failed_or_hung(name: str, arguments: tuple[object, ...]) -> None:
    kinds = {"r": Range(0, 10**12, 1)}
    values = [Vector.of(one) if isinstance(one, list) else kinds.get(one, one) for one in arguments]  # type: ignore[arg-type]
    try:
        BY_NAME[name].function(*values)
    except LanguageError as error:
        assert error.error.message


def test_an_image_that_refers_to_a_number_too_large_to_write() -> None:
    program, table = corpus.linked(0)
    number = msgpack.ExtType(2, b"\x01" + bytes(4000))
    fiber = [1, 0, 64, 0, [number, "g", number], [number, 0, -1]]
    with pytest.raises(FlowmetalError) as raised:
        running.vm.restore(program, table, [packed([3, [[27]], [fiber]])])
    assert raised.value.code == "V201"
    assert exception_text(LookupError(1 << 60_000)) == "LookupError"


def test_the_tally_adds_up() -> None:
    one, other = Tally(slowest=1.0, slowest_number=5), Tally(peak_kb=7)
    other.ends["value"] = 2
    one.add(other)
    assert (one.peak_kb, one.slowest_number, one.ends["value"]) == (7, 5, 2)
