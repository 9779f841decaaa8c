"""Files and tasks as the kernel defined them: records in, File and Task out.

Apart, because decoding is on demand: a definition is kept as it came, a third of the size, until a sink asks for it.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np

from filetap.capture.ancestors import Ancestors
from filetap.capture.mounts import Mounts
from filetap.capture.requested import Home, Request
from filetap.capture.users import Accounts
from filetap.core import wire
from filetap.core.batch import GROUPS, USERS, Credentials, File, Task
from filetap.core.constants import NEVER_SET
from filetap.core.wire import Records
from filetap.render import command_line

_CODES: Final = {"<u2": "H", "<u4": "I", "<u8": "Q", "|S16": "16s"}


def _reader(dtype: np.dtype) -> struct.Struct:
    fields = (dtype.fields or {}).values()
    return struct.Struct("<" + "".join(_CODES[field[0].str] for field in fields))


_HEAD: Final = struct.Struct("<HHII")
_FILE: Final = _reader(wire.FILE_DEFINITION)
_NAME: Final = _reader(wire.NAME_DEFINITION)
_TASK: Final = _reader(wire.TASK_DEFINITION)
_CGROUP: Final = _reader(wire.CGROUP_DEFINITION)
_FILE_NAMES: Final = tuple(wire.FILE_DEFINITION.names or ())
_ANON, _PIPEFS, _SOCKFS, _NSFS, _PIDFS, _DMA_BUF = 0x09041934, 0x50495045, 0x534F434B, 0x6E736673, 0x50494446, 0x444D4142
"""Magic numbers of file systems whose files are in no tree (linux/magic.h)."""


def components(record: bytes, without: int = 0) -> list[bytes]:
    """The names behind a definition, from the root down; the last bytes left out."""
    length = _HEAD.unpack_from(record)[3] - without
    return record[wire.DEFINITION_FIXED : wire.DEFINITION_FIXED + length].split(b"\0")[-2::-1]


def inside(record: bytes) -> bytes:
    """The path inside the file system, where it was asked for."""
    start = wire.DEFINITION_FIXED + _HEAD.unpack_from(record)[3] - file_record(record)["fs_path"]
    return b"/" + b"/".join(record[start:].split(b"\0")[-2::-1])


def file_record(record: bytes) -> dict[str, Any]:
    """The fixed part of a file's definition, by the names of wire.FILE_DEFINITION."""
    return dict(zip(_FILE_NAMES, _FILE.unpack_from(record), strict=True))


def text(field: bytes) -> bytes:
    """A fixed field up to its first NUL."""
    return field.partition(b"\0")[0]


def decode_file(record: bytes) -> File:
    row = file_record(record)
    path = _path(components(record, row["fs_path"]), row["flags"], row["inode"], row["magic"])
    return File(
        id=row["id"],
        path=path,
        resolved=bool(path),
        inode=row["inode"],
        device=row["device"],
        subvolume=row["subvolume"],
        generation=row["generation"],
        mode=0 if row["magic"] == _ANON else row["mode"],  # they have a type since v6.15, but not in stat(2)
        size=row["size"],
        filesystem=text(row["filesystem"]),
        mount=row["mount"],
        mount_namespace=row["mount_namespace"],
        real_inode=row["real_inode"],
        real_device=row["real_device"],
        truncated=bool(row["flags"] & wire.TRUNCATED),
        deleted=bool(row["flags"] & wire.DELETED) or (bool(row["flags"] & wire.NO_TREE) and row["magic"] not in _NAMES),
        raced=bool(row["flags"] & wire.RACED),
    )


_NAMES: Final[dict[int, bytes]] = {
    _ANON: b"anon_inode:%(name)b",
    _PIPEFS: b"pipe:[%(inode)d]",
    _SOCKFS: b"socket:[%(inode)d]",
    _NSFS: b"%(name)b:[%(inode)d]",
    _PIDFS: b"anon_inode:[pidfd]",
    _DMA_BUF: b"/dmabuf:%(name)b",
}
"""How the file systems' d_dname functions call their files. The others' is simple_dname, and says " (deleted)" behind them."""


def _path(names: list[bytes], flags: int, inode: int, magic: int) -> bytes:
    """As /proc/PID/fd shows it (fs/d_path.c). Empty: no path is known."""
    if flags & wire.NO_PATH:
        return b""
    if flags & wire.NO_TREE and magic in _NAMES:
        return _NAMES[magic] % {b"name": b"/".join(names), b"inode": inode}
    return b"/" + b"/".join(name for name in names if name != b"/")


def _behind(record: bytes, ids: Mapping[str, int]) -> tuple[tuple[int, ...], bytes]:
    """What stands behind a task: its groups, as many as were kept, and its arguments."""
    count = min(ids["groups"], wire.MAX_GROUPS)
    start = wire.DEFINITION_FIXED + 4 * count
    return struct.unpack_from(f"<{count}I", record, wire.DEFINITION_FIXED), record[start : wire.DEFINITION_FIXED + ids["length"]]


Arguments = Callable[[int, int], tuple[tuple[bytes, ...], bool] | None]
"""Of a process by pid and start."""


def no_arguments(_pid: int, _start: int) -> None:
    """They were not asked for."""
    return


Aggregated = Callable[[str], set[int]]
"""The ids that folds name, of "file" or "task": they are told at the end, so what they name must be known until then."""


def none_aggregated(_kind: str) -> set[int]:
    return set()


class Files(Mapping[int, File]):
    """Id to File. Holds ``limit`` of the kernel's definitions, those given up for a while longer, those that folds name to
    the end; decodes when asked."""

    DECODED: Final = 8192
    """Files kept as decoded: what sinks ask for again and again."""
    GRACE: Final = 2.0
    """Seconds that an id outlives its end in the kernel: an event that names it may be under way."""

    def __init__(
        self,
        limit: int,
        mounts: Mounts | None = None,
        now: Callable[[], float] = time.monotonic,
        aggregated: Aggregated = none_aggregated,
    ) -> None:
        """``mounts``: where to find the host's paths of files, when they are wanted."""
        self.limit, self._mounts, self._now, self._aggregated = limit, mounts, now, aggregated
        self._records: dict[int, bytes] = {}
        self._kept: dict[int, bytes] = {}
        self._given_up: deque[tuple[float, dict[int, bytes]]] = deque()
        self.made: dict[int, File] = {}
        """Those that are no definition of the kernel's."""
        self._decoded: dict[int, File] = {}

    def __getitem__(self, number: int) -> File:
        file = self.made.get(number) or self._decoded.get(number)
        if file is None:
            file = self._decode(self._record(number))
            if len(self._decoded) >= self.DECODED:
                self._decoded.clear()
            self._decoded[number] = file
        return file

    def _decode(self, record: bytes) -> File:
        file = decode_file(record)
        return replace(file, host_path=self._mounts.path(file.device, inside(record))) if self._mounts else file

    def _record(self, number: int) -> bytes:
        for records in self._tables():
            if number in records:
                return records[number]
        raise KeyError(number)

    def _tables(self) -> Iterator[dict[int, bytes]]:
        """The kernel's definitions, wherever they are by now."""
        yield self._records
        yield from (records for _, records in self._given_up)
        yield self._kept

    def __iter__(self) -> Iterator[int]:
        yield from self.made
        for records in self._tables():
            yield from records

    def __len__(self) -> int:
        return len(self.made) + sum(map(len, self._tables()))

    def __contains__(self, number: object) -> bool:
        return number in self.made or any(number in records for records in self._tables())

    def path(self, number: int) -> bytes:
        """The path of a file, empty for an unknown id."""
        return self[number].path if number in self else b""

    def define(self, number: int, record: bytes) -> None:
        self._records[number] = record

    def add(self, file: File) -> None:
        """A file that is no definition of the kernel's."""
        self.made[file.id] = file

    def forget(self, number: int) -> None:
        """A file that ``add`` brought."""
        self.made.pop(number, None)

    def evict(self) -> Records:
        """Once there are more than ``limit``: the older ones but for half of it, as keys of the kernel's cache, from which
        they are to go."""
        now = self._now()
        while self._given_up and self._given_up[0][0] < now:
            self._let_go(self._given_up.popleft()[1])
        if len(self._records) <= self.limit:
            return np.zeros(0, wire.FILE_KEY)
        many = len(self._records) - self.limit // 2
        half = {number: self._records.pop(number) for number in list(islice(self._records, many))}
        self._given_up.append((now + self.GRACE, half))
        return np.array([self._key(record) for record in half.values()], wire.FILE_KEY)

    def _let_go(self, records: dict[int, bytes]) -> None:
        aggregated = self._aggregated("file")
        self._kept |= {number: record for number, record in records.items() if number in aggregated}
        for number in records:
            self._decoded.pop(number, None)

    @staticmethod
    def _key(record: bytes) -> tuple[int, ...]:
        row = file_record(record)
        return row["inode"], row["key_dentry"], row["key_mount"], row["key_name"], row["key_origin"], row["generation"], row["sequence"]


class Given(NamedTuple):
    """A name as its caller gave it."""

    directory: int
    """The id of what it starts from."""
    root: int
    name: bytes


class Definitions:
    """Both tables, kept from the records of the definitions ring."""

    GRACE: Final = 2
    """Drains that an id outlives its end: an event that names it may be under way."""

    PAST: Final = 16384
    """Tasks and names of one event that have ended and stay known."""

    def __init__(
        self,
        file_limit: int,
        name_limit: int,
        *,
        mounts: Mounts | None = None,
        aggregated: Aggregated = none_aggregated,
        accounts: Accounts | None = None,
        ancestors: Ancestors | None = None,
        arguments: Arguments = no_arguments,
    ) -> None:
        """``accounts``: who names users and groups. ``arguments``: of a process of which the kernel could not read them."""
        self.files = Files(file_limit, mounts, aggregated=aggregated)
        self._aggregated, self._accounts, self._arguments = aggregated, accounts, arguments
        self.ancestors = ancestors or Ancestors(set)
        self._names: dict[int, tuple[int, int, bytes]] = {}
        self.given: dict[int, Given] = {}
        """Of each name; where there are PATHs."""
        self.home: Home | None = None
        """Where PATHs are meant, when there are any."""
        self._name_limit = name_limit
        self.tasks: dict[int, Task] = {}
        self.processes = 0
        self._cgroups: dict[int, bytes] = {}
        self._ending: deque[tuple[int, int]] = deque()
        self._past: deque[int] = deque()
        self._lent: list[int] = []
        self._drain = 0
        self._pids: set[tuple[int, int]] = set()

    def apply(self, record: bytes) -> None:
        """One record of the definitions ring."""
        kind, _, number, _ = _HEAD.unpack_from(record)
        if kind == wire.DEFINE_FILE:
            self.files.define(number, record)
        elif kind == wire.DEFINE_NAME:
            self._name(number, record)
        elif kind == wire.DEFINE_TASK:
            self._task(number, record)
        elif kind == wire.DEFINE_CGROUP:
            self._cgroups[_CGROUP.unpack_from(record)[5]] = b"/" + b"/".join(n for n in components(record) if n)
        elif kind == wire.DEFINE_RETIRE:
            self._ending.append((self._drain, number))

    def _name(self, number: int, record: bytes) -> None:
        """A name as the caller gave it."""
        _, flags, _, length, _, directory, root, key, _ = _NAME.unpack_from(record)
        given = record[wire.DEFINITION_FIXED : wire.DEFINITION_FIXED + length]
        file = Request(given, flags, self.files.get(directory), self.files.get(root)).file(number, self.home)
        if self.home:
            self.given[number] = Given(directory, root, text(given))
        if flags & wire.ONCE:
            self.adopt(file)
        else:
            self.files.add(file)
            self._names[number] = (directory, key, text(given))

    def _task(self, number: int, record: bytes) -> None:
        values = _TASK.unpack_from(record)
        ids = dict(zip(_TASK_NAMES, values, strict=True))
        groups, arguments = _behind(record, ids)
        ancestor = bool(values[1] & wire.ANCESTOR)
        task = Task(
            id=number,
            comm=text(ids["comm"]),
            thread=text(ids["thread"]),
            exe=self.files.path(ids["exe"]),
            root=self.files.path(ids["root"]) or b"/",
            cgroup_path=self._cgroups.get(ids["cgroup"], b""),
            args=command_line.split(arguments) if arguments else None,
            args_truncated=bool(values[1] & wire.TRUNCATED),
            ancestor=ancestor,
            adopted=bool(values[1] & wire.ADOPTED),
            ancestors=() if ancestor else self.ancestors.above(ids["parent"]),
            credentials=self._credentials(ids, groups),
            **{name: ids[name] for name in _TASK_PLAIN},
        )
        task = task if task.args else self._with_arguments(task)
        if ancestor:
            self.ancestors.add(task)
            return
        self.tasks[number] = task
        if (task.pid, task.start) not in self._pids:
            self.processes += 1
            self._remember(task.pid, task.start)

    def _with_arguments(self, task: Task) -> Task:
        found = self._arguments(task.pid, task.start)
        return replace(task, args=found[0], args_truncated=found[1], args_late=True) if found else task

    def _credentials(self, ids: Mapping[str, int], groups: tuple[int, ...]) -> Credentials:
        numbers: dict[str, Any] = {name: ids[name] for name in (*USERS.values(), *GROUPS.values())}
        if numbers["loginuid"] == NEVER_SET:
            del numbers["loginuid"]
        made = Credentials(**numbers, groups=groups, groups_truncated=ids["groups"] > len(groups))
        return self._accounts.named(made, self.files.get(ids["root"])) if self._accounts else made

    def adopt(self, made: File) -> None:
        """A name for one event, which may be under way yet."""
        self.files.add(made)
        self._ending.append((self._drain, -made.id))

    def add_temporary(self, made: File | Task) -> None:
        """A file or task that the reader made for one event, until ``drop_temporary``."""
        if isinstance(made, Task):
            self.tasks[made.id] = made
        else:
            self.files.add(made)
        self._lent.append(made.id)

    def drop_temporary(self) -> None:
        """The events that what was lent was for are with the sinks."""
        for number in self._lent:
            self.files.forget(number)
            self.tasks.pop(number, None)
        self._lent.clear()

    def evict(self) -> tuple[Records, Records]:
        """Once there are too many: the older half of the files, and of the names, as keys of the kernel's tables."""
        return self.files.evict(), self._evict_names()

    def _evict_names(self) -> Records:
        if len(self._names) <= self._name_limit:
            return np.zeros(0, wire.NAME_KEY)
        many = len(self._names) - self._name_limit // 2
        half = {number: self._names.pop(number) for number in list(islice(self._names, many))}
        self._ending.extend((self._drain, -number) for number in half)
        return np.array(list(half.values()), wire.NAME_KEY)

    def _remember(self, pid: int, start: int) -> None:
        """Processes are counted once; a set of the last ones is enough, for a pid is not used again so soon."""
        if len(self._pids) > 65536:
            self._pids.clear()
        self._pids.add((pid, start))

    def end_drain(self) -> None:
        """Everything read so far is with the sinks: what has ended may be forgotten."""
        self._drain += 1
        self.ancestors.tidy()
        while self._ending and self._ending[0][0] + self.GRACE < self._drain:
            self._past.append(self._ending.popleft()[1])
        if len(self._past) > self.PAST * 9 // 8:
            self._forget()

    def _forget(self) -> None:
        files, tasks = self._aggregated("file"), self._aggregated("task")
        while len(self._past) > self.PAST:
            number = self._past.popleft()
            if number < 0 and -number not in files:
                self.files.forget(-number)
                self.given.pop(-number, None)
            elif number > 0 and number not in tasks:
                self.tasks.pop(number, None)


_TASK_NAMES: Final = tuple(wire.TASK_DEFINITION.names or ())
_TASK_PLAIN: Final = (
    "pid tid namespace_pid ppid parent forker start execs cgroup pid_namespace mount_namespace user_namespace cgroup_namespace"
).split()
