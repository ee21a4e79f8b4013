"""A real `flowvm serve` with secrets in its settings, programs that use them everywhere, and the list of all surfaces."""

from __future__ import annotations

import json
import os
import random
import re
import string
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.canaries.echo import Echo

PYTHON = sys.executable
START_SECONDS = 60.0
ENDED = frozenset({"done", "failed", "cancelled", "paused"})

PROGRAM = r"""
(ns canary (:require http json shell string))

(defeffect foreign/call "A function elsewhere." [payload])

(def header (secret-text "Bearer " (secret "api")))

(defn everywhere [base how as redirects]
  {:url (secret-text base "/" how "/" (secret "path"))
   :method :post
   :headers {"authorization" header "x-file" (secret "file")}
   :query {:q (secret "query")}
   :json {:deep [{:token (secret "body")} (secret-text "<" (secret "body") ">") (secret "lines")]}
   :as (keyword as)
   :redirects redirects})

(defn web [base how as redirects]
  (try (http/request (everywhere base how as redirects)) (catch _ e e)))

(defn others [base]
  [(http/post (str base "/chunks") {:basic-auth ["user" (secret "api")] :form {:a (secret "body") :b "x"}})
   (http/post (str base "/text") {:body (secret-text "a=" (secret "file") "\n") :headers {"authorization" header}})
   (http/get (str base "/keys") {:query {:a [(secret "api") (secret "command")]} :as :json})])

(defn fails [base] (http/post (str base "/garbage") {:json {:a (secret "api")} :headers {"authorization" header}}))

(defn exhausted [base]
  (http/request (everywhere base "error" "text" 0) :retry {:max 1 :backoff 10ms}))

(def script
  "printf '%s' \"$A\"; echo; printf '%s' \"$A\" | base64; printf 'x%s' \"$A\" | base64 -w 5; printf 'xy%s' \"$A\" | base64
   printf '%s' \"$A\" | od -An -tx1; printf '%s' \"$1\" >&2; cat; env; cat /proc/self/environ; tr '\\0' '\\n' </proc/$$/cmdline
   printf '%s' \"$A\" | cut -c1-9 | tr -d '\\n'; sleep 0.1; printf '%s' \"$A\" | cut -c10- >&1")

(defn command [as]
  {:command ["sh" "-c" script "sh" (secret "api")]
   :env {:A (secret "file") :B header}
   :stdin (secret-text "in: " (secret "command"))
   :as as})

(defn commands []
  [(shell/run (command "text"))
   (shell/run (command "bytes"))
   (try (shell/run {:command ["sh" "-c" "printf '%s' \"$A\" >&2; sleep 30"] :env {:A (secret "api")} :timeout 300ms})
     (catch _ e e))
   (try (shell/run ["sh" "-c" "printf '%s' \"$1\"; exit 3" "sh" (secret "api")]
                   :retry {:max 1 :backoff 10ms} :exhausted :throw)
     (catch _ e e))
   (try (shell/run [(str "/no/such/" 1) (secret "api")]) (catch _ e e))
   (try (shell/run {:command ["cat"] :directory "/no/such" :env {:A (secret "api")}}) (catch _ e e))])

(defn cut [script]
  (try (shell/run {:command ["sh" "-c" script "sh" (secret "lines")]
                   :env {:A (secret "api") :B (secret "file")} :timeout 700ms})
    (catch _ e e)))

(defn posted [how]
  (let [{url :url promise :promise} (http/callback {:timeout 1m})
        sent {:headers {"content-type" (:type how)}
              :body (secret-text (:before how) (secret (:name how)) (:after how))}]
    [(http/post url sent) (await promise)]))

(defn posts []
  [(posted {:name "api" :type "text/plain" :before "<" :after ">"})
   (posted {:name "lines" :type "text/plain; charset=utf-16-le" :before "" :after ""})
   (posted {:name "file" :type "application/octet-stream" :before "\u00ff" :after ""})
   (let [{url :url promise :promise} (http/callback {:timeout 1m})]
     [(http/post url {:json {:token (secret "body") :more [(secret "lines")]}}) (await promise)])
   (let [{url :url promise :promise} (http/callback {:timeout 1m})]
     [(http/post url {:form {:token (secret "body") :more (secret "lines")}}) (await promise)])
   (let [{url :url promise :promise} (http/callback {:timeout 1m})
         base (first (string/split url "/callbacks/"))]
     [(http/post (str base "/endpoints/open")
                 {:headers {"x-back" header "x-delivery-id" (secret "query")} :json {:a (secret "api")}})
      (http/post (str base "/v1/processes")
                 {:json {:function "canary/keep" :args [(secret "body") {:deep (secret "lines")}]
                         :id (secret-text "id-" (secret "query")) :attributes {:about (secret "path")}}})
      (http/post (str base "/v1/operations/kv/put") {:json {:payload ["canary" [(secret "file")]]}})
      (http/post (str base "/v1/processes") {:json {:function (secret "api") :args []}})
      (http/post url {:json nil})])])

(defn keep [& given] given)

(defn command-fails [] (shell/output ["sh" "-c" "echo \"$1\"; echo \"$1\" >&2; exit 9" "sh" (secret "api")]))

(defn refused [base]
  [(try (http/get (str base "/chunks") {:headers {"x" (secret "elsewhere")}}) (catch _ e e))
   (try (http/get (str base "/chunks") {:headers {"x" (secret "missing")}}) (catch _ e e))
   (try (http/get (str base "/chunks") {:headers {"x" (secret "broken")}}) (catch _ e e))
   (try (http/get (str base "/chunks") {:headers {"x y" (secret "api")}}) (catch _ e e))
   (try (http/get (str base "/chunks") {:headers {"x" (str (secret "api"))}}) (catch _ e e))
   (try (http/get (secret-text "http://" (secret "api") "/")) (catch _ e e))
   (try (http/post (str base "/chunks") {:json {:a #{(secret "api")}}}) (catch _ e e))
   (try (http/post (str base "/chunks") {:form {:a {:b (secret "api")}}}) (catch _ e e))])

(defn foreign [] (try (foreign/call {:token (secret "api") :text header}) (catch _ e e)))

(defn holds [base]
  (let [token (secret "api")
        cell (atom [token header])
        closure (fn [] (web base "chunks" "text" 0))
        answer (closure)]
    (log token header (str "with " token))
    (progress {:token token})
    (annotate! {:about (str token)})
    (receive {:type "go"} (throw (error :canary/failed (str "at " token) {:token token :cell @cell :answer answer})))))

(defn keep-text [text] (log text) (receive {:type "go"} text))
"""


LETTERS = string.ascii_letters + string.digits


def canary(chance: random.Random) -> str:
    """A value that looks different in every spelling."""
    letters = "".join(chance.choices(LETTERS, k=24))
    return f"{letters[:8]}/+&=%{letters[8:16]}\"'\\ {letters[16:]}"


class CanarySite:
    """The server, its store, and what was ever printed."""

    def __init__(self, folder: Path, seed: int) -> None:
        chance = random.Random(seed)
        names = ("api", "path", "query", "body", "file", "command", "elsewhere")
        self.canaries = {name: canary(chance) for name in names}
        # One of several lines, as keys are.
        self.canaries["lines"] = "\n".join("".join(chance.choices(LETTERS, k=20)) for _ in range(3))
        self.planted = canary(chance)
        self.folder = folder
        self.store = folder / "store"
        self.echo = Echo()
        self.printed: list[tuple[str, bytes]] = []
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(folder / "cache")),
            "HOME": str(folder),
            "FLOWMETAL_STORE": str(self.store),
        }
        outside = folder / "outside"  # what holds the values on purpose
        outside.mkdir()
        (outside / "file").write_text(self.canaries["file"] + "\n")
        (outside / "lines").write_bytes(self.canaries["lines"].encode() + b"\n")
        (outside / "command").write_text(self.canaries["command"] + "\n")
        (folder / "canary.fm").write_text(PROGRAM)
        (folder / "flowmetal.toml").write_text(self._settings(outside))

    def _settings(self, outside: Path) -> str:
        tables = [
            "[serve]\nport = 0\n",
            '[http]\nallow = ["127.0.0.1", "localhost"]\n',  # the echo, and the server itself
            '[endpoints.open]\nscheme = "none"\ninsecure = true\nstart = "canary/keep"\n',
        ]
        tables.append('[shell]\ncommands = ["*"]\nenvironment = ["A", "B"]\n')
        for name in ("api", "path", "query", "body"):
            tables.append(f'[secrets.{name}]\nenv = "CANARY_{name.upper()}"\n')
        tables.append(f'[secrets.file]\nfile = "{outside / "file"}"\n')
        tables.append(f'[secrets.command]\ncommand = ["cat", "{outside / "command"}"]\n')
        tables.append(f'[secrets.lines]\nfile = "{outside / "lines"}"\n')
        tables.append('[secrets.elsewhere]\nenv = "CANARY_ELSEWHERE"\nhosts = ["api.example.com"]\n')
        tables.append('[secrets.broken]\ncommand = ["sh", "-c", "echo $CANARY_API >&2; exit 1"]\n')
        return "\n".join(tables)

    def start(self) -> None:
        """Starts the server and deploys the program."""
        environment = dict(self._environment)
        environment |= {f"CANARY_{name.upper()}": value for name, value in self.canaries.items()}
        self.log = self.folder / "server.log"
        with self.log.open("wb") as log:
            self._server = subprocess.Popen(
                [*_flowvm(), "serve"],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        end = time.monotonic() + START_SECONDS
        while not (found := re.search(r"serves at (http://[\d.:]+)", self.log.read_text())):
            if time.monotonic() > end or self._server.poll() is not None:
                raise AssertionError(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)
        self.url = found[1]
        self.flowc("build", "canary.fm")
        self.flowvm("deploy", "canary.fmc", "--grant", "all")

    def stop(self) -> None:
        """Stops everything."""
        self._server.terminate()
        self._server.wait(30)
        self.echo.close()

    def flowvm(self, *arguments: str) -> str:
        """Runs a command of the CLI, and keeps what it prints."""
        return self._run("flowvm", _flowvm(), arguments)

    def flowc(self, *arguments: str) -> str:
        """The same of flowc."""
        return self._run("flowc", [PYTHON, "-c", "from flowmetal.cli.start import flowc; flowc()"], arguments)

    def _run(self, name: str, command: list[str], arguments: tuple[str, ...]) -> str:
        ran = subprocess.run(
            [*command, *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            timeout=120,
            check=False,
        )
        if arguments[0] in ("build", "deploy", "backup") and ran.returncode:
            raise AssertionError((ran.stdout + ran.stderr).decode())
        self.printed.append((f"{name} {' '.join(arguments)}"[:60], ran.stdout + ran.stderr))
        return ran.stdout.decode("utf-8", "replace")

    def http(self, path: str, body: Any = None) -> Any:
        """A request to the API, and keeps its answer; status 4xx is an answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"} if data else {})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = response.read() + str(response.headers).encode()
                said = answer[: -len(str(response.headers).encode())]
        except urllib.error.HTTPError as error:
            answer = said = error.read()
        self.printed.append((f"HTTP {path}", answer))
        return json.loads(said)

    def begin(self, function: str, *arguments: Any) -> int:
        """Starts a process over HTTP."""
        return int(self.http("/v1/processes", {"function": f"canary/{function}", "args": list(arguments)})["pid"])

    def listed(self) -> set[int]:
        """All processes there are."""
        return {int(one["pid"]) for one in self.http("/v1/processes?limit=1000")["processes"]}

    def wait(self, pids: list[int], *statuses: str) -> None:
        """Until these processes have one of the statuses."""
        end = time.monotonic() + START_SECONDS
        for pid in pids:
            while (found := self.http(f"/v1/processes/{pid}")["status"]) not in (statuses or ENDED):
                if time.monotonic() > end:
                    raise AssertionError(f"process {pid} is {found}:\n{self.flowvm('history', str(pid))}")
                time.sleep(0.05)

    def look(self, pids: list[int], whole: bool) -> None:
        """Looks at processes in every way there is; by the commands at some only, if not `whole`."""
        self.flowvm("ps")
        self.flowvm("ps", "--json")
        for pid in pids:
            for path in ("", "/result", "/history?limit=1000"):
                self.http(f"/v1/processes/{pid}{path}")
        for pid in map(str, pids if whole else pids[-2:]):
            self.flowvm("history", pid, "--json", "--full", "--limit", "1000")
        for pid in map(str, {pids[0], pids[-1]} if whole else [pids[0]]):
            for arguments in (("inspect", pid), ("inspect", pid, "--json"), ("inspect", f"{pid}@2"), ("result", pid)):
                self.flowvm(*arguments)

    def surfaces(self) -> Iterator[tuple[str, bytes]]:
        """Everything that may hold no secret: what was printed, and every file but those that hold them on purpose."""
        yield from self.printed
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and "outside" not in path.relative_to(self.folder).parts:
                yield str(path.relative_to(self.folder)), path.read_bytes()


def _flowvm() -> list[str]:
    return [PYTHON, "-c", "from flowmetal.cli.start import flowvm; flowvm()"]
