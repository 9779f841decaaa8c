"""A recording that runs for weeks: segments rotate, old ones are deleted, folders vanish, clocks jump, recorders are killed.

Separate from test_trace_tables.py, which is about rows. Full and read-only disks need mounts:
tests/e2e/test_record_disk.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from filetap.core.batch import Batch, File
from filetap.core.calls import CALL_NUMBER
from filetap.core.errors import FiletapError, UsageError
from filetap.core.sink import Beginning
from filetap.recording import repair, seal, stream, writer
from filetap.recording.checksum_index import Damage, Entry, entries
from filetap.recording.reader import Trace
from filetap.recording.retention import Keep, Limits
from filetap.recording.sealer import Sealer
from filetap.recording.writer import TraceSink
from tests.timeouts import wait_for
from tests.unit.batches import TASK, batch_of
from tests.unit.traces import metadata, plain, record, rows_in, rows_of


def batch(number: int, events: int = 50) -> Batch:
    """Return a batch with a file of its own, whose name has 1000 bytes."""
    file = File(number, b"/%d/" % number + os.urandom(500).hex().encode(), inode=number)
    rows = [{"call": CALL_NUMBER["read"], "time": number * 1000 + n, "file": number, "result": n} for n in range(events)]
    return batch_of(*rows, files=[file], tasks=[TASK])


def killed(folder: Path, count: int, rows: int = 1000) -> None:
    """Write this many batches with a recorder that ends at once."""
    code = f"import os; from tests.unit.test_trace_writer import begin; begin({str(folder)!r}, {count}, {rows}); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def begin(folder: str, count: int, rows: int) -> None:
    sink = TraceSink(Path(folder), metadata(), Limits(rows=rows))
    for number in range(1, count + 1):
        sink.write(batch(number))


def begin_the_second(folder: str, steps: int) -> None:
    """Be killed after this many steps of the first batch, and of the segment that begins after it."""
    left = steps

    def mortal(step: Any) -> Any:
        def done(*words: Any, **more: Any) -> Any:
            nonlocal left
            if not left:
                os._exit(0)
            left -= 1
            return step(*words, **more)

        return done

    sink = TraceSink(Path(folder), metadata(), Limits(rows=50))
    os.open, os.pwrite = mortal(os.open), mortal(os.pwrite)
    sink.write(batch(1))
    os._exit(1)


def test_segments_rotate_and_each_is_complete(tmp_path: Path) -> None:
    batches = [batch(1), batch(2), batch(1), batch(2)]
    trace = record(tmp_path / "t.tap", batches, Limits(rows=100))
    assert [(entry.number, entry.events) for entry in trace.metadata.segments] == [(1, 100), (2, 100), (3, 0)]
    assert [len(plain(table)) for table in map(trace.table, ("events", "files", "tasks"))] == [200, 4, 2]
    assert trace.metadata.segments[0].began == batches[0].realtime + 1000


def test_they_rotate_by_size_and_by_time(tmp_path: Path) -> None:
    by_size = record(tmp_path / "s.tap", [batch(n, 1000) for n in range(1, 9)], Limits(bytes=1))
    assert [entry.events for entry in by_size.metadata.segments] == [*[1000] * 8, 0]
    assert len(record(tmp_path / "t.tap", [batch(n) for n in range(1, 4)], Limits(seconds=0)).metadata.segments) == 4


def test_a_segment_has_a_maximum_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "NAMED", 5)
    assert [entry.events for entry in record(tmp_path / "t.tap", [batch(n) for n in range(1, 5)]).metadata.segments] == [100, 100, 0]


def test_the_oldest_segments_are_deleted_by_size(tmp_path: Path) -> None:
    sink = TraceSink(tmp_path / "t.tap", metadata(), Limits(rows=50, keep=Keep(bytes=400_000)))
    batches = [batch(n) for n in range(1, 60)]
    for one in batches:
        sink.write(one)
    sink.close()
    trace = Trace(tmp_path / "t.tap")
    assert trace.metadata.dropped > 0
    assert trace.metadata.dropped + trace.table("events").num_rows == sink.written
    assert sum(path.stat().st_size for path in (tmp_path / "t.tap").rglob("*.parquet*")) <= 400_000
    assert rows_in(trace) == [row for one in batches for row in rows_of(one)][trace.metadata.dropped :]
    assert not trace.damages


def test_the_last_segment_with_events_is_kept_even_if_too_large(tmp_path: Path) -> None:
    sink = TraceSink(tmp_path / "t.tap", metadata(), Limits(rows=50, keep=Keep(bytes=1)))
    for number in range(1, 4):
        sink.write(batch(number))
    sink.close()
    trace = Trace(tmp_path / "t.tap")
    assert (trace.metadata.dropped, trace.table("events").num_rows) == (100, 50)


def test_segments_to_be_deleted_are_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written, real, numbers = threading.Event(), seal.seal, []

    def slow(folder: Path, number: int, *words: Any, **more: Any) -> Any:
        written.wait(10)
        numbers.append(number)
        return real(folder, number, *words, **more)

    monkeypatch.setattr(seal, "seal", slow)
    sink = TraceSink(tmp_path / "t.tap", metadata(), Limits(rows=50, keep=Keep(bytes=1)))
    for number in range(1, 10):
        sink.write(batch(number))
    written.set()
    sink.close()
    assert len(set(numbers) - {10}) <= 2, "the first, which it had begun with, and the last"
    assert Trace(tmp_path / "t.tap").table("events").num_rows == 50


def test_the_oldest_segments_are_deleted_by_age_of_the_boot_clock(tmp_path: Path) -> None:
    now = 0.0
    folder = tmp_path / "t.tap"
    sink = TraceSink(folder, metadata(), Limits(rows=50, keep=Keep(seconds=10)))
    sink._sealer = Sealer(folder, sink.metadata, Keep(seconds=10), lambda: now)
    sink.write(batch(1))
    wait_for(lambda: sink.metadata.segments)
    sink.write(replace(batch(2), realtime=0))
    wait_for(lambda: len(sink.metadata.segments) == 2)
    now = 11.0
    wait_for(lambda: not sink.metadata.segments)
    sink.write(batch(3))
    sink.close()
    trace = Trace(folder)
    assert (trace.metadata.dropped, trace.metadata.first, trace.table("events").num_rows) == (100, 3, 50)


def test_a_clock_that_jumps_is_noted_and_each_event_has_its_own(tmp_path: Path) -> None:
    hour = 3600 * 10**9
    base = batch(1)
    offsets = [base.realtime, base.realtime + 300, base.realtime - hour, base.realtime + hour]
    trace = record(tmp_path / "t.tap", [replace(base, realtime=offset) for offset in offsets])
    assert [offset for _, offset in trace.metadata.clocks] == [offsets[0], offsets[2], offsets[3]]
    assert [row["ts"] - row["realtime"] for row in plain(trace.table("events"))] == [*range(1000, 1050)] * 4
    assert (trace.metadata.segments[0].began, trace.metadata.segments[0].ended) == (offsets[2] + 1000, offsets[3] + 1049)


def test_a_folder_that_is_deleted(tmp_path: Path) -> None:
    sink = TraceSink(tmp_path / "t.tap", metadata())
    sink.write(batch(1))
    shutil.rmtree(tmp_path / "t.tap")
    with pytest.raises(OSError, match="deleted"):
        sink.write(batch(2))
    assert sink.written == 50
    with pytest.raises(OSError, match="No such file"):
        sink.close()
    assert not (tmp_path / "t.tap").exists()


def test_the_next_open_repairs_a_killed_recording_with_one_message(tmp_path: Path) -> None:
    folder = tmp_path / "t.tap"
    killed(folder, 5, rows=100)
    trace = Trace(folder)
    assert trace.notes == [f"{folder} was not closed: repaired, 250 events can be read"]
    assert trace.metadata.notes == [repair.KILLED]
    assert trace.metadata.ended
    assert not trace.live
    assert not list(folder.rglob("*.arrow"))
    again = Trace(folder)
    assert not again.notes
    assert again.table("events").num_rows == 250


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 5, 8, 13, 15])
def test_a_segment_that_was_being_begun_is_no_damage(tmp_path: Path, steps: int) -> None:
    """A batch has six steps: files, tasks, events, and their checksum indexes. Then come four of each of the new segment's tables."""
    folder = tmp_path / "t.tap"
    code = f"from tests.unit.test_trace_writer import begin_the_second as begin; begin({str(folder)!r}, {6 + steps})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    for time_ in ("first", "second"):
        trace = Trace(folder)
        assert [trace.table(name).num_rows for name in ("events", "files", "tasks", "aggregated")] == [50, 1, 1, 0], time_
        assert trace.damages == []
        assert trace.metadata.notes == [repair.KILLED]


def test_a_segment_that_is_begun_or_sealed_while_it_is_read_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "t.tap"
    sink = TraceSink(folder, metadata())
    sink.write(batch(1))
    (folder / "events" / "000002.arrow").touch()  # its checksum index is written next
    live = Trace(folder)
    assert (live.table("events").num_rows, live.damages) == (50, [])
    (folder / "events" / "000002.arrow").unlink()
    looks = iter([sink.close])

    def after_the_seal(path: Path, damages: list[Damage]) -> Iterator[Entry | None]:
        next(looks, list)()
        return entries(path, damages)

    monkeypatch.setattr(stream, "entries", after_the_seal)
    assert (live.table("events").num_rows, live.damages) == (50, [])


def test_a_second_opener_does_not_repair_what_the_first_is_repairing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "t.tap"
    killed(folder, 1)
    found: list[Trace] = []
    real = seal.seal

    def meanwhile(*words: object, **more: object) -> object:
        found.append(Trace(folder))
        return real(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(seal, "seal", meanwhile)
    first = Trace(folder)
    (second,) = found
    assert first.notes
    assert (second.live, second.notes) == (True, [])
    assert first.table("events") == second.table("events")


def test_existing_files_are_kept_unless_a_trace_is_forced(tmp_path: Path) -> None:
    folder = tmp_path / "t.tap"
    folder.mkdir()
    (folder / "mine").touch()
    with pytest.raises(UsageError, match="exists: give --force"):
        TraceSink(folder, metadata())
    with pytest.raises(UsageError, match="is not a recording: --force does not replace it"):
        TraceSink(folder, metadata(), force=True)
    assert (folder / "mine").exists()
    sink = TraceSink(tmp_path / "u.tap", metadata())
    with pytest.raises(UsageError, match="is still being recorded"):
        TraceSink(tmp_path / "u.tap", metadata(), force=True)
    sink.close()
    sink = TraceSink(tmp_path / "u.tap", metadata(), force=True)
    sink.begin(Beginning())
    sink.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.tap", "u.tap"]
    with pytest.raises(FiletapError, match="No such file"):
        TraceSink(tmp_path / "nowhere" / "t.tap", metadata())


def test_files_left_by_a_process_of_the_same_pid(tmp_path: Path) -> None:
    """As the first process of a container always has: files that it left when it was killed do no harm, and stay."""
    left = [tmp_path / f".t.tap.{os.getpid()}", tmp_path / f"t-replaced-{os.getpid()}.tap"]
    for folder in left:
        folder.mkdir()
        (folder / "mine").touch()
    TraceSink(tmp_path / "t.tap", metadata()).close()
    sink = TraceSink(tmp_path / "t.tap", metadata(), force=True)
    sink.begin(Beginning())
    sink.close()
    assert sorted(tmp_path.iterdir()) == sorted([*left, tmp_path / "t.tap"])
    assert all((folder / "mine").exists() for folder in left)
