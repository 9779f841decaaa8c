"""The cost of filetap's own process: CPU per event, lines per second, start, idling, its help.

Separate from kernel_side.py, which measures what other processes pay. CPU time is the process's own clock, read while a traced
shell waits, so that the start is in none of these figures.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

from bench.kernel_side import NONE, differing, unmoved
from bench.lab import FILE, SCRATCH, Lab
from bench.table import Row
from bench.workloads import DRAINED, FILETAP, started, traced, tracing
from filetap.capture.kernel_source import KernelSource
from filetap.capture.options import Options
from filetap.capture.outlet import Outlet
from filetap.capture.session import Session
from filetap.core.batch import Batch
from filetap.selection.filters import Filters, select_calls
from filetap.selection.targets import Targets
from filetap.sinks.count import CountSink
from filetap.sinks.ndjson import NdjsonSink

MILLION: Final = partial(Lab.preads, count=1_000_000)
EVENTS: Final = SCRATCH / "events.json"


def json_lines(*more: str) -> tuple[str, ...]:
    return ("-f", "json", "-o", str(EVENTS), "--force", *more)


class File(msgspec.Struct):
    path: str = ""


class Event(msgspec.Struct):
    action: str


class InputOutput(msgspec.Struct):
    result: int = 0


class Line(msgspec.Struct):
    """The fields of a JSON line that are read back."""

    event: Event
    file: File
    io: InputOutput


def every_line(lab: Lab) -> Iterator[Row]:
    """Compare the file of JSON lines with the workload's counts."""
    words = lab.preads(1_000_000)
    try:
        extra = traced(json_lines(), lab.preads(0))[1]
        outcome, stats = traced(json_lines(), words)
        lines, reads, moved = _read_back()
    finally:
        EVENTS.unlink(missing_ok=True)
    wrong = max(abs(reads - outcome.calls), unmoved(moved, outcome), abs(lines - stats.total("delivered")))
    note = f"{lines:,} lines, {reads:,} of them reads of the file, {moved:,} bytes; {outcome.calls / outcome.ns * 1e3:.2f} M/s"
    yield Row(
        "preads by one thread, -f json -o FILE, lines read back: the same",
        [max(differing(stats, outcome, extra), wrong)],
        0,
        "events",
        note=note,
    )


def _read_back() -> tuple[int, int, int]:
    """Return the lines; reads of the workload's file among them, and their bytes."""
    decode = msgspec.json.Decoder(Line).decode
    lines = reads = moved = 0
    with open(EVENTS, "rb") as stream:
        for text in stream:
            line = decode(text)
            lines += 1
            if line.event.action == "read" and line.file.path == str(FILE):
                reads += 1
                moved += line.io.result
    return lines, reads, moved


def cpu_per_event(figure: str, words: Callable[[Lab], list[str]], lab: Lab) -> Iterator[Row]:
    """Measure microseconds with -f none."""
    yield Row(figure, [_spent(NONE, words(lab)) * 1e6 for _ in range(_few(lab))], 0.1, "us")


def _few(lab: Lab) -> int:
    return max(3, lab.pairs // 2)


def _spent(options: Sequence[str], words: Sequence[str]) -> float:
    """Return seconds of filetap's CPU per event while the workload ran, including reading to the end."""
    with tracing(*options) as tracer:
        before = tracer.cpu()
        outcome = tracer.run(words)
        spent = tracer.cpu() - before
        while (ext := tracer.cpu() - before) - spent > 0.01:  # it still writes lines
            spent = ext
            time.sleep(DRAINED)
        tracer.finish()
        return ext / outcome.events


def lines_end_to_end(figure: str, words: Callable[[Lab], list[str]], lab: Lab) -> Iterator[Row]:
    """Measure million lines per second of filetap's CPU, written to a file."""
    try:
        samples = [1e-6 / _spent(json_lines(), words(lab)) for _ in range(_few(lab))]
    finally:
        EVENTS.unlink(missing_ok=True)
    yield Row(figure, samples, 1, "M/s", at_least=True)


class Recorder(CountSink):
    """A sink that keeps batches."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []

    def write(self, batch: Batch) -> None:
        super().write(batch)
        self.batches.append(batch.detached())


def recorded(words: Sequence[str]) -> list[Batch]:
    """Return what a session in this process delivers of a workload."""
    held, go = os.pipe()
    recorder = Recorder()
    with started(words, env=os.environ | {"FILETAP_GO": str(held)}, pass_fds=(held,)) as process:
        filters = Filters(calls=select_calls([]))
        session = Session(KernelSource(Options(Targets(pids=[process.pid]), filters)), [Outlet(recorder)])
        try:
            os.write(go, b"g")
            while process.poll() is None:
                session.run_once()
        finally:
            session.finish()
            os.close(held)
            os.close(go)
    return recorder.batches


def sink_alone(figure: str, words: Callable[[Lab], list[str]], lab: Lab) -> Iterator[Row]:
    """Measure million lines per second of CPU, from recorded batches to /dev/null."""
    batches = recorded(words(lab))
    samples = [_lines_per_second(batches) / 1e6 for _ in range(_few(lab))]
    size = sum(len(batch.events) for batch in batches)
    yield Row(figure, samples, 1, "M/s", at_least=True, note=f"{size:,} events in {len(batches)} batches, to /dev/null")


def _lines_per_second(batches: Sequence[Batch]) -> float:
    with open("/dev/null", "wb", buffering=0) as nowhere:
        before = time.process_time()
        sink = NdjsonSink(nowhere)
        for batch in batches:
            sink.write(batch)
        sink.finish()
        return sink.written / (time.process_time() - before)


def start(lab: Lab) -> Iterator[Row]:
    """Measure the start of the process, by its own report and by the wall clock."""
    attached, released = [], []
    for _ in range(lab.pairs):
        with tracing(*NONE) as tracer:
            released.append(tracer.released)
            attached.append(tracer.finish().figures["attached"])
    yield Row("start to attached, by the account", attached, 1, "s")
    yield Row("start of the process to its command running", released, 1, "s")


def idle(lab: Lab) -> Iterator[Row]:
    """Measure the share of one CPU, while a traced shell waits."""
    seconds = lab.some(10)
    with tracing(*NONE) as tracer:
        time.sleep(1)
        before = tracer.cpu()
        time.sleep(seconds)
        spent = tracer.cpu() - before
        tracer.finish()
    yield Row(f"idle: CPU while the target does nothing, {seconds} s", [spent / seconds * 100], 1, "%")


def show_help(lab: Lab) -> Iterator[Row]:
    """Run filetap --help, nine times."""
    samples = []
    for _ in range(9):
        began = time.monotonic()
        subprocess.run([*FILETAP, "--help"], stdout=subprocess.DEVNULL, check=True)
        samples.append(time.monotonic() - began)
    yield Row("filetap --help", samples, 0.15, "s")


MEASURES: Final[dict[str, Callable[[Lab], Iterator[Row]]]] = {
    "exact-json": every_line,
    "cpu-pread": partial(cpu_per_event, "CPU per event, -f none, pread loop", partial(Lab.preads, count=3_000_000)),
    "cpu-orc": partial(cpu_per_event, "CPU per event, -f none, open/read/close", Lab.opens),
    "lines-sink-pread": partial(sink_alone, "NDJSON lines per second of CPU, the sink alone, pread loop", MILLION),
    "lines-sink-orc": partial(sink_alone, "NDJSON lines per second of CPU, the sink alone, open/read/close", Lab.opens),
    "lines-pread": partial(lines_end_to_end, "NDJSON lines per second of CPU, end to end, pread loop", MILLION),
    "lines-orc": partial(lines_end_to_end, "NDJSON lines per second of CPU, end to end, open/read/close", Lab.opens),
    "start": start,
    "idle": idle,
    "help": show_help,
}
"""Name for ``-k`` to measure, in the table's order."""
