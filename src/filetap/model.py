"""What an event is: operations, calls, and the wire's records as numpy dtypes.

Plain data and nothing of ours imported, so that every layer may import it; bpf/event.h is its other half, and
kernel/loader.py refuses to start when the two differ. Next: kernel/ring.py reads these records.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Records = NDArray[Any]
"""One-dimensional structured array; its dtype is one of those below."""


class Call(NamedTuple):
    """One exact way into the kernel. ``kind`` and ``flags`` are KIND_* and CALL_* of bpf/event.h."""

    name: str
    op: str
    kind: int = 0
    flags: int = 0
    nr: int = -1
    """Number on x86-64 (arch/x86/entry/syscalls/syscall_64.tbl); -1: no system call."""


OPS: Final = ("none", "open", "close", "read", "write", "dup", "fork", "thread", "exec", "exit")
"""Index is ``enum op`` of bpf/event.h."""

KIND_READ, KIND_WRITE, KIND_OPEN, KIND_CLOSE, KIND_DUP, KIND_FCNTL, KIND_EXEC, KIND_MOVES = range(1, 9)
POSITIONAL, VECTORED, RWF, AT, HOW, CREAT, DROP = (1 << bit for bit in range(7))

CALLS: Final = (
    Call("", "none"),
    Call("open", "open", KIND_OPEN, 0, 2),
    Call("openat", "open", KIND_OPEN, AT, 257),
    Call("openat2", "open", KIND_OPEN, AT | HOW, 437),
    Call("creat", "open", KIND_OPEN, CREAT, 85),
    Call("close", "close", KIND_CLOSE, 0, 3),
    Call("read", "read", KIND_READ, 0, 0),
    Call("readv", "read", KIND_READ, VECTORED, 19),
    Call("pread64", "read", KIND_READ, POSITIONAL, 17),
    Call("preadv", "read", KIND_READ, POSITIONAL | VECTORED, 295),
    Call("preadv2", "read", KIND_READ, POSITIONAL | VECTORED | RWF, 327),
    Call("write", "write", KIND_WRITE, 0, 1),
    Call("writev", "write", KIND_WRITE, VECTORED, 20),
    Call("pwrite64", "write", KIND_WRITE, POSITIONAL, 18),
    Call("pwritev", "write", KIND_WRITE, POSITIONAL | VECTORED, 296),
    Call("pwritev2", "write", KIND_WRITE, POSITIONAL | VECTORED | RWF, 328),
    Call("dup", "dup", KIND_DUP, 0, 32),
    Call("dup2", "dup", KIND_DUP, 0, 33),
    Call("dup3", "dup", KIND_DUP, 0, 292),
    Call("fcntl", "dup", KIND_FCNTL, 0, 72),
    Call("fork", "fork", nr=57),
    Call("vfork", "fork", nr=58),
    Call("clone", "fork", nr=56),
    Call("clone3", "fork", nr=435),
    Call("clone", "thread", nr=56),
    Call("clone3", "thread", nr=435),
    Call("execve", "exec", KIND_EXEC, 0, 59),
    Call("execveat", "exec", KIND_EXEC, AT, 322),
    Call("exit", "exit"),
)
"""Index is ``event.call``; it means the same on every architecture."""

CALL_NUMBER: Final = {call.name: number for number, call in reversed(list(enumerate(CALLS)))}
"""The first index of a name: clone and clone3 stand twice, for they make processes and threads."""
OP_NUMBER: Final = {op: number for number, op in enumerate(OPS)}
OP_OF_CALL: Final = np.array([OP_NUMBER[call.op] for call in CALLS], "u1")

MOVES: Final = {"rename": 82, "renameat": 264, "renameat2": 316, "mount": 165, "umount2": 166, "pivot_root": 155, "move_mount": 429}
"""Calls that change the paths of files already known, whoever makes them (x86-64 numbers)."""

GROUPS: Final = {
    "open": ("open",),
    "io": ("read", "write"),
    "descriptor": ("open", "close", "dup"),
    "process": ("fork", "thread", "exec", "exit"),
    "all": OPS[1:],
}
"""Names that ``-e`` takes beside ops and calls; a name that is both means the group."""

DEFAULT_OPS: Final = ("open", "close", "read", "write", "dup")
"""Without ``-e``: everything but processes (CONTRACT: and stat, fault, seek, once they exist)."""

TYPES: Final = {"file": 8, "directory": 4, "pipe": 1, "socket": 12, "char": 2, "block": 6, "symlink": 10, "anon": 0}
"""File type to S_IFMT >> 12, from inode(7); ``anon`` are anonymous inodes (eventfd, epoll, ...), which have none."""

MORE, MICROSECONDS, UNCERTAIN, NO_SIZE, NO_OFFSET = (1 << bit for bit in range(5))
"""``event.flags``: EVENT_* of bpf/event.h."""

EVENT: Final = np.dtype(
    [
        ("time", "<u8"),
        ("offset", "<u8"),
        ("size", "<u8"),
        ("result", "<i8"),
        ("duration", "<u4"),
        ("task", "<u4"),
        ("file", "<u4"),
        ("tid", "<u4"),
        ("fd", "<i4"),
        ("open", "<u4"),
        ("call", "<u2"),
        ("rule", "<u2"),
        ("flags", "<u4"),
    ]
)
"""One slot of a lane: ``struct event``, 64 bytes."""

IDENTITY: Final = np.dtype(
    [
        ("inode", "<u8"),
        ("subvolume", "<u8"),
        *((name, "<u4") for name in ("generation", "device", "mode", "pid", "ppid", "uid")),
        ("comm", "S16"),
        ("call", "<u2"),
        ("reserved", "<u2", 3),
    ]
)
"""The second slot of an event with ``MORE``: ``struct identity``."""

LANE: Final = np.dtype([("produced", "<u8"), ("busy", "<u8"), ("line", "<u8", 6), ("consumed", "<u8"), ("line2", "<u8", 7)])

DEFINE_FILE, DEFINE_NAME, DEFINE_TASK, DEFINE_CGROUP, DEFINE_RETIRE = range(1, 6)
TRUNCATED, DELETED, RACED, DETACHED = (1 << bit for bit in range(4))
DEFINITION_FIXED: Final = 144

DEFINITION: Final = [("kind", "<u2"), ("flags", "<u2"), ("id", "<u4"), ("length", "<u4"), ("reserved", "<u4")]
FILE_DEFINITION: Final = np.dtype(
    [
        *DEFINITION,
        ("inode", "<u8"),
        ("subvolume", "<u8"),
        ("size", "<u8"),
        ("parent", "<u8"),
        ("dentry", "<u8"),
        ("mnt", "<u8"),
        ("sequence", "<u4"),
        ("device", "<u4"),
        ("generation", "<u4"),
        ("mode", "<u4"),
        ("rdev", "<u4"),
        ("mount", "<u4"),
        ("magic", "<u8"),
        ("mount_namespace", "<u4"),
        ("reserved2", "<u4"),
        ("filesystem", "S16"),
    ]
)
NAME_DEFINITION: Final = np.dtype([*DEFINITION, ("directory", "<u4"), ("root", "<u4")])
TASK_DEFINITION: Final = np.dtype(
    [
        *DEFINITION,
        ("start", "<u8"),
        ("cgroup", "<u8"),
        *(
            (name, "<u4")
            for name in (
                "pid tid ppid namespace_pid parent exe root execs uid euid fsuid gid loginuid "
                "pid_namespace mount_namespace user_namespace cgroup_namespace reserved2"
            ).split()
        ),
        ("comm", "S16"),
        ("thread", "S16"),
    ]
)
CGROUP_DEFINITION: Final = np.dtype([*DEFINITION, ("cgroup", "<u8")])

MAX_OPS: Final = 64
MAX_NR: Final = 512
MAX_CGROUPS: Final = 8
MAX_COMMS: Final = 8

CALL_RECORD: Final = np.dtype([("call", "<u2"), ("op", "u1"), ("kind", "u1"), ("flags", "u1"), ("enter", "u1"), ("thread", "<u2")])

CONFIG: Final = np.dtype(
    [
        *((name, "<u4") for name in ("self", "slots", "scramble", "ncpu")),
        ("min_latency", "<u8"),
        ("types", "<u4"),
        ("spare", "<u4"),
        ("rule", "<u2"),
        ("exit_call", "<u2"),
        *((name, "u1") for name in "direct all follow failed latency enter paths args cgroups comms command_in_cgroup".split()),
        ("reserved", "u1", 5),
        ("cgroup_ids", "<u8", MAX_CGROUPS),
        ("cgroup_levels", "<u4", MAX_CGROUPS),
        ("comm", "S16", MAX_COMMS),
    ],
    align=True,
)

COUNTERS: Final = np.dtype(
    [
        ("seen", "<u8", MAX_OPS),
        ("folded", "<u8", MAX_OPS),
        ("lost", "<u8", MAX_OPS),
        *((name, "<u8") for name in ("compat", "files_full", "undefined", "files", "uncounted_tasks")),
        ("next_id", "<u4"),
        ("reserved", "<u4"),
    ]
)
GLOBALS: Final = np.dtype(
    [("epoch", "<u8"), ("live", "<i8"), ("threads", "<u8"), ("files", "<u8"), ("stopped", "<u8"), ("generation", "<u8")]
)
FOLD_KEY: Final = np.dtype([("task", "<u4"), ("file", "<u4"), ("op", "<u4"), ("pid", "<u4")])
FOLD: Final = np.dtype([("count", "<u8"), ("bytes", "<u8"), ("first", "<u8"), ("last", "<u8")])

RULE_TREE, RULE_CHILDREN, RULE_EXCLUDE = (1 << bit for bit in range(3))
RULE_KEY: Final = np.dtype([("inode", "<u8"), ("subvolume", "<u8"), ("device", "<u4"), ("generation", "<u4")])
IDENTIFIED: Final = np.dtype([("key", RULE_KEY), ("fd", "<u4"), ("reserved", "<u4")])
FILE_KEY: Final = np.dtype([("inode", "<u8"), ("dentry", "<u8"), ("mount", "<u8"), ("generation", "<u4"), ("sequence", "<u4")])
FILE_ENTRY: Final = np.dtype([("chain", "<u8"), ("id", "<u4"), ("epoch", "<u4"), ("wanted", "<u4"), ("touched", "<u4")])

MEMBER_PID, MEMBER_COMM, MEMBER_SEEN, MEMBER_HELD, MEMBER_LIVE = (1 << bit for bit in range(5))

LAYOUTS: Final = {
    "event": EVENT,
    "identity": IDENTITY,
    "lane": LANE,
    "file_definition": FILE_DEFINITION,
    "name_definition": NAME_DEFINITION,
    "task_definition": TASK_DEFINITION,
    "cgroup_definition": CGROUP_DEFINITION,
    "call": CALL_RECORD,
    "config": CONFIG,
    "counters": COUNTERS,
    "globals": GLOBALS,
    "fold_key": FOLD_KEY,
    "fold": FOLD,
    "rule_key": RULE_KEY,
    "identified": IDENTIFIED,
    "file_key": FILE_KEY,
    "file_entry": FILE_ENTRY,
}
"""C structure to dtype, for the comparison at start."""
