"""When a filetap that was started traces: from then on it takes signals, and what is done is told.

Apart, because commands are started by tests of the kernel's side and by those of the command's. Next: e2e/conftest.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

POLL: Final = "7"
"""Of x86-64, as /proc/PID/syscall shows it (proc(5))."""


def attached(pid: int) -> bool:
    """Does it hold BPF links, and sleep in its loop's poll(2)?"""
    return any("bpf_link" in name for name in descriptors(pid)) and Path(f"/proc/{pid}/syscall").read_text().split()[0] == POLL


def descriptors(pid: int) -> Iterator[str]:
    """What they lead to; one that is closed meanwhile is none."""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield os.readlink(fd)
