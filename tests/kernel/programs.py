"""The C programs and BPF objects beside this file, built when they are older than their sources.

Apart from conftest.py, because a machine of vm/ has no compiler: what it runs is built before. Next: lab.py.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
BUILD: Final = ROOT / "build" / "programs"
FLAGS: Final = ("-O2", "-Wall", "-Werror", "-pthread", "-D_GNU_SOURCE")


def build(name: str) -> Path:
    source, program = HERE / f"{name}.c", BUILD / name
    if not program.exists() or program.stat().st_mtime <= source.stat().st_mtime:
        BUILD.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", *FLAGS, "-o", str(program), str(source)], check=True)
    return program


def build_object(name: str) -> Path:
    """NAME.bpf.c, compiled as the product's are, but with nothing of them."""
    source, target = HERE / f"{name}.bpf.c", BUILD / f"{name}.bpf.o"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        command = (sys.executable, "hatch_build.py", str(source.relative_to(ROOT)), str(target.relative_to(ROOT)))
        subprocess.run(command, check=True, cwd=ROOT)
    return target


def build_all() -> None:
    for source in HERE.glob("*.c"):
        if source.name.endswith(".bpf.c"):
            build_object(source.name.removesuffix(".bpf.c"))
        else:
            build(source.stem)
