"""Data from the kernel: the records of the wire format as numpy dtypes, and the run's configuration.

Plain data that imports only the table of calls, so that every layer may import it. bpf/event.h is its counterpart, and
kernel/loader.py refuses to start when the two differ.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filetap.core.calls import BYTE_OPS, CALLS, OP_NUMBER, OPS

Records = NDArray[Any]
"""One-dimensional structured array; its dtype is one of those below."""


MAX_OPS: Final = 64
OP_OF_CALL: Final = np.array([OP_NUMBER[call.op] for call in CALLS], "u1")
"""Index into ``calls.OPS``."""
CALL_RETURNS_BYTES: Final = np.array([call.op in BYTE_OPS for call in CALLS])
"""By call number: whether the result is a number of bytes."""
OP_RETURNS_BYTES: Final = np.array([op in BYTE_OPS for op in OPS] + [False] * (MAX_OPS - len(OPS)))
"""By operation number: whether the result is a number of bytes."""

(HAS_EXT, MICROSECONDS, UNCERTAIN, NO_SIZE, NO_OFFSET, NO_RESULT, FAULT_WRITE, FAULT_EXEC, FAULT_MAJOR) = (1 << bit for bit in range(9))
PENDING, AT_LEAST, MILLISECONDS, LATER = (1 << bit for bit in range(9, 13))
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
"""One slot of a CPU ring: ``struct event``, 64 bytes."""

EVENT_EXT: Final = np.dtype(
    [
        ("inode", "<u8"),
        ("target_offset", "<u8"),
        ("generation", "<u4"),
        ("target", "<u4"),
        ("target_fd", "<i4"),
        *((name, "<u4") for name in ("pid", "ppid", "euid")),
        ("comm", "S16"),
        ("call", "<u2"),
        ("reserved", "<u2"),
        ("argument", "<u4"),
    ]
)
"""The second slot of an event with ``HAS_EXT``: ``struct event_ext``."""

CPU_RING: Final = np.dtype([("produced", "<u8"), ("busy", "<u8"), ("line", "<u8", 6), ("consumed", "<u8"), ("line2", "<u8", 7)])

DEFINE_FILE, DEFINE_NAME, DEFINE_TASK, DEFINE_CGROUP, DEFINE_RETIRE = range(1, 6)
TRUNCATED, DELETED, RACED, DETACHED, ONCE, RELATIVE_TO_LINK, FROM_WANTED = (1 << bit for bit in range(7))
NO_TREE, NO_PATH, START_WANTED, BENEATH, SOURCE, ANCESTOR, ADOPTED = (1 << bit for bit in range(7, 14))
"""``definition.flags``: DEFINITION_* of bpf/event.h."""
DEFINITION_FIXED: Final = 160
MAX_GROUPS: Final = 256
MAX_ANCESTORS: Final = 64
UNKNOWN_PARENT: Final = 0xFFFFFFFF

DEFINITION: Final = [("kind", "<u2"), ("flags", "<u2"), ("id", "<u4"), ("length", "<u4"), ("reserved", "<u4")]
FILE_DEFINITION: Final = np.dtype(
    [
        *DEFINITION,
        ("inode", "<u8"),
        ("subvolume", "<u8"),
        ("size", "<u8"),
        ("parent", "<u8"),
        ("key_dentry", "<u8"),
        ("key_mount", "<u8"),
        ("key_name", "<u8"),
        ("key_origin", "<u8"),
        ("sequence", "<u4"),
        ("device", "<u4"),
        ("generation", "<u4"),
        ("mode", "<u4"),
        ("rdev", "<u4"),
        ("mount", "<u4"),
        ("magic", "<u8"),
        ("mount_namespace", "<u4"),
        ("fs_path", "<u4"),
        ("filesystem", "S16"),
        ("real_inode", "<u8"),
        ("real_device", "<u4"),
        ("reserved2", "<u4"),
    ]
)
NAME_DEFINITION: Final = np.dtype([*DEFINITION, *((name, "<u4") for name in ("directory", "root", "key", "reserved2"))])
TASK_DEFINITION: Final = np.dtype(
    [
        *DEFINITION,
        ("start", "<u8"),
        ("cgroup", "<u8"),
        *(
            (name, "<u4")
            for name in (
                "pid tid ppid namespace_pid parent forker exe root execs uid euid suid fsuid gid egid sgid fsgid loginuid groups "
                "pid_namespace mount_namespace user_namespace cgroup_namespace reserved2"
            ).split()
        ),
        ("comm", "S16"),
        ("thread", "S16"),
    ]
)
CGROUP_DEFINITION: Final = np.dtype([*DEFINITION, ("cgroup", "<u8")])

MAX_HOOKS: Final = 32
HOOK_CHOICE: Final = np.dtype([("call", "<u2"), ("op", "u1"), ("reserved", "u1")])
LEVELS: Final = ("syscall", "auto", "vfs")
"""``enum level``."""
ATTACH_TYPES: Final = ("fentry", "lsm", "kprobe")
"""``enum attach_type``."""

MAX_OPCODES: Final = 64
MAX_CGROUPS: Final = 8
MAX_COMMS: Final = 8

CALL_RECORD: Final = np.dtype(
    [
        *((name, "<u2") for name in ("call", "other")),
        *((name, "u1") for name in ("op", "other_op", "kind", "flags")),
        *((name, "<u4") for name in ("shape", "recipe")),
    ]
)
"""``struct call`` followed by ``struct shape``."""
SHAPE: Final = ("fd", "dir", "name", "to_fd", "to_dir", "to_name", "offset", "to_offset", "size", "argument")
"""The bit fields of ``struct shape``, three bits each, from the lowest; then two bits, CHANGE_*."""

CONFIG: Final = np.dtype(
    [
        *((name, "<u4") for name in ("slots", "ncpu", "types", "aggregate")),
        ("min_latency", "<u8"),
        ("rule", "<u2"),
        ("exit_call", "<u2"),
        ("fault_calls", "<u2", 2),
        *((name, "u1") for name in "all follow failed latency enter paths follow_renames fs_path".split()),
        *((name, "u1") for name in "args cgroups comms command_in_cgroup level attach_type path_rule_depth".split()),
        *((name, "u1") for name in "track_hardlinks every_call ancestry later cgroup_states".split()),
        ("first_id", "<u4"),
        ("lengths", "<u8"),
        ("basenames", "<u8"),
        ("comm", "S16", MAX_COMMS),
        ("hooks", HOOK_CHOICE, MAX_HOOKS),
    ],
    align=True,
)

COUNTERS: Final = np.dtype(
    [
        ("seen", "<u8", MAX_OPS),
        ("aggregated", "<u8", MAX_OPS),
        ("lost", "<u8", MAX_OPS),
        *((name, "<u8") for name in ("compat", "files_full", "undefined", "files", "uncounted_tasks")),
        *((name, "<u8") for name in ("names_full", "requests_full", "completions_full", "rules_full", "sums", "interrupted")),
        ("processes_full", "<u8"),
        ("late_modules", "<u8"),
        ("opens_full", "<u8"),
        ("ids_again", "<u8"),
        ("unresolved", "<u8"),
        ("believed", "<u8"),
        ("lists_cut", "<u8"),
        ("cgroups_full", "<u8"),
        ("next_request", "<u8"),
        ("next_id", "<u4"),
        ("next_open", "<u4"),
        ("reserved", "<u4"),
        ("at_work", "<u4"),
    ]
)
TARGET_CGROUP: Final = np.dtype([("id", "<u8"), ("gone", "<u8")])
NO_CGROUP: Final = (1 << 64) - 1
GLOBALS: Final = np.dtype(
    [
        ("epoch", "<u8"),
        ("symlinks", "<u8"),
        ("live", "<i8"),
        ("threads", "<u8"),
        ("files", "<u8"),
        ("stopped", "<u8"),
        ("ring_renames", "<u8"),
        ("generation", "<u8"),
        ("arrived", "<u8"),
        ("self", "<u4"),
        ("named", "<u4"),
        ("executed", "<u4"),
        ("unmarked", "<u4"),
        ("marked", "<u4"),
        ("reserved", "<u4"),
        ("cgroups", TARGET_CGROUP, MAX_CGROUPS),
    ]
)
PENDING_CALL: Final = np.dtype(
    [
        *((name, "<u8") for name in ("time", "entered", "instance")),
        ("arguments", "<u8", 6),
        *((name, "<u8") for name in ("ip", "sp", "position", "start", "to_start", "root")),
        *((name, "<u4") for name in ("nr", "call")),
        ("fd", "<i4"),
        *((name, "<u4") for name in ("task", "pid", "tid", "ppid", "euid")),
        ("comm", "S16"),
        *((name, "<u4") for name in ("file", "target", "open", "flags", "number", "reserved")),
    ]
)
LIVING: Final = np.dtype([("start", "<u8"), ("pid", "<u4"), ("number", "<u4")])
AIO_REQUEST_KEY: Final = np.dtype([("address", "<u8"), ("start", "<u8"), ("tgid", "<u4"), ("execs", "<u4")])
RING_SLOT: Final = np.dtype([("key", "<u8"), ("claims", "<u8"), ("request", "V112")])
REQUEST_QUERY: Final = np.dtype([("key", AIO_REQUEST_KEY), ("answer", PENDING_CALL)])
OVERFLOW_KEY: Final = np.dtype([("task", "<u4"), ("file", "<u4"), ("op", "<u4"), ("pid", "<u4")])
OVERFLOW: Final = np.dtype([("count", "<u8"), ("bytes", "<u8"), ("first", "<u8"), ("last", "<u8")])
AGGREGATE_KEY: Final = np.dtype([("task", "<u4"), ("file", "<u4"), ("pid", "<u4"), ("op", "<u2"), ("bucket", "<u2"), ("cpu", "<u4")])
NO_BUCKET: Final = 0xFFFF
AGGREGATE: Final = np.dtype([(name, "<u8") for name in ("count", "errors", "bytes", "total", "max", "first", "last")])

RULE_TREE, RULE_CHILDREN, RULE_EXCLUDE, RULE_HARDLINK = (1 << bit for bit in range(4))
RULE_KEY: Final = np.dtype([("inode", "<u8"), ("layer", "<u8"), ("device", "<u4"), ("generation", "<u4")])
PATH_RULE_KEY: Final = np.dtype([("directory", RULE_KEY), ("names", "<u8")])
MAX_PATH_RULE_DEPTH: Final = 8
OURSELVES: Final = np.dtype([("boot_offset", "<i8"), ("tgid", "<u4"), ("reserved", "<u4")])
CGROUP_PATH_SPACE: Final = 1024
MAX_CGROUP_LEVELS: Final = 64
IDENTIFIED_CGROUP: Final = np.dtype([("id", "<u8"), ("fd", "<u4"), ("reserved", "<u4")])
IDENTIFIED: Final = np.dtype([("key", RULE_KEY), ("fd", "<u4"), ("reserved", "<u4")])
JUDGED: Final = np.dtype([("key", RULE_KEY), *((name, "<u4") for name in ("fd", "wanted", "flags", "mode", "length", "reserved"))])
FILE_QUERY: Final = np.dtype([("hash", "<u8"), ("below", "<u4"), ("reserved", "<u4")])
ELSEWHERE: Final = np.dtype([("until", "<u8"), ("epoch", "<u8")])
CHANGE_FILE, CHANGE_ENTRY, CHANGE_TARGET = range(1, 4)
FILE_KEY: Final = np.dtype(
    [*((name, "<u8") for name in ("inode", "dentry", "mount", "name", "origin")), ("generation", "<u4"), ("sequence", "<u4")]
)
NAME_KEY_SPACE: Final = 120
NAME_KEY: Final = np.dtype([("directory", "<u4"), ("root", "<u4"), ("name", f"S{NAME_KEY_SPACE}")])
FILE_ENTRY: Final = np.dtype([("chain", "<u8"), ("id", "<u4"), ("epoch", "<u4"), ("wanted", "<u4"), ("touched", "<u2"), ("alias", "<u2")])

PROCESS_KEY: Final = np.dtype([("start", "<u8"), ("pid", "<u4"), ("reserved", "<u4")])
PROCESS_ENTRY: Final = np.dtype([("comm", "<u8", 2), *((name, "<u4") for name in ("id", "execs", "forker", "reserved"))])
ANCESTRY_NONE, ANCESTRY_PRESENT, ANCESTRY_AT_FORK, ANCESTRY_FORKS = range(4)
"""``enum ancestry``."""

TARGET_PID, TARGET_COMM, TARGET_SEEN, TARGET_HELD, TARGET_LIVE = (1 << bit for bit in range(5))

LAYOUTS: Final = {
    "event": EVENT,
    "event_ext": EVENT_EXT,
    "cpu_ring": CPU_RING,
    "file_definition": FILE_DEFINITION,
    "name_definition": NAME_DEFINITION,
    "task_definition": TASK_DEFINITION,
    "cgroup_definition": CGROUP_DEFINITION,
    "hook_choice": HOOK_CHOICE,
    "config": CONFIG,
    "counters": COUNTERS,
    "globals": GLOBALS,
    "pending_call": PENDING_CALL,
    "living": LIVING,
    "aio_request_key": AIO_REQUEST_KEY,
    "ring_slot": RING_SLOT,
    "request_query": REQUEST_QUERY,
    "overflow_key": OVERFLOW_KEY,
    "overflow": OVERFLOW,
    "aggregate_key": AGGREGATE_KEY,
    "aggregate": AGGREGATE,
    "rule_key": RULE_KEY,
    "path_rule_key": PATH_RULE_KEY,
    "identified": IDENTIFIED,
    "judged": JUDGED,
    "file_query": FILE_QUERY,
    "elsewhere": ELSEWHERE,
    "ourselves": OURSELVES,
    "target_cgroup": TARGET_CGROUP,
    "identified_cgroup": IDENTIFIED_CGROUP,
    "file_key": FILE_KEY,
    "name_key": NAME_KEY,
    "file_entry": FILE_ENTRY,
    "process_key": PROCESS_KEY,
    "process_entry": PROCESS_ENTRY,
}
"""C structure to dtype, for the comparison at start."""
