"""The registry of columns: each is declared here once, and recordings, JSON, tables, SQL and the documents are made from it.

Separate, because adding a column is one declaration here: a value of a file, of a task or of an event. Plain data that imports
nothing heavy. What the kernel sends has its own declaration (core/wire.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, Literal

from filetap.core import command_line, constants
from filetap.core.calls import BYTE_OPS, OPS

USERS: Final = {"user": "euid", "real_user": "uid", "saved_user": "suid", "fs_user": "fsuid", "audit_user": "loginuid"}
"""The names of ECS, for the kernel's ids of a user."""
GROUPS: Final = {"group": "egid", "real_group": "gid", "saved_group": "sgid", "fs_group": "fsgid"}

Version = tuple[int, int]
Owner = Literal["event", "file", "task", "sum", "view"]
FIRST_VERSION: Final = (1, 0)
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

TYPES: Final = {
    "exact": "text, and its exact bytes in a second column if it is not UTF-8",
    "name": "text with few different values",
    "string": "text",
    "bool": "boolean",
    "int32": "integer",
    "uint32": "integer",
    "int64": "integer",
    "uint64": "integer",
    "time": "moment, ns",
    "list": "list of byte strings",
    "numbers": "list of integers",
    "texts": "list of text",
}
"""The types of values in a recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One value of each event, file or task."""

    name: str
    """In recordings."""
    of: Owner
    """Whose value it is. sum: of aggregated events. view: computed in SQL from other columns, and stored nowhere."""
    type: str
    """One of TYPES."""
    meaning: str = ""
    """For the documents."""
    unit: str = ""
    source: str = ""
    """Where the value comes from, if that is not the structure of the kernel that the meaning names."""
    json: str = ""
    """The field of JSON, such as ``container.name``; empty: it is in no JSON. What is not known is left out."""
    heading: str = ""
    """Of its column in tables; empty: there is none. Only for values of tasks."""
    view: str = ""
    """The column of the SQL view ``events``; empty: it is only in the table of its owner."""
    sql: str = ""
    """Its expression there, with e for the event, f for its file, t for its second file, k for its task; default: the column
    ``name`` of its owner."""
    since: Version = FIRST_VERSION
    """The first version of the format of recordings that has it. In older recordings it is null."""
    part: str = ""
    """The attribute of a File or Task that has the value, if many of them share it: its JSON is made once for each distinct one."""
    value: Callable[[Any], Any] | None = None
    """Returns the value of a File or Task, or of its part; default: the attribute ``name``. None: it is not known."""
    shown: Callable[[Any], Any] | None = None
    """Returns the value in JSON; None: the field is left out. Default: ``value``, unless it is empty, 0 or False."""
    above: bool = False
    """JSON has it also in ``process.parent`` and ``process.ancestors``."""
    added: bool = False
    """A stage adds it: the value is in the ``added`` of a File or Task."""

    @property
    def recorded(self) -> Callable[[Any], Any]:
        """Return a function of a File or Task: the value as recordings have it."""
        if not self.part:
            return self._own
        own, part = self._own, attrgetter(self.part)
        return lambda item: own(part(item))

    @property
    def getter(self) -> Callable[[Any], Any]:
        """Return a function of what has the value, a File, a Task or its part: the value in JSON."""
        return self.shown or self._own

    @property
    def _own(self) -> Callable[[Any], Any]:
        if self.added:
            return lambda item: item.added and item.added.get(self.name)
        return self.value or attrgetter(self.name)

    @property
    def expression(self) -> str:
        """Return the SQL of its value in the view."""
        return self.sql or f'{ALIASES[self.of]}."{self.name}"'


ALIASES: Final = {"event": "e", "file": "f", "task": "k"}
"""Of the tables of owners, in the SQL of the view."""


def _declared(of: Owner, text: str, *, above: str = "", part: Mapping[str, str] = NOTHING, **more: Mapping[str, Any]) -> tuple[Column, ...]:
    """Return columns from lines of ``name | type | since | unit | view | json | meaning``. ``above``: names; ``part``: names by
    part; ``more``: the values of another attribute by name."""
    parts = {name: part for part, names in part.items() for name in names.split()}
    found = []
    for line in text.strip().splitlines():
        name, kind, since, unit, view, json, meaning = (word.strip() for word in line.split("|", 6))
        version = _version(since) if since else FIRST_VERSION
        rest = {attribute: values[name] for attribute, values in more.items() if name in values}
        one = Column(name=name, of=of, type=kind, since=version, unit=unit, view=view, json=json, meaning=meaning)
        found.append(replace(one, above=name in above.split(), part=parts.get(name, ""), **rest))
    return tuple(found)


def _version(text: str) -> Version:
    major, minor = text.split(".")
    return int(major), int(minor)


EVENT_COLUMNS: Final = _declared(
    "event",
    """
    ts            | time   |  | | ts | @timestamp | moment of return (in SQL a TIMESTAMPTZ, µs)
    realtime      | int64  |  | ns |  |  | `ts - realtime` is CLOCK_BOOTTIME, which never jumps
    op            | name   |  |  | op | event.action | the operation: read, open, rename, ... (docs/events.md)
    call          | name   |  |  | call | event.call | the system call, io_uring operation or kernel hook: pread64, openat, ...
    task          | uint32 |  |  | task |  | `tasks.id`
    file          | uint32 |  |  | file |  | `files.id`
    target        | uint32 |  |  | target |  | `files.id` of the second file: the new name, the destination
    tid           | uint32 |  |  | tid | thread.id | thread
    fd            | int32  |  |  | fd | io.fd | descriptor
    open_id       | uint32 |  |  | open_id | io.open_id | number of the open file description: descriptors that share it have the same one
    offset        | int64  |  | bytes | offset | io.offset | start position in the file
    size          | uint64 |  | bytes | size | io.size | requested by the call
    result        | int64  |  |  | result | io.result | return value of the call; negative: the number of the error
    duration      | int64  |  | ns | duration | event.duration | time from the begin to the end of the call
    target_fd     | int32  |  |  | target_fd | io.target_fd | descriptor of the destination of a copy
    target_offset | int64  |  | bytes | target_offset | io.target_offset | start position in the second file of a copy
    address       | uint64 |  |  | address | io.address | address in memory
    arguments     | name   |  |  | arguments |  | other arguments of the call, as JSON: flags, mode, owner, ...
    event_flags   | uint32 |  |  |  |  | flags as in bpf/event.h
    raw_arg0      | uint64 |  |  |  |  | for `filetap replay`: a word of the kernel's event that no other column has
    raw_arg1      | uint64 |  |  |  |  | another one
    raw_arg2      | uint64 |  |  |  |  | another one
    raw_arg3      | uint64 |  |  |  |  | another one
    """,
    sql={"ts": "make_timestamptz(epoch_ns(e.ts) // 1000)"},
)
"""One row for each event. Null: there is none, or it is not known."""

FILE_COLUMNS: Final = _declared(
    "file",
    """
    id              | uint32 |     |  |  |  | one file under one path
    path            | exact  |     |  | path | file.path | absolute, as the kernel resolved it; null: not known, or there is no file
    resolved        | bool   |     |  | resolved | file.resolved | false: `path` is the name that the caller gave, not resolved
    inode           | uint64 |     |  | inode | file.inode | the inode's number
    device          | string |     |  | device | file.device | major:minor, the kernel's `s_dev`
    subvolume       | uint64 |     |  |  |  | btrfs: the subvolume
    generation      | uint32 |     |  |  |  | of the inode
    type            | name   |     |  | type | file.type | file, directory, symlink, pipe, socket, char, block, anon
    mode            | uint32 |     |  |  |  | st_mode
    size            | uint64 |     | bytes |  |  | when the file was described
    filesystem      | string |     |  | filesystem | file.filesystem | ext4, tmpfs, ...
    mount           | uint32 |     |  |  |  | id of the mount
    mount_namespace | uint32 |     |  |  |  | the mount's namespace
    host_path       | exact  |     |  |  | file.host_path | `--host-paths`: the path in filetap's own mount namespace
    real_inode      | uint64 |     |  |  | file.real.inode | overlayfs: the inode in the layer below
    real_device     | string |     |  |  | file.real.device | overlayfs: the device of the layer below
    truncated       | bool   |     |  |  | file.truncated | the path was too long and was cut
    deleted         | bool   |     |  | deleted | file.deleted | it no longer had a name
    raced           | bool   |     |  |  | file.raced | it was renamed while its path was resolved
    requested       | exact  | 1.1 |  | requested | file.requested | the name that the caller gave, if `path` is null or may be wrong
    later           | bool   | 1.1 |  | resolved_later | file.resolved_later | true: `path` is where `requested` led right after the call
    """,
    sql={"inode": "nullif(f.inode, 0)", "later": "coalesce(f.later, false)"},
    value={
        "device": lambda file: constants.device(file.device) if file.device else None,
        "real_device": lambda file: constants.device(file.real_device) if file.real_device else None,
        "type": lambda file: constants.file_type(file.mode) if file.resolved or file.mode else None,
        "mode": lambda file: file.mode if file.resolved or file.mode else None,  # anonymous inodes have the mode 0
        "filesystem": lambda file: file.filesystem.decode(errors="replace") or None,
    },
    shown={
        "resolved": lambda file: None if file.resolved else False,
        "filesystem": lambda file: file.filesystem or None,
        "inode": lambda file: str(file.inode) if file.inode else None,
        "real_inode": lambda file: str(file.real_inode) if file.real_inode else None,
        "real_device": lambda file: constants.device(file.real_device) if file.real_inode else None,
    },
)
"""Referred to by events as ``file`` and ``target``: one file under one path."""

_IDS: Final = (*USERS.values(), *GROUPS.values())
_NAMES: Final = tuple(f"{word}_name" for word in (*USERS, *GROUPS))
_UNLESS_EFFECTIVE: Final = {
    word: effective for effective, words in (("euid", "suid fsuid"), ("egid", "sgid fsgid")) for word in words.split()
}
"""Ids that JSON has only if they differ from the effective one."""


def _name(credentials: Any, name: str) -> str | None:
    return getattr(credentials, name) or None


def _id_shown(credentials: Any, name: str) -> int | None:
    number: int | None = getattr(credentials, name)
    effective = _UNLESS_EFFECTIVE.get(name)
    return None if effective and number == getattr(credentials, effective) else number


def _name_shown(credentials: Any, name: str, number: str) -> str | None:
    return None if _id_shown(credentials, number) is None else _name(credentials, name)


def _groups_shown(credentials: Any) -> list[dict[str, Any]] | None:
    names = credentials.group_names or repeat("")
    rows = zip(credentials.groups or (), names, strict=False)
    return [{"id": number, "name": name} if name else {"id": number} for number, name in rows] or None


def _command_line(task: Any) -> bytes | None:
    return command_line.join(task.args) if task.args is not None else None


TASK_COLUMNS: Final = _declared(
    "task",
    """
    id               | uint32  |     |  |  |  | one state of a thread; with another name, user or cgroup it gets another id
    pid              | uint32  |     |  | pid | process.pid | process
    command          | exact   |     |  | command | process.name | the process's name (comm)
    exe              | exact   |     |  | exe | process.executable.path | the program
    ppid             | uint32  |     |  | ppid |  | pid of its parent when it was described
    parent           | uint32  |     |  |  |  | `tasks.id` of its parent process; no such row: not known; null: none
    forker           | uint32  | 1.1 |  |  |  | `tasks.id` of the task that forked it; null: not traced
    adopted          | bool    | 1.1 |  | adopted | process.parent.adopted | the parent adopted the process, another one forked it
    ancestor         | bool    | 1.1 |  |  |  | it is here only as an ancestor of other tasks; no event refers to it
    tid              | uint32  |     |  |  |  | thread
    thread           | exact   |     |  |  | thread.name | the thread's own name
    namespace_pid    | uint32  |     |  |  |  | the process in its own pid namespace
    start            | int64   |     | ns |  |  | its begin on CLOCK_BOOTTIME
    execs            | uint32  |     |  |  |  | execs, its own and those of its ancestors before they forked it (`self_exec_id`)
    euid             | uint32  |     |  | euid | process.user.id | effective user id: the user that it acts as; all ids are the host's
    user_name        | string  | 1.1 |  | user_name | process.user.name | name of `euid` in the host's user database; null: not known
    uid              | uint32  |     |  | uid | process.real_user.id | real user id: the user that started it
    real_user_name   | string  | 1.1 |  | real_user_name | process.real_user.name | name of `uid`
    suid             | uint32  | 1.1 |  |  | process.saved_user.id | saved user id
    saved_user_name  | string  | 1.1 |  |  | process.saved_user.name | name of `suid`
    fsuid            | uint32  |     |  |  | process.fs_user.id | user id for file access: the effective one, but for setfsuid(2)
    fs_user_name     | string  | 1.1 |  |  | process.fs_user.name | name of `fsuid`
    loginuid         | uint32  |     |  | loginuid | process.audit_user.id | of the user who logged in, kept through su and sudo; null: none
    audit_user_name  | string  | 1.1 |  | audit_user_name | process.audit_user.name | name of `loginuid`
    egid             | uint32  | 1.1 |  | egid | process.group.id | effective group id
    group_name       | string  | 1.1 |  | group_name | process.group.name | name of `egid`
    gid              | uint32  |     |  | gid | process.real_group.id | real group id
    real_group_name  | string  | 1.1 |  | real_group_name | process.real_group.name | name of `gid`
    sgid             | uint32  | 1.1 |  |  | process.saved_group.id | saved group id
    saved_group_name | string  | 1.1 |  |  | process.saved_group.name | name of `sgid`
    fsgid            | uint32  | 1.1 |  |  | process.fs_group.id | group id for file access
    fs_group_name    | string  | 1.1 |  |  | process.fs_group.name | name of `fsgid`
    groups           | numbers | 1.1 |  | groups | process.supplemental_groups | supplementary groups, 256 at most
    group_names      | texts   | 1.1 |  | group_names |  | names of `groups`, "" for an unknown one; null: none is known
    groups_truncated | bool    | 1.1 |  |  | process.supplemental_groups_truncated | there were more
    root             | exact   |     |  |  | process.root | its root directory; in a chroot not /
    args             | list    |     |  | args | process.args | `--args`: the command's arguments, exact bytes
    command_line     | exact   | 1.1 |  | command_line | process.command_line | the same on one line, quoted for a shell
    args_truncated   | bool    |     |  |  | process.args_truncated | there were more or longer ones
    args_late        | bool    | 1.1 |  |  | process.args_late | they were read from /proc a moment later
    cgroup           | uint64  |     |  | cgroup_id | cgroup.id | id of the cgroup: inode of its directory
    cgroup_path      | exact   |     |  | cgroup | cgroup.path | path of the cgroup
    pid_namespace    | uint32  |     |  |  |  | inode of the namespace
    mount_namespace  | uint32  |     |  |  |  | inode of the namespace
    user_namespace   | uint32  |     |  |  |  | inode of the namespace
    cgroup_namespace | uint32  |     |  |  |  | inode of the namespace
    """,
    above="pid command exe command_line args_truncated args_late",
    part={"credentials": " ".join((*_IDS, *_NAMES, "groups group_names groups_truncated"))},
    value={
        "command": lambda task: task.comm,
        "parent": lambda task: task.parent or None,
        "forker": lambda task: task.forker or None,
        "command_line": _command_line,
        **{name: partial(_name, name=name) for name in _NAMES},
    },
    shown={
        "pid": lambda task: task.pid,
        "command": lambda task: task.comm,
        "thread": lambda task: task.thread if task.thread not in (b"", task.comm) else None,
        "root": lambda task: task.root if task.root != b"/" else None,
        "args": lambda task: task.args,
        "command_line": _command_line,
        "groups": _groups_shown,
        "cgroup": lambda task: str(task.cgroup) if task.cgroup else None,
        "cgroup_path": lambda task: (task.cgroup and task.cgroup_path) or None,
        **{name: partial(_id_shown, name=name) for name in _IDS},
        **{name: partial(_name_shown, name=name, number=number) for name, number in zip(_NAMES, _IDS, strict=True)},
    },
)
"""Referred to by events as ``task``: one thread during one period. Also the ancestor processes of these."""

SUM_COLUMNS: Final = _declared(
    "sum",
    """
    task  | uint32 |  |  |  |  | `tasks.id`
    file  | uint32 |  |  |  |  | `files.id`
    op    | name   |  |  |  |  | the operation
    pid   | uint32 |  |  |  |  | process
    count | uint64 |  |  |  |  | events
    bytes | uint64 |  | bytes |  |  | that these events moved
    first | time   |  | ns |  |  | moment of the first event
    last  | time   |  | ns |  |  | moment of the last event
    """,
    value={"op": lambda row: OPS[row.op]},
)
"""Events that did not fit in the ring, summed by task, file and op."""

MOVES: Final = f"e.op IN ({', '.join(map(repr, BYTE_OPS))})"
BYTES: Final = f"CASE WHEN {MOVES} AND e.result > 0 THEN e.result ELSE 0 END"
"""SQL of the bytes that reads, writes and copies returned."""
FLAGS: Final = "nullif(array_to_string(json_extract_string(e.arguments, '$.flags[*]'), '|'), '')"

VIEW_COLUMNS: Final = _declared(
    "view",
    """
    target_path         | exact  |  |  | target_path |  | the second file of an operation on two files
    target_device       | string |  |  | target_device |  | device of the second file
    target_inode        | uint64 |  |  | target_inode |  | inode of the second file
    parent_pid          | uint32 |  |  | parent_pid |  | parent: the process that forked it, or that adopted it after that one ended
    parent_command      | exact  |  |  | parent_command |  | name of the parent
    parent_exe          | exact  |  |  | parent_exe |  | its executable
    parent_command_line | exact  |  |  | parent_command_line |  | `--args`: its arguments
    error               | string |  |  | error |  | name of the error: ENOENT
    flags               | string |  |  | flags |  | such as O_RDONLY\\|O_CLOEXEC
    bytes               | int64  |  | bytes | bytes |  | that a read, write or copy moved, else 0
    ts_ns               | int64  |  | ns | ts_ns |  | moment of return since 1970, exact (`ts` is a TIMESTAMPTZ, which has µs)
    label               | name   |  |  | label |  | the trace's name, `traces.label`: that of its folder without `.tap`
    trace               | name   |  |  | trace |  | the trace's uuid, `traces.trace`: ids mean something within one trace
    node                | name   |  |  | node |  | name of the machine
    boot                | name   |  |  | boot |  | its boot id
    """,
    sql={
        "target_path": "t.path",
        "target_device": "t.device",
        "target_inode": "nullif(t.inode, 0)",
        **{f"parent_{name}": f"k.parent_{name}" for name in ("pid", "command", "exe", "command_line")},
        "error": "CASE WHEN e.result < 0 THEN errno_name(e.result) END",
        "flags": FLAGS,
        "bytes": BYTES,
        "ts_ns": "epoch_ns(e.ts)",
        **{name: f"e.{name}" for name in ("label", "trace", "node", "boot")},
    },
)
"""Columns of the SQL view that are computed there."""

COLUMNS: Final = [*EVENT_COLUMNS, *FILE_COLUMNS, *TASK_COLUMNS, *SUM_COLUMNS, *VIEW_COLUMNS]
"""All columns, in the order of recordings. A new one is appended."""


def of(owner: Owner) -> list[Column]:
    """Return the columns of an owner."""
    return [column for column in COLUMNS if column.of == owner]


def newest() -> Version:
    """Return the newest version of the format of recordings that a column needs."""
    return max(column.since for column in COLUMNS)


FIRST_IN_VIEW: Final = (
    "ts op call path target_path pid tid command exe args command_line parent_pid parent_command parent_exe parent_command_line "
    "adopted euid user_name uid real_user_name loginuid audit_user_name cgroup device inode offset size result error duration "
    "flags bytes fd open_id"
).split()
LAST_IN_VIEW: Final = "cgroup_id file target task ts_ns label trace node boot".split()


def in_view() -> list[Column]:
    """Return the columns of the SQL view: what most people look for first, ids last."""
    shown = {column.view: column for column in COLUMNS if column.view}
    first, last = ([shown.pop(name) for name in names] for names in (FIRST_IN_VIEW, LAST_IN_VIEW))
    return [*first, *shown.values(), *last]
