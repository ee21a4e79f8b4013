"""Grants: what they are read as, what they allow, and the ways round them that programs of strangers could try."""

from __future__ import annotations

from typing import Any

import pytest

from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.client import NotFound, Refused, connect
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine import effects
from flowmetal.engine.artifacts import deploy, deployer, grant_deployed
from flowmetal.engine.build import build_artifact
from flowmetal.engine.events import AnsweredError, Requested
from flowmetal.engine.grants import ALWAYS, Grants, granted, grants_line, named_grants, read_grants
from flowmetal.engine.library import standard_library
from flowmetal.engine.simulate import Ran, Simulation
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import Operate, PutArtifact, Start
from flowmetal.store.layout import META
from flowmetal.store.memory import MemoryStore
from flowmetal.store.operations import OPERATIONS
from flowmetal.store.operations.schedules import read_definition
from flowmetal.store.rows import decode_origin, encode_origin
from flowmetal.values import (
    Duration,
    LanguageError,
    Map,
    Pid,
    Vector,
    decode_value,
    encode_value,
    fail,
    from_python,
    keyword,
    meta_of,
    with_meta,
)

# ---- reading -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ([], ()),
        (["none"], ()),
        (["local"], ()),
        (["all"], None),
        (["store", "all"], None),
        (["store", "http/request", "store"], ("http/request", "store")),
        (["http/request=a.example.com,*.b.example:8443"], ("http/request=a.example.com,*.b.example:8443",)),
        (["http/request=GET+HEAD@a.example/v1"], ("http/request=GET+HEAD@a.example/v1",)),
        (["shell/run=git,make", "secret=a,b"], ("secret=a,b", "shell/run=git,make")),
        (["kv/*=orders/"], ("kv/*=orders/",)),
    ],
)
def test_grants_are_read(given: list[str], read: tuple[str, ...] | None) -> None:
    assert read_grants(given) == read


@pytest.mark.parametrize(
    ("grant", "code"),
    [
        ("", "U200"),
        ("a b", "U200"),
        ("*", "U200"),
        ("http*", "U200"),
        ("*/x", "U200"),
        ("http/request=", "U200"),
        ("http/request=a b", "U200"),
        ("http/request=https://a.example", "U200"),
        ("http/request=a.example:0", "U200"),
        ("http/request=a.example:70000", "U200"),
        ("http/request=a.example/../x", "U200"),
        ("http/request=a.example/%2e%2e/x", "U200"),
        ("http/request=*a.example", "U200"),
        ("http/request=user@a.example", "U200"),
        ("secret=", "U200"),
        ("billing/charge=7", "U201"),
        ("store=a", "U201"),
        ("http/*=a.example", "U201"),
        ("x" * 3000, "U200"),
    ],
)
def test_what_is_no_grant_is_refused(grant: str, code: str) -> None:
    with pytest.raises(FlowmetalError) as problem:
        read_grants([grant])
    assert problem.value.code == code


@pytest.mark.parametrize("given", ["all", b"all", 5])
def test_one_text_is_no_list_of_grants(given: Any) -> None:
    with pytest.raises(FlowmetalError) as problem:
        read_grants(given)
    assert problem.value.code == "U203"


STEPS = """
/v1/../admin /v1/.. /v1/./x /v1/. /v1//x /v1/a;b /v1/%2e%2e/admin /v1/.%2e/x /v1/%2F..%2fadmin /v1/..%5cx /v1/a%5c..
/v1/%252e%252e/admin /v1/%252fx /v1/..%3b/admin /v1/..%3B/x /v1/..%00/x /v1/..%09/x /v1/..%20/x /v1/.%20./x /v1/%20../x
/v1/...x/y /v1/..x /v1/%c0%ae%c0%ae/x /v1/%C0%AF /v1/%7f../x /v1/x%1f /v1/..\\x /v1/%uff0e/../x
"""


@pytest.mark.parametrize("path", STEPS.split())
def test_a_path_with_steps_is_not_below_one(path: str) -> None:
    grants, whole = Grants(["http/request=api.example.com/v1"]), Grants(["http/request=api.example.com"])
    assert not grants.allows_url("GET", "https", "api.example.com", None, path)
    assert whole.allows_url("GET", "https", "api.example.com", None, path)
    with pytest.raises(LanguageError, match="not granted"):
        grants.check("http/request", Map.of([(keyword("url"), f"https://api.example.com{path}")]))


@pytest.mark.parametrize(
    "path", ["/v1/a.b", "/v1/.well-known/x", "/v1/x%20y", "/v1/a..b", "/v1/%C3%A4", "/v1/?q=../x;%25"]
)
def test_plain_paths_are(path: str) -> None:
    Grants(["http/request=api.example.com/v1"]).check(
        "http/request", Map.of([(keyword("url"), f"https://api.example.com{path}")])
    )


def test_names_of_effects_are_looked_at_before_they_are_remembered() -> None:
    """A program computes names of any length and number."""
    source = """(ns t)
(defn main []
  (dotimes [n 1100] (try (perform (keyword (str "e/" n)) 1) (catch _ e nil)))
  (try (perform (keyword (apply str (repeat 100000 "x"))) 1)
    (catch _ e [(:kind e) (count (:message e)) (count (pr-str (:data e)))])))"""
    world = Simulation()
    world.deploy(build_artifact({"t.fm": source}).data, "t", ["e/x"])
    [(pid, _)] = world.store.submit([Start("t/main", encode_value(Vector.of([])), name="t")]).result()
    world.run(pid)
    kind, message, data = world.outcome(pid).value
    assert kind is keyword("argument") and message < 500 and data < 500
    found = granted(("e/x",))
    assert found is not None and 900 < len(found._found) <= 1000
    assert found.narrowing("y" * 1000) is None and max(map(len, found._found)) < 200
    with pytest.raises(LanguageError) as refused:
        found.check("shell/run", Map.of([(keyword("command"), Vector.of(["z" * 1_000_000]))]))
    assert len(encode_value(refused.value.error)) < 3000


@pytest.mark.parametrize("path", ["/orders/../secret", "/a;b", "/%2e%2e/x", "/x//y"])
def test_what_a_refusal_suggests_is_a_grant(path: str) -> None:
    grants = granted(("http/request=GET@api.example.com/orders",))
    assert grants is not None
    with pytest.raises(LanguageError) as refused:
        grants.check("http/request", Map.of([(keyword("url"), f"https://api.example.com{path}")]))
    suggested = refused.value.error.data.get(keyword("grant"))
    assert read_grants([suggested]) == ("http/request",)


def test_too_many_grants_are_refused() -> None:
    with pytest.raises(FlowmetalError) as problem:
        read_grants([f"a/b{number}" for number in range(300)])
    assert problem.value.code == "U202"


def test_what_a_newer_release_granted_grants_nothing() -> None:
    grants = granted(("http/request=@@@", "store", "log/* but only on Sundays"))
    assert grants is not None
    assert grants.narrowing("http/request") is None
    assert grants.free("kv/get")


# ---- what is allowed ---------------------------------------------------------------------------------------------


def allows(texts: list[str], effect: str, payload: Any) -> bool:
    """Whether an effect with this payload may be performed."""
    found = read_grants(texts)
    assert found is not None
    try:
        Grants(found).check(effect, payload)
    except LanguageError as refused:
        assert refused.error.kind is keyword("flowmetal/not-granted")
        return False
    return True


def test_every_effect_of_the_engine_is_in_one_of_the_bundles() -> None:
    store = Grants(("store",))
    engine = (set(effects.LOCAL) | effects.HELD) - {effects.CALLBACK, effects.SEND} - set(OPERATIONS)
    assert engine <= ALWAYS
    assert all(store.free(name) for name in (*OPERATIONS, "send", "spawn"))
    assert not any(name in ALWAYS for name in OPERATIONS)
    assert not store.free("http/request")
    assert not store.free("http/callback")


@pytest.mark.parametrize("effect", sorted(ALWAYS))
def test_what_stays_within_the_process_needs_no_grant(effect: str) -> None:
    assert allows([], effect, None)


@pytest.mark.parametrize(
    ("grant", "url", "method", "allowed"),
    [
        ("http/request", "http://anything.example:1/x", "post", True),
        ("http/request=a.example", "https://a.example/x", None, True),
        ("http/request=a.example", "http://A.EXAMPLE/x", None, True),
        ("http/request=a.example", "https://a.example", None, True),
        ("http/request=a.example", "https://a.example?q=1", None, True),
        ("http/request=a.example", "https://a.example:443/x", None, True),
        ("http/request=a.example", "https://a.example:8443/x", None, False),
        ("http/request=a.example:8443", "https://a.example:8443/x", None, True),
        ("http/request=a.example:8443", "https://a.example/x", None, False),
        ("http/request=a.example:*", "https://a.example:8443/x", None, True),
        ("http/request=a.example", "https://b.example/x", None, False),
        ("http/request=a.example", "https://xa.example/x", None, False),
        ("http/request=a.example", "https://a.example.evil.example/x", None, False),
        ("http/request=a.example", "https://sub.a.example/x", None, False),
        ("http/request=*.a.example", "https://sub.a.example/x", None, True),
        ("http/request=*.a.example", "https://a.example/x", None, False),
        ("http/request=*.a.example", "https://suba.example/x", None, False),
        ("http/request=a.example", "https://a.example@evil.example/x", None, False),
        ("http/request=a.example", "https://evil.example\\@a.example/x", None, False),
        ("http/request=a.example", "https://evil.example#@a.example/", None, False),
        ("http/request=a.example", "https://evil.example/?@a.example/", None, False),
        ("http/request=a.example", "https://a.example\t.evil.example/", None, False),
        ("http/request=a.example", " https://a.example/", None, False),
        ("http/request=a.example", "https://ａ.example/", None, False),
        ("http/request=a.example", "//a.example/", None, False),
        ("http/request=a.example", "ftp://a.example/", None, False),
        ("http/request=[::1]:8080", "http://[::1]:8080/x", None, True),
        ("http/request=GET@a.example", "https://a.example/x", None, True),
        ("http/request=GET@a.example", "https://a.example/x", "post", False),
        ("http/request=GET+POST@a.example", "https://a.example/x", "POST", True),
        ("http/request=a.example/v1", "https://a.example/v1", None, True),
        ("http/request=a.example/v1", "https://a.example/v1/x", None, True),
        ("http/request=a.example/v1", "https://a.example/v1?x=1", None, True),
        ("http/request=a.example/v1", "https://a.example/v10", None, False),
        ("http/request=a.example/v1", "https://a.example/v1/../admin", None, False),
        ("http/request=a.example/v1", "https://a.example/v1/%2E%2e/admin", None, False),
        ("http/request=a.example/v1", "https://a.example/v1/..%2fadmin", None, False),
        ("http/request=a.example/v1", "https://a.example/v1/..;/admin", None, False),
        ("http/request=a.example/v1", "https://a.example//v1/", None, False),
        ("http/request=*:9000", "http://10.0.0.1:9000/", None, True),
        ("http/request=*:9000", "http://10.0.0.1/", None, False),
    ],
)
def test_where_requests_may_go(grant: str, url: str, method: str | None, allowed: bool) -> None:
    request = {keyword("url"): url} | ({} if method is None else {keyword("method"): keyword(method)})
    assert allows([grant], "http/request", Map.of(request.items())) is allowed


@pytest.mark.parametrize(
    ("grant", "effect", "payload", "allowed"),
    [
        ("billing/*", "billing/charge", None, True),
        ("billing/*", "billing/", None, False),
        ("billing/*", "billingx/charge", None, False),
        ("billing/charge", "billing/charge", None, True),
        ("billing/charge", "billing/refund", None, False),
        ("kv/get", "kv/put", ["a", 1], False),
        ("kv/*=orders/", "kv/get", ["orders/7"], True),
        ("kv/*=orders/", "kv/list", ["orders/"], True),
        ("kv/*=orders/", "kv/list", [""], False),
        ("kv/*=orders/", "kv/get", ["order"], False),
        ("kv/*=orders/", "kv/get", None, False),
        ("shell/run=git", "shell/run", {"command": ["git", "push"]}, True),
        ("shell/run=git", "shell/run", {"command": ["/bin/git", "push"]}, False),
        ("shell/run=git", "shell/run", {"command": "git; rm -rf /"}, False),
        ("shell/run=git", "shell/run", None, False),
        ("schedule/put=mail", "schedule/put", {"name": "a", "program": "mail"}, True),
        ("schedule/put=mail", "schedule/put", {"name": "a", "program": "pay"}, False),
        ("schedule/put=mail", "schedule/put", {"name": "a"}, False),
    ],
)
def test_other_narrowings(grant: str, effect: str, payload: Any, allowed: bool) -> None:
    assert allows([grant], effect, from_python(payload)) is allowed


def test_secrets_by_name() -> None:
    grants = Grants(("secret=api-key,git*",))
    assert [grants.allows_secret(name) for name in ("api-key", "github", "other", "api-key2")] == [
        True, True, False, False,
    ]  # fmt: skip
    with pytest.raises(LanguageError, match="--grant secret=other"):
        grants.check_secrets(["api-key", "other"])


def test_the_line_can_be_pasted() -> None:
    assert grants_line(None) == "all"
    assert grants_line(()) == "none"
    assert grants_line(("http/request=*.a.example", "store")) == "'http/request=*.a.example' store"


# ---- escapes -----------------------------------------------------------------------------------------------------

PROGRAM = """
(ns stranger (:require http kv handlers saga))

(defeffect pay/out "Pays." [amount])

(defn plain [] (perform :pay/out 1))
(defn by-defeffect [] (pay/out 1))
(defn by-value [] (let [f pay/out] (f 1)))
(defn by-apply [] (apply pay/out [1]))
(defn by-map [] (doall (map pay/out [1 2])))
(defn computed [] (perform (keyword (str "pay" "/" "out")) 1))
(defn computed-reversed [] (perform (keyword (apply str (reverse "tuo/yap"))) 1))
(defn re-performed [] (perform* :pay/out 1 nil))
(defn requested [] (await (request :pay/out 1)))
(defn in-a-fiber [] (await (async (pay/out 1))))
(defn handler-falls-through []
  (handle (pay/out 1)
    (pay/out [amount resume] (resume (perform :pay/out amount)))))
(defn handler-of-everything []
  (handlers/run-with-answers {:other 1} (fn [] (perform :pay/out 1))))
(defn in-finally [] (try (throw (error :oops "x")) (finally (pay/out 1))))
(defn in-catch [] (try (throw (error :oops "x")) (catch :oops _ (pay/out 1))))
(defn by-retry [] (perform :pay/out 1 {:retry {:max 5 :on (fn [e] (perform :pay/out 2) true)}}))
(defn in-the-retry-policy [] (perform :flaky 1 {:retry {:max 3 :on (fn [e] (pay/out 2))}}))
(defn lazy [] (first (lazy-seq [(pay/out 1)])))
(def cell (atom pay/out))
(defn from-a-cell [] (@cell 1))
(def table {:pay pay/out})
(defn from-a-table [] ((:pay table) 1))
(defmulti act identity)
(defmethod act :pay [_] (pay/out 1))
(defn by-method [] (act :pay))
(defprotocol Payer (go [this]))
(defrecord One [] Payer (go [this] (pay/out 1)))
(defn by-protocol [] (go (->One)))
(defn undone []
  (saga/saga {}
    (saga/step 1 (fn [_] (pay/out 1)))
    (throw (error :oops "x"))))

(defn child [] (pay/out 1))
(defn spawned [] (let [[pid ref] (spawn-monitor child)] (:reason (receive))))
(defn grandchild [] (spawn child))
(defn spawned-deep [] (let [[pid ref] (spawn-monitor grandchild)] (receive)) (receive (after 1s :quiet)))
(defn receiver [] (let [f (receive)] (f 1)))
(defn sends-a-function [to] (send to pay/out))
(defn keeps-a-function [] (kv/put "f" pay/out))
(defn asks-a-person [] (perform :flowmetal/person (error :pay/out "pay")))
(defn over-http [] (http/post "https://evil.example/" {:json 1}))
(defn calls-back [] (http/callback))
(defn tries-again []
  (loop [n 0] (if (= n 3) :never (do (try (pay/out n) (catch _ e nil)) (recur (inc n))))))
(defn caught [] (try (pay/out 1) (catch :flowmetal/not-granted e (:data e))))
"""

ARTIFACT = build_artifact({"stranger.fm": PROGRAM}, main="stranger").data


def world_of(paid: list[Any]) -> Simulation:
    """A world in which somebody serves what must not be reached."""

    def pay(payload: Any) -> Any:
        paid.append(payload)
        return "paid"

    def fail_each_time(payload: Any) -> Any:
        fail("flaky", "it fails")

    return Simulation({"pay/out": pay, "http/request": pay, "http/callback": pay, "flaky": fail_each_time})


def ran(world: Simulation, function: str, grants: list[str], *arguments: Any) -> Ran:
    pid = world.start(world.deploy(ARTIFACT, "stranger"), f"stranger/{function}", arguments, grants=grants)
    world.run(until=world.clock.now + 10**11)
    return world.outcome(pid)


ESCAPES = [
    "plain", "by-defeffect", "by-value", "by-apply", "by-map", "computed", "computed-reversed", "re-performed",
    "requested", "in-a-fiber", "handler-falls-through", "handler-of-everything", "in-finally", "in-catch", "by-retry",
    "lazy", "from-a-cell", "from-a-table", "by-method", "by-protocol", "undone", "spawned", "spawned-deep", "over-http",
    "calls-back", "tries-again", "in-the-retry-policy",
]  # fmt: skip


@pytest.mark.parametrize("function", ESCAPES)
def test_no_way_leads_to_what_is_not_granted(function: str) -> None:
    paid: list[Any] = []
    world = world_of(paid)
    ran(world, function, ["spawn", "flaky"])
    assert paid == []
    refused = 0
    for record in world.store.processes():
        assert not world.store.open_requests(record.pid) or record.status == "waiting"
        for event in world.outcome(record.pid).log:
            assert not (isinstance(event, Requested) and event.effect in ("pay/out", "http/request", "http/callback"))
            if isinstance(event, AnsweredError):
                refused += decode_value(event.error).kind is keyword("flowmetal/not-granted")
    assert refused > 0  # what is not granted is an error of the program, and stands in its log


@pytest.mark.parametrize("function", [name for name in ESCAPES if name != "calls-back"])
def test_the_same_ways_are_open_where_it_is_granted(function: str) -> None:
    """The table above says something only if each of its functions would reach the effect."""
    paid: list[Any] = []
    world = world_of(paid)
    ran(world, function, ["spawn", "flaky", "pay/out", "http/request"])
    assert paid


def test_the_error_says_what_would_grant_it() -> None:
    found = ran(world_of([]), "caught", [])
    assert found.value == Map.of([(keyword("effect"), keyword("pay/out")), (keyword("grant"), "pay/out")])


def test_functions_do_not_reach_other_processes() -> None:
    """A function that another process called would have that one's grants; no message and no key carries one."""
    paid: list[Any] = []
    world = world_of(paid)
    receiver = world.start(world.deploy(ARTIFACT, "stranger"), "stranger/receiver")
    world.settle()
    sent = ran(world, "sends-a-function", ["send"], Pid(receiver))
    kept = ran(world, "keeps-a-function", ["store"])
    assert sent.status == kept.status == "failed"
    assert (paid, world.store.messages(receiver)) == ([], 0)


def test_a_person_is_asked_and_nothing_is_done() -> None:
    paid: list[Any] = []
    found = ran(world_of(paid), "asks-a-person", [])
    assert (found.status, paid) == ("paused", [])


@pytest.mark.parametrize("crash", [False, True])
def test_grants_hold_after_a_crash(crash: bool) -> None:
    paid: list[Any] = []
    world = world_of(paid)
    pid = world.start(world.deploy(ARTIFACT), "stranger/tries-again", grants=[])
    world.run(pid, crash_each_step=crash)
    assert (world.outcome(pid).value, paid) == (keyword("never"), [])


# ---- who gets which ----------------------------------------------------------------------------------------------


def test_a_name_has_the_grants_it_was_deployed_with() -> None:
    store = MemoryStore()
    hash = deploy(store, ARTIFACT, "stranger", ["pay/out"])
    start = Start("stranger/plain", encode_value(Vector.of([])), name="stranger")
    pids = [store.submit([start]).result()[0][0]]
    deploy(store, ARTIFACT, "stranger", [])
    pids.append(store.submit([start]).result()[0][0])
    deploy(store, ARTIFACT, "stranger")
    pids.append(store.submit([start]).result()[0][0])
    assert [store.process(pid).grants for pid in pids] == [("pay/out",), (), None]  # type: ignore[union-attr]
    assert store.deployed()["stranger"] == hash


def test_the_name_of_an_effect_is_no_wider_grant() -> None:
    assert named_grants(["all", "store", "secret", "none", "http/*", "a=b", "kv/get", "now"]) == ("kv/get",)


def test_a_schedule_runs_functions_of_the_program_alone() -> None:
    """One of the library would perform whatever it is given, with the grants of the program that is named."""
    store = MemoryStore()
    deploy(store, ARTIFACT, "stranger", ["pay/out"])
    definition = {"name": "s", "every": Duration(10**9), "program": "stranger"}

    def put(function: str, arguments: Vector) -> None:
        entries = {**definition, "function": function, "args": arguments}
        payload = Map.of((keyword(name), value) for name, value in entries.items())
        store.submit([Operate("schedule/put", encode_value(payload))]).result()

    for function in ("flowmetal.core.effects/perform*", "flowmetal.core/inc"):
        with pytest.raises(StoreError, match="function of the program"):
            put(function, Vector.of([]))
    marked = with_meta(Vector.of([1]), Map.of([(keyword("function"), 1)]))
    row = read_definition(Map.of((keyword(n), v) for n, v in {**definition, "args": marked}.items()), None, 0)
    assert meta_of(decode_value(row.arguments)) is None and list(decode_value(row.arguments)) == [1]


PRIVATE = """(ns orders (:require kv))
(defn- hidden [n] (perform :pay/out n))
(defmacro twice [x] x)
(defn main [] (perform :spawn [hidden [1] {:id "child"}]) (sleep 1s))"""


@pytest.mark.parametrize("function", ["orders/hidden", "orders/twice", "kv/get", "flowmetal.core/inc", "orders/none"])
def test_only_public_functions_of_the_program_itself_are_started_by_name(function: str) -> None:
    """Neither by a client, nor by what knows nothing of programs: a schedule that a program puts, the store itself."""
    world = Simulation()
    world.deploy(build_artifact({"orders.fm": PRIVATE}).data, "orders", ["pay/out", "kv/*"])
    with pytest.raises(NotFound) as refused:
        connect(world.store).start(function, 1, program="orders")
    assert refused.value.code == "B014"
    [(pid, _)] = world.store.submit([Start(function, encode_value(Vector.of([1])), name="orders")]).result()
    world.run(pid)
    ended = world.outcome(pid)
    assert ended.status == "failed" and ended.error is not None and ended.error.kind.text == "unbound"
    entries = {"name": "s", "every": "1m", "program": "orders", "function": function, "args": [1]}
    if not function.startswith("flowmetal."):  # that the store refuses
        world.store.submit([Operate("schedule/put", encode_value(from_python(entries)))]).result()
        world.run(until=world.clock.now + 61 * 10**9)
        assert [one.status for one in world.store.processes()] == ["failed", "failed"]
    assert not any(isinstance(event, Requested) for event in world.outcome(pid).log)


def test_a_child_of_a_private_function_is_spawned_and_started_again() -> None:
    world = Simulation()
    world.deploy(build_artifact({"orders.fm": PRIVATE}).data, "shop", ["spawn"])
    other = "(ns orders) (defn hidden [n] :not-mine) (defn main [] 1)"
    world.deploy(build_artifact({"orders.fm": other}).data, "orders", ["all"])
    client = connect(world.store)
    parent = client.start("orders/main", program="shop")
    world.run(parent)
    child = next(record for record in world.store.processes() if record.parent == parent)
    assert (child.status, child.function, child.program) == ("failed", "orders/hidden", "shop")
    assert "not-granted" in child.error
    for latest in (False, True):
        again = client.restart(child.pid, latest=latest)
        world.run(again)
        record = world.store.process(again)
        assert record is not None
        # The program of the root, not another one that is called like the module, and its grants.
        assert (record.status, record.program, record.grants) == ("failed", "shop", ("spawn",))
        assert "not-granted" in record.error


def test_what_was_started_by_no_name_is_not_restarted_as_the_latest() -> None:
    world = Simulation()
    hash = world.deploy(
        build_artifact({"orders.fm": '(ns orders) (defn main [] (throw (error :no "no")))'}).data, "shop", []
    )
    world.deploy(build_artifact({"orders.fm": "(ns orders) (defn main [] 1)"}).data, "orders")
    pid = world.start(hash, "orders/main")
    world.run(pid)
    with pytest.raises(Refused, match="the name of its program"):
        connect(world.store).restart(pid, latest=True)


def test_functions_of_the_library_are_spawned() -> None:
    simulation = Simulation()
    source = "(ns s)\n(defn main [] (spawn identity [1]) (sleep 1s))"
    hash = simulation.deploy(build_artifact({"s.fm": source}).data)
    pid = simulation.start(hash, "s/main", [])
    simulation.run(pid)
    assert simulation.outcome(pid).status == "done"
    child = simulation.store.process(2)
    assert child is not None and (child.function, child.status) == ("flowmetal.core/identity", "done")


def test_a_name_whose_grants_are_lost_has_none() -> None:
    store = MemoryStore()
    deploy(store, ARTIFACT, "stranger")
    assert store.grants("stranger") is None
    assert store._tables[META].delete(b"grants:stranger")
    [(pid, _)] = store.submit([Start("stranger/plain", encode_value(Vector.of([])), name="stranger")]).result()
    process = store.process(pid)
    assert process is not None and process.grants == () == store.grants("stranger")


def test_schedules_start_with_the_grants_of_the_name() -> None:
    world = Simulation()
    world.deploy(ARTIFACT, "stranger", ["kv/get"])
    payload = {"name": "s", "every": "1m", "program": "stranger", "function": "stranger/caught"}
    world.store.submit([Operate("schedule/put", encode_value(from_python(payload)))]).result()
    world.run(until=world.clock.now + 61 * 10**9)
    records = world.store.processes()
    assert records
    assert {record.grants for record in records} == {("kv/get",)}


def test_a_process_that_is_started_again_has_what_it_had() -> None:
    """A child is called like the module of its function, which may be deployed as well, with more."""
    world = Simulation()
    world.deploy(ARTIFACT, "visitor", ["spawn"])
    start = Start("stranger/spawned", encode_value(Vector.of([])), name="visitor")
    parent = world.store.submit([start]).result()[0][0]
    world.run()
    other = build_artifact({"stranger.fm": '(ns stranger) (defn child [] "mine")'}).data
    world.deploy(other, "stranger")  # all is granted to it
    client = connect(world.store)
    child = next(record.pid for record in world.store.processes() if record.parent == parent)
    again = client.restart(child)
    assert world.store.process(again).grants == ("spawn",)  # type: ignore[union-attr]
    world.deploy(ARTIFACT, "visitor", ["spawn", "pay/out"])
    assert world.store.process(client.restart(parent)).grants == ("pay/out", "spawn")  # type: ignore[union-attr]


def test_what_the_server_deploys_has_nothing_unless_it_is_said() -> None:
    store = MemoryStore()
    put = deployer({"known": ("kv/get",), "trusted": None})
    for name in ("unknown", "known", "trusted"):
        put(store, name, ARTIFACT, None)
    assert [store.grants(name) for name in ("unknown", "known", "trusted")] == [(), ("kv/get",), None]
    put(store, "unknown", ARTIFACT, ["store"])
    assert store.grants("unknown") == ("store",)
    assert grant_deployed(store, {"unknown": ("log/x",), "absent": ()}) == ["unknown"]
    assert store.grants("unknown") == ("log/x",)


def test_settings_do_not_put_back_what_was_deployed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody deploys while the server reads what is deployed."""
    store = MemoryStore()
    deploy(store, ARTIFACT, "shop", [])
    newer = build_artifact({"orders.fm": PRIVATE}).data
    plain = store.artifact

    def meanwhile(hash: bytes) -> bytes | None:
        monkeypatch.undo()
        deploy(store, newer, "shop", ["kv/*"])
        return plain(hash)

    monkeypatch.setattr(store, "artifact", meanwhile)
    grant_deployed(store, {"shop": ("log/x",)})
    assert store.deployed()["shop"] == decode_artifact(newer).hash
    assert store.grants("shop") == ("kv/*",)


def test_what_an_older_prompt_deployed_has_nothing() -> None:
    """It deployed the library, whose functions perform anything, with all granted."""
    world = Simulation()
    library = standard_library()
    world.store.submit([PutArtifact(library.hash, library.data, "flowmetal.prompt", ("all",))]).result()
    assert world.store.grants("flowmetal.prompt") == ()
    arguments = encode_value(Vector.of([keyword("pay/out"), 1, None]))
    start = Start("flowmetal.core.effects/perform*", arguments, name="flowmetal.prompt")
    [(pid, _)] = world.store.submit([start]).result()
    world.run(pid)
    assert world.outcome(pid).error.kind.text == "flowmetal/not-granted"  # type: ignore[union-attr]


def test_processes_of_older_stores_have_all() -> None:
    """A record of before has three fields, and another start finds the same number."""
    store = MemoryStore()
    deploy(store, ARTIFACT, "stranger")
    start = Start("stranger/plain", encode_value(Vector.of([])), name="stranger")
    store.submit([start]).result()
    data = encode_origin((b"h", "f", "n", None))
    assert len(data) == len(encode_origin((b"h", "f", "n", ()))) - 1
    assert decode_origin(data) == (b"h", "f", "n", None)


# ---- what the compiler says is named -----------------------------------------------------------------------------


def test_values_of_the_top_level_name_what_their_functions_perform() -> None:
    source = """
    (ns t (:require http kv))
    (def table {:post http/post})
    (def cell (atom kv/get))
    (def ^:dynamic *how* kv/put)
    (defn main [] ((:post table) "x") (@cell "a") (*how* "a" 1))
    """
    named = decode_artifact(build_artifact({"t.fm": source}).data).effects()
    assert [name for name in named if name not in ALWAYS] == ["http/request", "kv/get", "kv/put"]


SECRETS = """
(ns keeper)
(defn hands-out [] (perform :mail/send {:key (secret "prod")}))
(defn sends [] (send (self) (secret "prod")))
(defn in-options [] (perform :mail/send 1 {:idempotency-key "a" :timeout 1s}))
"""


@pytest.mark.parametrize("function", ["hands-out", "sends"])
def test_secrets_leave_only_where_they_are_granted(function: str) -> None:
    data = build_artifact({"keeper.fm": SECRETS}).data
    for grants, status in (
        (["all"], "done"),
        (["store", "mail/*"], "failed"),
        (["store", "mail/*", "secret=prod"], "done"),
    ):
        world = Simulation({"mail/send": lambda payload: None})
        pid = world.start(world.deploy(data), f"keeper/{function}", grants=grants)
        world.run(pid)
        assert world.outcome(pid).status == status
