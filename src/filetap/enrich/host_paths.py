"""Paths on the host: where filetap's own mount namespace shows a file (--host-paths).

The kernel sends each file's path inside its file system; the mount that shows it is found here.
"""

from __future__ import annotations

import select
from dataclasses import replace

from filetap.core import mountinfo
from filetap.core.batch import Batch, File
from filetap.core.mountinfo import Mount
from filetap.core.stage import Stage
from filetap.enrich.described import Described
from filetap.selection.paths import is_below


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


class HostPaths(Stage):
    """Adds ``File.host_path``: the path in filetap's own mount namespace."""

    def __init__(self, mounts: Mounts) -> None:
        super().__init__()
        self._mounts = mounts
        self._files: Described[File] = Described(self._with_path)

    def describe(self, batch: Batch) -> Batch:
        return replace(batch, files=self._files.of(batch.files))

    def _with_path(self, file: File) -> File:
        return replace(file, host_path=self._mounts.path(file.device, file.inner_path)) if file.inner_path else file
