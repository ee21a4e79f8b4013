"""Projects: flowmetal.toml and what is wrong with one, names and places of modules, and builds that keep what they can."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowmetal.diagnostics import CompileFailed, FlowmetalError, explain, render
from flowmetal.engine.build import build_artifact
from flowmetal.engine.incremental import compile_modules
from flowmetal.engine.manifest import find_manifest, read_manifest
from flowmetal.engine.module_cache import ModuleCache
from flowmetal.engine.project import build_project, open_project

ROOT = Path(__file__).resolve().parents[2]

TOML = '[project]\nname = "shop"\nversion = "1.0"\nmain = "shop.main"\n'
MAIN = """
(ns shop.main (:require [shop.orders :as orders] [shop.base :refer [twice]]))
(def five (orders/total [2 3]))
(defn main [] (twice (orders/total [five five])))
"""
ORDERS = """
(ns shop.orders (:require [shop.base :as base :refer [twice]]))
(defn total [prices] (reduce + 0 (map base/price prices)))
(defn both [x] (twice (base/price x)))
"""
BASE = """
(ns shop.base)
(defmacro twice [form] `(let [value# ~form] (+ value# value#)))
(def rate 1)
(def seen (atom []))
(defn price [n] (* n rate))
"""
FILES = {"flowmetal.toml": TOML, "src/shop/main.fm": MAIN, "src/shop/orders.fm": ORDERS, "src/shop/base.fm": BASE}


def make(root: Path, files: dict[str, str]) -> Path:
    """Writes the files of a project."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def build(root: Path, cached: bool = True) -> tuple[bytes, int]:
    """The artifact of a project, and how many modules were compiled for it."""
    manifest = read_manifest(root / "flowmetal.toml")
    assert manifest is not None
    built, compiled = build_project(open_project(manifest), cached=cached)
    return built.data, len(compiled.modules) - compiled.kept


# ---- what is kept ------------------------------------------------------------------------------------------------


def test_cold_warm_and_without_a_cache_are_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "a", FILES)
    make(tmp_path / "elsewhere" / "b", FILES)
    cold, compiled = build(tmp_path / "a")
    assert compiled == 3
    assert build(tmp_path / "a") == (cold, 0)
    assert build(tmp_path / "a", cached=False) == (cold, 3)
    assert build(tmp_path / "elsewhere" / "b") == (cold, 3)


#: A change to one file, and how many modules it compiles again.
CHANGES = [
    ("a leaf", "src/shop/main.fm", MAIN + "(def more 1)\n", 1),
    ("a function", "src/shop/orders.fm", ORDERS.replace("reduce + 0", "reduce + 1"), 2),
    ("a macro", "src/shop/base.fm", BASE.replace("(+ value# value#)", "(* 2 value#)"), 3),
    ("a value that others compute with", "src/shop/base.fm", BASE.replace("rate 1", "rate 7"), 3),
    ("a cell", "src/shop/base.fm", BASE.replace("(atom [])", "(atom [1])"), 3),
    ("a comment at the end", "src/shop/base.fm", BASE + ";; that was it\n", 1),
    ("a comment that moves the rest", "src/shop/base.fm", ";; prices\n" + BASE, 3),
    ("a line inside a macro", "src/shop/base.fm", BASE.replace("(let [value#", "(let\n  [value#"), 3),
    ("a comment inside a definition", "src/shop/base.fm", BASE.replace("(* n rate)", "\n  ;; so\n  (* n rate)"), 1),
    ("nothing", "src/shop/base.fm", BASE, 0),
]


@pytest.mark.parametrize(("file", "text", "compiled"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_a_change_compiles_what_it_can_have_changed(tmp_path: Path, file: str, text: str, compiled: int) -> None:
    make(tmp_path, FILES)
    first, _ = build(tmp_path)
    make(tmp_path, {file: text})
    data, count = build(tmp_path)
    assert data == build(tmp_path, cached=False)[0]
    assert count <= compiled, "more is compiled than this test knows a reason for"
    assert (data == first) is (FILES[file] == text)
    make(tmp_path, FILES)
    assert build(tmp_path) == (first, 0)


def test_damaged_entries_are_made_again(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    data, _ = build(tmp_path)
    entries = sorted((tmp_path / "build" / "cache").iterdir())
    assert len(entries) == 6
    for number, entry in enumerate(entries):
        whole = entry.read_bytes()
        for damage in (b"", whole[:-1], whole[: len(whole) // 2], b"\0" * len(whole), whole[:40] + b"!" + whole[41:]):
            entry.write_bytes(damage)
            assert build(tmp_path)[0] == data
            assert entry.read_bytes() == whole
        entry.write_bytes(entries[number - 1].read_bytes())  # whole, but of something else
        assert build(tmp_path)[0] == data
    for entry in entries:
        entry.unlink()
        entry.mkdir()
    assert build(tmp_path)[0] == data


def test_entries_that_are_whole_but_make_no_sense_are_made_again(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    data, _ = build(tmp_path)
    folder = tmp_path / "build" / "cache"
    for content in (b"", b"[]", b'{"a": 1}', b"[1, 2, 3]", b'["x", ["f", 1, 1, 1], []]', b"[" * 100_000, b"\xff" * 9):
        for entry in folder.iterdir():
            ModuleCache(folder).put(bytes.fromhex(entry.name), content)
        assert build(tmp_path)[0] == data


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    data, _ = build(tmp_path, cached=False)
    (tmp_path / "build").write_text("a file where the folder should be")
    assert build(tmp_path) == (data, 3)


def test_the_cache_stays_small(tmp_path: Path) -> None:
    cache = ModuleCache(tmp_path)
    for number in range(20):
        cache.put(bytes([number]) * 32, b"x")
        os.utime(tmp_path / (bytes([number]) * 32).hex(), (number, number))
    later = ModuleCache(tmp_path)
    assert later.get(bytes([3]) * 32) == b"x"
    later.put(bytes([30]) * 32, b"x")
    later.get(bytes([30]) * 32)
    later.trim(most=5)
    left = sorted(int(path.name[:2], 16) for path in tmp_path.iterdir())
    assert left == [3, 17, 18, 19, 30]


def test_every_hash_seed_and_builds_at_the_same_time_give_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    data, _ = build(tmp_path, cached=False)
    command = [sys.executable, "-m", "flowmetal.cli.flowc", "build", str(tmp_path)]
    running = [
        subprocess.Popen(
            [*command, "-o", str(tmp_path / f"{seed}.fmc")],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed)},
            stdout=subprocess.DEVNULL,
        )
        for seed in range(4)
    ]
    assert [one.wait(60) for one in running] == [0, 0, 0, 0]
    assert [(tmp_path / f"{seed}.fmc").read_bytes() for seed in range(4)] == [data] * 4
    assert build(tmp_path) == (data, 0)


def test_a_project_of_loose_files_is_the_same_program(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    loose = {name: text.encode() for name, text in FILES.items() if name.endswith(".fm")}
    assert build_artifact(loose, "shop.main").data == build(tmp_path)[0]


def test_a_module_sees_only_what_it_and_those_it_requires_require(tmp_path: Path) -> None:
    make(tmp_path, {**FILES, "src/shop/aaa.fm": "(ns shop.aaa)\n(def x 1)"})
    make(tmp_path, {"src/shop/zzz.fm": "(ns shop.zzz)\n(def y shop.aaa/x)"})
    assert errors(tmp_path) == ["A105 src/shop/zzz.fm:2:8"]


# ---- names and places --------------------------------------------------------------------------------------------


def errors(root: Path, with_tests: bool = False) -> list[str]:
    """Codes and places of what is wrong with the sources of a project."""
    manifest = read_manifest(root / "flowmetal.toml")
    assert manifest is not None
    project = open_project(manifest)
    try:
        compile_modules(project.inputs(with_tests), project.cache())
    except CompileFailed as failed:
        for one in failed.diagnostics:
            assert render(one, {name: data.decode() for name, data in project.sources.items()})
        return [f"{one.code} {one.span}" for one in failed.diagnostics]
    return []


PLACES = [
    ({"src/shop/odd.fm": "(ns shop.strange)"}, ["A200 src/shop/odd.fm:1:1"]),
    ({"src/shop/odd.fm": "(def x 1)"}, ["A200 src/shop/odd.fm:1:1"]),
    ({"src/odd.fm": "(ns shop.base)"}, ["A200 src/odd.fm:1:1"]),
    ({"src/shop/odd.fm": "(ns shop.odd (:require [shop.bsae :as b]))"}, ["A131 src/shop/odd.fm:1:25"]),
    ({"src/shop/odd.fm": "(ns shop.odd (:require [help.it :as b]))"}, ["A201 src/shop/odd.fm:1:25"]),
    (
        {"src/a.fm": "(ns a (:require b))", "src/b.fm": "(ns b (:require c))", "src/c.fm": "(ns c (:require a))"},
        ["A138 src/c.fm:1:17"],
    ),
    (
        {"src/a.fm": "(ns a (:require b))", "src/b.fm": "(ns b (:require c))", "src/c.fm": "(ns c (:require b))"},
        ["A138 src/c.fm:1:17"],
    ),
    ({"src/a.fm": "(ns a (:require a))"}, ["A131 src/a.fm:1:17"]),
    ({"src/a.fm": "(ns a (:require b))\n(b/x)", "src/b.fm": "(ns b)\n(gone)"}, ["A101 src/b.fm:2:2"]),
    ({"src/a.fm": "(ns odd)", "src/b.fm": "(ns odd)"}, ["A200 src/a.fm:1:1", "A200 src/b.fm:1:1", "A137 src/b.fm:1:1"]),
    ({"src/.hidden.fm": "((", "src/.git/x.fm": "((", "build/y.fm": "((", "z.fm": "(("}, []),
]


@pytest.mark.parametrize(("files", "expected"), PLACES, ids=lambda value: " ".join(value)[:40])
def test_names_and_places(tmp_path: Path, files: dict[str, str], expected: list[str]) -> None:
    make(tmp_path, {**FILES, "test/help/it.fm": "(ns help.it (:require shop.main))\n(def x 1)", **files})
    assert errors(tmp_path) == expected
    assert errors(tmp_path) == expected  # with what the first build kept


def test_tests_may_require_the_program(tmp_path: Path) -> None:
    make(tmp_path, {**FILES, "test/help/it.fm": "(ns help.it (:require [shop.main :as m]))\n(def x m/five)"})
    assert errors(tmp_path, with_tests=True) == []


def test_required_names_can_be_renamed() -> None:
    program = """
    (ns a (:require [string :refer [join] :rename {join glue}] [walk :rename {postwalk deep}]))
    (defn main [] [(glue "-" ["a" "b"]) (deep identity 1) (string/join "+" [1 2])])
    """
    assert build_artifact({"a.fm": program}).name == "a"
    for wrong, code in (
        ('(ns a (:require [string :refer [join] :rename {join glue}]))\n(def x (join ["a"]))', "A101"),
        ("(ns a (:require [string :rename {jion glue}]))", "A132"),
        ('(ns a (:require [string :rename {"join" glue}]))', "A111"),
        ("(ns a (:require [string :rename [join glue]]))", "A111"),
    ):
        with pytest.raises(CompileFailed) as caught:
            build_artifact({"a.fm": wrong})
        assert caught.value.diagnostics[0].code == code


# ---- flowmetal.toml ----------------------------------------------------------------------------------------------

#: The file, the code, the line, and words of the message.
WRONG = [
    ("[project]\n", "U173", 1, "no `name`"),
    ('[project]\nname = "shop"\nnam = 1\n', "U171", 3, "Did you mean `name`?"),
    ('[project]\nname = "shop"\nsrc = ["x"]\n', "U171", 3, "Did you mean `source`?"),
    ('[project]\nname = "shop"\n\n[project.extra]\na = 1\n', "U171", 4, "`extra`"),
    ("[project]\nname = 7\n", "U172", 2, "7"),
    ('[project]\nname = ""\n', "U172", 2, "text in quotes"),
    ('[project]\nname = "a b"\n', "U172", 2, "begins with a letter"),
    ('[project]\nname = "../evil"\n', "U172", 2, "begins with a letter"),
    ('[project]\nname = "shop"\nversion = 1.0\n', "U172", 3, "text in quotes"),
    ('[project]\nname = "shop"\nversion = "one"\n', "U172", 3, "a version"),
    ('[project]\nname = "shop"\nmain = "a b"\n', "U172", 3, "the name of a module"),
    ('[project]\nname = "shop"\nmain = ["a"]\n', "U172", 3, "a list"),
    ('[project]\nname = "shop"\nsource = 1\n', "U172", 3, "a list of folders"),
    ('[project]\nname = "shop"\nsource = []\n', "U172", 3, "1 to 100"),
    ('[project]\nname = "shop"\nsource = [1]\n', "U172", 3, "a list of folders"),
    ('[project]\nname = "shop"\nsource = ["/etc"]\n', "U172", 3, "inside the project"),
    ('[project]\nname = "shop"\nsource = ["src", "../.."]\n', "U172", 3, "inside the project"),
    ('[project]\nname = "shop"\nsource = ["a\\u0000b"]\n', "U172", 3, "inside the project"),
    ('[project]\nname = "shop"\nsource = ["nowhere"]\n', "U174", None, "nowhere"),
    (f'[project]\nname = "shop"\nsource = ["{"x" * 5000}"]\n', "U174", None, "is no folder"),
    (f'[project]\nname = "shop"\n[dependencies]\na = "{"x" * 5000}"\n', "U178", None, "too long"),
    ('[project]\nname = "shop"\ntest = ["../t"]\n', "U172", 3, "inside the project"),
    ('[project]\nname = "shop"\noutput = "/tmp/x.fmc"\n', "U172", 3, "inside the project"),
    ('[project]\nname = "shop"\noutput = "build/x.exe"\n', "U172", 3, "ends in .fmc"),
    ('[project]\nname = "shop"\nmain = "shop.mian"\n', "U176", None, "Did you mean `shop.main`?"),
    ("project = 1\n[serve]\n", "U172", 1, "a table"),
    ('[[project]]\nname = "a"\n', "U172", 1, "a table"),
    ('project.name = "shop"\nproject.nmae = "x"\n', "U171", 2, "Did you mean `name`?"),
    ('dependencies = 3\n[project]\nname = "shop"\n', "U172", 1, "a table"),
    ('[project]\nname = "shop"\n[dependencies]\na = 1\n', "U172", 4, "the path of an artifact"),
    ('[project]\nname = "shop"\n[dependencies]\na = {pth = "x"}\n', "U171", 4, "Did you mean `path`?"),
    ('[project]\nname = "shop"\n[dependencies]\na = {path = "gone.fmc"}\n', "U178", None, "gone.fmc"),
    ('[project]\nname = "shop"\n[dependencies]\na = "flowmetal.toml"\n', "U178", None, "flowmetal.toml"),
    ('[project]\nname = "shop"\n[dependencies]\na = "src"\n', "U178", None, "it is a folder, and not a file."),
    ('[project\nname = "shop"\n', "U170", 1, "TOML"),
    ('[project]\nname = "shop"\nname = "shop"\n', "U170", 3, ""),
    ("[project]\nname = " + "[" * 5000, "U170", None, ""),
    ("[project]\nname = " + "9" * 5000, "U170", None, "digits"),
    ("[project]\nname = '" + "x" * (1 << 20) + "'", "U170", None, "larger than"),
]


@pytest.mark.parametrize(("text", "code", "line", "words"), WRONG, ids=[f"{row[1]} {row[0][10:50]!r}" for row in WRONG])
def test_what_is_wrong_with_a_project(tmp_path: Path, text: str, code: str, line: int | None, words: str) -> None:
    make(tmp_path, {**FILES, "flowmetal.toml": text})
    with pytest.raises(FlowmetalError) as caught:
        build(tmp_path)
    shown = render(caught.value.diagnostic, {str(tmp_path / "flowmetal.toml"): text})
    assert caught.value.code == code, shown
    assert words in " ".join(shown.split()), shown
    assert explain(code)
    if line is not None:
        assert caught.value.diagnostic.span is not None
        assert caught.value.diagnostic.span.line == line, shown


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    for data in (b"\xff\xfe\x00", b'[project]\nname = "\x80"', b"\x00"):
        (tmp_path / "flowmetal.toml").write_bytes(data)
        with pytest.raises(FlowmetalError) as caught:
            build(tmp_path)
        assert caught.value.code == "U170"


def test_the_project_is_found_upward(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    make(tmp_path, {"src/shop/flowmetal.toml": "[serve]\nport = 1\n"})  # settings, and no project
    found = find_manifest(tmp_path / "src" / "shop")
    assert found is not None
    assert (found.name, found.version, found.root) == ("shop", "1.0", tmp_path)
    assert read_manifest(tmp_path / "src/shop/flowmetal.toml") is None


MAINS = [
    (["shop", "other"], None, "shop"),
    (["shop.main", "other"], None, "shop.main"),
    (["shop.core", "other"], None, "shop.core"),
    (["main", "other"], None, "main"),
    (["one"], None, "one"),
    (["one", "two"], None, "U179"),
    (["one", "two"], "two", "two"),
]


@pytest.mark.parametrize(("modules", "main", "expected"), MAINS)
def test_the_main_module(tmp_path: Path, modules: list[str], main: str | None, expected: str) -> None:
    line = f'main = "{main}"\n' if main else ""
    make(tmp_path, {"flowmetal.toml": f'[project]\nname = "shop"\n{line}'})
    make(tmp_path, {f"src/{name.replace('.', '/')}.fm": f"(ns {name})\n(def x 1)" for name in modules})
    manifest = read_manifest(tmp_path / "flowmetal.toml")
    assert manifest is not None
    project = open_project(manifest)
    if expected.startswith("U"):
        with pytest.raises(FlowmetalError) as caught:
            build_project(project)
        assert caught.value.code == expected
        return
    built, _ = build_project(project)
    assert built.name == expected
    assert project.output(built.name) == tmp_path / f"build/{expected}.fmc"


def test_an_artifact_as_a_dependency(tmp_path: Path) -> None:
    library = make(tmp_path / "prices", {
        "flowmetal.toml": '[project]\nname = "prices"\n',
        "src/prices.fm": "(ns prices (:require [prices.tax :as tax]))\n(defn price [n] (tax/with-tax n))\n"
        "(defmacro twice [x] `(* 2 ~x))",
        "src/prices/tax.fm": "(ns prices.tax)\n(defn with-tax [n] (* n 3))",
    })  # fmt: skip
    user = make(tmp_path / "user", {
        "flowmetal.toml": '[project]\nname = "user"\n[dependencies]\nprices = { path = "../prices.fmc" }\n',
        "src/user.fm": "(ns user (:require [prices :as p]))\n(defn main [] (p/twice (p/price 7)))",
    })  # fmt: skip
    (tmp_path / "prices.fmc").write_bytes(build(library)[0])
    data, count = build(user)
    (tmp_path / "user.fmc").write_bytes(data)
    assert (count, build(user)) == (1, (data, 0))
    command = [sys.executable, "-m", "flowmetal.cli.flowvm", "run", str(tmp_path / "user.fmc")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "42\n"
    make(library, {"src/prices/tax.fm": "(ns prices.tax)\n(defn with-tax [n] (* n 5))"})
    (tmp_path / "prices.fmc").write_bytes(build(library)[0])
    changed, count = build(user)
    assert count == 1
    assert changed == build(user, cached=False)[0] != data


def test_methods_in_other_modules(tmp_path: Path) -> None:
    files = {
        "flowmetal.toml": '[project]\nname = "zoo"\n',
        "src/zoo/main.fm": "(ns zoo.main (:require [zoo.base :refer [sound]] zoo.cat [zoo.dog :as dog]))\n"
        "(def loud (sound {:kind :dog}))\n(defn main [] [loud (sound {:kind :cat}) (dog/again)])",
        "src/zoo/base.fm": "(ns zoo.base)\n(defmulti sound :kind)",
        "src/zoo/cat.fm": '(ns zoo.cat (:require [zoo.base :refer [sound]]))\n(defmethod sound :cat [_] "meow")',
        "src/zoo/dog.fm": '(ns zoo.dog (:require [zoo.base :refer [sound]]))\n(defmethod sound :dog [_] "woof")\n'
        "(defn again [] (sound {:kind :dog}))",
    }
    data, _ = build(make(tmp_path, files))
    assert build(tmp_path) == (data, 0)
    assert build(tmp_path, cached=False)[0] == data
    (tmp_path / "zoo.fmc").write_bytes(data)
    command = [sys.executable, "-m", "flowmetal.cli.flowvm", "run", str(tmp_path / "zoo.fmc")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == '["woof" "meow" "woof"]\n'
    make(tmp_path, {"src/zoo/dog.fm": files["src/zoo/dog.fm"].replace("woof", "wuff")})
    changed, count = build(tmp_path)
    assert (count, changed) == (2, build(tmp_path, cached=False)[0])


def test_warnings_are_kept_and_shown_again(tmp_path: Path) -> None:
    make(tmp_path, {**FILES, "src/shop/odd.fm": "(ns shop.odd)\n(defn f [x]\n  (let [unused 1] x))\n"})
    manifest = read_manifest(tmp_path / "flowmetal.toml")
    assert manifest is not None
    project = open_project(manifest)
    first, compiled = build_project(project)
    again, kept = build_project(project)
    assert (compiled.kept, kept.kept) == (0, 4)
    assert first.warnings
    assert [str(one.span) for one in first.warnings] == ["src/shop/odd.fm:3:9"]
    texts = {name: data.decode() for name, data in project.sources.items()}
    assert [render(one, texts) for one in again.warnings] == [render(one, texts) for one in first.warnings]
    assert [one.level for one in again.warnings] == ["warning"]
