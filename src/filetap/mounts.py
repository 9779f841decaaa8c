"""Where filetap's own mount namespace shows a file: the path that --host-paths adds.

Apart, because it is the one place that reads mountinfo. The kernel sends each file's path inside its file system; here
the mount that shows it is found. Next: definitions.py asks for each file once.
"""

from __future__ import annotations

import re
import select
from typing import Final, NamedTuple

MOUNTINFO: Final = "/proc/self/mountinfo"
FILESYSTEMS: Final = "/proc/filesystems"
MS_REMOUNT, MS_BIND, MS_MOVE, MS_PROPAGATION = 1 << 5, 1 << 12, 1 << 13, 0xF << 17
MS_MGC_VAL, MS_MGC_MSK = 0xC0ED0000, 0xFFFF0000
"""Flags of mount(2)."""
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of proc_pid_mountinfo(5)."""

    device: int
    """As the kernel has it: major << 20 | minor."""
    root: bytes
    """The directory inside the file system that is mounted."""
    point: bytes


def parse(text: bytes) -> list[Mount]:
    """In the kernel's order: of two on one point the later hides the earlier."""
    rows = (line.split() for line in text.splitlines())
    return [Mount(_device(row[2]), _unescape(row[3]), _unescape(row[4])) for row in rows]


def _device(word: bytes) -> int:
    major, minor = map(int, word.split(b":"))
    return major << 20 | minor


def _unescape(word: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), word)


class Mounts:
    """The mounts as they are now: read again whenever they have changed."""

    def __init__(self) -> None:
        self._file = open(MOUNTINFO, "rb", buffering=0)  # noqa: SIM115  # as long as the trace, to be told of changes
        self._changes = select.poll()
        self._changes.register(self._file, select.POLLPRI)
        self._mounts: list[Mount] = []
        self._read()

    def _read(self) -> None:
        self._file.seek(0)
        self._mounts = parse(self._file.read())

    def path(self, device: int, inside: bytes) -> bytes:
        """The path of a file by its path inside the file system; empty: no mount here shows it."""
        if self._changes.poll(0):
            self._read()
        shown = [number for number, mount in enumerate(self._mounts) if mount.device == device and _below(inside, mount.root)]
        for number in sorted(shown, key=lambda number: -len(self._mounts[number].root)):
            mount = self._mounts[number]
            path = mount.point.rstrip(b"/") + inside[len(mount.root.rstrip(b"/")) :] or b"/"
            if not self._covered(path, number):
                return path
        return b""

    def _covered(self, path: bytes, number: int) -> bool:
        """Does another mount hide what this one shows there?"""
        point = self._mounts[number].point
        deeper = ((other.point, at) for at, other in enumerate(self._mounts) if _below(path, other.point) and at != number)
        return any(len(other) > len(point) or (other == point and at > number) for other, at in deeper)

    def close(self) -> None:
        self._file.close()


def has_plain_source(flags: int) -> bool:
    """Is the source that mount(2) is given a name only if the type of the file system says so? As path_mount() in fs/namespace.c."""
    flags = _without_magic(flags)
    return bool(flags & MS_REMOUNT or (not flags & MS_BIND and (flags & MS_PROPAGATION or not flags & MS_MOVE)))


def makes_new(flags: int) -> bool:
    """Does this mount(2) with a plain source make a file system?"""
    return not _without_magic(flags) & (MS_REMOUNT | MS_PROPAGATION)


def _without_magic(flags: int) -> int:
    """What programs of long ago had in the upper half."""
    return flags & ~MS_MGC_MSK if flags & MS_MGC_MSK == MS_MGC_VAL else flags


def takes_device(kind: bytes, source: bytes) -> bool:
    """Is the source of a mount of this type a path, and no text of its own? ``kind``: empty where no file system is made. Of a type that
    the kernel does not know, what looks like a path is one."""
    name = kind.partition(b".")[0]
    with open(FILESYSTEMS, "rb") as stream:
        types = {words[-1]: len(words) == 1 for words in map(bytes.split, stream)}
    return bool(kind) and types.get(name, source.startswith(b"/"))


def _below(path: bytes, directory: bytes) -> bool:
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")
