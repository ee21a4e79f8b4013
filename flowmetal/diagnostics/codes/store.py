"""Codes of the store: S001 to S999.

S1xx opening and attaching, S2xx commands that are refused, S3xx disks and damage.
"""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

CODES: dict[str, Entry] = {
    # ---- S1xx: opening and attaching ---------------------------------------------------------------------------
    "S101": Entry(
        "no store",
        "There is no store at {path}.",
        "Check the path, or start `flowvm serve` there, which makes one.",
        "A store is a folder with a `data.mdb` in it.  Commands that only look at a store do not make one.",
    ),
    "S102": Entry(
        "not a store",
        "{path} has files in it but no store.",
        "Choose an empty folder, or one that does not exist yet.",
        "A store is made in a folder of its own, so that nothing of yours is mixed with its files.",
    ),
    "S103": Entry(
        "other store format",
        "The store at {path} has format {found}; this version of Flowmetal reads format {expected}.",
        "Use the version of Flowmetal that wrote it, or export its processes there and import them here.",
        "The format number is written into a store when it is made.  A store of another format is left untouched.",
    ),
    "S104": Entry(
        "other store engine",
        "The store at {path} was made by the engine {found}, not {expected}.",
        "Open it with the engine that made it.",
        "",
    ),
    "S105": Entry(
        "network file system",
        "{path} is on a network file system ({kind}).",
        "Keep the store on a disk of this machine; use PostgreSQL to share one between machines.",
        "The store maps its file into memory and relies on locks of one machine.  Over a network file system neither\n"
        "holds, and the file can be damaged.  `lmdb:///path?network=allow` opens it all the same, at your risk.",
    ),
    "S106": Entry(
        "not a folder",
        "{path} is not a folder.",
        "Give the path of the store's folder.",
        "",
    ),
    "S107": Entry(
        "no permission",
        "{path} cannot be opened: {reason}.",
        "Run as the user who owns the store, or change the permissions of the folder.",
        "Whoever uses a store needs to read and write its folder and the files in it.",
    ),
    "S108": Entry(
        "damaged store",
        "The store at {path} is damaged: {reason}.",
        "Restore it from a backup; `python -m lmdb verify {path}` lists the damage.",
        "The store's file was cut short or overwritten by something else: a copy that did not finish, a full or\n"
        "failing disk, a copy made while the store was being written.  The store is not touched.",
    ),
    "S109": Entry(
        "bad store address",
        "`{url}` is not the address of a store.",
        "Use `lmdb:///path`, a plain path, or `memory:`.",
        "`lmdb:///path` may end with settings: `?map_limit=BYTES` is the most the store may hold, `?network=allow`\n"
        "opens a store on a network file system, `?durability=lose-last-commit-on-power-loss` and\n"
        "`?durability=lose-store-on-power-loss` trade what they say for speed.",
    ),
    "S110": Entry(
        "owner does not answer",
        "The process {pid} owns the store at {path} and does not answer: {reason}.",
        "Look whether it hangs or is stopped; ending it lets another process take over.",
        "One operating system process writes a store, the others pass their writes to it through a local socket.\n"
        "When it ends, the next one takes over by itself; a process that is stopped but not ended keeps the store.",
    ),
    "S111": Entry(
        "cannot make a store",
        "No store can be made at {path}: {reason}.",
        "Look at the disk: its free space, and what the system says of it.",
        "A store is made in a temporary folder next to its place, written to disk and then renamed into place.",
    ),
    "S112": Entry(
        "interpreter id in use",
        "Another running process has joined the store as interpreter `{interpreter}`.",
        "Give each interpreter an id of its own.",
        "",
    ),
    "S113": Entry(
        "store used after a fork",
        "The store at {path} was opened before this process was forked.",
        "Open the store in the process that uses it.",
        "An open store holds locks and a mapped file, which do not survive a fork.",
    ),
    "S114": Entry("store closed", "The store at {path} has been closed.", "", ""),
    "S115": Entry(
        "too many readers",
        "More than {limit} reads are going on in the store at {path} at the same time.",
        "Let fewer processes attach to the store.",
        "",
    ),
    "S116": Entry(
        "other version of Flowmetal",
        "The process {pid} that owns the store at {path} runs another version of Flowmetal: {reason}.",
        "Stop it, or use the same version.",
        "Processes that share a store must agree on how they pass writes to each other.",
    ),
    "S117": Entry(
        "durability differs",
        "The store at {path} is written with the durability `{found}`, and `{wanted}` was asked for.",
        "Stop the process that owns the store, or ask for what it has: `lmdb:///path?durability={found}`.",
        "One process writes a store, and what a power failure may cost is up to it.  A process that asks for more\n"
        "safety than it would get is refused.",
    ),
    # ---- S2xx: commands ----------------------------------------------------------------------------------------
    "S201": Entry(
        "id taken",
        "The id `{id}` belongs to process {pid}, which was started otherwise: not the same {what}.",
        "Use another id, or the same program, function and arguments.",
        "An id makes starting safe to repeat: the same start gives the same process.  Another start under the same id\n"
        "is refused.",
    ),
    "S202": Entry(
        "no such program",
        "No program is deployed as `{name}`.",
        "Deploy it first, or check the name.",
        "",
    ),
    "S203": Entry(
        "no such artifact",
        "The store has no artifact {hash}.",
        "Put the artifact into the store before starting a process of it.",
        "",
    ),
    "S204": Entry(
        "bad name",
        "{what} must be 1 to {limit} bytes of printable text, not {found}.",
        "",
        "Ids, names of programs and effects, tokens and names of interpreters are parts of keys.",
    ),
    "S205": Entry(
        "too large",
        "{what} has {size} bytes; the limit is {limit}.",
        "Keep large data outside and pass a reference to it.",
        "Everything that a process keeps or sends has a limit, so that no process can take the store from the others.",
    ),
    "S206": Entry(
        "bad command",
        "The store was given a command that does not hold together: {reason}.",
        "",
        "This is a fault of the program that uses the store.  Nothing was written.",
    ),
    "S207": Entry(
        "too much at once",
        "{limit} batches already wait to be written.",
        "Wait for the earlier ones before more are submitted.",
        "",
    ),
    "S208": Entry(
        "inbox full",
        "Process {pid} has {limit} messages that it has not received.",
        "Send again once it has received some, or cancel it if it no longer receives.",
        "Messages wait in the store until the process receives them; without a limit a process that never does would\n"
        "fill the store.  A program that sends to a full inbox gets an error of kind :limit at the call.",
    ),
    "S210": Entry(
        "no such operation",
        "There is no operation `{name}`, or it is one for programs only.",
        "",
        "Operations are what the store itself answers: the key-value table, names of processes, groups and others.",
    ),
    "S211": Entry(
        "operation refused",
        "{name} was refused: :{kind} {reason}",
        "",
        "A program gets the same as an error of its call, with this kind.  Nothing was written.",
    ),
    "S220": Entry(
        "no such queue",
        "There is no queue `{name}`.",
        (
            "Did you mean `{suggestion}`?",
            "Define it: `flowvm queue define {name}`, or [queues.{name}] in the settings.",
        ),
        "A queue is defined before anything is started in it, so that a mistyped name is not a queue without limits.",
    ),
    "S221": Entry(
        "queue full",
        "{limit} processes already wait in queue `{name}`, which is its limit.",
        "Start again once some of them have begun, or raise its max-waiting.",
        "Processes that wait are kept in the store; without a limit a queue that is filled faster than it is served\n"
        "would fill the store.",
    ),
    "S222": Entry(
        "bad queue setting",
        "{what} must be {expected}, not {found}.",
        "",
        "Limits of a queue, and options of a start in it.  Nothing was written.",
    ),
    "S223": Entry(
        "queue in use",
        "Queue `{name}` has {count} processes, so it cannot be removed.",
        "Wait until they have ended, or cancel them.",
        "",
    ),
    "S225": Entry(
        "bad cron expression",
        "`{expression}` is wrong at character {column}, `{found}`: {reason}.",
        "{advice}",
        "Five fields: minute, hour, day of the month, month, day of the week.  Each is `*`, a number, a list `1,15`,\n"
        "a range `1-5`, a step `*/10`; months and days of the week also have names, `jan` and `mon`.  `L` is the last\n"
        "day of a month, `LW` its last weekday, `5L` its last Friday, `5#2` its second one.  @hourly, @daily,\n"
        "@weekly, @monthly and @yearly stand for whole expressions.",
    ),
    "S226": Entry(
        "no such time zone",
        "There is no time zone `{zone}` on this machine.",
        ("Did you mean `{suggestion}`?", "Names are as in Europe/Berlin; or UTC."),
        "Zones come from the machine's database (the package tzdata of the system, or of Python).  Short names such\n"
        "as CET stand for offsets or for old rules; the name of a city follows what its country decides.",
    ),
    "S227": Entry(
        "bad schedule setting",
        "{what} must be {expected}, not {found}.",
        "",
        "What `schedule/put` and [schedules.NAME] take.  Nothing was written.",
    ),
    "S228": Entry(
        "no such schedule",
        "There is no schedule `{name}`.",
        ("Did you mean `{suggestion}`?", "`flowvm schedule list` shows those there are."),
        "",
    ),
    "S229": Entry(
        "nothing to try again",
        "Request #{number} of process {pid} is not one whose retries are used up.",
        "`flowvm inspect {pid}` shows its open requests; without a number all that wait for a person are tried again.",
        "A process is paused with the error of a request whose retries are used up.  That request can be tried again,\n"
        "answered by hand, or failed.",
    ),
    # ---- S3xx: disks and damage --------------------------------------------------------------------------------
    "S301": Entry(
        "disk full",
        "The disk that holds the store at {path} is full: {reason}.",
        "Free some space; the store goes on by itself.",
        "What had been acknowledged is safe.  What was just submitted was not written, and the store accepts it again\n"
        "once there is space.",
    ),
    "S302": Entry(
        "store full",
        "The store at {path} has reached its limit of {limit} bytes.",
        "Raise the limit with `lmdb:///path?map_limit=BYTES`, or delete what is no longer needed.",
        "What had been acknowledged is safe; what was just submitted was not written.",
    ),
    "S303": Entry(
        "write failed",
        "Writing to the store at {path} failed: {reason}.",
        "Look at the disk; then start again.",
        "After a failed write to disk nobody knows what the disk holds of it.  What had been acknowledged before is\n"
        "safe.  The store refuses all further writes until it is opened anew.",
    ),
    "S304": Entry(
        "nearly full",
        "The store at {path} is nearly full ({percent} % of {limit} bytes), so no new processes start.",
        "Raise the limit, or delete what is no longer needed.",
        "The rest is kept for the processes that are there, so that they can finish.",
    ),
    "S305": Entry(
        "injected fault",
        "A fault was injected at {point}.",
        "",
        "Only tests see this.",
    ),
    "S306": Entry(
        "record not readable",
        "A record of the key space `{space}` cannot be read: {reason}.",
        "",
        "The bytes of the record are not what this version writes: the store is damaged, or was changed by something\n"
        "else.",
    ),
    "S307": Entry(
        "internal error",
        "The store met an internal error: {reason}.",
        "",
        "This is a fault of the store.  What was submitted was not written.",
    ),
    "S330": Entry(
        "store given up",
        "Writing to the disk failed, so this process no longer writes the store at {path}: {reason}.",
        "Look at the disk and what the system says of it (`dmesg`), then start the process again.",
        "After a write or a sync that failed nobody knows what the disk holds: asked to sync again, the system says\n"
        "yes without having written.  So the process that met it lets go of the store, and an interpreter ends; the\n"
        "next owner goes on from what was synced.  What had been acknowledged is safe; what was just submitted may be\n"
        "there or not.",
    ),
    "S331": Entry(
        "out of memory",
        "There was not enough memory for what the store at {path} was to do.",
        "Give the process more memory, or submit less at once.",
        "Nothing of what was submitted was written; the store goes on.",
    ),
    "S332": Entry(
        "cannot write the store",
        "This process cannot write the store at {path}: {reason}.",
        "Free some space in the folder of temporary files, or allow the process more open files and threads.",
        "Whoever owns a store listens at a local socket, which the other processes pass their writes to.",
    ),
    "S308": Entry(
        "process removed",
        "Process {pid} was removed after it had ended.",
        "`flowvm serve` removes what the settings [retention] say, `flowvm prune` what it is told.",
        "Numbers of processes are never given again, so a number that is not there any more belonged to a process\n"
        "that has ended and was removed with all it had.  Its id is free.",
    ),
    "S310": Entry(
        "damaged record",
        "The record {key} of the key space `{space}` is damaged: {reason}.",
        "`flowvm scrub` says what else is and can mend indexes; `flowvm restore` brings a backup back.",
        "Every record carries a checksum over its value, its key and its key space; where the store is encrypted, it\n"
        "is authenticated as well.  What is damaged is not used: whoever needs this record gets this error, a process\n"
        "whose record it is is left alone, and all others go on.  Disks and memory damage records, and so does what\n"
        "writes into the store's file.",
    ),
    "S311": Entry(
        "no usable key",
        "The key of the store cannot be had from {source}: {reason}.",
        "A key is 32 random bytes, as 64 hexadecimal digits or Base64; `flowvm store key` makes one.",
        "",
    ),
    "S312": Entry(
        "store is encrypted",
        "The store at {path} is encrypted, and no key was given.",
        "Give it: `lmdb:///path?key_file=FILE`, FLOWMETAL_STORE_KEY_FILE=FILE, or [store] key = {{file = ...}} in "
        "flowmetal.toml.",
        "docs/storage.md says where a key may come from.",
    ),
    "S313": Entry(
        "wrong key",
        "The key that was given is not that of the store at {path}.",
        "Give the key the store was encrypted with, or the one it was last changed to with `flowvm store rewrap`.",
        "",
    ),
    "S314": Entry(
        "encryption is not installed",
        "The store is encrypted, and {reason}.",
        "Install it with `pip install 'flowmetal[crypto]'`.",
        "Encryption needs a library that most stores do without.",
    ),
    "S315": Entry(
        "store is not encrypted",
        "A key was given for the store at {path}, which is not encrypted.",
        "Encrypt it with `flowvm store encrypt`, or give no key.",
        "Whoever gives a key relies on the encryption; a store that has none may have been put in the place of theirs.",
    ),
    "S316": Entry(
        "keys do not fit",
        "The keys of the store at {path} cannot be changed: {reason}.",
        "",
        "",
    ),
    "S317": Entry(
        "a backup",
        "{path} is a backup, and not written.",
        "Make a store of it: `flowvm restore {path} STORE`.",
        "A backup that ran would do what the store it was made of does too.  It can be read and scrubbed.",
    ),
    "S318": Entry(
        "would overwrite",
        "{path} is there already.",
        "Choose another place, or move it away.",
        "Backups and restored stores are made anew; nothing is overwritten.",
    ),
    "S319": Entry(
        "damage found",
        "{what} has damage, and nothing was made: {reason}.",
        "`flowvm scrub --store {path}` lists the damage; `--even-damaged` copies damaged records as they are.",
        "A backup is looked through when it is made and again before it is restored.  Of damaged pages of the file no\n"
        "copy is made: restore a backup from before.",
    ),
    "S320": Entry(
        "store in use",
        "The process {pid} uses the store at {path}.",
        "Stop it first.",
        "This is done while nobody else writes the store.",
    ),
    "S345": Entry(
        "store open elsewhere",
        "The store at {path} is to be brought up to format {format}, and another process ({pid}) has it open.",
        "Stop all processes that use the store, those of the older version first; then start again.",
        "A process of an older version that has a store open would take new records for old ones.  Once the store is\n"
        "brought up, such processes refuse to open it.",
    ),
    "S346": Entry(
        "old backup",
        "The backup at {path} was made of a store of an older format, and can only be restored.",
        "Make a store of it: `flowvm restore {path} STORE`.",
        "To be read it would have to be brought up to the newest format, and a backup is never written.",
    ),
}
