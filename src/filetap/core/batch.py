"""The data that flows through user space: a batch of events with the files and tasks they refer to.

Plain data: the reader and the replay of a recording make batches, sinks take them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filetap.core import wire
from filetap.core.columns import GROUPS, USERS
from filetap.core.wire import Records

DESCRIBED: Final = 1024
"""Approximate bytes of a file or task, in addition to its names."""


@dataclass(frozen=True, slots=True)
class File:
    """One file under one path, as the kernel saw it. Paths are bytes: the kernel does not treat names as text."""

    id: int
    path: bytes
    """Absolute, or empty: not known. Without ``resolved``: the caller's string, joined to its directory and normalised."""
    resolved: bool = True
    """True: the kernel's own walk from the open file. False: a requested name, without an identity."""
    inode: int = 0
    device: int = 0
    """In the kernel's encoding: major << 20 | minor."""
    subvolume: int = 0
    generation: int = 0
    mode: int = 0
    """st_mode; 0 if not known."""
    size: int = 0
    """Bytes, when it was first used."""
    filesystem: bytes = b""
    mount: int = 0
    mount_namespace: int = 0
    inner_path: bytes = b""
    """The path inside its file system, if the path on the host was requested."""
    host_path: bytes = b""
    """The path in filetap's own mount namespace; empty if it was not requested, or is not visible there."""
    real_inode: int = 0
    """On overlayfs the inode in the layer; 0 elsewhere. ``real_device`` is the same."""
    real_device: int = 0
    requested: bytes = b""
    """The caller's string, if ``path`` does not represent it fully: there is none, or it is a guess."""
    later: bool = False
    """``path`` is where ``requested`` led when user space looked it up, right after the call; ``resolved`` is False anyway."""
    depth: int = -1
    """Of a name that starts in a directory below which files match: how many names it leads below that; -1: it starts
    elsewhere, or leads out again."""
    foreign: bool = False
    """``path`` is not in filetap's own mount namespace: no PATH can be compared with it."""
    truncated: bool = False
    deleted: bool = False
    raced: bool = False
    added: Mapping[str, Any] | None = None
    """Values that stages have added, by the name of their column."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The user of a task, with ids as the host has them. None: not known; so is an empty name."""

    euid: int | None = 0
    uid: int | None = 0
    suid: int | None = 0
    fsuid: int | None = 0
    egid: int | None = 0
    gid: int | None = 0
    sgid: int | None = 0
    fsgid: int | None = 0
    loginuid: int | None = None
    """Of the user who logged in, whatever user he became since; None: never set, or not known."""
    groups: tuple[int, ...] | None = ()
    """Supplementary groups."""
    groups_truncated: bool = False
    user_name: str = ""
    """Names in the host's user database for the ids: those of USERS and GROUPS, then of ``groups``."""
    real_user_name: str = ""
    saved_user_name: str = ""
    fs_user_name: str = ""
    audit_user_name: str = ""
    group_name: str = ""
    real_group_name: str = ""
    saved_group_name: str = ""
    fs_group_name: str = ""
    group_names: tuple[str, ...] = ()
    """One for each of ``groups``, or none at all."""


_UNKNOWN: Final[dict[str, Any]] = dict.fromkeys((*USERS.values(), *GROUPS.values(), "groups"))
UNKNOWN_USER: Final = Credentials(**_UNKNOWN)


@dataclass(frozen=True, slots=True)
class Task:
    """One thread as the kernel saw it at one moment; described again when credentials, name or cgroup change."""

    id: int
    pid: int
    tid: int
    comm: bytes
    """The process's name: that of its first thread."""
    thread: bytes
    """The thread's own name."""
    exe: bytes = b""
    ppid: int = 0
    namespace_pid: int = 0
    parent: int = 0
    """Id of the row of its parent process; 0: it has none, or it is not known."""
    forker: int = 0
    """Task id of the forking task, 0 if that was not traced."""
    start: int = 0
    """CLOCK_BOOTTIME, ns."""
    execs: int = 0
    """task_struct's self_exec_id: incremented by each exec, from the moment of the new name on; a child continues from its
    parent's."""
    credentials: Credentials = Credentials()
    cgroup: int = 0
    cgroup_path: bytes = b""
    root: bytes = b"/"
    """The task's root directory; other than "/" in a chroot."""
    has_host_root: bool = False
    """Its root directory is filetap's own, and with it the user database."""
    pid_namespace: int = 0
    mount_namespace: int = 0
    user_namespace: int = 0
    cgroup_namespace: int = 0
    args: tuple[bytes, ...] | None = None
    args_truncated: bool = False
    args_late: bool = False
    """They were read later from /proc, not by the kernel at that moment: after another exec they are that one's."""
    ancestor: bool = False
    """A process that is an ancestor of others; no event refers to it."""
    adopted: bool = False
    """``parent`` is not the process that forked it, but has adopted it."""
    added: Mapping[str, Any] | None = None
    """As of File."""
    ancestors: tuple[Task, ...] = ()
    """The parent, its parent, and so on, as far as they are known. An ancestor itself has only ``parent``."""

    @property
    def is_cut(self) -> bool:
        """Return whether there are more ancestors than are known."""
        return bool((self.ancestors[-1] if self.ancestors else self).parent)


def lineage(parent: int, rows: Callable[[int], Task | None]) -> tuple[Task, ...]:
    """Return the row of this id, of its parent, and so on, at most wire.MAX_ANCESTORS."""
    found: list[Task] = []
    while (row := rows(parent)) and len(found) < wire.MAX_ANCESTORS:
        found.append(row)
        parent = row.parent
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Overflow:
    """Events of one (task, file, op) that did not fit in the ring: exact in number and bytes, not single."""

    task: int
    file: int
    op: int
    count: int
    bytes: int
    first: int
    """CLOCK_BOOTTIME, ns; ``last`` as well."""
    last: int
    pid: int = 0
    """The process, known even if the task could not be described."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in the order of each thread, and everything that they refer to."""

    events: Records
    """Of wire.EVENT, one row per event. May be a view of the ring, which is void after the sink returns."""
    files: Mapping[int, File]
    tasks: Mapping[int, Task]
    realtime: int
    """Nanoseconds to add to ``events["time"]`` (CLOCK_BOOTTIME) for CLOCK_REALTIME."""
    ext: Records = field(default_factory=lambda: np.zeros(0, wire.EVENT_EXT))
    """Of wire.EVENT_EXT: one row for each event with the flag HAS_EXT, in the same order."""
    names: Mapping[int, File] = field(default_factory=dict)
    """Those of ``files`` that are requested names, not resolved. Looking up any other one is expensive."""
    renewed: frozenset[int] = frozenset()
    """Ids of files and tasks of which more is known than in earlier batches: texts made of them before are void."""

    def where(self, keep: NDArray[np.bool_]) -> Batch:
        """Return the events that ``keep`` marks, with their data."""
        kept = keep[self.events["flags"] & wire.HAS_EXT != 0]
        return replace(self, events=self.events[keep], ext=self.ext[kept])

    def portion(self, start: int, stop: int) -> Batch:
        """Return the events from ``start`` to before ``stop``."""
        first, last = (np.count_nonzero(self.events["flags"][:at] & wire.HAS_EXT) for at in (start, stop))
        return replace(self, events=self.events[start:stop], ext=self.ext[first:last])

    def detached(self, also: Mapping[str, Iterable[int]] = MappingProxyType({})) -> Batch:
        """Return a copy that stays valid: it has its own events, and the files and tasks that these refer to.

        ``also``: more ids of "files" and "tasks".
        """
        files = {*self.events["file"].tolist(), *self.ext["target"].tolist(), *also.get("files", ())}
        tasks = {*self.events["task"].tolist(), *also.get("tasks", ())}
        return replace(
            self,
            events=self.events.copy(),
            ext=self.ext.copy(),
            files={number: self.files[number] for number in files if number in self.files},
            tasks={number: self.tasks[number] for number in tasks if number in self.tasks},
            names={number: self.names[number] for number in files if number in self.names},
        )

    @property
    def nbytes(self) -> int:
        """Return the approximate bytes of memory of a detached batch."""
        return self.events.nbytes + self.ext.nbytes + DESCRIBED * (len(self.files) + len(self.tasks))
