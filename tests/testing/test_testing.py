"""`flowc test`: what it finds, what it says, and that chaos finds what is wrong, the same way each time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from flowmetal.cli import flowc
from flowmetal.diagnostics import CompileFailed
from flowmetal.engine.build import build_artifact, describe_artifact
from flowmetal.engine.project import build_project, find_manifest, open_project
from flowmetal.engine.testing import Result, Suite, build_suite, judge, run_test

PROGRAMS = Path(__file__).parent / "programs"
NS = "(ns t (:require [test :refer :all]))\n"


def suite_of(text: str) -> Suite:
    return build_suite({"t.fm": NS + text})


def suite_in(name: str) -> Suite:
    return build_suite({f"{name}.fm": (PROGRAMS / f"{name}.fm").read_bytes()})


RIGHT = suite_in("right")


def result_of(text: str, **options: Any) -> Result:
    suite = suite_of(text)
    return run_test(suite, suite.tests[0], **options)


@pytest.fixture
def flowc_test(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `flowc test` in the folder of the programs: exit code, standard output, standard error."""
    monkeypatch.chdir(PROGRAMS)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["flowc", "test", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            flowc.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return int(ended.value.code or 0), out, err

    return run


# ---- what it says ------------------------------------------------------------------------------------------------


def test_failures_in_full(flowc_test: Any) -> None:
    code, out, _ = flowc_test("failing.fm")
    assert code == 1
    assert re.sub(r"\d+\.\d\d s$", "TIME", out, flags=re.MULTILINE) == (PROGRAMS / "failing.txt").read_text()


def test_what_passes_says_one_line(flowc_test: Any) -> None:
    code, out, err = flowc_test("right.fm", "--filter", "right/(exact|fixture)")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"2 tests: 2 passed; 2 checks; \d+\.\d\d s\n", out)


def test_verbose_names_what_passes(flowc_test: Any) -> None:
    _, out, _ = flowc_test("right.fm", "--filter", "exact-time", "-v")
    assert out.startswith("ok    right/exact-time  right.fm:")
    assert "1 check, 7d of virtual time\n" in out


def test_json_is_one_document(flowc_test: Any) -> None:
    code, out, _ = flowc_test("failing.fm", "--json", "--filter", "nested|throws")
    document = json.loads(out)
    assert code == 1
    assert not document["ok"]
    nested, throws = document["tests"]
    assert nested["outcome"] == "fail"
    assert nested["reports"][0]["contexts"] == ["orders", "with a discount"]
    assert {"path": "[:lines 1 :price]", "left": "20", "right": "19"} in nested["reports"][0]["differences"]
    assert throws["outcome"] == "error"
    assert throws["reports"][0]["error"]["kind"] == ":checkout/closed"


def test_junit(flowc_test: Any, tmp_path: Path) -> None:
    flowc_test("failing.fm", "right.fm", "--filter", "nested|throws|exact", "--junit", str(tmp_path / "r.xml"))
    root = ElementTree.parse(tmp_path / "r.xml").getroot()
    found = {(case.get("classname"), case.get("name")): [child.tag for child in case] for case in root.iter("testcase")}
    assert found == {
        ("failing", "nested"): ["failure"],
        ("failing", "throws"): ["error"],
        ("right", "exact-time"): [],
    }


def test_fail_fast(flowc_test: Any) -> None:
    code, out, _ = flowc_test("failing.fm", "--fail-fast")
    assert code == 1
    assert "11 tests: 0 passed, 1 failed, 10 not run" in out


@pytest.mark.parametrize("arguments", [["right.fm", "--filter", "nothing-like-it"], ["no-tests"]])
def test_no_tests_is_an_error(flowc_test: Any, arguments: list[str]) -> None:
    code, out, err = flowc_test(*arguments)
    assert (code, out) == (2, "")
    assert "U140" in err


@pytest.mark.parametrize("arguments", [["--filter", "("], ["--chaos", "-1"], ["--seed", "x"], ["--fuel", "0"]])
def test_used_wrongly(flowc_test: Any, arguments: list[str]) -> None:
    assert flowc_test("right.fm", *arguments)[0] == 2


def test_colours_are_for_terminals(flowc_test: Any) -> None:
    assert "\x1b" not in flowc_test("failing.fm")[1]


def test_text_of_programs_cannot_steer_the_terminal() -> None:
    from flowmetal.cli.test_report import Paint, verdict_text

    suite = suite_of('(deftest a (testing "\\u001b[2J" (is (= "\\u001b]0;x" 1) "\\u001b[31m")))')
    verdict = judge(suite, suite.tests[0])
    assert "\x1b" not in verdict_text(verdict, "flowc test", Paint(False), verbose=False)


# ---- what a test is ----------------------------------------------------------------------------------------------


def test_tests_are_left_out_of_what_is_built() -> None:
    text = NS + '(defn main [] 1)\n(deftest totals (is (= 1 "only in the test")))\n(use-fixtures :each (fn [t] (t)))'
    built = build_artifact({"t.fm": text})
    described = describe_artifact(built.data)
    (module,) = described.document["modules"]
    assert module["requires"].keys() == set()
    assert "totals" not in described.text
    assert "t/main" in described.text
    assert "each-fixtures" not in described.text
    assert [test.name for test in build_suite({"t.fm": text}).tests] == ["t/totals"]


def test_a_test_that_is_called_stays() -> None:
    text = NS + "(deftest inner (is (= 1 1)))\n(defn main [] (inner))"
    assert "t/inner" in describe_artifact(build_artifact({"t.fm": text}).data).text


def test_tests_come_in_order_of_files_and_lines() -> None:
    sources = {"b.fm": "(ns b (:require [test :refer :all]))(deftest z)(deftest a)", "a.fm": NS + "(deftest m)"}
    assert [test.name for test in build_suite(sources).tests] == ["t/m", "b/z", "b/a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(deftest)", "M103"),
        ('(deftest "x")', "`deftest` needs a name"),
        ("(deftest a (is))", "M103"),
        ("(deftest a (is 1 2 3))", "`is` takes an expression and a message"),
        ("(deftest a (is (thrown?)))", "thrown? needs the kind of error"),
        ("(deftest a (are [x] (= x 1)) (are [x y] (= x y) 1))", "`are` needs"),
        ("(deftest a (are x (= x 1) 1))", "`are` needs"),
        ("(use-fixtures :sometimes (fn [t] (t)))", "use-fixtures takes :each or :once, not :sometimes"),
        ("(deftest a) (deftest a)", "A129"),
    ],
)
def test_mistakes_are_errors_of_the_compiler(text: str, message: str) -> None:
    with pytest.raises(CompileFailed) as failed:
        suite_of(text)
    assert any(message in f"{one} {one.code} {one.text}" for one in failed.value.diagnostics)


def test_tests_share_no_state() -> None:
    suite = suite_of(
        "(def hits (atom 0))(deftest a (is (= 1 (swap! hits inc))))(deftest b (is (= 1 (swap! hits inc))))"
    )
    assert all(run_test(suite, test).ok for test in suite.tests)


def test_a_fixture_that_does_not_call_the_test() -> None:
    result = result_of("(use-fixtures :each (fn [t] nil))(deftest a (is (= 1 1)))")
    assert [report.message for report in result.reports] == ["the fixtures did not call the test"]
    assert not result.ok


def test_fixtures_surround_in_order() -> None:
    text = """
        (def seen (atom []))
        (defn around [name] (fn [t] (swap! seen conj name) (t) (swap! seen conj name)))
        (use-fixtures :each (around :b) (around :c))
        (use-fixtures :once (around :a))
        (deftest x (is (= [:a :b :c] @seen)))"""
    assert result_of(text).ok


def test_a_macro_keeps_its_meaning_in_a_check() -> None:
    text = "(defmacro twice-ok [x] `(and ~x ~x))(deftest a (is (twice-ok true)) (is (and 1 2)) (is (or nil 1)))"
    assert result_of(text).passed == 3


def test_places_of_checks() -> None:
    result = result_of("(deftest a\n  (is (= 1\n        2))\n  (is false)\n  (are [x] (odd? x)\n    1\n    (inc 1)))")
    assert [report.place for report in result.reports] == ["t.fm:3", "t.fm:5", "t.fm:8"]


# ---- hostile tests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "code"), [("computes", "V332"), ("steps", "V333"), ("sleeps", "V333")])
def test_an_endless_test_is_cut(name: str, code: str) -> None:
    suite = suite_in("loops")
    (test,) = [test for test in suite.tests if test.name == f"loops/{name}"]
    for seed in (None, 3):
        result = run_test(suite, test, seed, fuel=20_000)
        assert [report.problem.kind for report in result.reports if report.problem] == [code]
        assert result.failed == 1  # what was checked before is told too


def test_reports_are_bounded() -> None:
    result = result_of("(def long (apply str (range 2000)))(deftest a (dotimes [i 300] (is (= i -1) long)))")
    assert result.failed == 300
    assert len(result.reports) == 100
    assert all(len(report.message) < 1100 for report in result.reports)


def test_differences_are_bounded() -> None:
    text = """
        (defn deep [n x] (if (= n 0) x (deep (dec n) {:a x})))
        (deftest a
          (is (= (deep 60 1) (deep 60 2)))
          (is (= (deep 5000 1) (deep 5000 2)))
          (is (= (vec (range 200000)) (assoc (vec (range 200000)) 199999 0)))
          (is (= (iterate inc 0) (list 0 1 2)))
          (is (= (apply str (repeat 100000 "a")) "b")))"""
    result = result_of(text)
    assert result.failed == 5
    for report in result.reports:
        assert len(report.actual) < 1100
        assert len(report.differences) <= 20
        assert all(len(path) + len(left or "") + len(right or "") < 700 for path, left, right in report.differences)
    assert result.reports[0].differences[0][1:] == ("1", "2")


def test_waiting_names_what_for_and_where() -> None:
    result = result_of("(defn forever []\n  (perform :receive))\n(deftest a (forever))")
    (report,) = result.reports
    assert report.problem is not None
    assert (report.problem.kind, report.problem.trace[0]) == ("V331", "t/forever t.fm:3")
    assert ":receive" in report.problem.message


def test_an_effect_that_a_program_would_catch_is_told_all_the_same() -> None:
    result = result_of("(deftest a (try (perform :a/b {:x 1} {:retry {:max 3}}) (catch _ e nil)))")
    assert [report.problem.kind for report in result.reports if report.problem] == ["V330"]
    assert result.reports[0].problem is not None
    assert ":a/b" in result.reports[0].problem.message
    assert "{:x 1}" in result.reports[0].problem.message


def test_answering_takes_keywords() -> None:
    result = result_of('(deftest a (answering {"a" 1} (perform :a)))')
    assert result.reports[0].problem is not None
    assert "answering takes effects as keywords" in result.reports[0].problem.message


# ---- projects ----------------------------------------------------------------------------------------------------


def test_a_project(flowc_test: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src/shop").mkdir(parents=True)
    (tmp_path / "test").mkdir()
    (tmp_path / "flowmetal.toml").write_text('[project]\nname = "shop"\n')
    (tmp_path / "src/shop/main.fm").write_text(
        "(ns shop.main (:require [test :refer :all]))(defn main [] 1)(deftest inside (is (= 1 (main))))"
    )
    (tmp_path / "test/main-test.fm").write_text(
        "(ns main-test (:require [test :refer :all] shop.main))(deftest outside (is (= 2 (shop.main/main))))"
    )
    monkeypatch.chdir(tmp_path / "src")
    for _ in range(2):  # what the first run keeps is used by the second
        code, out, _ = flowc_test("-v")
        assert code == 1
        assert "ok    shop.main/inside  src/shop/main.fm:1" in out
        assert "FAIL  main-test/outside  test/main-test.fm:1" in out
    assert "1 test: 1 passed" in flowc_test("shop/main.fm")[1]
    assert "1 test: 0 passed, 1 failed" in flowc_test("../test")[1]
    manifest = find_manifest(tmp_path)
    assert manifest is not None
    assert "shop.main/inside" not in describe_artifact(build_project(open_project(manifest))[0].data).text
    (tmp_path / "test/main-test.fm").write_text("(ns main-test)(nobody)")
    code, out, err = flowc_test()
    assert (code, out) == (1, "")
    assert "A101" in err


def test_outside_of_a_project(flowc_test: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = flowc_test()
    assert code == 3
    assert "U180" in err


# ---- the page ----------------------------------------------------------------------------------------------------

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```clojure\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split()[1])
def test_examples_of_the_page(block: str) -> None:
    suite = build_suite({"page.fm": block})
    assert suite.tests
    for test in suite.tests:
        assert run_test(suite, test).ok
        assert judge(suite, test, range(1, 21)).ok == (test.name != "quotes-test/cheapest-first")


# ---- chaos -------------------------------------------------------------------------------------------------------


def test_chaos_finds_what_hangs_on_the_order_of_answers() -> None:
    suite = suite_in("order")
    wrong, right = suite.tests
    assert run_test(suite, wrong).ok
    found = judge(suite, wrong, range(1, 30))
    assert not found.ok
    assert found.result.seed is not None
    assert found.result.reports[0].actual == "(not (= [10 20] [20 10]))"
    assert judge(suite, right, range(1, 30)).ok


def test_a_seed_is_one_run() -> None:
    suite, again = suite_in("right"), suite_in("right")
    for test, same in list(zip(suite.tests, again.tests, strict=True))[::3]:
        for seed in (1, 5, 11):
            one, other = run_test(suite, test, seed), run_test(again, same, seed)
            assert (one.steps, one.crashes, one.virtual_ns, one.passed) == (
                other.steps, other.crashes, other.virtual_ns, other.passed,
            )  # fmt: skip


def test_seeds_differ() -> None:
    suite = suite_in("right")
    (test,) = [test for test in suite.tests if test.name == "right/retries"]
    assert len({run_test(suite, test, seed).virtual_ns for seed in range(1, 20)}) > 5
    assert any(run_test(suite, test, seed).crashes > 20 for seed in range(1, 20))


def test_a_failing_seed_is_repeated_by_the_line_it_prints(flowc_test: Any) -> None:
    code, out, _ = flowc_test("order.fm", "--chaos", "30")
    assert code == 1
    (line,) = re.findall(r"^    flowc test (.*)$", out, re.MULTILINE)
    words = re.findall(r"'([^']*)'|(\S+)", line)
    code, again, _ = flowc_test(*[quoted or plain for quoted, plain in words])
    assert code == 1
    report = re.compile(r"^  expected.*?\n\n", re.MULTILINE | re.DOTALL)
    assert report.findall(again) == report.findall(out)


def test_a_run_does_not_hang_on_the_hash_seed() -> None:
    outs = []
    for seed in ("0", "77"):
        command = [sys.executable, "-m", "flowmetal.cli.flowc", "test", "order.fm", "failing.fm"]
        command += ["--chaos", "5", "--filter", "order|nested|goes-on|unanswered"]
        done = subprocess.run(
            command, cwd=PROGRAMS, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )  # fmt: skip
        outs.append(re.sub(r"\d+\.\d\d s$", "TIME", done.stdout, flags=re.MULTILINE))
    assert outs[0] == outs[1]


@pytest.mark.parametrize("test", RIGHT.tests, ids=lambda test: test.name)
def test_right_programs_pass_under_chaos(test: Any) -> None:
    verdict = judge(RIGHT, test, range(1, 13))
    assert verdict.ok, verdict.result


@pytest.mark.slow
@pytest.mark.parametrize("test", RIGHT.tests, ids=lambda test: test.name)
def test_right_programs_pass_under_much_chaos(test: Any) -> None:
    verdict = judge(RIGHT, test, range(1, 201))
    assert verdict.ok, verdict.result
