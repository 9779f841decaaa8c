"""The arguments of each call, exactly as in ``io`` of a JSON line.

Separate from test_ndjson.py, which tests the form of the line: here every call has its own expectation, written from
its manual page. Names of flags are compared with the C library's numbers, where it has them.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import mmap
import os
import re
import stat
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from filetap.core import constants, wire
from filetap.core.batch import Batch, File
from filetap.core.calls import CALLS, OPS
from filetap.render import arguments
from filetap.sinks.ndjson import NdjsonSink

NEITHER: Final = wire.NO_OFFSET | wire.NO_SIZE
MINUS_ONE: Final = 2**64 - 1
AT: Final = 0x7F0000001000
ADDRESS: Final = {"address": "0x7f0000001000"}
Row = tuple[str, dict[str, Any], dict[str, Any]]
"""A call, the fields of its event (with ``op``: which of the call's), and the expected ``io``."""


def numbers_of(name: str, op: str | None) -> int:
    return next(n for n, call in enumerate(CALLS) if call.name == name and op in (None, call.op))


def batch_of(name: str, fields: dict[str, Any]) -> Batch:
    events, ext = np.zeros(1, wire.EVENT), np.zeros(1, wire.EVENT_EXT)
    ext["target_fd"] = -1
    values = {"call": numbers_of(name, fields.get("op")), "fd": -1} | fields
    for field, value in values.items():
        if field != "op":
            (ext if field in ("target", "target_fd", "target_offset", "argument") else events)[field] = value
    events["flags"] |= wire.HAS_EXT
    return Batch(events, {1: File(1, b"/a"), 2: File(2, b"/b", resolved=False)}, {}, 0, ext)


def line_of(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    raw = io.BytesIO()
    sink = NdjsonSink(raw)
    sink.write(batch_of(name, fields))
    sink.finish()
    line: dict[str, Any] = json.loads(raw.getvalue())
    return line


def reported(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    members: dict[str, Any] = line_of(name, fields)["io"]
    return members


NOTHING: Final = wire.NO_OFFSET | wire.NO_SIZE
UNTOLD: Final = NOTHING | wire.NO_RESULT
"""Flags of hooks: only the file is reported, and for some no result."""

OPENS: Final[list[Row]] = [
    ("openat", {"offset": os.O_RDONLY, "size": 0o777}, {"flags": ["O_RDONLY"], "result": 0}),
    ("open", {"offset": os.O_CLOEXEC}, {"flags": ["O_RDONLY", "O_CLOEXEC"], "result": 0}),
    (
        "openat2",
        {"offset": os.O_WRONLY | os.O_CREAT | os.O_TRUNC, "size": 0o644, "result": 5, "fd": 5},
        {"fd": 5, "flags": ["O_WRONLY", "O_CREAT", "O_TRUNC"], "mode": "0644", "result": 5},
    ),
    ("open", {"offset": os.O_RDWR | os.O_TMPFILE}, {"flags": ["O_RDWR", "O_TMPFILE"], "mode": "0000", "result": 0}),
    ("open", {"offset": os.O_RDWR | os.O_DIRECTORY, "size": 0o644}, {"flags": ["O_RDWR", "O_DIRECTORY"], "result": 0}),
    ("creat", {"offset": os.O_WRONLY | os.O_CREAT, "size": 0o4755}, {"flags": ["O_WRONLY", "O_CREAT"], "mode": "04755", "result": 0}),
    ("open", {"offset": os.O_WRONLY | os.O_SYNC}, {"flags": ["O_WRONLY", "O_SYNC"], "result": 0}),
    ("open", {"offset": os.O_WRONLY | os.O_DSYNC}, {"flags": ["O_WRONLY", "O_DSYNC"], "result": 0}),
    ("openat2", {"offset": 0o100000 | 2**40}, {"flags": ["O_RDONLY", "O_LARGEFILE", "0x10000000000"], "result": 0}),
    ("io_uring:openat", {"offset": os.O_PATH, "result": 3, "fd": 3}, {"fd": 3, "flags": ["O_RDONLY", "O_PATH"], "result": 3}),
    ("open_by_handle_at", {"offset": os.O_RDONLY, "result": 3, "fd": 3}, {"fd": 3, "flags": ["O_RDONLY"], "result": 3}),
    ("memfd_create", {"result": 3, "fd": 3}, {"fd": 3, "result": 3}),
    ("pidfd_getfd", {"offset": 7, "result": 3, "fd": 3}, {"fd": 3, "result": 3}),
    ("security_file_open", {"offset": os.O_CREAT, "flags": NOTHING}, {"flags": ["O_RDONLY", "O_CREAT"], "result": 0}),
]

LOOKING_UP: Final = ("utimensat", "file_setattr", "setxattrat", "removexattrat")
NO_FOLLOW: Final = ["AT_SYMLINK_NOFOLLOW"]
NAMED: Final[list[Row]] = [
    *((call, {"size": 9, "offset": 9}, {"result": 0}) for call in ("stat", "statx", "unlink", "rmdir", "link", "symlink", "chdir")),
    ("newfstatat", {"fd": 3}, {"fd": 3, "result": 0}),
    ("access", {"size": os.R_OK | os.X_OK, "flags": wire.NO_OFFSET}, {"flags": ["R_OK", "X_OK"], "result": 0}),
    ("faccessat2", {"size": os.F_OK}, {"flags": ["F_OK"], "result": 0}),
    ("access", {"size": 2**32 + os.W_OK | 8}, {"flags": ["W_OK", "0x8"], "result": 0}),
    ("readlink", {"size": 4096, "result": 9}, {"size": 4096, "result": 9}),
    ("getdents64", {"fd": 3, "size": 32768, "flags": wire.NO_OFFSET}, {"fd": 3, "size": 32768, "result": 0}),
    ("getxattr", {"size": 99, "offset": 99}, {"result": 0}),
    ("mkdir", {"size": 0o751}, {"mode": "0751", "result": 0}),
    ("io_uring:mkdirat", {"size": 0o700}, {"mode": "0700", "result": 0}),
    ("mkdirat", {"size": 2**32 + 0o1777}, {"mode": "01777", "result": 0}),
    ("mknod", {"size": stat.S_IFIFO | 0o640, "offset": 0x103}, {"mode": "010640", "result": 0}),
    ("rename", {}, {"result": 0}),
    ("renameat2", {"argument": 1}, {"flags": ["RENAME_NOREPLACE"], "result": 0}),
    ("io_uring:renameat", {"argument": 6}, {"flags": ["RENAME_EXCHANGE", "RENAME_WHITEOUT"], "result": 0}),
    ("linkat", {"argument": 0x400}, {"flags": ["AT_SYMLINK_FOLLOW"], "result": 0}),
    ("linkat", {"argument": 0x1000, "fd": 3}, {"fd": 3, "flags": ["AT_EMPTY_PATH"], "result": 0}),
    ("mount", {"argument": 4096 | 16384 | 1}, {"flags": ["MS_RDONLY", "MS_BIND", "MS_REC"], "result": 0}),
    ("move_mount", {"argument": 4}, {"flags": ["MOVE_MOUNT_F_EMPTY_PATH"], "result": 0}),
    ("pivot_root", {}, {"result": 0}),
    ("umount2", {"argument": 2 | 8}, {"flags": ["MNT_DETACH", "UMOUNT_NOFOLLOW"], "result": 0}),
]

ATTRIBUTES: Final[list[Row]] = [
    ("chmod", {"size": 0o4750}, {"mode": "04750", "result": 0}),
    ("fchmod", {"fd": 3, "size": 0o600, "flags": wire.NO_OFFSET}, {"fd": 3, "mode": "0600", "result": 0}),
    ("fchmodat2", {"size": 0}, {"mode": "0000", "result": 0}),
    ("security_path_chmod", {"size": 0o600}, {"mode": "0600", "result": 0}),
    ("security_path_chown", {"offset": 0xFFFFFFFF, "size": 34}, {"owner": {"gid": 34}, "result": 0}),
    ("vfs_utimes", {"flags": NOTHING}, {"result": 0}),
    ("security_path_truncate", {"flags": NOTHING}, {"result": 0}),
    ("security_inode_permission", {"size": 0x24, "flags": UNTOLD}, {"flags": ["MAY_READ", "MAY_OPEN"]}),
    ("security_inode_permission", {"size": 0x81, "flags": UNTOLD}, {"flags": ["MAY_EXEC", "MAY_NOT_BLOCK"]}),
    ("chown", {"offset": 12, "size": 34}, {"owner": {"uid": 12, "gid": 34}, "result": 0}),
    ("fchown", {"fd": 3, "offset": 0xFFFFFFFF, "size": 34}, {"fd": 3, "owner": {"gid": 34}, "result": 0}),
    ("lchown", {"offset": 12, "size": MINUS_ONE}, {"owner": {"uid": 12}, "result": 0}),
    ("fchownat", {"offset": MINUS_ONE, "size": 0xFFFFFFFF}, {"result": 0}),
    *((call, {"offset": 12, "size": 34}, {"result": 0}) for call in ("utime", "utimes", "futimesat")),
    *((call, {"argument": 0x1100}, {"flags": ["AT_SYMLINK_NOFOLLOW", "AT_EMPTY_PATH"], "result": 0}) for call in LOOKING_UP),
    *((call, {"argument": 0}, {"result": 0}) for call in LOOKING_UP),
    ("fchownat", {"offset": 5, "size": 0xFFFFFFFF, "argument": 0x100}, {"flags": NO_FOLLOW, "owner": {"uid": 5}, "result": 0}),
    ("fchmodat2", {"size": 0o600, "argument": 0x100}, {"flags": NO_FOLLOW, "mode": "0600", "result": 0}),
    ("truncate", {"size": 4096}, {"size": 4096, "result": 0}),
    ("ftruncate", {"fd": 3, "size": 2**63, "flags": wire.NO_OFFSET}, {"fd": 3, "size": 2**63, "result": 0}),
    ("io_uring:ftruncate", {"fd": 3, "size": 5, "flags": wire.NO_OFFSET}, {"fd": 3, "size": 5, "result": 0}),
    ("fallocate", {"fd": 3, "offset": 4096, "size": 8192}, {"fd": 3, "offset": 4096, "size": 8192, "result": 0}),
    (
        "io_uring:fallocate",
        {"fd": 3, "offset": 4096, "size": 8192, "argument": 3},
        {"fd": 3, "offset": 4096, "size": 8192, "flags": ["FALLOC_FL_KEEP_SIZE", "FALLOC_FL_PUNCH_HOLE"], "result": 0},
    ),
    ("setxattr", {"size": 3}, {"result": 0}),
]

MEMORY: Final[list[Row]] = [
    (
        "mmap",
        {"fd": 3, "offset": 4096, "size": 8192, "argument": 3 | 1 << 8, "result": AT},
        {"fd": 3, "offset": 4096, "size": 8192, "protection": ["PROT_READ", "PROT_WRITE"], "flags": ["MAP_SHARED"], "result": AT} | ADDRESS,
    ),
    (
        "mmap",
        {"size": 1, "argument": 0x100022 << 8, "result": 0},
        {
            "offset": 0,
            "size": 1,
            "address": "0x0",
            "protection": ["PROT_NONE"],
            "flags": ["MAP_PRIVATE", "MAP_ANONYMOUS", "MAP_FIXED_NOREPLACE"],
            "result": 0,
        },
    ),
    (
        "mmap",
        {"fd": 999, "size": 4096, "argument": 4 | 2 << 8, "result": -errno.EBADF},
        {"fd": 999, "offset": 0, "size": 4096, "protection": ["PROT_EXEC"], "flags": ["MAP_PRIVATE"], "result": -errno.EBADF},
    ),
    ("munmap", {"target_offset": AT, "offset": 20480, "size": 4096}, {"offset": 20480, "size": 4096, "result": 0} | ADDRESS),
    (
        "mremap",
        {"target_offset": AT, "offset": 4096, "size": 12288, "argument": 1, "result": 2**46},
        {"offset": 4096, "size": 12288, "flags": ["MREMAP_MAYMOVE"], "result": 2**46} | ADDRESS,
    ),
    (
        "mprotect",
        {"target_offset": AT, "size": 4096, "argument": 5},
        {"offset": 0, "size": 4096, "protection": ["PROT_READ", "PROT_EXEC"], "result": 0} | ADDRESS,
    ),
    (
        "pkey_mprotect",
        {"target_offset": AT, "size": 4096, "argument": 1 << 24},
        {"offset": 0, "size": 4096, "protection": ["PROT_GROWSDOWN"], "result": 0} | ADDRESS,
    ),
    (
        "io_uring:madvise",
        {"target_offset": AT, "size": 4096, "argument": 4},
        {"offset": 0, "size": 4096, "advice": "MADV_DONTNEED", "result": 0} | ADDRESS,
    ),
    (
        "madvise",
        {"target_offset": AT, "size": 4096, "argument": 9999, "result": -22},
        {"offset": 0, "size": 4096, "advice": "9999", "result": -22} | ADDRESS,
    ),
    (
        "msync",
        {"target_offset": MINUS_ONE, "offset": 4096, "size": 8192, "argument": 4},
        {"offset": 4096, "size": 8192, "address": "0xffffffffffffffff", "flags": ["MS_SYNC"], "result": 0},
    ),
    ("page_fault_user", {"offset": 123, "size": AT}, {"offset": 123, "access": "read", "fault": "minor", "result": 0} | ADDRESS),
    (
        "page_fault_kernel",
        {"offset": 123, "size": AT, "flags": wire.FAULT_WRITE | wire.FAULT_MAJOR},
        {"offset": 123, "access": "write", "fault": "major", "result": 0} | ADDRESS,
    ),
    (
        "page_fault_user",
        {"offset": 9, "size": AT, "flags": wire.FAULT_EXEC, "result": -errno.EFAULT},
        {"offset": 9, "access": "exec", "fault": "minor", "result": -errno.EFAULT} | ADDRESS,
    ),
]

COPIES: Final[list[Row]] = [
    (
        "sendfile",
        {"fd": 3, "offset": 5, "size": 100, "target_fd": 4, "target_offset": 7, "result": 50},
        {"fd": 3, "offset": 5, "size": 100, "target_fd": 4, "target_offset": 7, "result": 50},
    ),
    (
        "splice",
        {"fd": 3, "size": 100, "target_fd": 4, "target_offset": MINUS_ONE, "argument": 5, "flags": wire.NO_OFFSET},
        {"fd": 3, "size": 100, "target_fd": 4, "flags": ["SPLICE_F_MOVE", "SPLICE_F_MORE"], "result": 0},
    ),
    (
        "io_uring:splice",
        {"offset": 0, "size": 1, "target_offset": 0, "flags": wire.NO_RESULT},
        {"offset": 0, "size": 1, "target_offset": 0},
    ),
    (
        "tee",
        {"fd": 3, "size": 1, "target_fd": 4, "target_offset": MINUS_ONE, "flags": 16},
        {"fd": 3, "size": 1, "target_fd": 4, "result": 0},
    ),
    ("vmsplice", {"fd": 3, "size": 9, "argument": 8, "flags": 16}, {"fd": 3, "size": 9, "flags": ["SPLICE_F_GIFT"], "result": 0}),
    (
        "copy_file_range",
        {"fd": 3, "offset": 5, "size": 50, "target_fd": 4, "target_offset": 7, "argument": 1, "result": -22},
        {"fd": 3, "offset": 5, "size": 50, "target_fd": 4, "target_offset": 7, "flags": ["0x1"], "result": -22},
    ),
    (
        "ioctl",
        {"op": "dedupe", "fd": 3, "size": 4096, "target_fd": 4, "target_offset": 8192},
        {"fd": 3, "offset": 0, "size": 4096, "target_fd": 4, "target_offset": 8192, "result": 0},
    ),
    ("finit_module", {"fd": 3, "flags": NEITHER}, {"fd": 3, "result": 0}),
]

POSITIONS: Final[list[Row]] = [
    ("lseek", {"fd": 3, "offset": MINUS_ONE - 4, "size": 2}, {"fd": 3, "offset": -5, "whence": "SEEK_END", "result": 0}),
    ("lseek", {"fd": 3, "offset": 2**62, "size": 99}, {"fd": 3, "offset": 2**62, "whence": "99", "result": 0}),
    ("readahead", {"fd": 3, "offset": 4096, "size": 8192}, {"fd": 3, "offset": 4096, "size": 8192, "result": 0}),
    ("fadvise64", {"fd": 3, "argument": 3}, {"fd": 3, "offset": 0, "size": 0, "advice": "POSIX_FADV_WILLNEED", "result": 0}),
    ("io_uring:fadvise", {"fd": 3, "argument": 77}, {"fd": 3, "offset": 0, "size": 0, "advice": "77", "result": 0}),
    ("fsync", {"fd": 3, "flags": NEITHER}, {"fd": 3, "result": 0}),
    ("sync", {"flags": wire.NO_SIZE}, {"result": 0}),
    (
        "io_uring:sync_file_range",
        {"fd": 3, "offset": 1, "size": 2, "argument": 6},
        {"fd": 3, "offset": 1, "size": 2, "flags": ["SYNC_FILE_RANGE_WRITE", "SYNC_FILE_RANGE_WAIT_AFTER"], "result": 0},
    ),
    ("flock", {"fd": 3, "argument": 2 | 4, "flags": NEITHER}, {"fd": 3, "operation": "LOCK_EX|LOCK_NB", "result": 0}),
    ("fcntl", {"op": "lock", "fd": 3, "argument": 38 << 8, "flags": NEITHER}, {"fd": 3, "operation": "F_OFD_SETLKW", "result": 0}),
    ("fcntl", {"op": "dup", "fd": 3, "argument": 38 << 8}, {"fd": 3, "result": 0}),
]

ROWS: Final = [*OPENS, *NAMED, *ATTRIBUTES, *MEMORY, *COPIES, *POSITIONS]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{ROWS.index(row)}")
def test_a_call_tells_its_arguments(row: Row) -> None:
    name, fields, expected = row
    assert reported(name, fields) == expected


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{ROWS.index(row)}")
def test_alone_or_among_others_and_without_a_result(row: Row) -> None:
    """In a batch with an event of another kind, and without a result: the result of mmap is its address."""
    name, fields, expected = row
    unknown = {"result", "address"} if name == "mmap" else {"result"}
    one = batch_of(name, fields | {"flags": fields.get("flags", 0) | wire.NO_RESULT})
    plain = batch_of("close", {"fd": 3})
    raw = io.BytesIO()
    sink = NdjsonSink(raw)
    sink.write(Batch(np.concatenate([plain.events, one.events]), one.files, {}, 0, np.concatenate([plain.ext, one.ext])))
    sink.finish()
    before, line = map(json.loads, raw.getvalue().splitlines())
    assert before["io"] == {"fd": 3, "result": 0}
    assert line["io"] == {member: value for member, value in expected.items() if member not in unknown}
    assert "error" not in line


def test_two_files() -> None:
    """A second file is nested inside the first, defined or not."""
    first, second = {"path": "/a", "type": "anon"}, {"path": "/b", "resolved": False}
    assert line_of("rename", {"file": 1, "target": 2})["file"] == first | {"target": second}
    assert line_of("rename", {"file": 1, "target": 99})["file"] == first
    assert line_of("sendfile", {"file": 0, "target": 2})["file"] == {"target": second}
    assert "file" not in line_of("sendfile", {"file": 0, "target": 0})
    assert line_of("rename", {"file": 2, "target": 2})["file"] == second | {"target": second}


def test_names_of_bits_are_the_c_librarys() -> None:
    for table, prefix, module in (
        (constants.PROTECTION, "PROT_", mmap),
        (constants.MAP, "MAP_", mmap),
        (constants.FLOCK, "LOCK_", fcntl),
        (constants.SPLICE, "SPLICE_", os),
        (constants.ACCESS, "", os),
    ):
        known = {name: getattr(module, name) for name in table if name.startswith(prefix) and hasattr(module, name)}
        assert known == {name: table[name] for name in known}
        assert known or table is constants.SPLICE


def test_names_of_numbers_are_the_c_librarys() -> None:
    for table, module in (
        (constants.WHENCE, os),
        (constants.ADVICE, os),
        (constants.MEMORY_ADVICE, mmap),
        (constants.LOCK_COMMANDS, fcntl),
    ):
        known = {number: getattr(module, name) for number, name in table.items() if hasattr(module, name)}
        assert len(known) > 1
        assert all(number == value for number, value in known.items())


def test_every_call_that_a_line_names_is_one() -> None:
    """It also has that op."""
    for row in arguments.DECODERS:
        calls = {call.name for call in CALLS if call.op == row.op}
        assert calls
        assert set(row.calls.split()) <= calls


DOCUMENT: Final = (Path(__file__).parents[2] / "docs" / "events.md").read_text()


def test_the_document_has_every_operation_and_call() -> None:
    table = DOCUMENT.partition("## Operations")[2].partition("## file")[0]
    calls = {call.name.removeprefix("io_uring:") for call in CALLS[1:] if "xattr" not in call.name}  # these are documented as a family
    assert {op for op in OPS[1:] if f"`{op}`" not in table} == set()
    assert {name for name in calls if not re.search(rf"\b{name}\b", table)} == set()


def test_the_document_has_every_member() -> None:
    members = {name for _, _, io in ROWS for name in io}
    assert {name for name in members if f"`io.{name}" not in DOCUMENT} == set()
