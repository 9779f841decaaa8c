"""What a trace is on disk: the names in its folder, the columns of its tables, its metadata (docs/trace-format.md).

Apart, because it is a promise to readers that are not ours: a change here is a new VERSION. Next: tables.py, how batches
become these columns.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec
import pyarrow as pa

from filetap.errors import FiletapError

VERSION: Final = 1
METADATA: Final = "trace.json"
LOCK: Final = "lock"
"""Locked (flock) by whoever records, for as long as it lives. Its bytes keep room for the metadata of the end."""
UNCHECKED: Final = "0" * 8
TABLES: Final = ("events", "files", "tasks", "folded")
"""A folder each, with a file per segment: 000001.arrow while it is written, 000001.parquet once it is sealed."""

_TEXT: Final = pa.dictionary(pa.int32(), pa.string())
_TIME: Final = pa.timestamp("ns", "UTC")
KEY: Final = [("trace", _TEXT), ("node", _TEXT), ("boot", _TEXT)]
"""Ids mean something within one trace; these columns tell traces apart that lie in one table."""


def named(name: str) -> list[tuple[str, pa.DataType]]:
    """Text, and beside it the exact bytes where they are not UTF-8."""
    return [(name, pa.string()), (f"{name}_bytes", pa.binary())]


EVENTS: Final = pa.schema(
    [
        *KEY,
        ("ts", _TIME),
        ("realtime", pa.int64()),
        ("op", _TEXT),
        ("call", _TEXT),
        *((name, pa.uint32()) for name in ("task", "file", "target", "tid")),
        ("fd", pa.int32()),
        ("open", pa.uint32()),
        ("offset", pa.int64()),
        ("size", pa.uint64()),
        ("result", pa.int64()),
        ("duration", pa.int64()),
        ("target_fd", pa.int32()),
        ("target_offset", pa.int64()),
        ("address", pa.uint64()),
        ("arguments", _TEXT),
        ("rule", pa.uint16()),
        ("bits", pa.uint32()),
        *((f"word{number}", pa.uint64()) for number in range(4)),
    ]
)
"""One row for each event. Null: there is none, or it is not known."""

FILES: Final = pa.schema(
    [
        *KEY,
        ("id", pa.uint32()),
        *named("path"),
        ("resolved", pa.bool_()),
        ("inode", pa.uint64()),
        ("device", pa.string()),
        ("subvolume", pa.uint64()),
        ("generation", pa.uint32()),
        ("type", _TEXT),
        ("mode", pa.uint32()),
        ("size", pa.uint64()),
        ("filesystem", pa.string()),
        ("mount", pa.uint32()),
        ("mount_namespace", pa.uint32()),
        *named("host_path"),
        ("real_inode", pa.uint64()),
        ("real_device", pa.string()),
        *((name, pa.bool_()) for name in ("truncated", "deleted", "raced")),
    ]
)
"""What events name as ``file`` and ``target``: one file under one path."""

TASKS: Final = pa.schema(
    [
        *KEY,
        ("id", pa.uint32()),
        *((name, pa.uint32()) for name in ("pid", "tid", "namespace_pid", "ppid", "parent")),
        *named("command"),
        *named("thread"),
        *named("exe"),
        *named("root"),
        ("start", pa.int64()),
        *((name, pa.uint32()) for name in ("execs", "uid", "euid", "fsuid", "gid", "loginuid")),
        ("cgroup", pa.uint64()),
        *named("cgroup_path"),
        *((f"{name}_namespace", pa.uint32()) for name in ("pid", "mount", "user", "cgroup")),
        ("args", pa.list_(pa.binary())),
        ("args_truncated", pa.bool_()),
    ]
)
"""What events name as ``task``: one thread as it was from one moment to the next."""

FOLDED: Final = pa.schema(
    [
        *KEY,
        *((name, pa.uint32()) for name in ("task", "file")),
        ("op", _TEXT),
        ("pid", pa.uint32()),
        ("count", pa.uint64()),
        ("bytes", pa.uint64()),
        ("first", _TIME),
        ("last", _TIME),
    ]
)
"""Events that found no room in the ring, summed by task, file and op."""

SCHEMAS: Final = {"events": EVENTS, "files": FILES, "tasks": TASKS, "folded": FOLDED}

RECORDED: Final = pa.schema(
    [
        ("time", pa.uint64()),
        ("realtime", pa.int64()),
        *((name, pa.uint64()) for name in ("offset", "size")),
        ("result", pa.int64()),
        *((name, pa.uint32()) for name in ("duration", "task", "file", "tid")),
        ("fd", pa.int32()),
        ("open", pa.uint32()),
        *((name, pa.uint16()) for name in ("call", "rule")),
        ("flags", pa.uint32()),
        ("target_offset", pa.uint64()),
        ("target", pa.uint32()),
        ("target_fd", pa.int32()),
        ("argument", pa.uint32()),
    ]
)
"""Events while a segment is written: the columns of the wire (bpf/event.h), which cost least; sealing gives them meaning."""


class Segment(msgspec.Struct, kw_only=True):
    """One that is sealed."""

    number: int
    events: int
    began: int | None
    """Of its first event by the clock, ns since 1970; so is ``ended``, of the last one. None: it has no events."""
    ended: int | None
    bytes: int
    """On disk, all tables."""


class Metadata(msgspec.Struct, kw_only=True):
    """``trace.json``."""

    version: int = VERSION
    uuid: str
    node: str
    boot: str
    """/proc/sys/kernel/random/boot_id."""
    kernel: str
    machine: str
    filetap: str
    """Version."""
    libraries: dict[str, str] = {}
    """Name to version."""
    began: str
    """ISO 8601, UTC; so is ``ended``."""
    ended: str | None = None
    """None: it is being written, or was not closed."""
    command: list[str] = []
    """As filetap was called."""
    options: dict[str, Any] = {}
    """Targets and filters."""
    hooks: dict[str, str] = {}
    """Of the VFS level: function to the way it attached."""
    calls: list[tuple[str, str]] = []
    """Op and name by number: what ``call`` of the recorded form means."""
    clocks: list[tuple[int, int]] = []
    """CLOCK_BOOTTIME and what made it CLOCK_REALTIME then, ns: each time that this had changed by a millisecond."""
    notes: list[str] = []
    account: dict[str, Any] | None = None
    """Seen = delivered + folded + lost, as ``--account`` writes it. None: it was not closed."""
    segments: list[Segment] = []
    """Those that are sealed."""
    first: int = 1
    """The segments before it are gone, or about to go."""
    dropped: int = 0
    """Events that were delivered and let go again (``--keep``, ``--flight-recorder``): the tables have the others."""
    checksum: str = UNCHECKED
    """CRC-32 of this file, as eight hexadecimal digits, with UNCHECKED in their place."""


class TraceError(FiletapError):
    """This is no trace that can be read, and why."""


def read_metadata(folder: Path) -> Metadata:
    """Raises TraceError when this is not a trace, or one of a version that is not known."""
    try:
        text = (folder / METADATA).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise TraceError(f"{folder} is not a trace: it is no folder with a {METADATA} in it") from None
    except OSError as error:
        raise TraceError(f"{folder}: {error.strerror}") from None
    try:
        version = msgspec.json.decode(text)["version"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise TraceError(f"{folder / METADATA} is damaged: it is not what filetap writes") from None
    if version != VERSION:
        raise TraceError(f"{folder} has version {version} of the format, this filetap reads {VERSION}: use the one that wrote it")
    try:
        metadata = msgspec.json.decode(text, type=Metadata)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise TraceError(f"{folder / METADATA} is damaged: {error}") from None
    if f"{crc32(_with(text, metadata.checksum, UNCHECKED)):08x}" != metadata.checksum:
        raise TraceError(f"{folder / METADATA} is damaged: it has another checksum than what it says")
    return metadata


def _with(text: bytes, old: str, new: str) -> bytes:
    """The last member, ``checksum``, with another value."""
    before, found, after = text.rpartition(f'"checksum": "{old}"'.encode())
    return before + (f'"checksum": "{new}"'.encode() if found else b"") + after


def write_metadata(folder: Path, metadata: Metadata) -> None:
    """All of it or nothing, whatever happens meanwhile."""
    text = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(metadata, checksum=UNCHECKED)), indent=1) + b"\n"
    new = folder / f"{METADATA}.new"
    with open(new, "wb") as stream:
        stream.write(_with(text, UNCHECKED, f"{crc32(text):08x}"))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(new, folder / METADATA)


def segment(folder: Path, table: str, number: int, suffix: str) -> Path:
    """``suffix``: arrow and crc while it is written, parquet and parquet.crc once it is sealed."""
    return folder / table / f"{number:06}.{suffix}"
