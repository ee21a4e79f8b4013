"""The layout of an artifact: versions, limits, and the parts of a module in the order in which they are stored.

A module's objects have numbers by which other modules and images refer to them: first one for each function, its
closure without captures; then the *shared* objects, which cannot change and are decoded once; then the *own* objects,
from which something mutable is reached and of which each process gets a copy.
"""

from __future__ import annotations

MAGIC = b"FMC\x00"

#: Version of the layout; raised whenever a reader of the one before could not read the new one.
FORMAT_VERSION = 1

MODULES_MAX = 4096  # of one program; a file each, and far more than one program has

HASH_BYTES = 32  # of SHA-256

#: Parts of a module's core.
CORE = (
    "header",  # record: name, names of the modules it requires (texts), their hashes
    "names",  # texts: of the globals
    "globals",  # table of records: flags, doc, parameters (texts), contract (atom), effect, value (atom)
    "starts",  # integers: where the codes of each function start, then the number of all codes
    "functions",  # table of records, see records.py
    "codes",  # table of records, see records.py
    "references",  # table: module of each (integers: 0 for itself, else the place in requires from 1), names (texts)
    "constants",  # table of atoms
    "shared",  # table of object records
    "own",  # table of object records
    "states",  # table of lists: number of a mutable own object, then atoms of its state
    "sites",  # table: effects (texts), functions (texts)
)

#: Parts of a module's debug part, which is empty where it was left out.
DEBUG = (
    "source",  # record: file, source text or nil
    "files",  # texts: the files that spans name
    "codes",  # table: spans and locals of each code, see records.py
    "globals",  # spans
    "sites",  # spans
)

#: Bits of a global's flags.
FLAGS = {"private": 1, "macro": 2, "dynamic": 4, "mutable": 8, "unbound": 16, "test": 32}
