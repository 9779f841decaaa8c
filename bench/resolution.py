"""Methods to find an event's path: what each costs the kernel, the ring, user space and memory, and where it is wrong.

Separate, because only the first is filetap's; docs/adr/0012-ways-to-a-path.md is based on these figures.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np

from bench.lab import RESOLUTION, ROOT, SCRATCH, SHARED, BenchError, Lab
from bench.paths import RING, WAYS, Sent, Way, size_of
from bench.programs import attached, counted, run_time
from bench.table import Row
from bench.workloads import Outcome, started
from filetap.core import wire
from filetap.core.calls import MAX_NR
from filetap.kernel.loader import Object
from filetap.kernel.types import KernelTypes

TREES: Final = SHARED / "filetap-bench"
DEPTHS: Final = (6, 12, 24)
TABLES: Final = {way.table for way in WAYS if way.table}


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one method under one workload; all but the tables' sizes per event."""

    ns: float
    """Run time of its program."""
    sent: float
    """Bytes over the rings."""
    user: float
    """Nanoseconds of user space's CPU until each event has its path."""
    kernel: int
    """Bytes of the kernel's table that are in use."""
    held: int
    """Bytes that user space keeps."""
    took: float
    """Nanoseconds of the workload's own clock, for open, pread and close."""


@contextmanager
def way_attached(way: Way, files: int, target: int) -> Iterator[Sent]:
    """Attach its program, whose table has room for ``files``; the others' tables have one entry."""

    def prepare(loaded: Object) -> None:
        config = np.zeros(1, wire.CONFIG)
        config["slots"], config["ncpu"] = 1, os.cpu_count()
        config["types"] = 0xFFFF
        with KernelTypes() as types:
            config["direct"] = types.has_kfunc("bpf_rdonly_cast")
        loaded.configure(config, np.zeros(2 * (MAX_NR + wire.MAX_OPCODES), np.uint64))
        loaded.resize({name: files if name == way.table else 1 for name in TABLES} | {"definitions": RING})

    with attached("resolution", [way.program], target, prepare) as loaded:
        yield Sent.of(way, loaded)


def cost(way: Way, words: Sequence[str], files: int) -> Cost:
    """Run the workload to its end, then read all its data at once, as one batch of filetap's."""
    held, go = os.pipe()
    try:
        with (
            started(words, env=os.environ | {"FILETAP_GO": str(held)}, pass_fds=(held,)) as process,
            way_attached(way, files, process.pid) as sent,
        ):
            before = run_time(os.getpid())
            os.write(go, b"g")
            outcome = Outcome.of(process.communicate()[0])
            spent = run_time(os.getpid()) - before
            return _read(way, sent, outcome, spent)
    finally:
        os.close(held)
        os.close(go)


def _read(way: Way, sent: Sent, outcome: Outcome, spent: int) -> Cost:
    began = time.process_time_ns()
    names, which = way.read(sent)
    user = time.process_time_ns() - began
    size = outcome.events
    if len(which) != size or not all(name.startswith(b"/") for name in names):
        raise BenchError(f"{way.program}: {len(which)} events of {size}, or one without a path")
    return Cost(spent / size, sent.size / size, user / size, sent.table_size(), size_of(sent.kept), outcome.ns / size)


@dataclass(frozen=True, slots=True)
class Work:
    """Files, how often each is read, and what is renamed between rounds."""

    title: str
    files: Callable[[], list[Path]]
    rounds: int
    renamed: Callable[[list[Path]], Path] | None = None

    def words(self, lab: Lab, files: list[Path]) -> list[str]:
        listed = SCRATCH / "list"
        listed.write_text("".join(f"{file}\n" for file in files), encoding="utf-8")
        move = [str(self.renamed(files)), str(self.renamed(files)) + ".moved"] if self.renamed else []
        return [str(RESOLUTION), str(listed), str(lab.some(self.rounds) if self.rounds > 3 else self.rounds), *move]


def tree(depth: int, directories: int, each: int) -> list[Path]:
    """Return files with paths of ``depth`` names, created if they do not exist."""
    top = TREES / f"{depth}-{directories}"
    levels = [f"level{number:03}" for number in range(depth - len(top.parts) - (directories > 1))]
    files = []
    for number in range(directories):
        directory = top.joinpath(*levels, *([f"dir{number:05}"] if directories > 1 else []))
        found = [directory / f"file{count:05}" for count in range(each)]
        if not found[-1].exists():
            directory.mkdir(parents=True, exist_ok=True)
            for file in found:
                file.write_bytes(b"x" * 16)
        files += found
    return files


def unrelated(_files: list[Path]) -> Path:
    elsewhere = TREES / "elsewhere"
    TREES.mkdir(exist_ok=True)
    elsewhere.touch()
    return elsewhere


def above(files: list[Path]) -> Path:
    """Return the directory that contains all of them."""
    return TREES / files[0].relative_to(TREES).parts[0]


HOT: Final = 100_000
WORKS: Final = {
    "hot2": Work("one file, 2 deep", lambda: [Path("/etc/passwd")], HOT),
    **{f"hot{depth}": Work(f"one file, {depth} deep", partial(tree, depth, 1, 1), HOT) for depth in DEPTHS},
    "thousand": Work("1,000 files, 9 deep", partial(tree, 9, 10, 100), 100),
    "once": Work("100,000 files once, 9 deep", partial(tree, 9, 1000, 100), 1),
    "elsewhere": Work("1,000 files, renames elsewhere", partial(tree, 9, 10, 100), 100, unrelated),
    "above": Work("1,000 files, renames above", partial(tree, 9, 10, 100), 100, above),
}


def compare(work: Work, lab: Lab) -> Iterator[Row]:
    """Measure each method's run time divided by that of filetap's, under the same workload one after another, each round
    beginning with another."""
    try:
        files = work.files()
        words = work.words(lab, files)
        with counted():
            rounds = [_round(number, words, len(files) * 9 // 8 + 4096, lab) for number in range(lab.pairs)]
    finally:
        shutil.rmtree(TREES, ignore_errors=True)
    for way in WAYS:
        samples = [costs[way.program].ns / costs["by_id"].ns for costs in rounds]
        yield Row(f"{work.title}: {way.title}", samples, note=_note([costs[way.program] for costs in rounds]))


def _round(number: int, words: Sequence[str], files: int, lab: Lab) -> dict[str, Cost]:
    lab.neighbours.look()
    first = number % len(WAYS)
    return {way.program: cost(way, words, files) for way in (*WAYS[first:], *WAYS[:first])}


def _note(costs: Sequence[Cost]) -> str:
    ns, user, took = (median(getattr(cost, name) for cost in costs) for name in ("ns", "user", "took"))
    last = costs[-1]
    tables = f"{last.kernel >> 10:,} + {last.held >> 10:,} KB"
    return f"{ns:.0f} ns, {last.sent:.0f} B, user {user:.0f} ns; tables {tables}; a round {took:.0f} ns"


def correct(lab: Lab) -> Iterator[Row]:
    """Count events with another path than /proc/PID/fd had when they were made; all are read at the end, in one batch."""
    for way in WAYS:
        if way.table or way.program == "by_path":
            wrong, size = _wrong(way)
            yield Row(f"wrong paths, renames and links: {way.title}", [len(wrong)], unit="events", note=f"of {size}; {', '.join(wrong)}")


def _wrong(way: Way) -> tuple[list[str], int]:
    place = SCRATCH / "cases"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    held, go = os.pipe()
    words = ["unshare", "--mount", sys.executable, str(ROOT / "bench" / "moves.py"), str(place)]
    try:
        with (
            started(words, env=os.environ | {"FILETAP_GO": str(held)}, pass_fds=(held,)) as process,
            way_attached(way, 4096, process.pid) as sent,
        ):
            os.write(go, b"g")
            reported = json.loads(process.communicate()[0])
            names, which = way.read(sent)
    finally:
        os.close(held)
        os.close(go)
    if len(which) != len(reported):
        raise BenchError(f"{way.program}: {len(which)} events of {len(reported)}")
    return [case for (case, path), at in zip(reported, which.tolist(), strict=True) if os.fsencode(path) != names[at]], len(reported)


MEASURES: Final[dict[str, Callable[[Lab], Iterator[Row]]]] = {
    **{f"resolution-{name}": partial(compare, work) for name, work in WORKS.items()},
    "resolution-correct": correct,
}
"""Name for ``-k`` to measure, in the table's order."""
