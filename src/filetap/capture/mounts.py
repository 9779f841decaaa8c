"""The arguments of mount(2): which are paths, and what a call creates."""

from __future__ import annotations

from typing import Final

FILESYSTEMS: Final = "/proc/filesystems"
MS_REMOUNT, MS_BIND, MS_MOVE, MS_PROPAGATION = 1 << 5, 1 << 12, 1 << 13, 0xF << 17
MS_MGC_VAL, MS_MGC_MSK = 0xC0ED0000, 0xFFFF0000
"""Flags of mount(2)."""


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
