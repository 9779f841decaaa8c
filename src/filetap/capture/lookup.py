"""A name opened as its caller saw it: from the caller's root and directory, without leaving either.

Separate from later.py, which decides what to look up and what the answers mean.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from itertools import chain
from typing import NamedTuple, Self

from filetap.capture.openat2 import RESOLVE_NO_SYMLINKS, open_in_root
from filetap.core.batch import Task


class Lookup(NamedTuple):
    """A name as the caller wrote it, and the directory it starts from."""

    namespace: int
    root: bytes
    """The caller's root directory, which names cannot leave."""
    start: bytes
    """The directory that the name starts from, below the root."""
    inodes: tuple[int, int]
    """Inodes of that directory: on overlayfs it varies which of the two stat(2) shows."""
    name: bytes
    """For an entry: the name of its directory."""
    entry: bytes | None
    """later.ANY, unless a rule has a name like it; None: the file that the name leads to is meant."""
    follow: bool

    def begun(self) -> bytes | None:
        """Return the start, relative to the root; None: it is outside, or not known."""
        top = self.root.rstrip(b"/") + b"/"
        return (self.start[len(top) :] or b".") if (self.start + b"/").startswith(top) else None

    def walked(self) -> bytes:
        """Return the whole path from the root."""
        return (self.begun() or b".") + b"/" + self.name


class Opened(NamedTuple):
    """The result of opening a name, as a descriptor of filetap."""

    fd: int
    entry: bytes | None
    """A name in that directory, which need not exist; None: the file itself."""
    link: bool = False


class Roots:
    """Root directories of callers as descriptors, during one lookup: longer they would keep file systems from being
    unmounted."""

    def __init__(self, own: int, tasks: Iterable[Task]) -> None:
        """``own``: filetap's own mount namespace. ``tasks``: tasks through which others are reached first."""
        self._own, self._tasks = own, tasks
        self._open: dict[tuple[int, bytes], int | None] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, namespace: int, root: bytes) -> int | None:
        """Return a descriptor; None: no process is left through which it could be reached."""
        key = namespace, root
        if key not in self._open:
            self._open[key] = fd = _open_root(root) if namespace == self._own else self._find(namespace, root)
            if fd is not None:
                self._stack.callback(os.close, fd)
        return self._open[key]

    def _find(self, namespace: int, root: bytes) -> int | None:
        """Find the caller's root, or that of any process with the same root there."""
        known = (task.pid for task in self._tasks if task.mount_namespace == namespace)
        pids = dict.fromkeys(chain(known, (int(name) for name in os.listdir("/proc") if name.isdigit())))
        return next((fd for pid in pids if (fd := _root_of(pid, namespace, root)) is not None), None)


def _open_root(path: bytes) -> int | None:
    try:
        return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None


def _root_of(pid: int, namespace: int, root: bytes) -> int | None:
    """Open the root of a process, and compare it afterwards: the pid may have been reused."""
    place = b"/proc/%d" % pid
    if not _is_at(place, namespace, root) or (fd := _open_root(place + b"/root")) is None:
        return None
    if _is_at(place, namespace, root):
        return fd
    os.close(fd)
    return None


def _is_at(place: bytes, namespace: int, root: bytes) -> bool:
    try:
        return os.stat(place + b"/ns/mnt").st_ino == namespace and os.readlink(place + b"/root") == root
    except OSError:
        return False


def newest_link(lookup: Lookup, found: Opened, roots: Roots) -> int | None:
    """Return the ctime of the newest symbolic link on the way, ns since 1970; 0: there are none; None: the path no longer
    exists."""
    root, path = roots.of(lookup.namespace, lookup.root), lookup.walked()
    if found.entry is not None and lookup.entry is None:
        path = path.rstrip(b"/").rpartition(b"/")[0]
    follow = lookup.follow or found.entry is not None
    assert root is not None
    try:
        os.close(open_in_root(root, path, 0 if follow else os.O_NOFOLLOW, RESOLVE_NO_SYMLINKS))
    except OSError:
        with suppress(OSError):
            return max(_links(root, path, follow), default=0)
        return None
    return 0


def _links(root: int, path: bytes, follow: bool) -> Iterator[int]:
    """Yield the ctimes of the links that a walk passes, in the kernel's order."""
    ahead = path.split(b"/")[::-1]
    walked: list[bytes] = []
    for _ in range(4096):
        if not ahead:
            return
        name = ahead.pop()
        if name == b"..":
            del walked[-1:]
        elif name not in (b"", b"."):
            fd = open_in_root(root, b"/".join((*walked, name)), os.O_NOFOLLOW)
            try:
                status = os.fstat(fd)
                if not stat.S_ISLNK(status.st_mode) or not (ahead or follow):
                    walked.append(name)
                    continue
                target = os.readlink(b"", dir_fd=fd)
            finally:
                os.close(fd)
            yield status.st_ctime_ns
            walked = [] if target.startswith(b"/") else walked
            ahead += target.split(b"/")[::-1]
    raise OSError


def open_named(lookup: Lookup, roots: Roots) -> Opened | None:
    """Open what the name leads to; for a file that is gone, its directory with its name. None: that is gone or not reachable,
    or the start of the name is another directory by now."""
    root = roots.of(lookup.namespace, lookup.root)
    start = lookup.begun()
    if root is None or start is None:
        return None
    try:
        fd = open_in_root(root, start, os.O_DIRECTORY)
        try:
            same = os.fstat(fd).st_ino in lookup.inodes
        finally:
            os.close(fd)
        return _open_below(root, lookup.walked(), lookup) if same else None
    except OSError:
        return None


def _open_below(root: int, path: bytes, lookup: Lookup) -> Opened | None:
    if lookup.entry is not None:
        return None if lookup.entry in (b"", b".", b"..") else Opened(open_in_root(root, path, os.O_DIRECTORY), lookup.entry)
    try:
        return _open_file(root, path, lookup.follow)
    except FileNotFoundError:
        directory, _, name = path.rstrip(b"/").rpartition(b"/")
        return Opened(open_in_root(root, directory, os.O_DIRECTORY), name, lookup.follow)


def _open_file(root: int, path: bytes, follow: bool) -> Opened:
    fd = open_in_root(root, path, os.O_NOFOLLOW)
    if not follow or not stat.S_ISLNK(os.fstat(fd).st_mode):
        return Opened(fd, None)
    os.close(fd)
    return Opened(open_in_root(root, path, 0), None, link=True)


def last_component(name: bytes) -> bytes:
    return name.rstrip(b"/").rpartition(b"/")[2]
