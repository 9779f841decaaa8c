"""Records of the definitions ring, decoded: bytes in, a File or the fields of a task, name or cgroup out.

Separate, because it stores nothing: files.py and definitions.py store the definitions.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from filetap.core import wire
from filetap.core.batch import File

_CODES: Final = {"<u2": "H", "<u4": "I", "<u8": "Q", "|S16": "16s"}


def _reader(dtype: np.dtype) -> struct.Struct:
    fields = (dtype.fields or {}).values()
    return struct.Struct("<" + "".join(_CODES[field[0].str] for field in fields))


HEAD: Final = struct.Struct("<HHII")
_FILE: Final = _reader(wire.FILE_DEFINITION)
NAME: Final = _reader(wire.NAME_DEFINITION)
TASK: Final = _reader(wire.TASK_DEFINITION)
CGROUP: Final = _reader(wire.CGROUP_DEFINITION)
_FILE_NAMES: Final = tuple(wire.FILE_DEFINITION.names or ())
_TASK_NAMES: Final = tuple(wire.TASK_DEFINITION.names or ())
_ANON, _PIPEFS, _SOCKFS, _NSFS, _PIDFS, _DMA_BUF = 0x09041934, 0x50495045, 0x534F434B, 0x6E736673, 0x50494446, 0x444D4142
"""Magic numbers of file systems whose files are in no tree (linux/magic.h)."""


def components(record: bytes, without: int = 0) -> list[bytes]:
    """Return the names that follow the fixed part, from the root down, without the last ``without`` bytes."""
    length = HEAD.unpack_from(record)[3] - without
    return record[wire.DEFINITION_FIXED : wire.DEFINITION_FIXED + length].split(b"\0")[-2::-1]


def fs_path(record: bytes) -> bytes:
    """Return the path inside the file system, which a definition has when host paths are wanted."""
    start = wire.DEFINITION_FIXED + HEAD.unpack_from(record)[3] - file_record(record)["fs_path"]
    return b"/" + b"/".join(record[start:].split(b"\0")[-2::-1])


def file_record(record: bytes) -> dict[str, Any]:
    """Return the fixed part of a file's definition, by the names of wire.FILE_DEFINITION."""
    return dict(zip(_FILE_NAMES, _FILE.unpack_from(record), strict=True))


def text(field: bytes) -> bytes:
    """Return a fixed field up to its first NUL."""
    return field.partition(b"\0")[0]


def decode_file(record: bytes, inner_path: bool = False) -> File:
    """Return the file that a record of wire.DEFINE_FILE defines. ``inner_path``: with the path inside its file system."""
    row = file_record(record)
    path = _path(components(record, row["fs_path"]), row["flags"], row["inode"], row["magic"])
    return File(
        id=row["id"],
        path=path,
        resolved=bool(path),
        inode=row["inode"],
        device=row["device"],
        subvolume=row["subvolume"],
        generation=row["generation"],
        mode=0 if row["magic"] == _ANON else row["mode"],  # they have a type since v6.15, but not in stat(2)
        size=row["size"],
        filesystem=text(row["filesystem"]),
        mount=row["mount"],
        mount_namespace=row["mount_namespace"],
        inner_path=fs_path(record) if inner_path else b"",
        real_inode=row["real_inode"],
        real_device=row["real_device"],
        truncated=bool(row["flags"] & wire.TRUNCATED),
        deleted=bool(row["flags"] & wire.DELETED) or (bool(row["flags"] & wire.NO_TREE) and row["magic"] not in _NAMES),
        raced=bool(row["flags"] & wire.RACED),
    )


_NAMES: Final[dict[int, bytes]] = {
    _ANON: b"anon_inode:%(name)b",
    _PIPEFS: b"pipe:[%(inode)d]",
    _SOCKFS: b"socket:[%(inode)d]",
    _NSFS: b"%(name)b:[%(inode)d]",
    _PIDFS: b"anon_inode:[pidfd]",
    _DMA_BUF: b"/dmabuf:%(name)b",
}
"""Names of files in the form of their file systems' d_dname functions. All others use simple_dname, which appends "
(deleted)"."""


def _path(names: list[bytes], flags: int, inode: int, magic: int) -> bytes:
    """Return the path as /proc/PID/fd shows it (fs/d_path.c); empty when none is known."""
    if flags & wire.NO_PATH:
        return b""
    if flags & wire.NO_TREE and magic in _NAMES:
        return _NAMES[magic] % {b"name": b"/".join(names), b"inode": inode}
    return b"/" + b"/".join(name for name in names if name != b"/")


def task_record(record: bytes) -> dict[str, Any]:
    """Return the fixed part of a task's definition, by the names of wire.TASK_DEFINITION."""
    return dict(zip(_TASK_NAMES, TASK.unpack_from(record), strict=True))


def task_tail(record: bytes, ids: Mapping[str, int]) -> tuple[tuple[int, ...], bytes]:
    """Return the data after a task's fixed part: its groups, as many as were kept, and its arguments."""
    count = min(ids["groups"], wire.MAX_GROUPS)
    start = wire.DEFINITION_FIXED + 4 * count
    return struct.unpack_from(f"<{count}I", record, wire.DEFINITION_FIXED), record[start : wire.DEFINITION_FIXED + ids["length"]]
