"""Codes of the HTTP connectors, the server and the client.

H1xx starting a server, H2xx its configuration, H3xx requests to the API, H4xx callbacks and endpoints, H5xx what a
client meets, secrets of programs among it.
"""

from __future__ import annotations

from flowmetal.diagnostics.entry import Entry

CODES: dict[str, Entry] = {
    # ---- H1xx: starting ----------------------------------------------------------------------------------------
    "H101": Entry(
        "port in use",
        "Another program already listens on {host} port {port}.",
        "Stop it, or choose another port with `port` in [serve].",
        "A server listens on one address and port alone.  `ss -ltnp` shows which program holds it; often it is an\n"
        "earlier `flowvm serve` that still runs.  Port 0 takes any free one.",
    ),
    "H102": Entry(
        "cannot listen",
        "Listening on {host} port {port} failed: {reason}.",
        "Give `host` an address of this machine and `port` a number that this user may open.",
        "The operating system refused the address: it is not one of this machine, or the port is below 1024 and the\n"
        "process may not open it.",
    ),
    "H103": Entry(
        "open address without a token",
        "{host} can be reached from other machines, and the API has no token.",
        "Set `token_env` in [serve] to the name of an environment variable that holds a token, or listen on 127.0.0.1.",
        "Whoever reaches the API starts, cancels and deploys programs.  On anything but a loopback address it is\n"
        "therefore only served with a bearer token.",
    ),
    "H104": Entry(
        "server did not start",
        "The HTTP server ended while it started: {reason}.",
        "",
        "The server's thread ended before it served.  The log has the reason.",
    ),
    # ---- H2xx: configuration -----------------------------------------------------------------------------------
    "H201": Entry(
        "unknown setting",
        "`{key}` in {section} is not a setting.",
        ("Did you mean `{suggestion}`?", "Settings here: {known}."),
        "Settings that are not known are refused rather than ignored: a mistyped limit or secret would otherwise\n"
        "silently not be in force.",
    ),
    "H202": Entry(
        "bad setting",
        "`{key}` in {section} is {found}; it must be {expected}.",
        "",
        "The setting has another type, or a value outside of what it allows.",
    ),
    "H203": Entry(
        "secret not found",
        "{section} takes its secret from {source}, which {problem}.",
        "Set it before the server starts.",
        "Secrets never stand in flowmetal.toml: `secret_env` names an environment variable (or several, while a\n"
        "secret is being rotated), `secret_file` a file.  Both are read when the server starts.",
    ),
    "H204": Entry(
        "unsigned endpoint",
        '{section} has scheme "none", so anyone could start `{start}`.',
        "Choose a signature scheme, or write `insecure = true` if anyone may.",
        "An endpoint without signature checks needs `insecure = true`, so that nobody opens one by accident.",
    ),
    "H205": Entry(
        "configuration not readable",
        "{path} cannot be read: {reason}.",
        "",
        "The file is missing, may not be read by this user, or is not TOML.",
    ),
    # ---- H3xx: the API -----------------------------------------------------------------------------------------
    "H301": Entry(
        "not JSON",
        "The body is not JSON that can be read: {reason}.",
        "Send one JSON document in UTF-8.",
        "Numbers must be finite, nesting at most 512 deep, strings without lone surrogates.",
    ),
    "H302": Entry(
        "body too large",
        "The body is larger than {limit} bytes.",
        "",
        "Every route has a limit on its body; it is enforced while the body arrives, whatever its headers say.",
    ),
    "H303": Entry(
        "not authorized",
        "The request has no valid bearer token.",
        "Send the header `Authorization: Bearer TOKEN`.",
        "The server was started with a token (`token_env` in [serve]).  Callbacks and endpoints need none: the URL of\n"
        "a callback is its secret, and an endpoint checks signatures.",
    ),
    "H304": Entry(
        "not found",
        "There is no {what}.",
        "",
        "The path names a process, a program or a route that this server does not have.",
    ),
    "H305": Entry(
        "bad field",
        "`{field}` must be {expected}.",
        ("Did you mean `{suggestion}`?", ""),
        "The document has a field of another type, lacks one that is needed, or has one that is not known.",
    ),
    "H306": Entry(
        "not a JSON request",
        "The body must be sent as application/json.",
        "Send the header `Content-Type: application/json`.",
        "Asking for the content type keeps web pages of other sites from calling a server on this machine.",
    ),
    "H307": Entry(
        "body too slow",
        "The body had not arrived within {seconds} s.",
        "",
        "A sender has a deadline for its whole body, so that slow ones do not hold connections.",
    ),
    "H308": Entry(
        "unknown host",
        "This server is not called {host}.",
        "Use the address it listens on, or start it with a token.",
        "Without a token the API answers only to its own names, so that a web page cannot reach it by pointing a\n"
        "name of its own at this machine.",
    ),
    "H309": Entry(
        "not plain data",
        "The {what} of process {pid} cannot be given as JSON: {reason}.",
        "Return maps, vectors, strings, numbers, booleans and nil.",
        "Functions, cells and promises live in a process and have no form outside.  `printed` in the answer shows the\n"
        "value as the language prints it.",
    ),
    "H310": Entry(
        "not allowed here",
        "{method} is not a method of {path}.",
        "",
        "The path exists, with other methods.",
    ),
    "H311": Entry(
        "internal error",
        "The server failed to answer; its log has the details under {reference}.",
        "",
        "This is a fault of the server.  What was committed before it stays.",
    ),
    "H312": Entry(
        "cannot deploy here",
        "This server takes no programs.",
        "Deploy to its store instead.",
        "The server was started without a verifier for artifacts, so it accepts none.",
    ),
    # ---- H4xx: callbacks and endpoints -------------------------------------------------------------------------
    "H401": Entry(
        "unknown callback",
        "There is no callback of this name.",
        "",
        "The token is wrong, or its process is gone.",
    ),
    "H402": Entry(
        "bad signature",
        "The signature is missing, wrong or too old.",
        "",
        "The answer is the same in all these cases.  The server's log says which it was.",
    ),
    "H403": Entry(
        "unknown endpoint",
        "There is no endpoint of this name.",
        "",
        "Endpoints are configured under [endpoints.NAME].",
    ),
    "H404": Entry(
        "program not startable",
        "The endpoint's program could not be started: {reason}.",
        "Deploy it, and let the sender deliver again.",
        "The delivery was not accepted: the sender got no 2xx and is expected to try again.",
    ),
    # ---- H5xx: the client --------------------------------------------------------------------------------------
    "H501": Entry(
        "server not reachable",
        "{url} cannot be reached: {reason}.",
        "Check that `flowvm serve` runs there.",
        "The connection failed or broke before an answer came.  A `start` with an `id` can safely be sent again.",
    ),
    "H502": Entry(
        "bad address",
        "`{url}` is not an address of a store or server.",
        "Use the path of a folder, `lmdb:///path`, `memory:` or `http://host:port`.",
        "",
    ),
    "H503": Entry(
        "refused by the server",
        "{url} refused the token.",
        "Pass `token=` to connect, or set FLOWMETAL_TOKEN.",
        "",
    ),
    "H504": Entry("no such process", "There is no process {pid} here.", "", ""),
    "H505": Entry(
        "conflict",
        "The id `{id}` belongs to process {pid}, which was started otherwise: not the same {what}.",
        "Use another id, or the same program, function and arguments.",
        "An id makes `start` safe to repeat: the same call gives the same process.  Another call under the same id is\n"
        "refused.",
    ),
    "H506": Entry("refused request", "{message}", "{advice}", "The server answered with this error."),
    "H507": Entry(
        "not finished yet",
        "Process {pid} is still {status} after {seconds} s.",
        "Wait longer, or look at what it waits for with `flowvm inspect {pid}`.",
        "The process goes on; only the waiting for it ended.",
    ),
    "H508": Entry(
        "process failed",
        "Process {pid} failed with :{kind}: {message}.",
        "`flowvm inspect {pid}` shows where.",
        "The program ended with an error that nothing in it caught.",
    ),
    "H509": Entry("process cancelled", "Process {pid} was cancelled.", ("The reason: {reason}", ""), ""),
    "H510": Entry(
        "not plain data",
        "The {what} cannot cross here: {reason}.",
        "Use dictionaries, lists, strings, numbers, booleans and None.",
        "Values cross between Python and a program as JSON-like data.  Bytes cross to a store, not over HTTP.",
    ),
    "H511": Entry(
        "no such program",
        "No program is deployed as `{name}`.",
        (
            "Did you mean `{suggestion}`?",
            'Deploy it first: `flowvm deploy FILE --name {name}`, in Python `client.deploy("{name}", path)`.',
        ),
        "",
    ),
    "H512": Entry(
        "answer not understood",
        "{url} answered with something that is not this API: {reason}.",
        "Check the address: it must be the base address of a `flowvm serve`.",
        "",
    ),
    "H513": Entry("bad name", "{what} must be {expected}.", "", "Ids, names and functions are short, printable texts."),
    "H514": Entry(
        "worker without functions",
        "The worker serves no function.",
        'Register at least one: `@worker.function("name/of-effect")`.',
        "",
    ),
    "H515": Entry(
        "not restarted",
        "Process {pid} cannot be started again: {reason}.",
        "",
        "A restart starts the function of an ended process once more, with the arguments that are in its log.",
    ),
    "H516": Entry(
        "not answered",
        "Process {pid} cannot be steered so: {reason}.",
        "`flowvm inspect {pid}` shows its open requests.",
        "A person may answer a request that is open, by its number or its effect, or the one whose retries are used\n"
        "up.  Of several answers the first counts.",
    ),
    "H517": Entry(
        "another operation",
        "The name {name} stands for another operation.",
        "Give this one another name.",
        "The store remembers for a week how far an operation with a name is, so that the same one can go on where it\n"
        "stopped.",
    ),
    "H555": Entry(
        "nothing to remove by",
        "Neither the request nor the settings say what is to be removed.",
        "Give `older_than`, `keep`, `log_older_than` or `log_keep`, or [retention] to the server's settings.",
        "`keep_failed` and `keep_children` only say what is kept of that.",
    ),
    # ---- H530 to H549: secrets of programs -------------------------------------------------------------------------
    "H530": Entry(
        "no such secret",
        "There is no secret `{name}` in the settings.",
        ("Did you mean `{suggestion}`?", "Add [secrets.{name}] with `env`, `file` or `command` to flowmetal.toml."),
        "A program names secrets and never has their values; the settings of the server say where each comes from.",
    ),
    "H531": Entry(
        "secret not readable",
        "The secret `{name}` comes from {source}, which {problem}.",
        "Set it, or change {section}.",
        "Variables are those of the server's own environment.  A file is read again when it has changed, a command is\n"
        "run again after a few seconds where it failed.  What a command writes to its standard error is not shown, as\n"
        "it may hold anything.",
    ),
    "H532": Entry(
        "secret of a wrong length",
        "The secret `{name}` must have at least {least} characters and at most {most} bytes.",
        "Make another one, and set it where {section} says.",
        "What comes back from outside is searched for the values of secrets, which are taken out.  A value of a few\n"
        "characters is part of many texts, so these would be full of holes, and it could be guessed from where.",
    ),
    "H533": Entry(
        "secret not for this",
        "The secret `{name}` may not go {where}.",
        "`{key}` in {section} says where it may.",
        "A secret with `hosts` goes to these alone, and to http/request only unless `effects` says more.",
    ),
    "H534": Entry(
        "secret in the clear",
        "The secret `{name}` would go to {host} unencrypted.",
        "Use https, or write `insecure = true` in {section}.",
        "Over http:// everybody on the way can read it.  To this machine itself that is allowed.",
    ),
    "H535": Entry(
        "source of a secret",
        "{section} needs one of `env`, `file` and `command`, and no value.",
        "Name where the secret comes from; the value itself never stands in the file.",
        "Files of settings are copied, shown and kept in version control, so no secret stands in one.",
    ),
    "H536": Entry(
        "redirected with a secret",
        "A redirect leads to {host}, and the request has the secret `{name}` in it.",
        "Send the request to the address that it is redirected to.",
        "A request with a secret follows redirects within one scheme, host and port only: who answers at the one may\n"
        "not decide that the secret goes to another.",
    ),
    "H540": Entry(
        "too many secrets",
        "The settings name {count} secrets; at most {limit} are known at once.",
        "Name those that programs of this server use.",
        "Whatever comes back from outside is searched for the value of every secret, and no value that is in use is\n"
        "left out of that.",
    ),
}
