"""Programs out of a store and into it.

An artifact holds the modules of its author and names those of the standard library by hash.  Deploying puts the library
into the store as well, with a pointer under the hash of each of its modules, so that an upgrade of the package changes
nothing for a process that waits: it finds the very modules it was built against.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from flowmetal.bytecode.fmc import Artifact, decode_artifact, link
from flowmetal.bytecode.program import Module, Program
from flowmetal.bytecode.verify import verify_module
from flowmetal.diagnostics import FlowmetalError
from flowmetal.engine.library import Library, open_library, standard_library
from flowmetal.store.interface import PutArtifact, Store
from flowmetal.vm.builtins import BUILTINS

#: What a pointer to a library begins with; the hash of the library's bundle follows.
POINTER = b"FML\x00"

#: Programs kept linked in memory.
PROGRAMS_MAX = 256
