"""The NDJSON sink against an obvious writer of one event at a time, which knows nothing of columns.

Apart from table's and count's tests, because the form of a line is a promise to programs (docs/events.md). The sink's
way with a file that takes no more is tested here for both line formats.
"""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import threading
from base64 import b64decode
from collections import UserDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filetap.core import wire
from filetap.core.batch import GROUPS, USERS, Batch, Credentials, File, Fold, Task
from filetap.core.calls import CALL_NUMBER, CALLS, OP_NUMBER
from filetap.core.wire import Records
from filetap.render import command_line, text_cache
from filetap.render.strings import hexadecimal
from filetap.render.text_cache import TextCache
from filetap.sinks.ndjson import LineSink, NdjsonSink
from tests.unit.test_error_names import kernel_errors

REALTIME: Final = 1_795_000_000_000_000_000
HOSTILE: Final = {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0x2028, 0x2029}
SECOND: Final = {"target", "target_fd", "target_offset", "argument"}
FILE: Final = File(1, b"/etc/hostname", inode=1234, device=254 << 20, mode=0o100644, filesystem=b"ext4")
TASK: Final = Task(1, 77, 77, b"cat", b"cat", b"/usr/bin/cat", ppid=70, cgroup=1)


def events_of(*rows: dict[str, int]) -> Records:
    events = np.zeros(len(rows), wire.EVENT)
    for event, row in zip(events, rows, strict=True):
        for name, value in ({"fd": -1, "tid": 77, "task": 1, "file": 1} | row).items():
            event[name] = value
    return events


def batch_of(*rows: dict[str, int], files: Sequence[File] = (FILE,), tasks: Sequence[Task] = (TASK,)) -> Batch:
    """A row's fields are the event's, or the second slot's: the flag then tells that there is one."""
    seconds = [{name: value for name, value in row.items() if name in SECOND} for row in rows]
    firsts = [
        {name: value for name, value in row.items() if name not in SECOND} | {"flags": row.get("flags", 0) & ~1 | bool(ext)}
        for row, ext in zip(rows, seconds, strict=True)
    ]
    ext = np.zeros(sum(map(bool, seconds)), wire.EVENT_EXT)
    ext["target_fd"] = -1
    for record, fields in zip(ext, filter(None, seconds), strict=True):
        for name, value in fields.items():
            record[name] = value
    known = {file.id: file for file in files}, {task.id: task for task in tasks}
    return Batch(events_of(*firsts), *known, REALTIME, ext)


def call(name: str) -> int:
    return CALL_NUMBER[name]


def deliver(sink: LineSink, batch: Batch) -> None:
    """A batch is held back until the next one or a flush."""
    sink.write(batch)
    sink.flush()


def lines_of(*batches: Batch) -> list[bytes]:
    raw = io.BytesIO()
    sink = NdjsonSink(raw)
    for batch in batches:
        deliver(sink, batch)
    assert sink.written == sum(len(batch.events) for batch in batches)
    assert raw.getvalue().endswith(b"\n") or not sink.written
    return raw.getvalue().splitlines()


# The oracle.


def name_of(field: str, value: bytes) -> dict[str, Any]:
    text = value.decode(errors="replace")
    return {field: text} if text.encode() == value else {field: text, f"{field}_b64": value}


def file_of(file: File) -> dict[str, Any]:
    known: dict[str, Any] = {name: True for name in ("truncated", "deleted", "raced") if getattr(file, name)}
    known |= name_of("path", file.path) if file.path else {}
    known |= name_of("filesystem", file.filesystem) if file.filesystem else {}
    known |= {} if file.resolved else {"resolved": False}
    known |= {"inode": str(file.inode)} if file.inode else {}
    known |= {"device": f"{file.device // 2**20}:{file.device % 2**20}"} if file.device else {}
    known |= name_of("host_path", file.host_path) if file.host_path else {}
    real = {"inode": str(file.real_inode), "device": f"{file.real_device // 2**20}:{file.real_device % 2**20}"}
    known |= {"real": real} if file.real_inode else {}
    kinds = {0: "anon", 1: "pipe", 2: "char", 4: "directory", 6: "block", 8: "file", 10: "symlink", 12: "socket"}
    kind = kinds.get(file.mode // 0o10000 % 16) if file.mode or file.resolved else None
    return known | ({"type": kind} if kind else {})


def process_of(task: Task) -> dict[str, Any]:
    process = name_of("name", task.comm) | {"pid": task.pid, "parent": above_of(task)[0] if task.ancestors else {"pid": task.ppid}}
    process |= user_of(task.credentials)
    if task.exe:
        process["executable"] = name_of("path", task.exe)
    if task.root != b"/":
        process |= name_of("root", task.root)
    if task.args is not None:
        process["args"] = [arg.decode(errors="replace") for arg in task.args]
        if any(arg.decode(errors="replace").encode() != arg for arg in task.args):
            process["args_b64"] = list(task.args)
        process |= name_of("command_line", command_line.join(task.args))
    process |= {"args_late": True} if task.args_late else {}
    return process | ({"args_truncated": True} if task.args_truncated else {})


def above_of(task: Task) -> list[dict[str, Any]]:
    """Each ancestor, with what it did to the one below it."""
    found = []
    for at, process in enumerate(task.ancestors):
        known = name_of("name", process.comm) | {"pid": process.pid}
        known |= {"executable": name_of("path", process.exe)} if process.exe else {}
        known |= name_of("command_line", command_line.join(process.args)) if process.args is not None else {}
        known |= {name: True for name in ("args_truncated", "args_late") if getattr(process, name)}
        found.append(known | ({"adopted": True} if [task, *task.ancestors][at].adopted else {}))
    return found


def user_of(c: Credentials) -> dict[str, Any]:
    def one(number: int | None, name: str) -> dict[str, Any]:
        return {"id": number} | ({"name": name} if name else {})

    reported = {
        "user": one(c.euid, c.user_name),
        "real_user": one(c.uid, c.real_user_name),
        "audit_user": one(c.loginuid, c.audit_user_name),
        "group": one(c.egid, c.group_name),
        "real_group": one(c.gid, c.real_group_name),
    }
    if c.suid != c.euid:
        reported["saved_user"] = one(c.suid, c.saved_user_name)
    if c.fsuid != c.euid:
        reported["fs_user"] = one(c.fsuid, c.fs_user_name)
    if c.sgid != c.egid:
        reported["saved_group"] = one(c.sgid, c.saved_group_name)
    if c.fsgid != c.egid:
        reported["fs_group"] = one(c.fsgid, c.fs_group_name)
    known: dict[str, Any] = {word: it for word, it in reported.items() if it["id"] is not None}
    names = c.group_names or ("",) * len(c.groups or ())
    known |= {"supplemental_groups": [one(*it) for it in zip(c.groups, names, strict=True)]} if c.groups else {}
    return known | ({"supplemental_groups_truncated": True} if c.groups_truncated else {})


def timestamp_of(time: int, realtime: int) -> str:
    seconds, rest = divmod(time + realtime, 10**9)
    return f"{np.datetime64(seconds, 's')}.{rest:09}Z"


MOVING: Final = {"read", "write", "sendfile", "splice", "tee", "vmsplice", "copy_file_range"}
MAPPED: Final = {"munmap", "mremap", "mprotect", "pkey_mprotect", "madvise", "io_uring:madvise", "msync"}
COPIES: Final = {"sendfile", "splice", "tee", "copy_file_range", "reflink", "dedupe"}
AT: Final = {"lseek", "readahead", "fadvise64", "sync_file_range", "fallocate", "page_fault_user", "page_fault_kernel", "mmap", *MAPPED}
AT_RING: Final = {"io_uring:fadvise", "io_uring:sync_file_range", "io_uring:fallocate"}
LONG: Final = {"truncate", "ftruncate", "getdents", "getdents64", "readlink", "readlinkat", "vmsplice", "io_uring:ftruncate"}
PLAIN_READS: Final = {"finit_module", "kexec_file_load", "security_file_permission"}
SELDOM: Final = ("flags", "mode", "owner", "whence", "protection", "access", "fault", "advice", "operation")
"""What test_arguments.py has a case of each for."""


def has_offset(name: str, op: str) -> bool:
    return name in AT | AT_RING or op in COPIES or (op in ("read", "write") and name not in PLAIN_READS)


def has_size(name: str, op: str) -> bool:
    return name in LONG or (has_offset(name, op) and op not in ("seek", "fault"))


def io_of(event: Any, ext: Any) -> dict[str, Any]:
    name, op = CALLS[event["call"]].name, CALLS[event["call"]].op
    flags = int(event["flags"])
    given: dict[str, Any] = {} if flags & wire.NO_RESULT else {"result": int(event["result"])}
    given |= {"fd": int(event["fd"])} if event["fd"] != -1 else {}
    given |= {"open_id": int(event["open"])} if event["open"] else {}
    if has_offset(name, op) and not flags & wire.NO_OFFSET:
        offset = int(event["offset"])
        given["offset"] = offset - 2**64 if op == "seek" and offset >= 2**63 else offset
    given |= {"size": int(event["size"])} if has_size(name, op) and not flags & wire.NO_SIZE else {}
    given |= {"offset_uncertain": True} if op in MOVING and flags & wire.UNCERTAIN else {}
    return given | address_of(event, ext) | (copy_of(ext) if op in COPIES and ext is not None else {})


def address_of(event: Any, ext: Any) -> dict[str, str]:
    name = CALLS[event["call"]].name
    if name.startswith("page_fault"):
        return {"address": hex(event["size"])}
    if name in MAPPED:
        return {"address": hex(ext["target_offset"] if ext is not None else 0)}
    return {"address": hex(event["result"])} if name == "mmap" and event["result"] >= 0 else {}


def copy_of(ext: Any) -> dict[str, int]:
    given = {"target_fd": int(ext["target_fd"]), "target_offset": int(ext["target_offset"])}
    return {name: value for name, value in given.items() if value != {"target_fd": -1, "target_offset": 2**64 - 1}[name]}


def error_of(result: int) -> dict[str, str]:
    return {"code": kernel_errors().get(-result, str(-result))}


def expected(batch: Batch) -> list[dict[str, Any]]:
    seconds = iter(batch.ext)
    return [expected_line(event, next(seconds) if event["flags"] & 1 else None, batch) for event in batch.events]


def expected_line(event: Any, ext: Any, batch: Batch) -> dict[str, Any]:
    op = CALLS[event["call"]].op
    duration = int(event["duration"]) * (1000 if event["flags"] & wire.MICROSECONDS else 1)
    reported = {"action": op, "call": CALLS[event["call"]].name, "duration": duration}
    line: dict[str, Any] = {"@timestamp": timestamp_of(int(event["time"]), batch.realtime)}
    line["event"] = {name: value for name, value in reported.items() if value}
    line["thread"] = {"id": int(event["tid"])}
    line["io"] = io_of(event, ext)
    if int(event["file"]) in batch.files:
        line["file"] = file_of(batch.files[int(event["file"])])
    if ext is not None and int(ext["target"]) in batch.files:
        line.setdefault("file", {})["target"] = file_of(batch.files[int(ext["target"])])
    if event["result"] < 0 and not event["flags"] & wire.NO_RESULT:
        line["error"] = error_of(int(event["result"]))
    return line | task_of(batch.tasks.get(int(event["task"])), line["thread"])


def task_of(task: Task | None, thread: dict[str, Any]) -> dict[str, Any]:
    if task is None:
        return {}
    if task.thread not in (b"", task.comm):
        thread |= name_of("name", task.thread)
    parts: dict[str, Any] = {"process": process_of(task)}
    if task.cgroup:
        parts["cgroup"] = {"id": str(task.cgroup)} | (name_of("path", task.cgroup_path) if task.cgroup_path else {})
    return parts


def decoded(line: bytes) -> dict[str, Any]:
    """The line with exact bytes for base64, without what test_arguments.py compares."""

    def exact(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs)
        return {name: undo(value) if name.endswith("_b64") else value for name, value in pairs}

    def undo(value: Any) -> Any:
        return b64decode(value, validate=True) if isinstance(value, str) else [undo(each) for each in value]

    found: dict[str, Any] = json.loads(line.decode(), object_pairs_hook=exact)
    assert not HOSTILE.intersection(map(ord, line.decode()))
    for name in SELDOM:
        found["io"].pop(name, None)
    return found


# What hypothesis invents.

BYTES: Final = st.binary(max_size=20) | st.text(max_size=10).map(lambda text: text.encode(errors="surrogatepass"))
PATHS: Final = BYTES.map(lambda name: b"/" + name)
U32: Final = st.integers(0, 2**32 - 1)
U64: Final = st.integers(0, 2**64 - 1) | st.sampled_from([0, 2**63 - 1, 2**63, 2**64 - 1])
MODES: Final = st.integers(0, 0xFFFF) | st.sampled_from([0o100644, 0o40755, 0o10600, 0o600, 0])


def file_strategy(number: int) -> st.SearchStrategy[File]:
    systems = st.sampled_from([b"", b"ext4"]) | BYTES
    return st.builds(
        File, st.just(number), st.just(b"") | PATHS, st.booleans(), inode=U64, device=U32 | st.just(0), mode=MODES, filesystem=systems,
        truncated=st.booleans(), deleted=st.booleans(), raced=st.booleans(), host_path=st.just(b"") | PATHS, real_inode=st.just(0) | U64,
        real_device=U32,
    )  # fmt: skip


USER_ID: Final = st.none() | st.integers(0, 3) | st.just(2**32 - 2)
USER_NAME: Final = st.just("") | st.text(min_size=1, max_size=8)
GROUP_LIST: Final = st.lists(st.tuples(U32, USER_NAME), max_size=3)


def credentials_strategy() -> st.SearchStrategy[Credentials]:
    ids = dict.fromkeys((*USERS.values(), *GROUPS.values()), USER_ID)
    made = st.builds(Credentials, **ids, **{f"{word}_name": USER_NAME for word in (*USERS, *GROUPS)}, groups_truncated=st.booleans())
    return st.builds(with_groups, made, st.none() | GROUP_LIST, st.booleans())


def with_groups(credentials: Credentials, groups: list[tuple[int, str]] | None, named: bool) -> Credentials:
    if groups is None:
        return replace(credentials, groups=None)
    names = tuple(name for _, name in groups) if named and any(name for _, name in groups) else ()
    return replace(credentials, groups=tuple(number for number, _ in groups), group_names=names)


def task_strategy(number: int) -> st.SearchStrategy[Task]:
    return st.builds(with_ancestors, plain_task_strategy(number), st.lists(ABOVE, max_size=2), st.booleans())


ABOVE: Final = st.builds(
    Task, st.just(0), U32, U32, st.just(b"sh") | BYTES, st.just(b"sh"), st.just(b"/bin/sh") | BYTES,
    args=st.none() | st.lists(BYTES, max_size=2).map(tuple), args_late=st.booleans(), adopted=st.booleans(), ancestor=st.just(True),
)  # fmt: skip


def with_ancestors(task: Task, above: list[Task], cut: bool) -> Task:
    """Ids are each one's own."""
    ids = [task.id * 1000 + at for at in range(1, len(above) + 2)]
    if not cut:
        ids[-1] = 0
    rows = tuple(replace(one, id=ids[at], parent=ids[at + 1]) for at, one in enumerate(above))
    return replace(task, parent=ids[0], ancestors=rows)


def plain_task_strategy(number: int) -> st.SearchStrategy[Task]:
    return st.builds(
        Task, st.just(number), U32, U32, st.just(b"cat") | BYTES, st.just(b"cat") | BYTES, BYTES, ppid=U32,
        credentials=credentials_strategy(), cgroup=st.just(0) | U64, cgroup_path=BYTES, root=st.just(b"/") | PATHS,
        args=st.none() | st.lists(BYTES, max_size=3).map(tuple), args_truncated=st.booleans(),
        args_late=st.booleans(), adopted=st.booleans(),
    )  # fmt: skip


EVENTS: Final = st.fixed_dictionaries(
    {
        "time": st.integers(0, 2**60),
        "offset": U64 | st.sampled_from([0, 0o100, 0o2000000, os.O_TMPFILE | 2, os.O_SYNC | os.O_CREAT | 1]),
        "size": U64 | st.just(0o644),
        "result": st.integers(-4095, 200000) | st.sampled_from([0, -1, -2, -95, -512, -516, -(2**31), -(2**63), 2**63 - 1]),
        "duration": U32 | st.sampled_from([0, 812]),
        "task": st.integers(0, 3),
        "file": st.integers(0, 3),
        "tid": U32,
        "fd": st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-1, 0, 3]),
        "open": U32 | st.just(0),
        "call": st.integers(0, len(CALLS) - 1),
        "rule": st.integers(0, 2),
        "flags": st.integers(0, 511) | st.sampled_from([0, 8, 16, 24, 32, 56]),
    },
    optional={
        "target": st.integers(0, 3),
        "target_fd": st.integers(-1, 20),
        "target_offset": U64,
        "argument": U32 | st.integers(0, 64),
    },
)
# Of four ids 0 means none and 3 is one that nobody described.
BATCHES: Final = st.builds(
    lambda rows, files, tasks: batch_of(*rows, files=files, tasks=tasks),
    st.lists(EVENTS, max_size=12),
    st.tuples(file_strategy(1), file_strategy(2)),
    st.tuples(task_strategy(1), task_strategy(2)),
)


@settings(max_examples=250, deadline=None)
@given(BATCHES)
def test_a_line_says_what_the_slow_writer_says(batch: Batch) -> None:
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
    """Five thousand events in a view with gaps, overwritten as soon as the sink is back."""
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


def test_a_file_is_asked_for_once() -> None:
    """The reader decodes a definition whenever it is asked for."""

    class Asked(UserDict[int, File]):
        count = 0

        def __getitem__(self, number: int) -> File:
            self.count += 1
            return replace(super().__getitem__(number))

    files = Asked({1: FILE})
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


# Aggregated rows.


def test_an_aggregated_row() -> None:
    fold = Fold(task=1, file=1, op=OP_NUMBER["read"], count=17, bytes=2**40, first=1, last=10**9, pid=42)
    raw = io.BytesIO()
    sink = NdjsonSink(raw)
    sink.aggregated([fold, replace(fold, task=0, file=9)], batch_of())
    known, unknown = map(decoded, raw.getvalue().splitlines())
    first, last = timestamp_of(1, REALTIME), timestamp_of(10**9, REALTIME)
    reported = {"action": "read", "kind": "aggregated", "count": 17, "start": first, "end": last}
    assert unknown == {"@timestamp": last, "event": reported, "process": {"pid": 42}, "io": {"bytes": 2**40}}
    assert known == unknown | {"file": file_of(FILE), "thread": {"id": 77}} | task_of(TASK, {})
    assert sink.written == 0


def test_folds_of_what_moves_no_bytes_have_no_sum() -> None:
    raw = io.BytesIO()
    sink = NdjsonSink(raw)
    ops = ("write", "copy_file_range", "reflink", "fault", "stat")
    sink.aggregated([Fold(task=1, file=1, op=OP_NUMBER[op], count=17, bytes=5, first=1, last=9) for op in ops], batch_of())
    reported = {line["event"]["action"]: line.get("io") for line in map(json.loads, raw.getvalue().splitlines())}
    assert reported == {"write": {"bytes": 5}, "copy_file_range": {"bytes": 5}, "reflink": None, "fault": None, "stat": None}


@given(st.lists(U64, max_size=50))
def test_hexadecimal(values: list[int]) -> None:
    text = hexadecimal(np.array(values, np.uint64))
    assert [text.strings[row].as_py() for row in text.rows.tolist()] == [b"%x" % value for value in values]


# Files that take no more.

MANY: Final = [{"time": n, "call": 6, "offset": 10**n} for n in range(20)]


class Grudging(io.RawIOBase):
    """Takes a few bytes at a time."""

    def __init__(self) -> None:
        self.taken = b""

    def write(self, data: Any, /) -> int:
        self.taken += bytes(data[:7])
        return len(data[:7])


def test_short_writes() -> None:
    raw = Grudging()
    deliver(NdjsonSink(raw), batch_of(*MANY))
    assert raw.taken.splitlines() == lines_of(batch_of(*MANY))


@pytest.mark.parametrize(("complete", "extra"), [(0, 0), (0, 1), (1, -1), (1, 0), (1, 1), (7, 100), (20, -1)])
@pytest.mark.parametrize("before", [b"", b"header\n"])
def test_a_full_disk_leaves_whole_lines(tmp_path: Path, complete: int, extra: int, before: bytes) -> None:
    """RLIMIT_FSIZE gives what a full disk gives: a short write, then an error. ``extra``: room behind so many lines."""
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


def test_what_others_wrote_behind_us_is_not_taken_back(tmp_path: Path) -> None:
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
