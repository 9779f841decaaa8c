"""The C programs and BPF objects of this directory, built when they are older than their sources.

Apart from conftest.py, because a machine of vm/ has no compiler: what it runs is built before.
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
        with _made_whole(program) as made:
            subprocess.run(["gcc", *FLAGS, "-o", str(made), *files], check=True)
    return program


def build_object(name: str) -> Path:
    """Build NAME.bpf.c, compiled as the product's are, but with nothing of them."""
    source, target = HERE / f"{name}.bpf.c", BUILD / f"{name}.bpf.o"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        with _made_whole(target) as made:
            command = (sys.executable, "hatch_build.py", str(source.relative_to(ROOT)), str(made.relative_to(ROOT)))
            subprocess.run(command, check=True, cwd=ROOT)
    return target


@contextmanager
def _made_whole(target: Path) -> Iterator[Path]:
    """A path for a compiler; the file appears as ``target`` when it is whole, for another worker may use it at once."""
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
