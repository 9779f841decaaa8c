"""Finds where filetap's own mount namespace shows a file (the path that --host-paths adds), and decodes the arguments of
mount(2).

The kernel sends each file's path inside its file system; this module finds the mount that shows it.
"""

from __future__ import annotations

import select
from typing import Final

from filetap.core import mountinfo
from filetap.core.mountinfo import Mount
from filetap.selection.paths import is_below

FILESYSTEMS: Final = "/proc/filesystems"
MS_REMOUNT, MS_BIND, MS_MOVE, MS_PROPAGATION = 1 << 5, 1 << 12, 1 << 13, 0xF << 17
MS_MGC_VAL, MS_MGC_MSK = 0xC0ED0000, 0xFFFF0000
"""Flags of mount(2)."""


class Mounts:
    """The present mounts: read again whenever they have changed."""

    def __init__(self) -> None:
        self._file = open(mountinfo.MOUNTINFO, "rb", buffering=0)  # noqa: SIM115  # open to be notified of changes
        self._changes = select.poll()
        self._changes.register(self._file, select.POLLPRI)
        self._mounts: list[Mount] = []
        self._read()

    def _read(self) -> None:
        self._file.seek(0)
        self._mounts = mountinfo.parse(self._file.read())

    def path(self, device: int, inside: bytes) -> bytes:
        """Return the path of a file from its path inside the file system; empty: no mount here shows it."""
        if self._changes.poll(0):
            self._read()
        shown = [number for number, mount in enumerate(self._mounts) if mount.device == device and is_below(inside, mount.root)]
        for number in sorted(shown, key=lambda number: -len(self._mounts[number].root)):
            mount = self._mounts[number]
            path = mount.point.rstrip(b"/") + inside[len(mount.root.rstrip(b"/")) :] or b"/"
            if not self._covered(path, number):
                return path
        return b""

    def _covered(self, path: bytes, number: int) -> bool:
        """Return whether another mount hides what this one shows there."""
        point = self._mounts[number].point
        deeper = ((other.point, at) for at, other in enumerate(self._mounts) if is_below(path, other.point) and at != number)
        return any(len(other) > len(point) or (other == point and at > number) for other, at in deeper)

    def close(self) -> None:
        self._file.close()


def has_plain_source(flags: int) -> bool:
    """Return whether the source argument of mount(2) is a name only for some types of file system. As path_mount() in
    fs/namespace.c."""
    flags = _without_magic(flags)
    return bool(flags & MS_REMOUNT or (not flags & MS_BIND and (flags & MS_PROPAGATION or not flags & MS_MOVE)))


def makes_new(flags: int) -> bool:
    """Return whether this mount(2) with a plain source creates a file system."""
    return not _without_magic(flags) & (MS_REMOUNT | MS_PROPAGATION)


def _without_magic(flags: int) -> int:
    """Remove the magic number that old programs put in the upper half."""
    return flags & ~MS_MGC_MSK if flags & MS_MGC_MSK == MS_MGC_VAL else flags


def takes_device(kind: bytes, source: bytes) -> bool:
    """Return whether the source of a mount of this type is a path, and not another text. ``kind``: empty if no file system is
    created. For a type that the kernel does not know, a text that looks like a path is one."""
    name = kind.partition(b".")[0]
    with open(FILESYSTEMS, "rb") as stream:
        types = {words[-1]: len(words) == 1 for words in map(bytes.split, stream)}
    return bool(kind) and types.get(name, source.startswith(b"/"))
