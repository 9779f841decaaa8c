"""What every measure shares: how often and how much, what must be built, and where it lies.

Apart, so that --quick is decided in one place. Next: workloads.py runs what is built here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from bench.neighbours import Neighbours

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = ROOT / "build"
SCRATCH: Final = BUILD / "bench"
WORKLOAD: Final = BUILD / "workload"
CHURN: Final = BUILD / "churn"
FILE: Final = SCRATCH / "file"
TREE: Final = SCRATCH / "tree"
FILES: Final = 1000
First = TypeVar("First")
Second = TypeVar("Second")


class BenchError(Exception):
    """A measure could not be made; the others can."""


@dataclass(frozen=True, slots=True)
class Lab:
    """How thorough a run is."""

    pairs: int = 9
    quick: bool = False
    neighbours: Neighbours = field(default_factory=Neighbours)

    def some(self, count: int) -> int:
        """``count``, or a quarter of it in a hurry."""
        return count // 4 if self.quick else count

    def preads(self, count: int = 1_500_000, threads: int = 1) -> list[str]:
        """The tight loop, ``count`` calls by each thread."""
        return [str(WORKLOAD), "pread", str(FILE), str(self.some(count)), str(threads)]

    def opens(self, rounds: int = 120, threads: int = 1) -> list[str]:
        """open, read, close over the tree, ``rounds`` times by each thread."""
        return [str(WORKLOAD), "orc", str(TREE), str(FILES), str(self.some(rounds)), str(threads)]

    def alternate(self, one: Callable[[], First], other: Callable[[], Second]) -> Iterator[tuple[First, Second]]:
        """Pairs of results, the order of the two turned round each time."""
        for number in range(self.pairs):
            self.neighbours.look()
            if number % 2:
                second = other()
                yield one(), second
            else:
                first = one()
                yield first, other()


def prepare() -> None:
    """Build what is missing or older than its source, and make the files that workloads read."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    for name in ("workload", "churn"):
        source = ROOT / "bench" / f"{name}.c"
        if _stale(source, BUILD / name):
            _run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", str(BUILD / name), str(source)])
    for name in ("floor", "empty"):
        source = ROOT / "bench" / f"{name}.bpf.c"
        if _stale(source, BUILD / f"{name}.bpf.o"):
            _run([sys.executable, "hatch_build.py", str(source.relative_to(ROOT)), f"build/{name}.bpf.o"])
    FILE.write_bytes(b"x" * 4096)
    _run([str(WORKLOAD), "tree", str(TREE), str(FILES)])


def _stale(source: Path, made: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


def _run(words: list[str]) -> None:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
