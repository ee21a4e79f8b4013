"""work.py with values hashed as Python hashes them, which is another hash in every process: for a test of the harness."""

from __future__ import annotations

from flowmetal.values.hashing import HASHERS

HASHERS[str] = lambda text: hash(text) & 0xFFFFFFFF

from tests.determinism.work import main  # noqa: E402

if __name__ == "__main__":
    main()
