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
    "U215": Entry("wrong usage", "{problem}", "", "The command's --help says what it takes."),
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
    "U111": Entry(
        "no regular file",
        "{path} is {kind}, and not a file.",
        "What gives its bytes through a pipe is read as `{instead}`: put that in its place, and the pipe before the "
        "command.",
        "Only regular files are read by name.  A pipe might never be written to, and a device might never end.",
    ),
    "U112": Entry(
        "too much to read",
        "{path} has more than {limit} bytes.",
        "",
        "What a command reads is bounded: no source and no artifact is so large.",
    ),
    "U113": Entry(
        "output lost",
        "Standard output cannot be written: {problem}.",
        "",
        "The disk behind standard output may be full.  What the command did besides writing is done.",
    ),
    "U114": Entry(
        "nothing to evaluate",
        "`flowvm eval` was given no forms.",
        "`flowvm eval -e '(+ 1 2)'` evaluates a form, `flowvm eval FILE` those of a file, `flowvm eval -` those of "
        "standard input; `flowvm repl` is a prompt.",
        "Forms are given as -e FORMS or as a file, one of the two.",
    ),
    "U115": Entry(
        "not finished, and nobody serves",
        "Process {pid} is {status}, and no interpreter runs the processes of {store}.",
        "Start one with `flowvm serve --store {store}`.",
        "Processes are kept in the store until an interpreter takes them up; nothing is lost meanwhile.",
    ),
    "U141": Entry(
        "nothing to remove by",
        "`flowvm prune` was told neither what to remove nor where settings are that say it.",
        "Give --older-than, --keep, --log-older-than or --log-keep, or a flowmetal.toml with [retention].",
        "",
    ),
    "U140": Entry(
        "no tests",
        "There is no test {where}.",
        "A test is defined by `deftest`, of the module `test`.",
        "A run of no tests is an error, so that a wrong path or filter does not pass for success.",
    ),
    "U135": Entry(
        "an option of another action",
        "--{option} belongs to `flowvm schedule {belongs}`, and not to `{action}`.",
        "",
        "",
    ),
    "U136": Entry(
        "schedule's name",
        "`flowvm schedule {action}` takes {expected}.",
        "",
        "",
    ),
    "U116": Entry(
        "not confirmed",
        "`flowvm {command}` would steer {number} processes, and nobody is there to be asked.",
        "Look at them with --dry-run, and go on with --yes.",
        "Where filters select the processes, a person is asked first; a script says --yes.",
    ),
    "U117": Entry(
        "no process named",
        "`flowvm {command}` was not told which processes.",
        "Give their numbers or ids, or filters such as --program NAME, or --all.",
        "",
    ),
    "U118": Entry(
        "file not readable",
        "{path} cannot be read: {problem}.",
        "",
        "The file is there, and the system does not give its bytes: it belongs to somebody else, or the disk fails.",
    ),
    "U119": Entry(
        "named and filtered",
        "`flowvm {command}` takes processes by number or id, or by filters, and not both.",
        "",
        "Filters select among all processes of the store.",
    ),
    # The prompt: U120 to U139.
    "U130": Entry(
        "limits without a definition",
        "--{option} is a limit, and `flowvm queue {action}` sets none.",
        "`flowvm queue define NAME --{option} ...` sets the limits of a queue, all of them at once.",
        "",
    ),
    "U131": Entry(
        "queue's name",
        "`flowvm queue {action}` takes {expected}.",
        "",
        "",
    ),
    "U120": Entry(
        "the form failed",
        "{kind} {message}",
        "",
        "A form that `flowvm eval` or a prompt evaluated raised an error that nothing in it caught.",
    ),
    "U121": Entry(
        "bad line",
        "This line is no program: {problem}.",
        'A line is a JSON object such as {{"src": "(+ 1 2)"}}.',
        "`flowvm eval --jsonl` reads a JSON object with the text of a program on each line.",
    ),
    "U122": Entry(
        "value too large to print",
        "The value has no end, or its text has more than {limit} characters.",
        "Print a part of it: `(take 10 ...)`.",
        "Values are printed so that they read back.  A sequence without an end, such as `(range)`, has no such text.",
    ),
    "U123": Entry(
        "port not available",
        "Port {port} of the loopback address cannot be listened on: {problem}.",
        "Port 0 takes any free one.",
        "Another program may have the port; ports below 1024 need more rights.",
    ),
    "U124": Entry(
        "not the loopback address",
        "An nREPL server listens on 127.0.0.1 only, not on {host}.",
        "From another machine use a tunnel: `ssh -L 7888:127.0.0.1:7888 machine`.",
        "Whoever reaches an nREPL port can run any code with your rights, and the protocol has no password.",
    ),
    # Stores: U190 to U199.
    "U190": Entry(
        "no such action",
        "There is no `flowvm store {action}`.",
        "One of: {actions}.",
        "",
    ),
    "U191": Entry(
        "no key named",
        "`flowvm store {what}` needs a key, and none was named.",
        "Make one with `flowvm store key > FILE`, keep it apart from the store, and give {option} FILE.",
        "docs/storage.md says where a key may come from.",
    ),
    # Projects: U170 to U189.
    "U160": Entry(
        "formatted text too large",
        "Formatted, this file would have {limit} characters or more, which is what a file may have.",
        "Nest it less deeply, or split it.",
        "Every line of a nested form is indented; a file that could not be read again is not written.",
    ),
    "U170": Entry(
        "unreadable project",
        "{path} cannot be read: {problem}.",
        'It is TOML: tables like `[project]`, and lines like `name = "shop"`.',
        "A folder with a flowmetal.toml that has a table [project] is a project.",
    ),
    "U171": Entry(
        "unknown key",
        "[{section}] has no key `{key}`.",
        ("Did you mean `{suggestion}`?", "It may have: {known}."),
        "Keys that nothing reads would be settings that do nothing, so they are refused.",
    ),
    "U172": Entry(
        "wrong value",
        "`{key}` in {section} cannot be {value}; it is {expected}.",
        "",
        "`flowc new NAME` makes a project whose flowmetal.toml has every key that is needed.",
    ),
    "U173": Entry(
        "key missing",
        "The project in {path} has no `{key}`.",
        'Add a line `{key} = "..."` under [project].',
        "Only the name is required; all else has a default.",
    ),
    "U174": Entry(
        "no such folder",
        "`{key}` in [project] names {path}, which is no folder.",
        "Make it, or list the folders that there are.",
        "Paths in flowmetal.toml are relative to the folder it is in.",
    ),
    "U175": Entry(
        "project without sources",
        "There is no .fm file below {path} in: {folders}.",
        "A first one is src/NAME/main.fm, which holds `(ns NAME.main)`.",
        "Hidden files, the folder `build` and the folders of tests are not looked at.",
    ),
    "U176": Entry(
        "no such module",
        "The main module is to be `{name}`, which the project does not have; it has {known}.",
        "Did you mean `{suggestion}`?",
        "The main module is what `main` in flowmetal.toml or --name says.",
    ),
    "U177": Entry(
        "project too large",
        "The project has more than {limit} {what}.",
        "Divide it, and list the parts under [dependencies].",
        "Files below `source` and `test` are all read.  A wrong folder there takes in files of others.",
    ),
    "U178": Entry(
        "unusable dependency",
        "The dependency `{name}` at {path} cannot be used: {problem}.",
        "",
        "A dependency is an artifact that `flowc build` made, with the modules that this project may require.",
    ),
    "U179": Entry(
        "no main module",
        "It is not clear which module of the project is its main one: {known}.",
        'Say so in {path}: `main = "MODULE"`.',
        "The artifact is named after its main module.  By default that is the one called as the project, or `main` or\n"
        "`core` below it, or `main`; else the only one that no other requires.",
    ),
    "U180": Entry(
        "no project",
        "There is no flowmetal.toml with a table [project] in {path} or above.",
        "Name the source files, or make a project with `flowc new NAME`.",
        "Without arguments the command looks for the project that the current folder is in.",
    ),
    "U181": Entry(
        "something is there",
        "{path} is there already.",
        "Give another name, or remove it.",
        "A new project is written into a folder of its own; nothing is written over.",
    ),
    "U182": Entry(
        "no name for a project",
        "`{name}` cannot be the name of a project.",
        "Letters, digits, `-` and `_`, beginning with a letter.",
        "The name is also that of a folder and of modules.",
    ),
    "U200": Entry(
        "not a grant",
        "`{grant}` is no grant.",
        "A grant is an effect, as `http/request`, `billing/*`, `store` or `all`, and where it is to be narrowed `=` "
        "and to what: `http/request=GET@api.example.com:8443/v1`, `shell/run=git,make`, `secret=api-key`.",
        "Hosts are in the form HOST, *.HOST, HOST:PORT or HOST:*, with METHODS@ before and /PATH behind them where\n"
        "they are to be narrowed further; without a port they stand for the usual one.  Commas separate several.",
    ),
    "U201": Entry(
        "grant that cannot be narrowed",
        "A grant of {effect} cannot be narrowed.",
        "These can: {known}.",
        "What an effect of your own does is known to whoever serves it, so that is where it is held to bounds.",
    ),
    "U202": Entry(
        "too many grants",
        "{count} grants were given, and at most {limit} are kept.",
        "A pattern such as `billing/*` stands for many.",
        "The grants of a process are looked at for what it performs.",
    ),
    "U203": Entry(
        "grants are a list",
        "Grants are a list of texts, and `{grant}` is none.",
        'Write a list: `["all"]`, `["http/request=api.example.com", "store"]`.',
        "The letters of a text would each be taken for a grant.",
    ),
    "U900": Entry(
        "internal error",
        "This is a fault of Flowmetal itself: {problem}.",
        "Run it again with `--debug`, or with FLOWMETAL_DEBUG=1 in the environment, and report what it prints.",
        "Errors that users can cause have codes and texts of their own; what gets here was not foreseen.",
    ),
}
