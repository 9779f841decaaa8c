"""The C programs beside this file, built when they are older than their sources.

Apart from conftest.py, because a machine of vm/ has no compiler: what it runs is built before. Next: lab.py.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
BUILD: Final = HERE.parent.parent / "build" / "programs"
FLAGS: Final = ("-O2", "-Wall", "-Werror", "-pthread", "-D_GNU_SOURCE")


def build(name: str) -> Path:
    source, program = HERE / f"{name}.c", BUILD / name
    if not program.exists() or program.stat().st_mtime <= source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", *FLAGS, "-o", str(program), str(source)], check=True)
    return program


def build_all() -> None:
    for source in HERE.glob("*.c"):
        build(source.stem)
