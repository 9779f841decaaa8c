"""Opens recordings for query, summary and replay, and prints notes on their state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import IO, TYPE_CHECKING

from filetap.cli.messages import log_message
from filetap.cli.progress import Progress, ended_by_signals, interruptible

if TYPE_CHECKING:
    from filetap.analysis.sql import Database
    from filetap.core.zone import Zone
    from filetap.recording.reader import Trace


@contextmanager
def opened(
    folders: Sequence[str], stream: IO[bytes], zone: Zone, since: str | None = None, until: str | None = None
) -> Iterator[tuple[Database, Progress]]:
    """Yield recordings as a database, for one answer to ``stream``; afterwards print the notes on their state. Ctrl-C ends
    all of it."""
    from filetap.analysis.sql import Database, open_traces

    with ended_by_signals(), Progress(stream) as progress:
        traces = open_traces(folders, progress.begin)
        database = Database(traces, progress.begin, zone, within(traces, zone, since, until))
        try:
            with interruptible(database.interrupt):
                yield database, progress
        finally:
            database.close()
    say_state(traces)


def within(traces: Sequence[Trace], zone: Zone, since: str | None, until: str | None) -> tuple[int, int] | None:
    """Return --since and --until in ns since 1970; None: neither is given. Without a date they are after the first recording
    began."""
    from filetap.core.zone import SECOND, range_of

    began = min(datetime.fromisoformat(trace.metadata.began).timestamp() for trace in traces)
    return range_of(since, until, zone, int(began) * SECOND)


def say_state(traces: list[Trace]) -> None:
    """Print what was repaired, and what could not be read or was never recorded: the answer does not include it."""
    for trace in traces:
        for line in [*trace.notes, *map(str, dict.fromkeys(trace.damages)), *unrecorded(trace)]:
            log_message(line)


def unrecorded(trace: Trace) -> Iterator[str]:
    """Yield notes on events that are counted in the statistics but not in the recording, if it was closed."""
    stats = trace.metadata.statistics or {"ops": {}, "missed": 0}
    aggregated, lost = (sum(op[name] for op in stats["ops"].values()) for name in ("aggregated", "lost"))
    if aggregated:
        yield f"{trace.folder}: {aggregated} events were aggregated while recording because the ring was full: see the table aggregated"
    if lost:
        yield f"{trace.folder}: {lost} events were lost while recording"
    if stats.get("reasons"):
        yield f"{trace.folder}: nothing was seen while recording; perhaps: {'; '.join(stats['reasons'])}"
    if stats["missed"]:
        yield f"{trace.folder}: events may be missing: the kernel skipped a BPF program {stats['missed']} times"
