"""The registry of files, names, tasks and cgroups, filled from the records of the definitions ring.

Separate, because it decides how long an id stays known: decode.py reads the records, files.py is the table of files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final, NamedTuple

import numpy as np

from filetap.capture import decode
from filetap.capture.ancestors import Ancestors
from filetap.capture.files import Aggregated, Files, none_aggregated
from filetap.capture.requested import Home, Request
from filetap.core import command_line, wire
from filetap.core.batch import Credentials, File, Task
from filetap.core.columns import GROUPS, USERS
from filetap.core.constants import NEVER_SET
from filetap.core.wire import Records

_TASK_PLAIN: Final = (
    "pid tid namespace_pid ppid parent forker start execs cgroup pid_namespace mount_namespace user_namespace cgroup_namespace"
).split()

Arguments = Callable[[int, int], tuple[tuple[bytes, ...], bool] | None]
"""Returns the arguments of a process, by pid and start."""


def no_arguments(_pid: int, _start: int) -> None:
    """Return None: arguments were not requested."""
    return


class Given(NamedTuple):
    """A name as the caller wrote it."""

    directory: int
    """The id of the directory it starts from."""
    root: int
    name: bytes


class Definitions:
    """Both tables, filled from the records of the definitions ring."""

    GRACE: Final = 2
    """Drains for which an id stays known after its end: an event that refers to it may still be in a ring."""

    PAST: Final = 16384
    """The number of tasks, and of names of one event, that stay known after their end."""

    def __init__(
        self,
        file_limit: int,
        name_limit: int,
        *,
        aggregated: Aggregated = none_aggregated,
        inner_paths: bool = False,
        is_own_root: Callable[[File], bool] = lambda root: False,
        ancestors: Ancestors | None = None,
        arguments: Arguments = no_arguments,
    ) -> None:
        """``inner_paths``: as of Files. ``is_own_root``: of the root directory of a task. ``arguments``: returns those of a process
        whose arguments the kernel could not read."""
        self.files = Files(file_limit, inner_paths, aggregated=aggregated)
        self._aggregated, self._is_own_root, self._arguments = aggregated, is_own_root, arguments
        self.ancestors = ancestors or Ancestors(set)
        self._names: dict[int, tuple[int, int, bytes]] = {}
        self.given: dict[int, Given] = {}
        """Requested names by id; only if there are PATHs."""
        self.home: Home | None = None
        """The namespace and root that PATHs refer to, if there are any."""
        self._name_limit = name_limit
        self.tasks: dict[int, Task] = {}
        self.processes = 0
        self._cgroups: dict[int, bytes] = {}
        self._ending: deque[tuple[int, int]] = deque()
        self._past: deque[int] = deque()
        self._temporary: list[int] = []
        self._drain = 0
        self._pids: set[tuple[int, int]] = set()

    def apply(self, record: bytes) -> None:
        """Apply one record of the definitions ring."""
        kind, _, number, _ = decode.HEAD.unpack_from(record)
        if kind == wire.DEFINE_FILE:
            self.files.define(number, record)
        elif kind == wire.DEFINE_NAME:
            self._name(number, record)
        elif kind == wire.DEFINE_TASK:
            self._task(number, record)
        elif kind == wire.DEFINE_CGROUP:
            self._cgroups[decode.CGROUP.unpack_from(record)[5]] = b"/" + b"/".join(n for n in decode.components(record) if n)
        elif kind == wire.DEFINE_RETIRE:
            self._ending.append((self._drain, number))

    def _name(self, number: int, record: bytes) -> None:
        """Apply a name as the caller wrote it."""
        _, flags, _, length, _, directory, root, key, _ = decode.NAME.unpack_from(record)
        given = record[wire.DEFINITION_FIXED : wire.DEFINITION_FIXED + length]
        file = Request(given, flags, self.files.get(directory), self.files.get(root)).file(number, self.home)
        if self.home:
            self.given[number] = Given(directory, root, decode.text(given))
        if flags & wire.ONCE:
            self.adopt(file)
        else:
            self.files.add(file)
            self._names[number] = (directory, key, decode.text(given))

    def _task(self, number: int, record: bytes) -> None:
        ids = decode.task_record(record)
        groups, arguments = decode.task_tail(record, ids)
        ancestor = bool(ids["flags"] & wire.ANCESTOR)
        task = Task(
            id=number,
            comm=decode.text(ids["comm"]),
            thread=decode.text(ids["thread"]),
            exe=self.files.path(ids["exe"]),
            root=self.files.path(ids["root"]) or b"/",
            cgroup_path=self._cgroups.get(ids["cgroup"], b""),
            args=command_line.split(arguments) if arguments else None,
            args_truncated=bool(ids["flags"] & wire.TRUNCATED),
            ancestor=ancestor,
            adopted=bool(ids["flags"] & wire.ADOPTED),
            ancestors=() if ancestor else self.ancestors.above(ids["parent"]),
            credentials=_credentials(ids, groups),
            has_host_root=bool((root := self.files.get(ids["root"])) and self._is_own_root(root)),
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

    def adopt(self, made: File) -> None:
        """Add a name for one event, which may still be in a ring."""
        self.files.add(made)
        self._ending.append((self._drain, -made.id))

    def add_temporary(self, made: File | Task) -> None:
        """Add a file or task that the reader made for one event, until ``drop_temporary``."""
        if isinstance(made, Task):
            self.tasks[made.id] = made
        else:
            self.files.add(made)
        self._temporary.append(made.id)

    def drop_temporary(self) -> None:
        """Drop temporary definitions: the sinks have their events."""
        for number in self._temporary:
            self.files.forget(number)
            self.tasks.pop(number, None)
        self._temporary.clear()

    def evict(self) -> tuple[Records, Records]:
        """Evict the older half of the files and of the names, once there are too many. Return their keys of the kernel's
        tables."""
        return self.files.evict(), self._evict_names()

    def _evict_names(self) -> Records:
        if len(self._names) <= self._name_limit:
            return np.zeros(0, wire.NAME_KEY)
        many = len(self._names) - self._name_limit // 2
        half = {number: self._names.pop(number) for number in list(islice(self._names, many))}
        self._ending.extend((self._drain, -number) for number in half)
        return np.array(list(half.values()), wire.NAME_KEY)

    def _remember(self, pid: int, start: int) -> None:
        """Count each process once. A set of the last ones is enough, because a pid is not reused that soon."""
        if len(self._pids) > 65536:
            self._pids.clear()
        self._pids.add((pid, start))

    def end_drain(self) -> None:
        """End a drain: the sinks have everything read so far, so ended tasks may be dropped."""
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


def _credentials(ids: Mapping[str, int], groups: tuple[int, ...]) -> Credentials:
    numbers: dict[str, Any] = {name: ids[name] for name in (*USERS.values(), *GROUPS.values())}
    if numbers["loginuid"] == NEVER_SET:
        del numbers["loginuid"]
    return Credentials(**numbers, groups=groups, groups_truncated=ids["groups"] > len(groups))
