"""Names of numbers: errors, flags of open(2), types of files, devices.

Apart, because they are the kernel's tables and no format's. Next: sinks/ndjson.py and sinks/table.py print them.
"""

from __future__ import annotations

import errno
import os
from typing import Final

from filetap import model

INTERNAL: Final = {
    512: "ERESTARTSYS",
    513: "ERESTARTNOINTR",
    514: "ERESTARTNOHAND",
    515: "ENOIOCTLCMD",
    516: "ERESTART_RESTARTBLOCK",
    517: "EPROBE_DEFER",
    518: "EOPENSTALE",
    519: "ENOPARAM",
    524: "ENOTSUPP",
    529: "EIOCBQUEUED",
}
"""include/linux/errno.h: not for user space, but what a tracer sees, most of all when a signal interrupts a call."""

ERRORS: Final[dict[int, str]] = {**errno.errorcode, **INTERNAL}

ACCESS_MODES: Final = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")

OPEN_FLAGS: Final = {
    "O_TMPFILE": 0o20000000 | os.O_DIRECTORY,
    "O_SYNC": 0o4010000,
    "O_CREAT": 0o100,
    "O_EXCL": 0o200,
    "O_NOCTTY": 0o400,
    "O_TRUNC": 0o1000,
    "O_APPEND": 0o2000,
    "O_NONBLOCK": 0o4000,
    "O_DSYNC": 0o10000,
    "O_ASYNC": 0o20000,
    "O_DIRECT": os.O_DIRECT,
    "O_LARGEFILE": 0o400000 if os.O_DIRECTORY == 0o40000 else 0o100000,
    "O_DIRECTORY": os.O_DIRECTORY,
    "O_NOFOLLOW": os.O_NOFOLLOW,
    "O_NOATIME": 0o1000000,
    "O_CLOEXEC": 0o2000000,
    "O_PATH": 0o10000000,
}
"""include/uapi/asm-generic/fcntl.h, those of several bits first. Four differ on arm64; glibc hides O_LARGEFILE."""

TYPE_NAMES: Final = {number: name for name, number in model.TYPES.items()}


def error(result: int) -> str:
    """``ENOENT`` for -2. A number without a name stays a number."""
    return ERRORS.get(-result, str(-result))


def open_flags(flags: int) -> list[str]:
    """The names, access mode first; bits without a name come last, in hexadecimal."""
    names = [ACCESS_MODES[flags & 3]]
    left = flags & ~3
    for name, bits in OPEN_FLAGS.items():
        if left & bits == bits:
            names.append(name)
            left &= ~bits
    return [*names, hex(left)] if left else names


def creates(flags: int) -> bool:
    """Does open(2) heed its mode?"""
    return any(flags & OPEN_FLAGS[name] == OPEN_FLAGS[name] for name in ("O_CREAT", "O_TMPFILE"))


def file_type(mode: int) -> str | None:
    """None: a number that means nothing."""
    return TYPE_NAMES.get(mode >> 12 & 0xF)


def device(number: int) -> str:
    """``major:minor`` of the kernel's own encoding."""
    return f"{number >> 20}:{number & 0xFFFFF}"
