"""Shared by all measures: number of repetitions, amount of work, what must be built, and paths.

Separate, so that --quick is decided in one place.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from bench.neighbours import Neighbours

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = ROOT / "build"
SCRATCH: Final = BUILD / "bench"
WORKLOAD: Final = BUILD / "workload"
OPERATIONS: Final = BUILD / "operations"
URING: Final = BUILD / "uring"
RESOLUTION: Final = BUILD / "resolution"
SOAK: Final = BUILD / "soak"
EXITS: Final = BUILD / "exits"
FILE: Final = SCRATCH / "file"
MAPPED: Final = SCRATCH / "mapped"
PAGES: Final = 65536
TREE: Final = SCRATCH / "tree"
FILES: Final = 1000
SHARED: Final = Path("/dev/shm")
First = TypeVar("First")
Second = TypeVar("Second")


class BenchError(Exception):
    """A measure failed; the others can run."""


@dataclass(frozen=True, slots=True)
class Lab:
    """The thoroughness of a run."""

    pairs: int = 9
    quick: bool = False
    neighbours: Neighbours = field(default_factory=Neighbours)

    def some(self, count: int) -> int:
        """Return ``count``, or a quarter of it with --quick."""
        return count // 4 if self.quick else count

    def preads(self, count: int = 1_500_000, threads: int = 1) -> list[str]:
        """Return the tight loop, ``count`` calls by each thread."""
        return [str(WORKLOAD), "pread", str(FILE), str(self.some(count)), str(threads)]

    def opens(self, rounds: int = 120, threads: int = 1) -> list[str]:
        """Return open, read, close over the tree, ``rounds`` times by each thread."""
        return [str(WORKLOAD), "orc", str(TREE), str(FILES), str(self.some(rounds)), str(threads)]

    def stats(self, count: int) -> list[str]:
        """Return stat(2) of half the tree's names, absolute and relative in turn."""
        return [str(OPERATIONS), "stat", str(TREE), str(FILES // 2), str(self.some(count))]

    def churns(self, count: int) -> list[str]:
        """Return files created, written, closed, renamed and unlinked, in memory where possible, because it is quickest
        there."""
        place = SHARED if os.access(SHARED, os.W_OK) else SCRATCH
        return [str(OPERATIONS), "churn", str(place), str(self.some(count))]

    def touches(self, count: int, mode: str = "write") -> list[str]:
        """Return accesses to each page of a mapped file, ``count`` times."""
        return [str(OPERATIONS), "touch", str(MAPPED), mode, str(self.some(count))]

    def execs(self, count: int) -> list[str]:
        """Return starts of a program that ends at once."""
        return [str(OPERATIONS), "exec", str(EXITS), str(self.some(count))]

    def urings(self, count: int, file: Path = FILE) -> list[str]:
        """Return io_uring reads of a block of 4096 bytes: there is one in FILE, and many in MAPPED."""
        return [str(URING), str(file), str(self.some(count))]

    def in_turn(self, *runs: Callable[[], Any]) -> Iterator[tuple[Any, ...]]:
        """Yield the results of each round, in the order of ``runs``: each round begins with another one, so that drift cancels."""
        for number in range(self.pairs):
            self.neighbours.look()
            first = number % len(runs)
            found = {at: runs[at]() for at in (*range(first, len(runs)), *range(first))}
            yield tuple(found[at] for at in range(len(runs)))

    def alternate(self, one: Callable[[], First], other: Callable[[], Second]) -> Iterator[tuple[First, Second]]:
        """Yield pairs of results, in alternating order."""
        for number in range(self.pairs):
            self.neighbours.look()
            if number % 2:
                second = other()
                yield one(), second
            else:
                first = one()
                yield first, other()


def prepare() -> None:
    """Build what is missing or older than its source, and create the files that workloads read."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    for program in (WORKLOAD, OPERATIONS, URING, RESOLUTION, SOAK):
        source = ROOT / "bench" / f"{program.name}.c"
        if _stale(source, program) or _stale(source.with_name("outcome.h"), program):
            _run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", str(program), str(source)])
    _run(["gcc", "-static", "-nostdlib", "-o", str(EXITS), str(ROOT / "bench" / "exits.S")])
    for name in ("floor", "empty", "resolution"):
        source = ROOT / "bench" / f"{name}.bpf.c"
        if _stale(source, BUILD / f"{name}.bpf.o"):
            _run([sys.executable, "hatch_build.py", str(source.relative_to(ROOT)), f"build/{name}.bpf.o"])
    FILE.write_bytes(b"x" * 4096)
    if not MAPPED.exists() or MAPPED.stat().st_size != PAGES * 4096:
        MAPPED.write_bytes(b"x" * 4096 * PAGES)
    _run([str(OPERATIONS), "touch", str(MAPPED), "read", "1"])  # into memory
    _run([str(WORKLOAD), "tree", str(TREE), str(FILES)])


def _stale(source: Path, made: Path) -> bool:
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


def _run(words: list[str]) -> None:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
