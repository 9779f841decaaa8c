"""A recording as the source of a session: counts, pending calls of several listings, and the end of its output.

Separate from tests/e2e/test_replay.py, which compares replays with what was printed while recording.
"""

from __future__ import annotations

import errno
import io
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from filetap.capture.outlet import Outlet
from filetap.capture.recorded_source import play
from filetap.core import wire
from filetap.core.batch import Batch, Overflow
from filetap.core.calls import CALL_NUMBER, OP_NUMBER
from filetap.recording.reader import Trace
from filetap.recording.replay import Replay, Wanted
from filetap.recording.writer import TraceSink
from filetap.sinks.count import CountSink
from filetap.sinks.ndjson import NdjsonSink
from tests.unit.batches import batch_of
from tests.unit.test_trace_writer import batch
from tests.unit.traces import metadata, record


def test_a_replay_is_a_session(tmp_path: Path) -> None:
    """Its statistics balance, and pending calls of several listings keep their times when the clock was set in between."""
    sink = TraceSink(tmp_path / "t.tap", metadata())
    sink.write(batch_of({"call": CALL_NUMBER["read"], "result": 4, "time": 10}, {"call": CALL_NUMBER["close"], "time": 20}))
    sink.aggregated([Overflow(1, 1, OP_NUMBER["read"], 3, 30, 0, 9)], batch_of())
    for shift in (0, 5_000_000_000, -7_000_000_000):
        listed = batch_of({"call": CALL_NUMBER["flock"], "flags": wire.PENDING, "time": 30})
        sink.pending(replace(listed, realtime=listed.realtime + shift))
    sink.finish()
    raw = io.BytesIO()
    stats = play(Replay(Trace(tmp_path / "t.tap"), Wanted()), Outlet(NdjsonSink(raw)))
    total = stats.total
    assert (total.seen, total.delivered, total.aggregated, total.lost, total.bytes) == (5, 2, 3, 0, 34)
    assert stats.pending == {"lock": 3}
    lines = [json.loads(line) for line in raw.getvalue().splitlines()]
    moments = [datetime.fromisoformat(line["@timestamp"][:26] + "Z") for line in lines if line["event"].get("kind") == "pending"]
    assert [round((moment - moments[0]).total_seconds()) for moment in moments] == [0, 5, -7]


def test_a_replay_ends_with_its_output(tmp_path: Path) -> None:
    class Full(CountSink):
        def write(self, batch: Batch) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    record(tmp_path / "t.tap", [batch(1)])
    with pytest.raises(OSError, match="No space left"):
        play(Replay(Trace(tmp_path / "t.tap"), Wanted()), Outlet(Full()))
