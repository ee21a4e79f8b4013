"""Hatch build hook: compiles the standard library into the wheel, so that an installed package never compiles it."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileStandardLibrary(BuildHookInterface):  # type: ignore[type-arg]
    """Adds flowmetal/stdlib/stdlib.fmc to the wheel, and the hash of the compiler that made it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Runs before the wheel's files are gathered.  An editable install compiles at first use instead."""
        if version == "editable":
            return
        root = Path(self.root)
        sys.path.insert(0, str(root))
        from flowmetal.engine.library import COMPILER_HASH, compiler_fingerprint
        from flowmetal.engine.stdlib import compile_stdlib

        target = root / "build" / "stdlib.fmc"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(compile_stdlib(root / "stdlib"))
        build_data["force_include"][str(target)] = "flowmetal/stdlib/stdlib.fmc"
        fingerprint = root / "build" / COMPILER_HASH
        fingerprint.write_bytes(compiler_fingerprint())
        build_data["force_include"][str(fingerprint)] = f"flowmetal/stdlib/{COMPILER_HASH}"
