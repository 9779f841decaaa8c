"""Arguments of processes: in the kernel's layout, in that of /proc, and as one line.

Separate from definitions.py, because /proc is another source than the kernel half, and later.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 4096
"""The same as in bpf/lib/describe.bpf.h."""
TICK: Final = 10_000_000
"""ns of one unit of /proc/PID/stat: USER_HZ is 100."""
_UNSAFE: Final = re.compile(rb"[^\w@%+=:,./-]")


def split(text: bytes) -> tuple[bytes, ...]:
    """Split at the NUL that ends each argument."""
    return tuple(text.removesuffix(b"\0").split(b"\0"))


def join(arguments: Sequence[bytes]) -> bytes:
    """Quote the arguments for a shell, whatever their bytes (shlex.join, but of bytes)."""
    return b" ".join(map(_quoted, arguments))


def _quoted(argument: bytes) -> bytes:
    if argument and not _UNSAFE.search(argument):
        return argument
    return b"'" + argument.replace(b"'", b"'\"'\"'") + b"'"


def read(pid: int, start: int) -> tuple[tuple[bytes, ...], bool] | None:
    """Return the arguments that a process has by now, and whether they are cut; None: it has none, or has ended. ``start``:
    on filetap's CLOCK_BOOTTIME, which distinguishes it from another process with this number."""
    folder = Path(f"/proc/{pid}")
    try:
        with open(folder / "cmdline", "rb") as file:
            text = file.read(MOST_BYTES + 1)
        stat = (folder / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    began = int(stat.rpartition(b")")[2].split()[19])
    if not text or began != start // TICK:
        return None
    return split(text[:MOST_BYTES]), len(text) > MOST_BYTES
