"""The world of a scenario: a simulation with services that know idempotency keys, a person, and an interpreter that dies.

A service has its effect once for each key: a call with a key that it has seen gives the answer that it gave then, and is
counted as a doubled call.  What it does with an attempt is a word of the scenario, see `Service.move`.
"""

from __future__ import annotations

import heapq
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flowmetal.client.pruning import prune_piece, pruning_of, retention_for
from flowmetal.client.steering import order_of, piece
from flowmetal.dataclass import fields, replace
from flowmetal.engine.artifacts import Programs, deploy
from flowmetal.engine.build import build_artifact
from flowmetal.engine.config import Config
from flowmetal.engine.draft import Call
from flowmetal.engine.events import LocalDone, decode_event
from flowmetal.engine.interpreter import Interpreter
from flowmetal.engine.limits import TABLE, AllLimits, EngineLimits, limits_with
from flowmetal.engine.live import Live, Loaded, entries_from
from flowmetal.engine.simulate import Killed, Simulation
from flowmetal.reading.data import read_all_data, read_data
from flowmetal.store import StoreError
from flowmetal.store.interface import (
    Command,
    Complete,
    Deliver,
    Extend,
    Operate,
    Post,
    PutArtifact,
    Request,
    Start,
    Take,
)
from flowmetal.store.memory import MemoryStore
from flowmetal.store.requests import MAX_LEASE_MS
from flowmetal.values import (
    ErrorValue,
    LanguageError,
    List,
    Map,
    Set,
    Symbol,
    Vector,
    decode_value,
    encode_value,
    keyword,
    print_string,
)
from tests.scenarios.data import Action, BadScenario, Scenario, nanoseconds, read_call

#: How long a worker may take before it counts as vanished.
LEASE_MS = 60_000
LEASE = LEASE_MS * 1_000_000

#: Rounds of an interpreter in one run: one that never comes to rest ends here.
ROUNDS_MAX = 30_000

_PROGRAMS: dict[str, tuple[bytes, Loaded]] = {}


def program_of(scenario: Scenario) -> tuple[bytes, Loaded]:
    """The scenario's program, built once."""
    found = _PROGRAMS.get(scenario.program)
    if found is None:
        store = MemoryStore()
        hash = deploy(store, build_artifact({"s.fm": scenario.program}).data)
        found = _PROGRAMS[scenario.program] = (hash, Programs(store).get(hash))
    return found


@dataclass(slots=True)
class Move:
    """What a service does with one attempt: whether it has its effect, what it answers and when."""

    works: bool = True  # it has its effect
    answers: bool = True
    delay: int = 0
    late: bool = False  # the lease is not kept
    times: int = 1
    ok: bool = True
    value: Any = None


@dataclass(slots=True)
class Service:
    """What serves one effect.  `script`: the words for the first attempt of a key, for the second ...; the last stays."""

    script: Any
    effects: dict[str, tuple[bytes, Any]] = field(default_factory=dict)  # by idempotency key: payload, answer
    calls: int = 0
    doubled: int = 0

    def move(self, payload: Any, attempt: int) -> Move:
        """Words: `after TIME`, `twice`, `vanish` (it does nothing and never answers), `lost` (it has its effect and never
        answers), `idle` (it answers and has no effect), `late` (it answers when its lease has run out), `failing` (it has its effect and then fails);
        then `!kind message`, or the value, in which `payload` stands for what it was asked."""
        script = self.script
        if isinstance(script, dict):
            script = script.get(print_string(payload), script.get("else"))
            if script is None:
                raise BadScenario(f"no answer for {print_string(payload)}")
        words = script if isinstance(script, list) else [script]
        text = words[min(attempt, len(words)) - 1]
        move = Move()
        while True:
            word, _, rest = text.partition(" ")
            match word:
                case "after":
                    time, _, rest = rest.partition(" ")
                    move.delay += nanoseconds(time)
                case "twice":
                    move.times = 2
                case "vanish":
                    move.works = move.answers = False
                    return move
                case "lost":
                    move.answers = False
                case "late":
                    move.delay += LEASE + 1_000_000_000
                    move.late = True
                case "idle":
                    move.works = False
                case "failing":
                    move.works = True
                    kind, _, message = rest.removeprefix("!").partition(" ")
                    move.ok, move.value = False, ErrorValue(keyword(kind), message, None)
                    return move
                case _:
                    break
            text = rest
        if text.startswith("!"):
            kind, _, message = text[1:].partition(" ")
            move.works = move.ok = False
            move.value = ErrorValue(keyword(kind), message, None)
        else:
            (value,) = read_all_data(text)
            move.value = _filled(value, payload)
        return move

    def work(self, key: str, payload: Any, move: Move) -> Any:
        """Has the effect, once for a key; what it answers."""
        self.calls += 1
        if key in self.effects:
            self.doubled += 1
            return self.effects[key][1]
        if move.works:
            self.effects[key] = (encode_value(payload), move.value if move.ok else None)
        return move.value


def _filled(value: Any, payload: Any) -> Any:
    if isinstance(value, Symbol):
        return payload if value.name == "payload" else value
    fill = partial(_filled, payload=payload)
    if isinstance(value, Vector):
        return Vector.of([fill(one) for one in value])
    if isinstance(value, List):
        return List.of([fill(one) for one in value])
    if isinstance(value, Set):
        return Set.of([fill(one) for one in value])
    if isinstance(value, Map):
        return Map.of([(fill(key), fill(one)) for key, one in value.items()])
    return value


class Runaway(Exception):
    """A run that does not come to rest."""


class World(Simulation):
    """The world of one run of a scenario.

    `kill`: commits, counted from the first after the program was deployed, after which the interpreter dies;
    `kill_call`: the calls of in-process functions, from 1, after which it dies before their answer is saved.
    """

    def __init__(
        self,
        scenario: Scenario,
        kill: Callable[[int, Sequence[Command]], bool] | None = None,
        kill_call: int = 0,
        forgetful: bool = False,
        short_turns: bool = False,
        interpreters: int = 1,
        fuel: int | None = None,
    ) -> None:
        self.scenario = scenario
        self.services = {effect: Service(script) for effect, script in scenario.answers.items()}
        self.inside_calls = 0
        self.rounds = 0
        self._living: Live | None = None  # the process whose turn it is
        self._drawn = (0, 0)  # where in its log chance was last drawn, and how often there
        self.told: list[str] = []
        self.worked: Counter[str] = Counter()
        self.kill_call = kill_call
        self.hash, loaded = program_of(scenario)
        self._actions = list(scenario.outside)
        self._serving = {effect for effect in scenario.answers if not scenario.config.get("serve-later")}
        self._coming: list[tuple[int, int, Complete]] = []
        self._number = 0
        functions = {effect: partial(self._inside, effect) for effect in scenario.inside}
        # No clock but the world's may decide anything: a batch is one turn, and the store is always looked at.
        config = Config(batch_turns=1, batch_seconds=0.0, fallback_seconds=0.0, function_threads=1)
        rows = {row.name: row.field for row in TABLE}
        given = {rows[name]: most for name, most in scenario.config.get("limits", {}).items()}
        if given:
            engine = {
                name: given.pop(name) for name in list(given) if name in {one.name for one in fields(EngineLimits)}
            }
            config = replace(config, program_limits=AllLimits(limits_with(given, engine)))
        if fuel is not None:
            config = replace(config, fuel=fuel)
        super().__init__(
            programs=lambda hash: loaded,
            functions=functions,
            config=config,
            forgetful=forgetful,
            short_turns=short_turns,
            interpreters=interpreters,
        )
        self.store.submit([PutArtifact(self.hash, b"scenario", scenario.program.split()[1].rstrip(")"))]).result()
        self._before = self.store.commits
        self.kill = None if kill is None else lambda number, commands: kill(number - self._before, commands)

    @property
    def commits(self) -> int:
        """Commits since the program was deployed."""
        return self.store.commits - self._before

    def play(self) -> None:
        """Starts what is to be started and runs until nothing more can happen."""
        begin = self.clock.now
        self._actions = [replace_at(action, begin) for action in self._actions]
        for call in self.scenario.start:
            self._start(call.function, call.arguments, call.id)
        until = self.scenario.config.get("until")
        self.run(until=None if until is None else begin + nanoseconds(until))

    def _new_interpreter(self) -> Interpreter:
        self.config = replace(self.config, entropy=self._entropy)
        made = super()._new_interpreter()
        step, run_one, keep_hot = made.step, made._run_one, made._keep_hot

        def counted() -> bool:
            self.rounds += 1
            if self.rounds > ROUNDS_MAX:
                raise Runaway(f"{self.rounds} rounds")
            return step()

        def noticed(live: Live) -> None:
            self._living = live
            keep_hot(live)

        def of_one(pid: int, look: bool) -> Any:
            self._living = made._hot.get(pid)
            self._drawn = (0, 0)
            return run_one(pid, look)

        made.step, made._keep_hot, made._run_one = counted, noticed, of_one  # type: ignore[method-assign]
        return made

    def _entropy(self, size: int) -> bytes:
        """Chance that hangs on the process and its place in the log alone, so that a turn done again has the same."""
        live = self._living
        assert live is not None
        at, drawn = self._drawn
        self._drawn = (live.sequence, drawn + 1 if at == live.sequence else 0)
        return random.Random(f"{live.pid} {self._drawn}").randbytes(size)

    # ---- services

    def _inside(self, effect: str, call: Call) -> Any:
        service = self.services[effect]
        move = service.move(call.payload, call.attempt)
        answer = service.work(call.idempotency_key, call.payload, move)
        self.inside_calls += 1
        if self.inside_calls == self.kill_call:
            raise Killed
        if not move.ok:
            raise LanguageError(answer)
        return answer

    def _answer_some(self) -> bool:
        """What happens at rest: what is due arrives, then a worker takes one request, then the person acts."""
        return self._arrive() or self._take_one() or self._act()

    def _arrive(self) -> bool:
        if not self._coming or self._coming[0][0] > self.clock.now:
            return False
        self.store.submit([heapq.heappop(self._coming)[2]]).result()
        return True

    def _take_one(self) -> bool:
        served = tuple(sorted(self._serving - set(self.scenario.inside)))
        if not served or not self.store.queued(served):
            return False
        requests: list[Request] = self.store.submit([Take(served, "worker", 1, LEASE_MS)]).result()[0]
        for request in requests:
            service = self.services[request.effect]
            payload = decode_value(request.payload)
            move = service.move(payload, request.attempt)
            if not move.works and not move.answers:
                continue  # the worker is gone with it
            value = service.work(request.idempotency_key, payload, move)
            if move.answers:
                if move.delay >= LEASE and not move.late:
                    self.store.submit([Extend(request.pid, request.number, request.attempt, MAX_LEASE_MS)]).result()
                answer = Complete(request.pid, request.number, request.attempt, move.ok, encode_value(value))
                for _ in range(move.times):
                    self._number += 1
                    heapq.heappush(self._coming, (self.clock.now + move.delay, self._number, answer))
        return bool(requests)

    def _next_due(self) -> int | None:
        dues = [super()._next_due()]
        dues += [row[0] for row in self._coming[:1]] + [action.at for action in self._actions[:1]]
        return min((due for due in dues if due is not None), default=None)

    # ---- people and callers

    def _act(self) -> bool:
        if not self._actions or self._actions[0].at > self.clock.now:
            return False
        action = self._actions.pop(0)
        try:
            told = getattr(self, f"_do_{action.verb.replace('-', '_')}")(action.rest)
        except StoreError as error:
            told = error.code
        if told is not None:
            self.told.append(str(told))
        return True

    def _target(self, text: str) -> tuple[int, list[Any]]:
        """The process an action is about, by pid or id, and the values that follow."""
        target, _, rest = text.partition(" ")
        if target.isdigit():
            return int(target), read_all_data(rest)
        record = self.store.process_by_id(target)
        if record is None:
            raise BadScenario(f"there is no process {target}")
        return record.pid, read_all_data(rest)

    def _post(self, kind: str, text: str) -> bool:
        pid, values = self._target(text)
        number = values[0] if kind == "retry" and values else 0
        data = encode_value(values[0] if values and kind in ("message", "cancel") else None)
        accepted: bool = self.store.submit([Post(pid, kind, data, number)]).result()[0]
        return accepted

    def _do_message(self, text: str) -> bool | None:
        return None if self._post("message", text) else False

    def _do_cancel(self, text: str) -> bool | None:
        return None if self._post("cancel", text) else False

    def _do_pause(self, text: str) -> bool | None:
        return None if self._post("pause", text) else False

    def _do_resume(self, text: str) -> bool | None:
        return None if self._post("resume", text) else False

    def _do_retry(self, text: str) -> bool | None:
        return None if self._post("retry", text) else False

    def _do_serve(self, text: str) -> None:
        """A worker for these effects comes up."""
        self._serving |= set(text.split())

    def _do_close(self, text: str) -> None:
        """The worker for these effects goes away."""
        self._serving -= set(text.split())

    def _do_mend(self, text: str) -> None:
        """A service does something else from now on: `mend EFFECT WORDS`."""
        effect, _, words = text.partition(" ")
        self.services[effect].script = words

    def _do_start(self, text: str) -> str:
        call = read_call(text, self.scenario.start[0].function.partition("/")[0])
        pid, created = self._start(call.function, call.arguments, call.id)
        return f"{'started' if created else 'is'} {pid}"

    def _do_steer(self, text: str) -> str:
        """What a person does by hand, as the commands and the API give it to the store: `steer ORDER`, in JSON."""
        report = piece(self.store, order_of(json.loads(text)), 0)
        return ", ".join([f"{report.done} done", *sorted(report.refused)])

    def _do_prune(self, text: str) -> str:
        """Removes what has ended, or old log, as `flowvm prune` does: `prune WHAT`, in JSON."""
        wanted = pruning_of(json.loads(text))
        report = prune_piece(self.store, replace(retention_for(wanted), artifacts=False), wanted)
        return f"{report.processes} removed" + (", log shortened" if report.log_entries else "")

    def _do_replace(self, text: str) -> None:
        """All interpreters are gone, and others run under names of their own: `replace NAME`.

        They may do nothing until the leases of those before them have ended; then something looks.
        """
        for one in (self.interpreter, *self.others):
            if one._unwatch is not None:
                one._unwatch()
        count = len(self.others)
        self.others = []
        for number in range(1, count + 1):
            self.config = replace(self.config, name=f"{text}-{number}")
            self.others.append(self._new_interpreter())
        self.config = replace(self.config, name=text)
        self.interpreter = self._new_interpreter()
        over = self.clock.now + (self.config.lease_ms + 1) * 1_000_000
        self._actions = sorted([*self._actions, Action(over, "look", "")], key=lambda action: action.at)

    def _do_look(self, text: str) -> None:
        """The store is looked at, as it is now and then."""

    def _do_away(self, text: str) -> None:
        """Nobody runs anything for a time."""
        self.clock.advance(nanoseconds(text))

    def _do_operate(self, text: str) -> str:
        """Asks the store for an operation: `operate NAME PAYLOAD`."""
        name, _, payload = text.partition(" ")
        answer: bytes = self.store.submit([Operate(name, encode_value(read_data(payload)))]).result()[0]
        return print_string(decode_value(answer))

    def _do_deliver(self, text: str) -> str:
        """Delivers to the n-th callback that any process asked for."""
        number, value = read_all_data(text)
        tokens = [
            str(decode_value(event.value)).rpartition("/")[2]
            for record in self.store.processes(limit=10_000)
            for entry in entries_from(self.store, record.pid, 0)
            if not entry.part
            and isinstance(event := decode_event(entry.event), LocalDone)
            and event.effect == "http/callback-url"
        ]
        answer: str = self.store.submit([Deliver(tokens[number - 1], encode_value(value))]).result()[0]
        return answer

    def _start(self, function: str, arguments: Sequence[Any], id: str | None) -> tuple[int, bool]:
        data = encode_value(Vector.of(arguments))
        found: tuple[int, bool] = self.store.submit([Start(function, data, artifact=self.hash, id=id)]).result()[0]
        return found


def replace_at(action: Action, begin: int) -> Action:
    """The action at its time by the clock."""
    return Action(begin + action.at, action.verb, action.rest)
