"""A simple writer of NDJSON, one event at a time, without columns; and decoded lines of a sink.

The form of a line is an interface for programs (docs/events.md).
"""

import io
import json
from base64 import b64decode
from typing import Any, Final

import numpy as np

from filetap.core import command_line, wire
from filetap.core.batch import Batch, Credentials, File, Task
from filetap.core.calls import CALLS
from filetap.sinks.lines import LineSink
from filetap.sinks.ndjson import NdjsonSink
from tests.unit.test_error_names import kernel_errors

HOSTILE: Final = {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C, 0x2028, 0x2029}


def deliver(sink: LineSink, batch: Batch) -> None:
    """Write a batch and flush it: a sink keeps a batch until the next one or a flush."""
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
    """Return each ancestor, with the adoption mark of the process below it."""
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
"""Members that test_arguments.py covers one by one."""


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
    """Decode a line, with exact bytes for base64 and without the members that test_arguments.py compares."""

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
