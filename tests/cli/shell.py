"""Commands, called as from a shell but in this process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from flowmetal.cli import flowc, flowvm

PROGRAM = """
(ns hello)
(defn main ([] {:n 1}) ([n] {:n n}))
(defn function [] [(fn [x] x)])
(defn fails [] (throw (error :own "no" {:f (fn [x] x)})))
(defn- ^:flowmetal/ignore hidden [] 1)
"""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)

    def error(self) -> Any:
        """The error of a command with --json."""
        return json.loads(self.err)["error"]


class Shell:
    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch = patch
        self._capture = capture

    def __call__(self, command: str, *arguments: str) -> Done:
        self._patch.setattr("sys.argv", [command, *arguments])
        self._capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            (flowc if command == "flowc" else flowvm).main()
        out, err = self._capture.readouterr()
        assert "Traceback" not in err
        return Done(int(ended.value.code or 0), out, err)
