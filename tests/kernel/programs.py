"""Build the C programs and BPF objects of this directory when they are older than their sources.

Separate from conftest.py, because the machines of vm/ have no compiler: their programs are built beforehand.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
BUILD: Final = ROOT / "build" / "programs"
FLAGS: Final = ("-O2", "-Wall", "-Werror", "-pthread", "-D_GNU_SOURCE")


def build(name: str) -> Path:
    """Build the program of NAME.c, or of the files in the directory NAME."""
    sources, program = [*HERE.glob(f"{name}.c"), *(HERE / name).glob("*.[ch]")], BUILD / name
    if not program.exists() or program.stat().st_mtime <= max(source.stat().st_mtime for source in sources):
        files = [str(source) for source in sources if source.suffix == ".c"]
        with _replace_when_complete(program) as made:
            subprocess.run(["gcc", *FLAGS, "-o", str(made), *files], check=True)
    return program


def build_object(name: str) -> Path:
    """Build NAME.bpf.c with the product's compiler flags."""
    source, target = HERE / f"{name}.bpf.c", BUILD / f"{name}.bpf.o"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        with _replace_when_complete(target) as made:
            command = (sys.executable, "hatch_build.py", str(source.relative_to(ROOT)), str(made.relative_to(ROOT)))
            subprocess.run(command, check=True, cwd=ROOT)
    return target


@contextmanager
def _replace_when_complete(target: Path) -> Iterator[Path]:
    """Yield a path for the compiler's output and rename it to ``target`` at the end: another worker may use the file at any time."""
    made = target.with_name(f"{os.getpid()}-{target.name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    yield made
    made.replace(target)


def build_all() -> None:
    for source in HERE.glob("*.c"):
        if source.name.endswith(".bpf.c"):
            build_object(source.name.removesuffix(".bpf.c"))
        else:
            build(source.stem)
    for folder in {source.parent for source in HERE.glob("*/*.c")}:
        build(folder.name)
