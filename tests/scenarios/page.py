"""Writes docs/scenarios.md: `python -m tests.scenarios.page > docs/scenarios.md`."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from tests.scenarios.data import GROUPS, scenarios
from tests.scenarios.ways import SHARE

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scenarios.md"

HEAD = """# Scenarios

{count} programs with what the outside does to them: services that answer, fail, answer twice or vanish, people who send,
cancel, pause and decide, time that goes by. They collect what durable execution systems promise in their public
documentation, in our own words, and hold Flowmetal to it. `tests/scenarios/groups` has them as data; this page is made
from there.

Each is run by the production engine over a store in memory and a clock that only moves when nothing else can happen:

1. undisturbed;
2. with an interpreter that dies, with all it has in memory, right after a commit, and a new one that takes over: one run
   for every commit, one in which it dies after every commit, and one for every call of a function of the interpreter's
   own process, in which it dies when the function is done and its answer is not saved;
3. with suspension and restore at every step: nothing is kept in memory between two turns, a turn ends at every step, and
   each loads what the last one saved; also with turns as long as usual, with turns that end after one, two, three and seven
   calls, and with deaths in between;
4. with two and three interpreters that share the store and its processes, undisturbed and with deaths.

Status, result, attributes and the log of every process have to be equal to the byte, times included; what happened
outside has to be equal by idempotency key, with payload and answer; and so has what callers and people were told.
A service of a scenario has its effect once for a key. A call that was made again with its key, since its answer was not
saved when the interpreter died, is counted apart: that is the [at-least-once](architecture.md) of effects outside. Where processes contend for one thing
(`contended`), a turn that ends earlier, or another interpreter, lets another process go first. There, in those ways, only
what must come of it in any order is compared: how the first process ended, how many others ended how, and the effects. Also compared is what the store holds besides: the key-value table, names, queues, schedules, open
requests, timers.

```console
$ make scenarios
```

runs all of them in all ways. The default tests run each in the most merciless ways and with {share} single deaths spread over its
commits. A run that fails says the one line that repeats it:

```text
python -m tests.scenarios 'a worker vanishes after it had its effect' --kill 7
```

## How one is written

```text
[[scenario]]
name = "a worker vanishes after it had its effect"
shows = "The next attempt carries the same key, so a service that knows keys does not do it twice."
promised = ["Temporal: activities should be idempotent"]
program = '''
(defn main [] (perform :charge 1))
'''
answers.charge = ["lost :paid", ":paid-again"]
result = ":paid"
effects = {{ charge = 1 }}
calls = {{ charge = 2 }}
```

| key | meaning |
|---|---|
| `program` | source; without an `ns` it is module `s` |
| `start` | what is started, `["main"]` unless said: a function and arguments, with `id=NAME` before it where it has an id |
| `answers.EFFECT` | what its service does with the first attempt, the second ...; the last stays. Or a table by payload, with `else` |
| `inside` | effects answered by functions of the interpreter's own process instead of by a worker |
| `outside` | what happens when: a time after the beginning, a verb, and more |
| `config` | `serve-later`: no worker runs until `serve`; `limits`: those of the program, as in [limits.md](limits.md); `contended`; `shortened`: of logs the last entry is compared; `until`: when a run ends that would go on; `cut`: the least number of calls of a turn where turns are cut |
| `result` `error` `status` `log` `logged` `took` | what must come of the first process: its value, error, status, kinds of events, what it logged, how long it took |
| `effects` `calls` `keys` | effects outside by key, calls that reached the service undisturbed, the keys |
| `processes` `results` `told` | status and value of other processes, by pid; what callers and people were told |

Words of an answer, before the value or `!kind message`: `after TIME`; `twice`; `idle` (it answers and has no effect); `vanish`
(the worker does nothing and is never heard of); `lost` (it has its effect and is never heard of); `late` (it answers when
its lease has run out); `failing` (it has its effect and answers with an error). `payload` in a value is what was asked.

Verbs of the outside: `message` `cancel` `pause` `resume` `retry` with a pid or id; `deliver N VALUE` to the n-th callback;
`start CALL`; `operate NAME PAYLOAD`;
`steer ORDER`, what a person does by hand, in JSON; `serve` and `close` a worker; `mend EFFECT WORDS`;
`away TIME`, for which nobody runs anything; `prune WHAT`, which ended processes or log are removed, in JSON; `replace NAME`:
all interpreters vanish, and others take over under other names when the leases have ended.
"""


def page() -> str:
    """The page."""
    lines = [HEAD.format(count=len(scenarios()), share=SHARE)]
    for group, members in groupby(scenarios(), key=lambda scenario: scenario.group):
        head = (GROUPS / f"{group}.toml").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        title, _, rest = head.partition(":")
        lines.append(f"## {title}\n\n{rest.strip().capitalize()}\n" if rest else f"## {title.rstrip('.')}\n")
        lines.append("| scenario | what it shows | promised by |\n|---|---|---|")
        for one in members:
            lines.append(f"| {one.name} | {one.shows} | {'; '.join(one.promised)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
