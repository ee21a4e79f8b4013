"""Which secrets a program names."""

from __future__ import annotations

import pytest

from flowmetal.bytecode.fmc import decode_artifact
from flowmetal.engine.build import build_artifact
from flowmetal.engine.secret_sites import secret_grants


@pytest.mark.parametrize(
    ("source", "grants"),
    [
        ("(defn main [] 1)", []),
        ('(defn main [] (secret "api"))', ["secret=api"]),
        ('(defn main [] (secret-text "Bearer " (secret "b") (secret "a")))', ["secret=a", "secret=b"]),
        ('(def t (secret-text "Bearer " (secret "top"))) (defn main [] t)', ["secret=top"]),
        ('(def t (atom {:k (secret "cell")})) (defn main [] @t)', ["secret=cell"]),
        ('(defn main [] (let [n "bound"] [(secret n) 1]))', ["secret=bound"]),
        ('(defn main [x] [(secret "a") (secret x)])', ["secret"]),
        ('(defn main [x] [(secret (if x "a" "b")) 1])', ["secret"]),
        ('(defn main [] (map secret ["a"]))', ["secret"]),
        ("(def mk (atom [secret])) (defn main [] (@mk 1))", ["secret"]),
        ("(def mk secret) (defn main [x] (mk x))", ["secret"]),
    ],
)
def test_secrets_by_name(source: str, grants: list[str]) -> None:
    data = build_artifact({"t.fm": f"(ns t)\n{source}"}).data
    assert secret_grants(decode_artifact(data)) == grants
