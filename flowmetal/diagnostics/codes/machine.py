"""Codes of the machine and its images: V001 to V999."""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

CODES: dict[str, Entry] = {
    "V201": Entry(
        "not an image",
        "The saved state of this process cannot be read: {reason}.",
        "",
        "An image is checked value by value when it is loaded.  One that does not fit its program, or that was\n"
        "damaged, is refused whole; nothing of it is run.",
    ),
    "V301": Entry(
        "unreadable log",
        "The log of process {pid} cannot be read: {reason}.",
        "Look at it with `flowvm history {pid}`; the process can be started again from its arguments.",
        "A process begins with an event that names its function and arguments.  Where that event is missing or\n"
        "damaged, and no checkpoint stands in for it, the process cannot be run.",
    ),
    "V303": Entry(
        "ended its interpreters",
        "{deaths} interpreters in a row ended, or hung, in a turn of process {pid}.",
        "Look at what it does with `flowvm history {pid}`; `flowvm resume` lets it try again.",
        "A turn takes a fraction of a second.  Where one takes long, its interpreter notes the process in the store,\n"
        "and if it then ends without a word the next one knows what it was at.  So that one process cannot stop all\n"
        "interpreters, one after the other, it is paused.",
    ),
    "V302": Entry(
        "program not in the store",
        "The store has no program {hash}.",
        "Deploy it again with `flowvm deploy`; the process goes on then with `flowvm resume`.",
        "A process keeps the code it started with, under its content hash.  An artifact that a process needs is never\n"
        "removed by Flowmetal itself.",
    ),
    "V350": Entry(
        "fault of the machine",
        "The machine itself failed while it ran the program: {problem}.",
        "Please report it, with the program that shows it.",
        "An error of kind `:flowmetal/internal` stands for an exception inside the machine or a builtin that should\n"
        "not have come about.  It is an error of this process like any other: the process can catch it, and no other\n"
        "process notices.  Its data has the code V350.",
    ),
    "V351": Entry(
        "code out of bounds",
        "Instruction {index} of `{code}` refers to something outside of its tables; it was not run.",
        "Build the artifact again from its source with `flowc build`, or get another copy of it.",
        "The verifier refuses such code when an artifact is loaded.  The machine looks once more before it runs a\n"
        "body for the first time, in case that it came by another way.",
    ),
    "V336": Entry(
        "step removed",
        "The log of process {pid} was removed before step {kept}, and with it its state at step {at}.",
        "The states from step {first} on can be looked at.",
        "Retention removes old log in whole spans, from one checkpoint to the next; what a process was called with\n"
        "stays.",
    ),
    "V340": Entry(
        "not granted",
        "The program performed {effect}, which is not granted to it.",
        "`flowvm deploy` and `flowvm run` take grants: `--grant {effect}`; `flowc effects` lists what a program may "
        "perform.",
        "A program reaches nothing outside of its process but by the effects that it was granted: an artifact of\n"
        "others gets none by itself.  What is not granted is an error of kind :flowmetal/not-granted where it is\n"
        "performed, which the program may catch; its data say which grant is missing.",
    ),
    "V330": Entry(
        "unanswered effect",
        "Nothing in this test answers {effect}; it was performed with {payload}.",
        "Answer it with `handle`, or from outside with `answering`.",
        "A test reaches nothing outside of it.  What it performs is answered by a `handle` around it, by `answering`\n"
        "in the module `test`, or by the machine itself (now, sleep, random, log and the like).",
    ),
    "V331": Entry(
        "waits for ever",
        "The test waits for something that cannot come: {waits}.",
        "",
        "All fibers of the test wait, no timer is set, and nobody is left who could answer.  A callback is answered\n"
        "with `deliver` in the module `test`, a `receive` with `send`.",
    ),
    "V332": Entry(
        "endless test",
        "The test was stopped after {fuel} calls and loop turns.",
        "`flowc test --fuel N` lets it run longer.",
        "A test that computes without end would stop all tests after it.",
    ),
    "V333": Entry(
        "too many steps",
        "The test was stopped after {steps} steps.",
        "`flowc test --fuel N` lets it run longer: a step counts for 250.",
        "Time is virtual, so a test that sleeps or logs in an endless loop never waits for anything.",
    ),
    "V334": Entry(
        "paused",
        "The process of the test was paused: {reason}.",
        "With `:exhausted :throw` an effect whose retries are used up throws its last error.",
        "A process is paused when a request has used up its retries, and a person decides.  In a test there is nobody.",
    ),
    "V335": Entry(
        "unknown callback",
        "`deliver` was given {url}, and no callback has this URL.",
        "Use the :url of what `http/callback` gave.",
        "Each callback has a URL of its own, which nobody can guess.",
    ),
}
