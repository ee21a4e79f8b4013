"""The processes that an interpreter has in memory, and how they get there and go.

A process is loaded for its first turn and stays while there is room; one that somebody else may have run since is
dropped.  Whoever loads a process makes its open calls of functions of this interpreter.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping

from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine import fairness
from flowmetal.engine.artifacts import Programs
from flowmetal.engine.claims import Claims
from flowmetal.engine.config import Config
from flowmetal.engine.draft import Setting, call_of
from flowmetal.engine.effects import Surroundings
from flowmetal.engine.functions import Function, Functions
from flowmetal.engine.limits import Rooms, lowered
from flowmetal.engine.live import Live, Loaded, exhausted, in_process, let_go, load
from flowmetal.engine.pausing import Pausing
from flowmetal.engine.signals import Signals
from flowmetal.store.errors import StoreError
from flowmetal.store.interface import FINAL_STATUSES, InboxEvent, Store
from flowmetal.values import LanguageError

logger = logging.getLogger("flowmetal.engine")

DEATHS_MAX = 3  # a process in whose turns this many interpreters ended, one after the other, is paused


class Residents:
    """Processes in memory with what their turns need: programs, functions, claims, and answers not yet handed over."""

    def __init__(
        self,
        store: Store,
        config: Config,
        functions: Mapping[str, Function],
        programs: Callable[[bytes], Loaded] | None,
    ) -> None:
        self.store = store
        self.config = config
        self.programs = programs or Programs(store, config.trust).get
        self._signals = Signals()
        self.functions = Functions(functions, config.function_threads, self._signals.wake)
        self._claims = Claims(store, config, self._signals.wake)
        self._pausing = Pausing(store, self._claims, self._signals.wake)
        self._hot: OrderedDict[int, Live] = OrderedDict()  # those used last at the end
        self._hot_bytes = 0  # what they weigh
        self._flying: set[int] = set()  # pids in a commit
        self._answers: dict[int, list[InboxEvent]] = {}  # by pid, of functions of this interpreter
        self._rooms = Rooms(store)
        self._setting = self._make_setting()

    def register(self, effect: str, function: Function, inline: bool = False) -> None:
        """Answers an effect with a function of this process.  To be called before `start`.

        An `inline` one is run by the interpreter's thread itself and must be quick.
        """
        self.functions.functions[effect] = function
        if inline:
            self.functions.inline.add(effect)
        self._setting = self._make_setting()

    def _load(self, pid: int) -> Live | None:
        """Takes a process into memory and makes its open calls; None where it cannot have a turn."""
        live = self._read(pid)
        if live is not None:
            live.share = fairness.FIRST_SHARE if self.config.turn_seconds else 1.0
            self._keep_hot(live)
            self._call_open(live)
        return live

    def _read(self, pid: int) -> Live | None:
        """The process as the store has it; None where it has ended, or is paused because it cannot be run."""
        record = self.store.process(pid)
        if record is None or record.status in FINAL_STATUSES:
            self._answers.pop(pid, None)
            return None
        if record.deaths >= DEATHS_MAX and record.status != "paused":
            self._pausing.pause(record, FlowmetalError("V303", pid=pid, deaths=record.deaths))
            return None
        limits = self.config.limits_of(record.program)
        try:
            return load(self.store, record, self.programs, lowered(limits, record.limits) if record.limits else limits)
        except StoreError:
            raise
        except Exception as error:
            if not isinstance(error, (FlowmetalError, LanguageError)):
                logger.exception("process %d cannot be loaded", pid)
            self._pausing.pause(record, error)
            return None

    def _call_open(self, live: Live) -> None:
        """Makes the calls of a process that was loaded: its open requests for functions of this interpreter.

        One that is under way is not made again, nor one whose answer is about to be handed over.
        """
        answered = {answer.number for answer in self._answers.get(live.pid, ())}
        for number, opened in live.open.items():
            request = opened.request
            if number not in answered and in_process(request) and not exhausted(request):
                if request.effect in self.functions:
                    call = call_of(request, request.attempt + 1, live.program.table)
                    answer = self.functions.call(call, self.store.now())
                    if answer is not None:
                        self._answers.setdefault(live.pid, []).append(answer)

    def _make_setting(self) -> Setting:
        config = self.config
        surroundings = Surroundings(
            self.store.id, self.store.now, config.entropy, config.base_url, self._rooms, self.store.lives()
        )
        work = config.turn_seconds * 1e6 or None
        return Setting(surroundings, frozenset(self.functions.functions), config.fuel, work=work)

    def _keep_hot(self, live: Live) -> None:
        self._hot[live.pid] = live
        self._weigh(live)
        excess = len(self._hot) - self.config.hot_processes
        if excess > 0:
            self._make_room(live.pid, excess)

    def _weigh(self, live: Live) -> None:
        """Notes how large a process in memory is, and makes room where all of them are too large together.

        Its bytes are those that would be read to load it: in memory it takes some times as much.
        """
        weight = live.checkpoint_bytes + live.segment_bytes
        self._hot_bytes += weight - live.weight
        live.weight = weight
        if self._hot_bytes > self.config.hot_bytes:
            self._hot_bytes = sum(one.weight for one in self._hot.values())
            self._make_room(live.pid, 0)

    def _make_room(self, spared: int, excess: int) -> None:
        """Lets go of those that were used least of late: `excess` of them, and as many as are too large together."""
        gone: list[int] = []
        bytes_over = self._hot_bytes - self.config.hot_bytes
        for pid, other in self._hot.items():
            if len(gone) >= excess and bytes_over <= 0:
                break
            # Work done since the last segment is in memory alone; those processes stay.
            if pid != spared and pid not in self._flying and pid not in self._answers and not other.slices:
                gone.append(pid)
                bytes_over -= other.weight
        for pid in gone:
            live = self._hot.pop(pid)
            self._hot_bytes -= live.weight
            let_go(live)

    def _drop(self, pid: int) -> None:
        live = self._hot.pop(pid, None)
        if live is not None:
            self._hot_bytes -= live.weight
        self._answers.pop(pid, None)
