"""Other tracers on this machine: their programs run at the workload's calls too, and make ratios look better.

Separate, because it is no measure but shows how reliable one is. It looks between pairs, when bench has nothing attached.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TRACING: Final = {"2", "5", "7", "17", "24", "26", "29"}
"""Types of programs that affect other processes: kprobe, tracepoint, perf event, raw tracepoint (2), tracing, LSM
(linux/bpf.h)."""


@dataclass(slots=True)
class Neighbours:
    """Number of looks since the last ``take``, and how many of them found another tracer."""

    looks: int = 0
    met: int = 0

    def look(self) -> None:
        self.looks += 1
        self.met += any(_traces(process) for process in Path("/proc").iterdir() if process.name.isdigit())

    def take(self) -> str:
        """Return the text for a row's note; empty if there was no other tracer."""
        looks, met, self.looks, self.met = self.looks, self.met, 0, 0
        return f"SOMEONE ELSE TRACED during {met} of {looks} looks" if met else ""


def _traces(process: Path) -> bool:
    if int(process.name) == os.getpid():
        return False
    with suppress(OSError):  # it has ended
        for fd in (process / "fd").iterdir():
            if os.readlink(fd) == "anon_inode:bpf-prog" and _type(process / "fdinfo" / fd.name) in TRACING:
                return True
    return False


def _type(info: Path) -> str:
    fields = dict(line.split(":\t") for line in info.read_text(encoding="ascii").splitlines() if ":\t" in line)
    return fields.get("prog_type", "")
