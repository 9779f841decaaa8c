"""Queries of a recording of ten million events: the summary, and one file's events.

Separate from the cost of recording. A real workload is recorded once and its copies are concatenated, each with other tasks and
at a later time, so that names, operations and durations are those of real programs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from bench.lab import ROOT, SCRATCH, BenchError, Lab
from bench.table import Row
from filetap.capture.kernel_source import KernelSource
from filetap.capture.launch import Command
from filetap.capture.options import Options
from filetap.capture.outlet import Outlet
from filetap.capture.session import Session
from filetap.core.batch import Batch, File, Task
from filetap.core.sink import Sink
from filetap.recording.format import METADATA, Metadata
from filetap.recording.writer import TraceSink
from filetap.selection.filters import Filters, select_calls
from filetap.selection.targets import Targets

EVENTS: Final = 10_000_000
TRACE: Final = SCRATCH / "ten-million.tap"
FILETAP: Final = Path(sys.executable).parent / "filetap"
WORK: Final = (
    "git log --stat -n 200; tar cf - src docs tests bench; grep -rc filetap src tests docs; "
    "python3 -c 'import json, email, asyncio'; ls -lR"
)
RENEWED: Final = 8
"""Every this many copies the files are new ones too, under other names."""


class Kept(Sink):
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def write(self, batch: Batch) -> None:
        self.batches.append(batch.detached())
        self.written += len(batch.events)


def recorded(words: list[str]) -> list[Batch]:
    """Record a command, as batches."""
    sink, command = Kept(), Command(words, None)
    session = Session(KernelSource(Options(Targets(command=command.pid), Filters(calls=select_calls(["all"])))), [Outlet(sink)])
    command.release()
    while not command.poll():
        session.run_once()
    session.finish()
    return sink.batches


class Copies:
    """The batches repeated: later, by other tasks each time, and with other durations."""

    def __init__(self, batches: list[Batch]) -> None:
        self._batches, self._random = batches, np.random.default_rng(7)
        self._span = int(max(b.events["time"].max() for b in batches) - min(b.events["time"].min() for b in batches)) + 1_000_000
        self._tasks, self._files = (max((n for b in batches for n in getattr(b, kind)), default=0) for kind in ("tasks", "files"))

    def copy(self, number: int) -> Iterator[Batch]:
        for batch in self._batches:
            yield self._moved(batch, number)

    def _moved(self, batch: Batch, number: int) -> Batch:
        task, files = number * self._tasks, number // RENEWED
        events, ext = batch.events.copy(), batch.ext.copy()
        events["time"] += (number * self._span + self._random.integers(0, 1000, len(events))).astype(np.uint64)
        events["duration"] = (events["duration"] * self._random.uniform(0.7, 1.4, len(events))).astype(np.uint32)
        events["task"][events["task"] != 0] += task
        events["file"][events["file"] != 0] += files * self._files
        ext["target"][ext["target"] != 0] += files * self._files
        return replace(batch, events=events, ext=ext, files=self._renamed(batch, files), tasks=self._others(batch, task, number))

    def _renamed(self, batch: Batch, number: int) -> dict[int, File]:
        place = b"/copies/%d" % number if number else b""
        return {n + number * self._files: replace(f, id=n + number * self._files, path=place + f.path) for n, f in batch.files.items()}

    def _others(self, batch: Batch, shift: int, number: int) -> dict[int, Task]:
        return {n + shift: replace(t, id=n + shift, pid=t.pid + 100_000 * number) for n, t in batch.tasks.items()}


def make_trace(folder: Path, count: int) -> Path:
    """Make a recording of at least this many events, unless it exists."""
    if (folder / METADATA).exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    copies, number = Copies(recorded(["sh", "-c", f"cd {ROOT}; ({WORK}) >/dev/null"])), 0
    identity = Metadata(uuid="bench", node="bench", boot="-", kernel="-", machine="-", filetap="-", began="2026-11-21T00:00:00Z")
    making = folder.with_suffix(".making")
    shutil.rmtree(making, ignore_errors=True)
    sink = TraceSink(making, identity)
    while sink.written < count:
        for batch in copies.copy(number):
            sink.write(batch)
        number += 1
    sink.finish()
    making.rename(folder)
    return folder


def timed(lab: Lab, figure: str, limit: float | None, words: Sequence[str]) -> Iterator[Row]:
    """Measure seconds from the start of the command to its end; the recording is cached. On two CPUs for comparison."""
    trace = make_trace(TRACE, lab.some(EVENTS))
    command = [str(FILETAP), words[0], str(trace), *words[1:]]
    yield Row(figure, [seconds(command) for _ in range(max(5, lab.pairs))], limit, "s")
    yield Row(f"{figure}, on two CPUs", [seconds(["taskset", "-c", "0,1", *command]) for _ in range(5)], None, "s")


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise BenchError(done.stderr.decode().strip())
    return time.perf_counter() - began


ONE_FILE: Final = f"SELECT * FROM events WHERE path = '{ROOT}/docs/events.md'"
MOST_TOUCHED: Final = "SELECT * FROM events WHERE path = '/usr/lib/x86_64-linux-gnu/libc.so.6'"
"""Some twenty thousand rows, which also have to be printed as a table."""

COUNTED: Final = "SELECT op, count(*), sum(bytes) FROM events GROUP BY op"

MEASURES: Final[dict[str, Callable[[Lab], Iterator[Row]]]] = {
    "query-summary": partial(timed, figure="summary of 10 million events", limit=1.5, words=("summary",)),
    "query-processes": partial(timed, figure="summary of 10 million events by process", limit=1.5, words=("summary", "--by", "process")),
    "query-file": partial(timed, figure="query: one file's events of 10 million", limit=0.5, words=("query", ONE_FILE)),
    "query-most-touched": partial(timed, figure="query: the most touched file's", limit=0.5, words=("query", MOST_TOUCHED)),
    "query-count": partial(timed, figure="query: 10 million events by operation", limit=None, words=("query", COUNTED)),
}
"""Measures by the word of -k."""
