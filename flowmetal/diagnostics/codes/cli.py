"""Codes of the command line: U101 to U999."""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

CODES: dict[str, Entry] = {
    "U101": Entry(
        "no such file",
        "There is nothing to read at {path}: {problem}.",
        "",
        "The path was taken as it was given, from the current folder.",
    ),
    "U102": Entry(
        "not JSON",
        "{what} is not JSON: {problem}.",
        "A string is quoted twice for the shell: '\"text\"'.",
        "Arguments of programs are given as JSON: objects become maps with keywords as keys, arrays vectors.",
    ),
    "U103": Entry(
        "bad argument",
        "{what} cannot be `{found}`; it is {expected}.",
        "",
        "The command's --help says what it takes.",
    ),
    "U104": Entry(
        "no such process",
        "There is no process {pid} in {store}.",
        "`flowvm ps` lists the processes of a store.",
        "Processes are numbered from 1 in each store, and are named as well where they were started with an id.",
    ),
    "U105": Entry(
        "not finished yet",
        "Process {pid} is {status}: {waits}.",
        "Wait for it with `flowvm result {pid} --wait SECONDS`.",
        "A result is there when the process is done, failed or cancelled.",
    ),
    "U106": Entry(
        "process has ended",
        "Process {pid} is {status} and takes no more events.",
        "",
        "An ended process keeps its log and its result, and cannot be changed.",
    ),
    "U107": Entry(
        "no such step",
        "Process {pid} has {steps}; there is no step {step}.",
        "`flowvm history {pid}` lists them.",
        "Steps are counted from 0.",
    ),
    "U108": Entry(
        "cannot write",
        "{path} cannot be written: {problem}.",
        "",
        "The file was left as it was.",
    ),
    "U109": Entry(
        "store needed",
        "This command works on a store folder, not on {url}.",
        "Run it on the machine that has the store, with --store FOLDER.",
        "Some commands read images, which the HTTP API does not hand out.",
    ),
    "U110": Entry(
        "process paused",
        "Process {pid} is paused: {reason}.",
        "`flowvm inspect {pid}` shows where it stands; `flowvm resume {pid}` lets it go on.",
        "A process is paused by a person, or when a request has used up its retries.  It keeps what arrives for it.",
    ),
    "U900": Entry(
        "internal error",
        "This is a fault of Flowmetal itself: {problem}.",
        "Run it again with --debug and report what it prints.",
        "Errors that users can cause have codes and texts of their own; what gets here was not foreseen.",
    ),
}
