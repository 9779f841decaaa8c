"""The namespaces of this process: whether they are the initial ones, and filetap's own identity in the kernel.

Separate, because most of filetap does not need this: the kernel half compares process numbers where it knows both, and the
clock adds the offset.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple

import numpy as np

from filetap.core import wire
from filetap.kernel.loader import Object

INITIAL: Final = {"time": 0xEFFFFFFA, "cgroup": 0xEFFFFFFB, "pid": 0xEFFFFFFC, "user": 0xEFFFFFFD}
"""PROC_*_INIT_INO of include/linux/proc_ns.h."""


def is_initial(kind: str) -> bool:
    """Return whether this is the initial namespace of that kind. A kernel without such namespaces has no other."""
    try:
        return os.stat(f"/proc/self/ns/{kind}").st_ino == INITIAL[kind]
    except FileNotFoundError:
        return True


def numbers_in_proc(tgid: int) -> str:
    """Return which pid namespace's numbers /proc has: "own", that of this process, "kernel", the initial one, or "", one in
    between. ``tgid``: filetap's number in the initial one."""
    with open("/proc/self/status", encoding="utf-8", errors="replace") as lines:
        (shown,) = (line.split()[1:] for line in lines if line.startswith("NSpid:"))
    return "own" if len(shown) == 1 else "kernel" if int(shown[0]) == tgid else ""


class Ourselves(NamedTuple):
    """This process as the kernel identifies it."""

    tgid: int
    """Its number in the initial pid namespace."""
    boot_offset: int
    """ns that its time namespace adds to CLOCK_BOOTTIME."""


def find_ourselves(iterators: Object) -> Ourselves:
    """Query the kernel, by an iterator of bpf/iter.bpf.c."""
    (found,) = np.frombuffer(iterators.run_iterator("find_self"), wire.OURSELVES)
    return Ourselves(int(found["tgid"]), int(found["boot_offset"]))
