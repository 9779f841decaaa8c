"""Messages about events that are missing in a trace, from its final statistics.

Separate from tests/e2e/test_loss.py, which really loses events, because this machine's kernel skips no programs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from filetap.cli.recordings import unrecorded
from filetap.core.statistics import OpStatistics, Statistics
from tests.unit.traces import record

OPS = {"read": OpStatistics(seen=9, delivered=4, aggregated=3, lost=2), "open": OpStatistics(seen=5, delivered=4, aggregated=1)}


@pytest.mark.parametrize(
    ("stats", "message"),
    [
        (None, []),
        (Statistics(ops={"read": OpStatistics(seen=9, delivered=9)}), []),
        (Statistics(ops=OPS), ["4 events were aggregated while recording", "2 events were lost while recording"]),
        (Statistics(reasons=["one", "two"]), ["nothing was seen while recording; perhaps: one; two"]),
        (Statistics(missed=7), ["events may be missing: the kernel skipped a BPF program 7 times"]),
    ],
)
def test_events_missing_in_a_trace(tmp_path: Path, stats: Statistics | None, message: list[str]) -> None:
    trace = record(tmp_path / "t.tap", [], statistics=stats.as_json() if stats else None)
    lines = list(unrecorded(trace))
    assert [line.startswith(f"{tmp_path}/t.tap: {words}") for line, words in zip(lines, message, strict=True)] == [True] * len(message)
