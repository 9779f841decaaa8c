"""The NDJSON sink against a simple writer of one event at a time (ndjson_oracle.py).

Separate from the tests of table and count, because the form of a line is an interface for programs (docs/events.md).
Full disks and pipes are tested here for both line formats.
"""

import errno
import io
import json
import os
import resource
import threading
from collections import UserDict
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filetap.core import wire
from filetap.core.batch import Batch, Credentials, File, Overflow
from filetap.core.calls import CALLS, OP_NUMBER
from filetap.render import text_cache
from filetap.render.strings import hexadecimal
from filetap.render.text_cache import TextCache
from filetap.sinks.ndjson import NdjsonSink
from tests.unit.batches import BATCHES, FILE, REALTIME, TASK, U64, batch_of, call
from tests.unit.ndjson_oracle import decoded, deliver, expected, file_of, lines_of, task_of, timestamp_of


@settings(max_examples=250, deadline=None)
@given(BATCHES)
def test_a_line_equals_the_slow_writers(batch: Batch) -> None:
    lines = lines_of(batch)
    assert [decoded(line) for line in lines] == expected(batch)


def test_the_documented_line_byte_for_byte() -> None:
    row = {"time": 123456789, "call": call("pread64"), "duration": 812, "fd": 3, "size": 131072, "result": 12}
    root = replace(TASK, credentials=Credentials(user_name="root", real_user_name="root"))
    batch = replace(batch_of(row, files=[replace(FILE, filesystem=b"")], tasks=[root]), realtime=1795215600 * 10**9)
    line = (
        b'{"@timestamp":"2026-11-20T23:00:00.123456789Z","event":{"action":"read","call":"pread64","duration":812},'
        b'"file":{"path":"/etc/hostname","inode":"1234","device":"254:0","type":"file"},"process":{"pid":77,"name":"cat",'
        b'"executable":{"path":"/usr/bin/cat"},"parent":{"pid":70},"user":{"id":0,"name":"root"},"real_user":{"id":0,"name":"root"},'
        b'"group":{"id":0},"real_group":{"id":0}},"thread":{"id":77},'
        b'"io":{"fd":3,"offset":0,"size":131072,"result":12},"cgroup":{"id":"1"}}'
    )
    assert lines_of(batch) == [line]


@pytest.mark.parametrize(
    ("row", "reported"),
    [
        ({"offset": 2**63, "size": 2**64 - 1}, {"offset": 2**63, "size": 2**64 - 1, "result": 0}),
        ({"result": -(2**31), "flags": wire.NO_OFFSET}, {"size": 0, "result": -(2**31)}),
        ({"flags": wire.NO_SIZE | wire.UNCERTAIN}, {"offset_uncertain": True, "offset": 0, "result": 0}),
        ({"flags": wire.NO_SIZE | wire.NO_OFFSET, "fd": 0}, {"fd": 0, "result": 0}),
        ({"fd": 2**31 - 1, "open": 2**32 - 1, "flags": 24}, {"fd": 2**31 - 1, "open_id": 2**32 - 1, "result": 0}),
    ],
)
def test_extremes(row: dict[str, int], reported: dict[str, Any]) -> None:
    assert json.loads(lines_of(batch_of({"call": call("read")} | row))[0])["io"] == reported


def test_durations_in_microseconds() -> None:
    row = {"call": call("read"), "duration": 2**32 - 1, "flags": wire.MICROSECONDS}
    assert json.loads(lines_of(batch_of(row))[0])["event"]["duration"] == (2**32 - 1) * 1000


def test_more_events_than_one_part_and_memory_of_the_ring() -> None:
    """Five thousand events in a view with gaps, overwritten as soon as the sink returns."""
    rows = [{"time": n * 10**8, "call": n % len(CALLS), "offset": n, "tid": n % 7, "file": n % 3} for n in range(10000)]
    whole = batch_of(*rows)
    part = replace(whole, events=whole.events[::2])
    wanted = expected(part)
    raw = io.BytesIO()
    deliver(NdjsonSink(raw), part)
    whole.events["offset"] = 0
    assert [decoded(line) for line in raw.getvalue().splitlines()] == wanted


def test_long_names_are_written_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [File(n, b"/" + b"x" * (n % 500)) for n in range(1, 400)]
    second: list[dict[str, int]] = [{"call": call("close")}, {"call": call("rename"), "target": 5}, {"call": call("link"), "target": 399}]
    batch = batch_of(*[{"file": n * 7 % 400, "task": n % 3, **second[n // 5 % 3]} for n in range(2000)], files=files)
    at_once = lines_of(batch)
    monkeypatch.setattr(text_cache, "PORTION", 1000)
    assert lines_of(batch) == at_once
    assert [decoded(line) for line in at_once] == expected(batch)


def test_a_file_is_read_once() -> None:
    """The reader decodes a definition each time that it is read."""

    class CountingFiles(UserDict[int, File]):
        count = 0

        def __getitem__(self, number: int) -> File:
            self.count += 1
            return replace(super().__getitem__(number))

    files = CountingFiles({1: FILE})
    batch = replace(batch_of({"call": 5}, {"call": 5}), files=files)
    assert [json.loads(line)["file"]["path"] for line in lines_of(batch, batch)] == ["/etc/hostname"] * 4
    assert files.count == 1


def test_kept_texts_are_bounded() -> None:
    kept: TextCache[File] = TextCache(lambda file: (file.path if file else b"",), limit=100_000)
    for start in range(0, 10_000, 100):
        known = {n: File(n, b"/%d" % n) for n in range(start, start + 100)}
        (text,) = kept.columns(np.array([*known, start]), known)
        assert [text.strings[row].as_py() for row in text.rows.tolist()] == [file.path for file in known.values()] + [b"/%d" % start]
        assert len(kept) * 256 <= 110_000


# Aggregated rows


def test_an_aggregated_row() -> None:
    overflow = Overflow(task=1, file=1, op=OP_NUMBER["read"], count=17, bytes=2**40, first=1, last=10**9, pid=42)
    raw = io.BytesIO()
    sink = NdjsonSink(raw)
    sink.aggregated([overflow, replace(overflow, task=0, file=9)], batch_of())
    known, unknown = map(decoded, raw.getvalue().splitlines())
    first, last = timestamp_of(1, REALTIME), timestamp_of(10**9, REALTIME)
    reported = {"action": "read", "kind": "aggregated", "count": 17, "start": first, "end": last}
    assert unknown == {"@timestamp": last, "event": reported, "process": {"pid": 42}, "io": {"bytes": 2**40}}
    assert known == unknown | {"file": file_of(FILE), "thread": {"id": 77}} | task_of(TASK, {})
    assert sink.written == 0


def test_aggregates_without_bytes_have_no_sum() -> None:
    raw = io.BytesIO()
    sink = NdjsonSink(raw)
    ops = ("write", "copy_file_range", "reflink", "fault", "stat")
    sink.aggregated([Overflow(task=1, file=1, op=OP_NUMBER[op], count=17, bytes=5, first=1, last=9) for op in ops], batch_of())
    reported = {line["event"]["action"]: line.get("io") for line in map(json.loads, raw.getvalue().splitlines())}
    assert reported == {"write": {"bytes": 5}, "copy_file_range": {"bytes": 5}, "reflink": None, "fault": None, "stat": None}


@given(st.lists(U64, max_size=50))
def test_hexadecimal(values: list[int]) -> None:
    text = hexadecimal(np.array(values, np.uint64))
    assert [text.strings[row].as_py() for row in text.rows.tolist()] == [b"%x" % value for value in values]


# Files that accept no more data

MANY: Final = [{"time": n, "call": 6, "offset": 10**n} for n in range(20)]


class ShortWriter(io.RawIOBase):
    """Accepts a few bytes at a time."""

    def __init__(self) -> None:
        self.taken = b""

    def write(self, data: Any, /) -> int:
        self.taken += bytes(data[:7])
        return len(data[:7])


def test_short_writes() -> None:
    raw = ShortWriter()
    deliver(NdjsonSink(raw), batch_of(*MANY))
    assert raw.taken.splitlines() == lines_of(batch_of(*MANY))


@pytest.mark.parametrize(("complete", "extra"), [(0, 0), (0, 1), (1, -1), (1, 0), (1, 1), (7, 100), (20, -1)])
@pytest.mark.parametrize("before", [b"", b"header\n"])
def test_a_full_disk_leaves_whole_lines(tmp_path: Path, complete: int, extra: int, before: bytes) -> None:
    """RLIMIT_FSIZE has the effect of a full disk: a short write, then an error. ``extra``: space after so many lines."""
    lines = [line + b"\n" for line in lines_of(batch_of(*MANY))]
    room = sum(map(len, lines[:complete])) + extra
    fitting = lines[: complete - (extra < 0)]
    target = tmp_path / "events.json"
    target.write_bytes(before)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with target.open("ab", buffering=0) as raw:
        sink = NdjsonSink(raw)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                deliver(sink, batch_of(*MANY))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_bytes() == before + b"".join(fitting)
    assert sink.written == len(fitting)


def test_data_of_other_writers_is_not_truncated(tmp_path: Path) -> None:
    class Full(io.FileIO):
        def write(self, data: Any, /) -> int:
            if self.tell():
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:10])

    target = tmp_path / "events.json"
    target.write_bytes(b"x" * 100)
    with Full(str(target), "r+") as raw, pytest.raises(OSError, match="No space"):
        deliver(NdjsonSink(raw), batch_of(*MANY))
    assert target.stat().st_size == 100


def test_a_pipe_without_reader() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb", buffering=0) as raw:
        sink = NdjsonSink(raw)
        with pytest.raises(BrokenPipeError):
            deliver(sink, batch_of(*MANY))
    assert sink.written == 0


def test_a_pipe_that_is_full_for_a_while() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    received: list[bytes] = []

    def receive() -> None:
        with open(reading, "rb") as source:
            received.append(source.read())

    batch = batch_of(*MANY * 100)
    reader = threading.Thread(target=receive)
    with open(writing, "wb", buffering=0) as raw:
        threading.Timer(0.1, reader.start).start()
        deliver(NdjsonSink(raw), batch)
    reader.join()
    assert received[0].splitlines() == lines_of(batch)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300).filter(lambda name: b"\0" not in name))
@example(b'a\nb\x1b[2J\x7f\xc2\x9b1m\xe2\x80\xae\\"\xff')
@example(b"\xed\xa0\x80")
@example("\ufffd\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\x80\x9f".encode())
@example(b"/".join([b"\xff" * 255] * 16))
def test_any_name_comes_back_byte_for_byte(name: bytes) -> None:
    batch = batch_of({"call": 5}, files=[replace(FILE, path=b"/" + name)], tasks=[replace(TASK, comm=name[:15])])
    line = decoded(lines_of(batch)[0])
    path, comm = line["file"], line["process"]
    assert path.get("path_b64", path["path"].encode()) == b"/" + name
    assert comm.get("name_b64", comm["name"].encode()) == name[:15]
