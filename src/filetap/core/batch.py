"""What flows through user space: a batch of events beside the files and tasks they name.

Plain data: the reader makes batches, sinks take them, and a recorded trace will replay them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from filetap.core import wire
from filetap.core.wire import Records


@dataclass(frozen=True, slots=True)
class File:
    """One file under one path, as the kernel saw it. Paths are bytes: names are no text to the kernel."""

    id: int
    path: bytes
    """Absolute, or empty: not known. Without ``resolved``: the caller's string, joined to its directory and normalised."""
    resolved: bool = True
    """The kernel's own walk from the open file; False: a name that was asked for, with no identity."""
    inode: int = 0
    device: int = 0
    """As the kernel has it: major << 20 | minor."""
    subvolume: int = 0
    generation: int = 0
    mode: int = 0
    """st_mode; 0 where not known."""
    size: int = 0
    """Bytes, at first sight."""
    filesystem: bytes = b""
    mount: int = 0
    mount_namespace: int = 0
    host_path: bytes = b""
    """As filetap's own mount namespace has it; empty where that was not asked for, or it is not to be seen there."""
    real_inode: int = 0
    """On overlayfs the inode beneath; 0 elsewhere. So is ``real_device``."""
    real_device: int = 0
    requested: bytes = b""
    """The caller's string, where ``path`` does not say all of it: there is none, or it is a guess."""
    later: bool = False
    """``path`` is where ``requested`` led when user space looked, right after the call; ``resolved`` is False all the same."""
    depth: int = -1
    """Of a name that starts where PATHs are wanted: how many names below that it leads; -1: it starts elsewhere, or leads out again."""
    foreign: bool = False
    """The text of ``path`` is none of filetap's own mount namespace: no PATH can be compared with it."""
    truncated: bool = False
    deleted: bool = False
    raced: bool = False


USERS: Final = {"user": "euid", "real_user": "uid", "saved_user": "suid", "fs_user": "fsuid", "audit_user": "loginuid"}
"""In the words of ECS, whose ids are those of a user, as the kernel calls them."""
GROUPS: Final = {"group": "egid", "real_group": "gid", "saved_group": "sgid", "fs_group": "fsgid"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whose user a task is, with ids as the host has them. None: not known; so is an empty name."""

    euid: int | None = 0
    uid: int | None = 0
    suid: int | None = 0
    fsuid: int | None = 0
    egid: int | None = 0
    gid: int | None = 0
    sgid: int | None = 0
    fsgid: int | None = 0
    loginuid: int | None = None
    """Of who logged in, whoever he became since; None: never set, or not known."""
    groups: tuple[int, ...] | None = ()
    """Supplementary ones."""
    groups_truncated: bool = False
    user_name: str = ""
    """Names that the host's user database had for the ids: those of USERS and GROUPS, then of ``groups``."""
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
    """Id of the row of its parent process; 0: it has none, or that is not known."""
    forker: int = 0
    """Task id of the forking task, 0 where that was not traced."""
    start: int = 0
    """CLOCK_BOOTTIME, ns."""
    execs: int = 0
    """task_struct's self_exec_id: one more with each exec, from the moment of the new name on; a child goes on from its parent's."""
    credentials: Credentials = Credentials()
    cgroup: int = 0
    cgroup_path: bytes = b""
    root: bytes = b"/"
    """The task's root directory; other than "/" in a chroot."""
    pid_namespace: int = 0
    mount_namespace: int = 0
    user_namespace: int = 0
    cgroup_namespace: int = 0
    args: tuple[bytes, ...] | None = None
    args_truncated: bool = False
    args_late: bool = False
    """They were read in /proc when this was known, not by the kernel at that moment: after another exec they are that one's."""
    ancestor: bool = False
    """Of a process that others descend from; no event names it."""
    adopted: bool = False
    """``parent`` is not the process that forked it, but has adopted it."""
    ancestors: tuple[Task, ...] = ()
    """The parent, its parent, and so on, as far as they are known. Of an ancestor itself there is only ``parent``."""

    @property
    def is_cut(self) -> bool:
        """Are there more ancestors than are known?"""
        return bool((self.ancestors[-1] if self.ancestors else self).parent)


def lineage(parent: int, rows: Callable[[int], Task | None]) -> tuple[Task, ...]:
    """The row of this id, of its parent, and so on, at most wire.MAX_ANCESTORS."""
    found: list[Task] = []
    while (row := rows(parent)) and len(found) < wire.MAX_ANCESTORS:
        found.append(row)
        parent = row.parent
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Overflow:
    """Events of one (task, file, op) that found no room in the ring: exact in number and bytes, not single."""

    task: int
    file: int
    op: int
    count: int
    bytes: int
    first: int
    """CLOCK_BOOTTIME, ns; so is ``last``."""
    last: int
    pid: int = 0
    """The process, known even where the task could not be described."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events in the order of each thread, and all that they name."""

    events: Records
    """Of wire.EVENT, one row per event. May be a view of the ring: void after the sink returns."""
    files: Mapping[int, File]
    tasks: Mapping[int, Task]
    realtime: int
    """Nanoseconds to add to ``events["time"]`` (CLOCK_BOOTTIME) for CLOCK_REALTIME."""
    ext: Records = field(default_factory=lambda: np.zeros(0, wire.EVENT_EXT))
    """Of wire.EVENT_EXT: one row for each event with the flag HAS_EXT, in the same order."""
    names: Mapping[int, File] = field(default_factory=dict)
    """Those of ``files`` that are names as they were asked for: not resolved. To ask for another one is dear."""

    def where(self, keep: NDArray[np.bool_]) -> Batch:
        """The events that ``keep`` marks, with what belongs to them."""
        kept = keep[self.events["flags"] & wire.HAS_EXT != 0]
        return replace(self, events=self.events[keep], ext=self.ext[kept])

    def portion(self, start: int, stop: int) -> Batch:
        """The events from ``start`` to before ``stop``."""
        first, last = (np.count_nonzero(self.events["flags"][:at] & wire.HAS_EXT) for at in (start, stop))
        return replace(self, events=self.events[start:stop], ext=self.ext[first:last])


class Sink(Protocol):
    """Where batches go. OSError from any method ends the run, with what was written kept."""

    written: int
    """Events that are completely out, whatever happens next."""

    draining: bool
    """Set when the run is to end: wait no longer for somebody who reads."""

    def write(self, batch: Batch) -> None:
        """Take a batch; it may be held back until the next call. Nothing of it is looked at afterwards."""

    def flush(self) -> None:
        """Nothing is held back any more."""

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        """At the end: what was not delivered singly. ``batch`` has no events, but the files, tasks and clock."""

    def pending(self, batch: Batch) -> None:
        """Calls under way, as events with the flag PENDING and without a result: they do not count as written."""

    def close(self) -> None: ...
