"""Names of numbers: errors, the flags of each call, advice, types of files, devices.

Separate, because these are tables of the kernel, not of an output format.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from filetap.core import errnos

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

TYPES: Final = {"file": 8, "directory": 4, "pipe": 1, "socket": 12, "char": 2, "block": 6, "symlink": 10, "anon": 0}
"""File type to S_IFMT >> 12, from inode(7); ``anon`` are anonymous inodes (eventfd, epoll, ...), which have none."""
TYPE_NAMES: Final = {number: name for name, number in TYPES.items()}


def _bits(prefix: str, words: str, first: int = 0) -> dict[str, int]:
    """Return one bit after the other from ``first`` on; a dash: one without a name."""
    return {prefix + word: 1 << bit for bit, word in enumerate(words.split(), first) if word != "-"}


def _numbers(prefix: str, words: str) -> dict[int, str]:
    """Return one number after the other from 0 on."""
    return {number: prefix + word for number, word in enumerate(words.split()) if word != "-"}


ACCESS: Final = {"R_OK": 4, "W_OK": 2, "X_OK": 1}
PERMISSION: Final = {"MAY_EXEC": 1, "MAY_WRITE": 2, "MAY_READ": 4, "MAY_APPEND": 8} | _bits("MAY_", "ACCESS OPEN CHDIR NOT_BLOCK", 4)
RENAME: Final = _bits("RENAME_", "NOREPLACE EXCHANGE WHITEOUT")
LINK: Final = {"AT_SYMLINK_FOLLOW": 0x400, "AT_EMPTY_PATH": 0x1000}
LOOKUP: Final = {"AT_SYMLINK_NOFOLLOW": 0x100, "AT_NO_AUTOMOUNT": 0x800, "AT_EMPTY_PATH": 0x1000}
FALLOCATE: Final = _bits(
    "FALLOC_FL_", "KEEP_SIZE PUNCH_HOLE NO_HIDE_STALE COLLAPSE_RANGE ZERO_RANGE INSERT_RANGE UNSHARE_RANGE WRITE_ZEROES"
)
PROTECTION: Final = _bits("PROT_", "READ WRITE EXEC SEM") | _bits("PROT_", "GROWSDOWN GROWSUP", 24)
MAP_TYPES: Final = ("", "MAP_SHARED", "MAP_PRIVATE", "MAP_SHARED_VALIDATE")
MAP: Final = _bits(
    "MAP_",
    "DROPPABLE FIXED ANONYMOUS 32BIT ABOVE4G GROWSDOWN - - DENYWRITE EXECUTABLE LOCKED NORESERVE POPULATE NONBLOCK STACK "
    "HUGETLB SYNC FIXED_NOREPLACE",
    3,
)
MREMAP: Final = _bits("MREMAP_", "MAYMOVE FIXED DONTUNMAP")
MSYNC: Final = _bits("MS_", "ASYNC INVALIDATE SYNC")
SYNC_RANGE: Final = _bits("SYNC_FILE_RANGE_", "WAIT_BEFORE WRITE WAIT_AFTER")
SPLICE: Final = _bits("SPLICE_F_", "MOVE NONBLOCK MORE GIFT")
MOUNT: Final = _bits(
    "MS_",
    "RDONLY NOSUID NODEV NOEXEC SYNCHRONOUS REMOUNT MANDLOCK DIRSYNC NOSYMFOLLOW - NOATIME NODIRATIME BIND MOVE REC SILENT "
    "POSIXACL UNBINDABLE PRIVATE SLAVE SHARED RELATIME KERNMOUNT I_VERSION STRICTATIME LAZYTIME",
)
MOVE_MOUNT: Final = _bits("MOVE_MOUNT_", "F_SYMLINKS F_AUTOMOUNTS F_EMPTY_PATH - T_SYMLINKS T_AUTOMOUNTS T_EMPTY_PATH - SET_GROUP BENEATH")
UMOUNT: Final = _bits("", "MNT_FORCE MNT_DETACH MNT_EXPIRE UMOUNT_NOFOLLOW")
FLOCK: Final = _bits("LOCK_", "SH EX NB UN - MAND READ WRITE")
"""include/uapi/linux: fs.h, falloc.h, mman.h, splice.h, mount.h; include/linux/fs.h has the rest."""

WHENCE: Final = _numbers("SEEK_", "SET CUR END DATA HOLE")
ADVICE: Final = _numbers("POSIX_FADV_", "NORMAL RANDOM SEQUENTIAL WILLNEED DONTNEED NOREUSE")
MEMORY_ADVICE: Final = {100: "MADV_HWPOISON", 101: "MADV_SOFT_OFFLINE", 102: "MADV_GUARD_INSTALL", 103: "MADV_GUARD_REMOVE"} | _numbers(
    "MADV_",
    "NORMAL RANDOM SEQUENTIAL WILLNEED DONTNEED - - - FREE REMOVE DONTFORK DOFORK MERGEABLE UNMERGEABLE HUGEPAGE NOHUGEPAGE "
    "DONTDUMP DODUMP WIPEONFORK KEEPONFORK COLD PAGEOUT POPULATE_READ POPULATE_WRITE DONTNEED_LOCKED COLLAPSE",
)
LOCK_COMMANDS: Final = {6: "F_SETLK", 7: "F_SETLKW", 37: "F_OFD_SETLK", 38: "F_OFD_SETLKW"}


def error(result: int) -> str:
    """Return ``ENOENT`` for -2. A number without a name stays a number."""
    return errnos.name_of(-result)


def flags(bits: int, table: Mapping[str, int]) -> list[str]:
    """Return the names; bits without one come last, in hexadecimal."""
    names = []
    for name, mask in table.items():
        if bits & mask == mask:
            names.append(name)
            bits &= ~mask
    return [*names, hex(bits)] if bits else names


def open_flags(bits: int) -> list[str]:
    """Return the flags, access mode first."""
    return [ACCESS_MODES[bits & 3], *flags(bits & ~3, OPEN_FLAGS)]


def map_flags(bits: int) -> list[str]:
    """Return the flags, shared or private first."""
    kind = MAP_TYPES[bits & 3]
    return [*([kind] if kind else []), *flags(bits & ~3, MAP)]


def number(value: int, table: Mapping[int, str]) -> str:
    """Return the name. A number without a name stays a number."""
    return table.get(value, str(value))


def creates(flags: int) -> bool:
    """Return whether open(2) uses its mode."""
    return any(flags & OPEN_FLAGS[name] == OPEN_FLAGS[name] for name in ("O_CREAT", "O_TMPFILE"))


def file_type(mode: int) -> str | None:
    """Return the type. None: the number is no type."""
    return TYPE_NAMES.get(mode >> 12 & 0xF)


@lru_cache(1024)
def device(number: int) -> str:
    """Return ``major:minor`` from the kernel's encoding."""
    return f"{number >> 20}:{number & 0xFFFFF}"


NEVER_SET: Final = 0xFFFFFFFF
"""The loginuid of processes without a login."""
