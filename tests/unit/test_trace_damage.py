"""Damaged traces: the result is rows that were written, or a named damage, or one clear error.

Separate from test_trace_tables.py, where nothing is damaged. Each example damages a copy of a trace; the oracle is its
rows, compared one by one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import filetap
from filetap.core.batch import Batch, File
from filetap.core.calls import CALL_NUMBER
from filetap.recording import format as on_disk
from filetap.recording import seal
from filetap.recording.format import TABLES, TraceError
from filetap.recording.reader import Trace
from filetap.recording.retention import Limits
from filetap.recording.schemas import SCHEMAS
from filetap.recording.writer import TraceSink
from tests.unit.batches import TASK, batch_of
from tests.unit.traces import Row, metadata, plain, record

WHICH: Final = st.integers(0, 1 << 16)
EXAMPLES: Final = settings(max_examples=150, deadline=None)


def batches() -> Iterator[Batch]:
    """Events that are all different, each batch with a file of its own."""
    for at in range(8):
        file = File(at + 1, b"/d/\xff%d" % at, inode=at + 100, device=1 << 20, mode=0o100644, filesystem=b"ext4")
        rows = [{"call": CALL_NUMBER["pread64"], "time": at * 1000 + n, "file": at + 1, "offset": at * n, "result": n} for n in range(25)]
        yield batch_of(*rows, files=[file], tasks=[TASK])


class Template(NamedTuple):
    """A trace to be copied and damaged, and its rows."""

    folder: Path
    rows: dict[str, Counter[Row]]
    files: list[Path]
    """Its files that are not empty."""

    def __repr__(self) -> str:
        return str(self.folder)


def contents(trace: Trace) -> dict[str, Counter[Row]]:
    return {name: Counter(tuple(map(repr, row.values())) for row in plain(trace.table(name))) for name in SCHEMAS}


def template(folder: Path, close: bool) -> Template:
    made = folder / "made.tap"
    sink = TraceSink(made, metadata(), Limits(rows=100) if close else None)
    for batch in batches():
        sink.write(batch)
    if close:
        sink.close()
    rows = contents(Trace(made))
    assert sum(rows["events"].values()) == 200
    copied = Path(shutil.copytree(made, folder / "template.tap"))
    if not close:
        sink.close()
    return Template(copied, rows, sorted(path.relative_to(copied) for path in copied.rglob("*") if path.is_file() and path.stat().st_size))


@pytest.fixture(scope="module", params=[True, False], ids=["sealed", "killed"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Template:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seal, "ROW_GROUP", 30)
        patch.setattr(seal, "CHUNK", 10)
        return template(tmp_path_factory.mktemp("damage"), request.param)


def flip(path: Path, at: int, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << bit
    path.write_bytes(data)


def check(folder: Path, had: dict[str, Counter[Row]]) -> None:
    try:
        trace = Trace(folder)
    except TraceError:
        return
    found = contents(trace)
    for name, rows in had.items():
        assert not found[name] - rows, f"{name} has rows that were never written"
    missing = sum((had[name] - found[name]).total() for name in had)
    assert trace.damages or not missing, "rows are missing without a message"


def damaged(made: Template, act: Callable[[Path], None], held: bool = False) -> None:
    """``held``: as while it is being recorded, so that nothing is repaired."""
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(shutil.copytree(made.folder, Path(folder, "t.tap")))
        act(copied)
        with open(copied / "lock" if held else os.devnull, "rb") as lock:
            if held:
                fcntl.flock(lock, fcntl.LOCK_EX)
            check(copied, made.rows)


@EXAMPLES
@given(WHICH, st.integers(0, 1 << 20), st.integers(0, 7), st.booleans())
def test_a_flipped_bit(made: Template, which: int, at: int, bit: int, held: bool) -> None:
    name = made.files[which % len(made.files)]
    damaged(made, lambda folder: flip(folder / name, at, bit), held and made.folder.joinpath("events/000001.arrow").exists())


@EXAMPLES
@given(WHICH, st.integers(0, 999))
def test_a_file_that_is_cut_off(made: Template, which: int, share: int) -> None:
    name = made.files[which % len(made.files)]
    damaged(made, lambda folder: os.truncate(folder / name, made.folder.joinpath(name).stat().st_size * share // 1000))


@EXAMPLES
@given(WHICH, st.integers(0, 1 << 20), st.binary(min_size=1, max_size=40))
def test_bytes_overwritten_or_added(made: Template, which: int, at: int, written: bytes) -> None:
    def act(folder: Path) -> None:
        with open(folder / name, "r+b") as stream:
            stream.seek(at % (made.folder.joinpath(name).stat().st_size + 1))
            stream.write(written)

    name = made.files[which % len(made.files)]
    damaged(made, act)


def test_a_missing_file(made: Template) -> None:
    for name in made.files:
        damaged(made, lambda folder, name=name: os.unlink(folder / name))  # type: ignore[misc]


SWAPPED = [("other.tap/events", "t.tap/events"), ("other.tap/files", "t.tap/files"), ("t.tap/tasks", "t.tap/files")]


@pytest.mark.parametrize(("source", "into"), SWAPPED)
def test_a_file_of_another_trace_or_table(tmp_path: Path, source: str, into: str) -> None:
    """It is complete, with its checksum index; but its ids refer to other files and tasks."""
    for name in ("t.tap", "other.tap"):
        record(tmp_path / name, [next(batches())], uuid=str(uuid.uuid4()))
    for suffix in ("parquet", "parquet.crc"):
        shutil.copy(tmp_path / source / f"000001.{suffix}", tmp_path / into)
    rows = {"events": 25, "files": 1, "tasks": 1, "aggregated": 0, "pending": 0} | {Path(into).name: 0}
    trace = Trace(tmp_path / "t.tap")
    assert {name: trace.table(name).num_rows for name in TABLES} == rows
    assert "belongs to another recording or table" in str(trace.damages)
    with filetap.open(tmp_path / "t.tap") as recording:
        assert recording.query("FROM events").num_rows == rows["events"]


def test_every_byte_of_the_metadata_counts(made: Template) -> None:
    for at in range(0, (made.folder / "trace.json").stat().st_size, 7):
        damaged(made, lambda folder, at=at: flip(folder / "trace.json", at, at % 8))  # type: ignore[misc]


def test_a_damage_names_the_file_the_offset_and_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "ROW_GROUP", 50)
    monkeypatch.setattr(seal, "CHUNK", 50)
    sink = TraceSink(tmp_path / "t.tap", metadata())
    for batch in batches():
        sink.write(batch)
    sink.close()
    events = tmp_path / "t.tap" / "events" / "000001.parquet"
    flip(events, 2000, 3)
    trace = Trace(tmp_path / "t.tap")
    assert trace.table("events").num_rows == 150
    assert [str(damage) for damage in trace.damages] == [f"{events}: damaged at byte 0: 50 rows skipped"]
    assert trace.sealed("events") == []
    assert sum(rows.num_rows for rows in trace.rest("events")) == 150


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "damaged"),
        (b"[]", "damaged"),
        (b"{}", "damaged"),
        (b'{"version": "3.1", "new": 1}', "has format version 3.1, and this filetap reads 1 to 2: use the filetap"),
        (b'{"version": 0}', "has format version 0"),
        (b'{"version": 1}', "damaged"),
        (b"\xff\xfe", "damaged"),
    ],
)
def test_invalid_metadata(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / on_disk.METADATA).write_bytes(text)
    with pytest.raises(TraceError, match=message):
        Trace(tmp_path)


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    sink = TraceSink(tmp_path / "t.tap", metadata())
    for batch in batches():
        sink.write(batch)
    sink.close()
    for name in ("events/mine.parquet", "events/mine.arrow", "files/000001.parquet.orig", "note.txt"):
        (tmp_path / "t.tap" / name).write_bytes(b"mine")
    trace = Trace(tmp_path / "t.tap")
    assert (trace.table("events").num_rows, trace.damages, trace.notes) == (200, [], [])
    assert (tmp_path / "t.tap" / "events" / "mine.arrow").exists()


def test_what_is_no_trace(tmp_path: Path) -> None:
    for path, why in (
        (tmp_path, "is not a recording"),
        (tmp_path / "nowhere", "no such recording"),
        (Path("/dev/null"), "is not a recording"),
    ):
        with pytest.raises(TraceError, match=why):
            Trace(path)
