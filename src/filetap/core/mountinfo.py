"""Parse mountinfo, the kernel's list of mounts (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MOUNTINFO: Final = "/proc/self/mountinfo"
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of proc_pid_mountinfo(5)."""

    device: int
    """In the kernel's encoding: major << 20 | minor."""
    root: bytes
    """The mounted directory inside the file system."""
    point: bytes


def parse(text: bytes) -> list[Mount]:
    """Parse the mounts in the kernel's order: of two on one point the later hides the earlier."""
    rows = (line.split() for line in text.splitlines())
    return [Mount(_device(row[2]), _unescape(row[3]), _unescape(row[4])) for row in rows]


def _device(word: bytes) -> int:
    major, minor = map(int, word.split(b":"))
    return major << 20 | minor


def _unescape(word: bytes) -> bytes:
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), word)
