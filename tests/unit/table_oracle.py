"""A simple writer of the table, one event at a time, without columns; and the lines of a sink.

The time zone is the test's: test_table.py sets it.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

from filetap.core import constants, wire
from filetap.core.batch import Batch, File, Task
from filetap.core.calls import CALL_NUMBER, CALLS, HOOKS, Call
from filetap.core.wire import Records
from filetap.sinks.lines import LineSink
from filetap.sinks.table import TableSink

REALTIME: Final = 1_795_215_600_000_000_000
READ, CLOSE, OPENAT = (CALL_NUMBER[name] for name in ("read", "close", "openat"))
SECOND: Final = {"target", "argument"}
FILE: Final = File(1, b"/etc/hostname")
TASK: Final = Task(1, 77, 77, b"cat", b"cat")


def batch_of(*rows: dict[str, int], files: Sequence[File] = (FILE,), tasks: Sequence[Task] = (TASK,)) -> Batch:
    """An event has a second slot if a row has a value for it."""
    events: Records = np.zeros(len(rows), wire.EVENT)
    seconds = []
    for event, row in zip(events, rows, strict=True):
        for name, value in ({"fd": -1, "task": 1, "file": 1} | row).items():
            if name not in SECOND:
                event[name] = value
        ext = np.zeros(1, wire.EVENT_EXT)
        for name in SECOND & row.keys():
            ext[name] = row[name]
        event["flags"] = event["flags"] & ~np.uint32(1) | np.uint32(bool(SECOND & row.keys()))
        seconds += [ext] * bool(SECOND & row.keys())
    known = {file.id: file for file in files}, {task.id: task for task in tasks}
    return Batch(events, *known, REALTIME, np.concatenate([np.zeros(0, wire.EVENT_EXT), *seconds]))


def deliver(sink: LineSink, batch: Batch) -> None:
    """Write a batch and flush it: a sink keeps a batch until the next one or a flush."""
    sink.write(batch)
    sink.flush()


def output_of(batch: Batch, colour: bool = False) -> bytes:
    raw = io.BytesIO()
    sink = TableSink(raw, colour)
    deliver(sink, batch)
    assert sink.written == len(batch.events)
    return raw.getvalue()


def lines_of(batch: Batch) -> list[str]:
    """Return the lines without the header."""
    return output_of(batch).decode().split("\n")[1:-1]


def latency_of(event: Any) -> str:
    duration = int(event["duration"]) * (1000 if event["flags"] & wire.MICROSECONDS else 1)
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if duration >= size:
            tenths = duration * 10 // size
            return f"{tenths // 10}.{tenths % 10}{unit}" if tenths < 100 else f"{tenths // 10}{unit}"
    return f"{duration}ns" if duration else "-"


def short(value: int, width: int) -> str:
    """Return the first form that fits: whole bytes, then K, M, ..., with a plus if it is rounded down."""
    for power, unit in enumerate(("", "K", "M", "G", "T", "P", "E")):
        count, rest = divmod(value, 1024**power)
        text = f"{count}{unit}" + "+" * bool(rest)
        if len(text) <= width:
            return text
    raise AssertionError(value)


def aligned(value: object, width: int) -> str:
    return " " + str(value).rjust(width - 1)


SHOWN: Final = {
    "openat": "openat", "newfstatat": "newfstatat", "copy_file_range": "copy_file_range", "fgetxattr": "fgetxattr",
    "page_fault_user": "page_fault_user", "io_uring:read_fixed": "uring:read", "io_uring:write": "uring:write",
    "io_uring:fallocate": "uring:fallocate", "io_uring:sync_file_range": "uring:sync", "fremovexattr": "fremovexattr",
    "sync_file_range": "sync_file_range", "name_to_handle_at": "handle", "io_uring:close": "uring:close", "getdents64": "getdents64",
}  # fmt: skip


def shown_call(call: Call) -> str:
    name = call.name.replace("io_uring:", "uring:")
    op = ("uring:" if ":" in name else "") + call.op
    return next((text for text in (name or op, op) if len(text) <= 15), op[:14] + "+")


AT: Final = {"read", "write", "sendfile", "splice", "tee", "copy_file_range", "reflink", "dedupe", "fault", "seek", "readahead", "advise",
             "fallocate", "mmap", "munmap", "mremap", "mprotect", "madvise"}  # fmt: skip
LONG: Final = {"truncate", "vmsplice", "getdents", "readlink"} | AT - {"seek", "fault"}


BARE: Final = {"finit_module", "kexec_file_load", *(hook.name for hook in HOOKS)}
"""Calls without offset and size, unlike others of their op."""


def offset_of(event: Any, entry: Call) -> str:
    """Some calls of an op have no offset."""
    there = entry.op in AT and entry.name not in BARE
    if not (there or entry.name in RANGES) or event["flags"] & wire.NO_OFFSET:
        return "-"
    offset = int(event["offset"])
    return str(offset - 2**64) if entry.op == "seek" and offset > 2**63 else short(offset, 6)


RANGES: Final = {"sync_file_range", "io_uring:sync_file_range", "msync"}


def size_of(event: Any, entry: Call) -> str:
    if entry.op == "fault":
        return "exec" if event["flags"] & wire.FAULT_EXEC else "write" if event["flags"] & wire.FAULT_WRITE else "read"
    there = entry.op in LONG and entry.name not in BARE
    return short(int(event["size"]), 5) if (there or entry.name in RANGES) and not event["flags"] & wire.NO_SIZE else "-"


def result_of(event: Any, entry: Call, argument: int) -> str:
    result, flags = int(event["result"]), int(event["flags"])
    if result < 0:
        return constants.error(result)
    if entry.op == "fault":
        return "major" if flags & wire.FAULT_MAJOR else "minor"
    if entry.op == "mmap":
        return "".join(letter if argument >> bit & 1 else "-" for bit, letter in enumerate("rwx")) + "ps"[argument >> 8 & 1]
    return "-" if entry.op == "mremap" or flags & wire.NO_RESULT else short(result, 7)


def expected(batch: Batch) -> list[str]:
    seconds = iter(batch.ext)
    return [expected_line(event, next(seconds) if event["flags"] & 1 else np.zeros((), wire.EVENT_EXT), batch) for event in batch.events]


def expected_line(event: Any, ext: Any, batch: Batch) -> str:
    """Return the line for names of plain ASCII."""
    entry = CALLS[event["call"]]
    task, target = batch.tasks.get(int(event["task"])), batch.files.get(int(ext["target"]))
    file = batch.files.get(int(event["file"]))
    milli = (int(event["time"]) + REALTIME) // 10**6
    text = f"{time.strftime('%H:%M:%S', time.localtime(milli // 1000))}.{milli % 1000:03} "
    text += f"{task.pid:>7} {task.comm.decode():10} " if task else "      - -          "
    text += f"{shown_call(entry):15}"
    text += aligned(event["fd"] if event["fd"] != -1 else "-", 4)
    text += aligned(result_of(event, entry, int(ext["argument"])), 8)
    text += aligned(offset_of(event, entry), 7)
    text += aligned(size_of(event, entry), 6)
    text += aligned(latency_of(event), 6) + (f" {file.path.decode()}" if file else "")
    return text + (f" -> {target.path.decode()}" if target else "")


EVENTS: Final = st.fixed_dictionaries(
    {
        "time": st.integers(0, 2**60),
        "offset": st.integers(0, 2**64 - 1) | st.integers(0, 2**30) | st.sampled_from([0, 10**6 - 1, 10**6, 1 << 20, 2**63, 2**64 - 5]),
        "size": st.integers(0, 2**64 - 1) | st.sampled_from([131072, 99999, 100000, 1 << 60]),
        "result": st.integers(-600, 200000) | st.sampled_from([0, -(2**31), -(2**63), 2**63 - 1, 9999999, 10000000]),
        "duration": st.integers(0, 2**32 - 1) | st.integers(0, 200000),
        "task": st.integers(0, 2),
        "file": st.integers(0, 2),
        "fd": st.integers(-1, 2000),
        "call": st.integers(0, len(CALLS) - 1),
        "flags": st.integers(0, 511) | st.just(0),
    },
    optional={"target": st.integers(0, 2), "argument": st.integers(0, 2**32 - 1) | st.integers(0, 1023)},
)
