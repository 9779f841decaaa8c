"""Recording: its CPU per event, bytes per sealed event, and the recorder's memory over twenty minutes.

Separate from user_side.py, because here a worker seals in parallel to the reader: its CPU is that of the thread with its name.
The ten million events are real, and stay in build/bench/ten-million.tap for measures of queries.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Final

from bench.curve import svg
from bench.endurance import GROWTH, resident
from bench.kernel_side import NONE
from bench.lab import ROOT, SCRATCH, Lab
from bench.table import Row
from bench.workloads import Outcome, Tracer, tracing
from filetap.recording.retention import ROWS
from filetap.recording.sealer import NAME

TEN_MILLION: Final = SCRATCH / "ten-million.tap"
ENDURED: Final = SCRATCH / "endured.tap"
CURVE: Final = ROOT / "docs" / "recorder-memory.svg"
RATE: Final = 20_000
MINUTES: Final = 20
TICKS: Final = 100.0
"""Units of /proc/PID/task/TID/stat in a second."""


def cpu_by_thread(pid: int) -> tuple[float, float]:
    """Return seconds of CPU of all threads except the sealer's, and of the sealer."""
    spent = [0.0, 0.0]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):
            name, _, rest = (thread / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")
            fields = rest.split()
            spent[name.endswith(NAME)] += (int(fields[11]) + int(fields[12])) / TICKS
    return spent[0], spent[1]


def settled(tracer: Tracer) -> tuple[float, float]:
    """Return the same once filetap has nothing left to do."""
    before, now = (-1.0, -1.0), cpu_by_thread(tracer.pid)
    while sum(now) - sum(before) > 0.05:
        time.sleep(1)
        before, now = now, cpu_by_thread(tracer.pid)
    return now


def ten_million(lab: Lab) -> Iterator[Row]:
    """Record opens and reads, and one event in a hundred of files that come and go, by the bench's real workloads."""
    work = [lab.opens(1400, 2), lab.churns(20_000), lab.preads(1_500_000)]
    with tracing("-o", str(TEN_MILLION), "--force") as tracer:
        before = settled(tracer)
        for words in work:
            tracer.run(words)
        after = settled(tracer)
        stats = tracer.finish()
    events = stats.total("delivered")
    reading, sealing = (now - then for now, then in zip(after, before, strict=True))
    note = f"{events:,} events, {stats.missing:,} not delivered singly"
    yield Row("recording: million events a second of CPU, from the ring to the file", [events / reading / 1e6], 1, "M/s", True, note)
    closed = _sealed_meanwhile(events)
    yield Row(
        "for comparison: sealing, microseconds of its CPU an event",
        [sealing / closed * 1e6 if closed else 0],
        unit="us",
        note=f"{closed:,}",
    )
    size = sum(path.stat().st_size for path in TEN_MILLION.rglob("*") if path.is_file())
    yield Row("bytes on disk for each event, all files", [size / events], 20, "bytes", note=f"{size / 2**20:.1f} MB")


def _sealed_meanwhile(events: int) -> int:
    """Return the events sealed so far: the last segment is sealed when the recording ends."""
    return events // ROWS * ROWS


def new_files(lab: Lab) -> Iterator[Row]:
    """Measure the most expensive case: five events and never the same file again."""
    spent = []
    for options in (NONE, ("-o", str(ENDURED), "--force")):
        with tracing(*options) as tracer:
            before = settled(tracer)
            outcome = tracer.run(lab.churns(60_000))
            spent.append((settled(tracer)[0] - before[0]) / outcome.events * 1e6)
            tracer.finish()
    yield Row("for comparison: recording, never a file twice, CPU an event", spent[1:], unit="us", note=f"-f none: {spent[0]:.2f} us")


def endured(lab: Lab) -> Iterator[Row]:
    """Run 20,000 events a second for twenty minutes, and measure the recorder every two seconds."""
    seconds = lab.some(MINUTES * 60)
    files = SCRATCH / "paced"
    files.mkdir(exist_ok=True)
    words = [sys.executable, "-S", "-E", str(ROOT / "bench" / "paced.py"), str(files), str(seconds), str(RATE)]
    with tracing("-o", str(ENDURED), "--force") as tracer:
        points, outcome = _watched(tracer, words)
        used = sum(cpu_by_thread(tracer.pid))
        stats = tracer.finish()
    late = [memory for passed, memory in points if passed > seconds / 2]
    early = [memory for passed, memory in points if seconds / 4 < passed <= seconds / 2]
    if not lab.quick:
        title = f"The recorder's memory: {RATE:,} events a second for {MINUTES} minutes, {stats.total('delivered'):,} events"
        CURVE.write_text(svg(title, [(at / 60, memory) for at, memory in points if at <= seconds], "minutes", "MB"), encoding="utf-8")
    note = f"{stats.total('delivered'):,} events, {stats.missing:,} not delivered singly; {used / outcome.ns * 1e11:.1f} % of a CPU"
    yield Row(
        f"recorder's memory besides the rings, {seconds} s at {RATE:,} events a second",
        [memory for _, memory in points],
        unit="MB",
        note=note,
    )
    for name, of in (("median", median), ("highest", max)):
        yield Row(f"its {name} in the second half less that of the second quarter", [of(late) - of(early)], GROWTH, "MB")


def _watched(tracer: Tracer, words: list[str]) -> tuple[list[tuple[float, float]], Outcome]:
    points: list[tuple[float, float]] = []
    done, began = Event(), time.monotonic()

    def look() -> None:
        while not done.wait(2):
            points.append((time.monotonic() - began, resident(tracer.pid)))

    watcher = Thread(target=look)
    watcher.start()
    try:
        return points, tracer.run(words)
    finally:
        done.set()
        watcher.join()


MEASURES: Final[dict[str, Callable[[Lab], Iterator[Row]]]] = {
    "record": ten_million,
    "record-new-files": new_files,
    "endure-record": endured,
}
"""Name for ``-k`` to measure, in the table's order."""
