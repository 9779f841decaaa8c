"""Recording to a disk that is full or read-only: a tmpfs of the test's own, unmounted at its end.

Separate from tests/unit/test_trace_writer.py, because mounts need root. The oracle is the batches that were written.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from filetap.core.batch import Batch
from filetap.recording.format import read_metadata
from filetap.recording.reader import Trace
from filetap.recording.writer import TraceSink
from tests.e2e.conftest import disk_of
from tests.unit.test_trace_writer import batch, killed
from tests.unit.traces import metadata, rows_in, rows_of


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of one megabyte."""
    with disk_of("1M", tmp_path) as disk:
        yield disk


def fill(sink: TraceSink, written: list[Batch]) -> None:
    for number in range(1, 10_000):
        one = batch(number)
        sink.write(one)
        written.append(one)


def test_a_full_disk(small: Path) -> None:
    sink = TraceSink(small / "t.tap", metadata())
    written: list[Batch] = []
    with pytest.raises(OSError, match="No space left"):
        fill(sink, written)
    sink.metadata.statistics = {"stored": True}
    with pytest.raises(OSError, match="No space left"):
        sink.close()
    assert sink.written == sum(len(one.events) for one in written)
    left = read_metadata(small / "t.tap")
    assert left.ended
    assert left.statistics == {"stored": True}
    trace = Trace(small / "t.tap")
    assert "cannot be repaired (No space left on device); reading what is there" in trace.notes[0]
    assert rows_in(trace) == [row for one in written for row in rows_of(one)]
    assert not trace.damages


def test_it_is_sealed_when_there_is_room(small: Path) -> None:
    (small / "other").write_bytes(b"x" * 600_000)
    sink = TraceSink(small / "t.tap", metadata())
    with pytest.raises(OSError, match="No space left"):
        fill(sink, [])
    with pytest.raises(OSError, match="No space left"):
        sink.close()
    (small / "other").unlink()
    trace = Trace(small / "t.tap")
    assert f"repaired, {sink.written} events can be read" in trace.notes[0]
    assert len(trace.sealed("events")) == 1
    assert trace.table("events").num_rows == sink.written
    assert not Trace(small / "t.tap").notes


def test_without_permission_it_is_read_unsealed(tmp_path: Path) -> None:
    folder = tmp_path / "t.tap"
    killed(folder, 1)
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        trace = Trace(folder)
        assert "cannot be repaired (Read-only file system); reading what is there" in trace.notes[0]
        assert trace.table("events").num_rows == 50
    finally:
        subprocess.run(["umount", folder], check=True)


def test_an_unreadable_trace_is_one_line(tmp_path: Path) -> None:
    killed(tmp_path / "t.tap", 1)
    subprocess.run(["chmod", "-R", "a+rX", tmp_path], check=True)
    for path in tmp_path.parents[:3]:
        path.chmod(0o755)
    code = f"from filetap.recording.reader import Trace; from pathlib import Path; Trace(Path('{tmp_path}/t.tap')).table('events')"
    for forbidden in ("t.tap/events/000001.arrow", "t.tap/trace.json"):
        (tmp_path / forbidden).chmod(0o600)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.stderr.splitlines()[-1] == f"filetap.recording.format.TraceError: {tmp_path / forbidden}: Permission denied"
