"""The tables of SQL queries: each column's expression, type and description; and the macros.

Plain data, separate from the connection: docs/querying.md shows it, a test compares.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from filetap.core.calls import BYTE_OPS
from filetap.core.errnos import ERRORS
from filetap.core.wire import AT_LEAST


class Column(NamedTuple):
    """Of the view ``events``. In ``sql``, e is the event, f its file, t its second file, k its task."""

    name: str
    sql: str
    meaning: str


def _text(name: str, sql: str, meaning: str) -> list[Column]:
    """Return a text column, and one with the exact bytes where they are not UTF-8."""
    return [Column(name, sql, meaning), Column(f"{name}_bytes", f"{sql}_bytes", f"exact bytes (BLOB), if `{name}` is not UTF-8")]


MOVES: Final = f"e.op IN ({', '.join(map(repr, BYTE_OPS))})"
BYTES: Final = f"CASE WHEN {MOVES} AND e.result > 0 THEN e.result ELSE 0 END"
"""The bytes that reads, writes and copies returned."""

EVENTS: Final = (
    Column(
        "ts",
        "make_timestamptz(epoch_ns(e.ts) // 1000)",
        "moment of return, µs (TIMESTAMPTZ): printed with its zone",
    ),
    Column("op", "e.op", "the operation: read, open, rename, ..."),
    Column("call", "e.call", "the exact call: pread64, openat, ..."),
    *_text("path", "f.path", "the file"),
    *_text("target_path", "t.path", "the second file of an operation on two files"),
    Column("pid", "k.pid", "process"),
    Column("tid", "e.tid", "thread"),
    *_text("command", "k.command", "the process's name"),
    *_text("exe", "k.exe", "its executable"),
    Column("args", "k.args", "with `--args`: its arguments, a list; bytes that are not UTF-8 are written as `\\xFF`"),
    *_text("command_line", "k.command_line", "the same on one line, quoted for a shell"),
    Column("parent_pid", "k.parent_pid", "parent: the process that forked it, or that adopted it after that one ended"),
    *_text("parent_command", "k.parent_command", "name of the parent"),
    *_text("parent_exe", "k.parent_exe", "its executable"),
    *_text("parent_command_line", "k.parent_command_line", "with `--args`: its arguments"),
    Column("adopted", "k.adopted", "true: the parent adopted the process, another one forked it"),
    Column("euid", "k.euid", "effective user id: the user that it acts as (`process.user`)"),
    Column("user_name", "k.user_name", "its name in the host's user database, if known"),
    Column("uid", "k.uid", "real user id: the user that started it"),
    Column("real_user_name", "k.real_user_name", "its name"),
    Column("loginuid", "k.loginuid", "id of the user who logged in, kept through su and sudo; null: never set"),
    Column("audit_user_name", "k.audit_user_name", "its name"),
    *_text("cgroup", "k.cgroup_path", "cgroup"),
    Column("device", "f.device", "device of the file, major:minor"),
    Column("inode", "nullif(f.inode, 0)", "the file's"),
    Column("offset", 'e."offset"', "position in the file, bytes"),
    Column("size", "e.size", "requested bytes"),
    Column("result", "e.result", "return value of the call; negative: it failed"),
    Column("error", "CASE WHEN e.result < 0 THEN errno_name(e.result) END", "name of the error: ENOENT"),
    Column("duration", "e.duration", "ns; null if not known"),
    Column("flags", "nullif(array_to_string(json_extract_string(e.arguments, '$.flags[*]'), '|'), '')", "such as O_RDONLY\\|O_CLOEXEC"),
    Column("bytes", BYTES, "bytes that a read, write or copy moved, else 0"),
    Column("fd", "e.fd", "descriptor"),
    Column("open_id", "e.open_id", "number of the open file description"),
    Column("target_fd", "e.target_fd", "descriptor of the destination of a copy"),
    Column("target_offset", "e.target_offset", "position in the second file"),
    Column("target_device", "t.device", "device of the second file"),
    Column("target_inode", "nullif(t.inode, 0)", "inode of the second file"),
    Column("address", "e.address", "address in memory"),
    Column("arguments", "e.arguments", "other arguments of the call, as JSON: flags, mode, owner, ..."),
    Column("type", "f.type", "type of the file: file, directory, pipe, ..."),
    Column("filesystem", "f.filesystem", "ext4, tmpfs, ..."),
    Column("resolved", "f.resolved", "false: the path is the name that the caller gave"),
    Column("resolved_later", "coalesce(f.later, false)", "true: `path` is where `requested` led right after the call"),
    *_text("requested", "f.requested", "the name that the caller gave, if `path` is missing or may be wrong"),
    Column("deleted", "f.deleted", "true: the file no longer had a name"),
    Column(
        "ppid",
        "k.ppid",
        "parent when described; with `--ancestors`, `parent_pid` may be an earlier one that has ended",
    ),
    Column("egid", "k.egid", "effective group id"),
    Column("group_name", "k.group_name", "its name"),
    Column("gid", "k.gid", "real group id"),
    Column("real_group_name", "k.real_group_name", "its name"),
    Column("groups", "k.groups", "supplementary groups, a list"),
    Column("group_names", "k.group_names", "their names, a list; null if none is known"),
    Column("cgroup_id", "k.cgroup", "id of the cgroup"),
    Column("file", "e.file", "`files.id`"),
    Column("target", "e.target", "`files.id` of the second file"),
    Column("task", "e.task", "`tasks.id`"),
    Column("ts_ns", "epoch_ns(e.ts)", "moment of return, ns since 1970, exact (BIGINT)"),
    Column("label", "e.label", "the trace's name, `traces.label`: that of its folder without `.tap`"),
    Column("trace", "e.trace", "the trace's uuid, `traces.trace`: ids mean something within one trace"),
    Column("node", "e.node", "name of the machine"),
    Column("boot", "e.boot", "its boot id"),
)

BEFORE: Final = f"e.event_flags & {AT_LEAST} != 0"
SO_FAR: Final = Column("duration", f"CASE WHEN NOT ({BEFORE}) THEN e.duration END", "ns since the call began; null if not known")
AT_LEAST_SO: Final = Column(
    "duration_min", f"CASE WHEN {BEFORE} THEN e.duration END", "ns since the call began, at least: it began before tracing did"
)
PENDING: Final = (*(SO_FAR if column.name == "duration" else column for column in EVENTS), AT_LEAST_SO)
"""Of the view ``pending``; e is the pending call."""

FILE_COLUMNS: Final = "id path path_bytes device inode type filesystem resolved later requested requested_bytes deleted".split()
TASK_COLUMNS: Final = (
    "id pid ppid command command_bytes exe exe_bytes command_line command_line_bytes adopted "
    "euid user_name uid real_user_name loginuid audit_user_name egid group_name gid real_group_name groups group_names "
    "cgroup cgroup_path cgroup_path_bytes start"
).split()
PARENT_COLUMNS: Final = "command command_bytes exe exe_bytes command_line command_line_bytes".split()
"""Columns of the other tables that ``events`` needs."""

_ERRNO: Final = ", ".join(f"{number}: '{name}'" for number, name in sorted(ERRORS.items()))
_DIRECTORY: Final = "nullif(regexp_replace(path, '/[^/]*$', ''), '')"

MACROS: Final = {
    "seconds(ns)": ("(ns / 1e9)", "a duration in seconds"),
    "ms(ns)": ("(ns / 1e6)", "a duration in milliseconds"),
    "us(ns)": ("(ns / 1e3)", "a duration in microseconds"),
    "since(age)": (
        "make_timestamptz(((SELECT max(epoch_ns(ts)) FROM recorded.events) - epoch_ns(CAST(age AS INTERVAL))) // 1000)",
        "the time this long before the last event: `ts >= since('5 minutes')`",
    ),
    "every(width, ts)": (
        "make_timestamptz(epoch_ns(ts) // epoch_ns(CAST(width AS INTERVAL)) * epoch_ns(CAST(width AS INTERVAL)) // 1000)",
        "the start of the interval that contains a time, counted from 1970: `every('1 second', ts)`",
    ),
    "errno_name(result)": (
        f"coalesce(MAP {{{_ERRNO}}}[CASE WHEN result BETWEEN -4095 AND 4095 THEN abs(result)::INTEGER END], ltrim(result::VARCHAR, '-'))",
        "name of an error number: ENOENT for -2 or 2",
    ),
    "directory(path)": (f"CASE WHEN starts_with(path, '/') THEN coalesce({_DIRECTORY}, '/') END", "the directory of a path"),
    "basename(path)": ("regexp_extract(path, '[^/]*$')", "the last component of a path"),
    "exact(name, name_bytes)": ("coalesce(name_bytes, encode(name))", "the exact bytes of a name"),
}
"""By call: SQL and meaning."""
