"""The format of a recording on disk: the names in its folder, the columns of its tables, its metadata (docs/trace-format.md).

Separate, because other programs rely on it: a new column is a new minor version, which older readers accept; any other change
is a new major one, which they refuse.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec

from filetap.core.errors import FiletapError
from filetap.core.statistics import Statistics

VERSION: Final = "2.0"
"""Major and minor."""
Version = tuple[int, int]
OLDEST: Final = (1, 0)
NUMBERED: Final[dict[int, Version]] = {1: (1, 0), 2: (1, 1)}
"""Versions before 2.0 were written as plain numbers."""
METADATA: Final = "trace.json"
LOCK: Final = "lock"
"""Locked (flock) by the process that records, as long as it lives. Its bytes reserve room for the final metadata."""
UNCHECKED: Final = "0" * 8
TABLES: Final = ("events", "files", "tasks", "aggregated", "pending")
"""A folder each, with a file per segment: 000001.arrow while it is written, 000001.parquet once it is sealed."""
ADDED_TABLES: Final = ("pending",)
"""Those that version 1.0 does not have."""
OLD_TABLES: Final = {"aggregated": "folded"}
OLD_COLUMNS: Final = {
    "open_id": "open",
    "event_flags": "bits",
    "raw_arg0": "word0",
    "raw_arg1": "word1",
    "raw_arg2": "word2",
    "raw_arg3": "word3",
}
"""Names before 2.0 of both. No table uses an old name with another meaning."""
OF_EVENTS: Final = ("events", "pending")
"""Tables with the columns of events."""

KEY: Final = ("trace", "node", "boot")
"""Ids are valid within one recording; these columns identify the recording in a table of several."""


def _columns(words: str) -> dict[str, str]:
    """Return name to type, from ``type: name name ...``. An exact text has a second column with the bytes where they are not
    UTF-8."""
    found = dict.fromkeys(KEY, "name")
    for line in words.strip().splitlines():
        kind, _, names = line.strip().partition(": ")
        for name in names.split():
            found |= {name: "string", f"{name}_bytes": "binary"} if kind == "exact" else {name: kind}
    return found


EVENTS: Final = _columns("""
    time: ts
    int64: realtime
    name: op call
    uint32: task file target tid
    int32: fd
    uint32: open_id
    int64: offset
    uint64: size
    int64: result duration
    int32: target_fd
    int64: target_offset
    uint64: address
    name: arguments
    uint32: event_flags
    uint64: raw_arg0 raw_arg1 raw_arg2 raw_arg3
""")
"""One row for each event. Null: there is none, or it is not known."""

FILES: Final = _columns("""
    uint32: id
    exact: path
    bool: resolved
    uint64: inode
    string: device
    uint64: subvolume
    uint32: generation
    name: type
    uint32: mode
    uint64: size
    string: filesystem
    uint32: mount mount_namespace
    exact: host_path
    uint64: real_inode
    string: real_device
    bool: truncated deleted raced
    exact: requested
    bool: later
""")
"""Referred to by events as ``file`` and ``target``: one file under one path."""

TASKS: Final = _columns("""
    uint32: id pid tid namespace_pid ppid parent forker
    bool: adopted ancestor
    exact: command thread exe root
    int64: start
    uint32: execs uid euid suid fsuid gid egid sgid fsgid loginuid
    numbers: groups
    bool: groups_truncated
    string: user_name real_user_name saved_user_name fs_user_name audit_user_name
    string: group_name real_group_name saved_group_name fs_group_name
    texts: group_names
    uint64: cgroup
    exact: cgroup_path
    uint32: pid_namespace mount_namespace user_namespace cgroup_namespace
    list: args
    exact: command_line
    bool: args_truncated args_late
""")
"""Referred to by events as ``task``: one thread during one period. Also the ancestor processes of these."""

AGGREGATED: Final = _columns("""
    uint32: task file
    name: op
    uint32: pid
    uint64: count bytes
    time: first last
""")
"""Events that did not fit in the ring, summed by task, file and op."""

COLUMNS: Final = {"events": EVENTS, "files": FILES, "tasks": TASKS, "aggregated": AGGREGATED, "pending": EVENTS}
"""Columns of each table, by name: the type, in the words of schemas.py."""

ADDED: Final[dict[Version, dict[str, frozenset[str]]]] = {
    (1, 1): {
        "files": frozenset(("requested", "requested_bytes", "later")),
        "tasks": frozenset(
            "suid egid sgid fsgid groups groups_truncated user_name real_user_name saved_user_name fs_user_name audit_user_name "
            "group_name real_group_name saved_group_name fs_group_name group_names "
            "forker adopted ancestor command_line command_line_bytes args_late".split()
        ),
    },
}
"""By version and table: the columns that came with it. In older recordings they are null."""


def parsed(version: int | str) -> Version:
    """Parse a version. Raise ValueError if it is none."""
    if isinstance(version, int):
        return NUMBERED.get(version, (version, 0))
    major, minor = version.split(".")
    return int(major), int(minor)


def stored(table: str, version: Version) -> dict[str, str]:
    """Return those of COLUMNS that a recording of a version has, and their names there. Newer versions have all."""
    new = {name for since, tables in ADDED.items() if version < since for name in tables.get(table, ())}
    old = OLD_COLUMNS if version < (2, 0) else {}
    return {name: old.get(name, name) for name in COLUMNS[table] if name not in new}


def directory(folder: Path, table: str) -> Path:
    """Return the folder of a table's segments."""
    old = folder / OLD_TABLES.get(table, table)
    return old if old.is_dir() else folder / table


def table_of(path: Path) -> str:
    """Return the table that a segment's file belongs to."""
    name = path.parent.name
    return next((table for table, old in OLD_TABLES.items() if old == name), name)


class Segment(msgspec.Struct, kw_only=True):
    """A sealed segment."""

    number: int
    events: int
    began: int | None
    """Wall-clock time of its first event, ns since 1970; ``ended``: of the last one. None: it has no events."""
    ended: int | None
    bytes: int
    """On disk, all tables."""


class Metadata(msgspec.Struct, kw_only=True):
    """``trace.json``."""

    version: int | str = VERSION
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
    """ISO 8601, UTC; ``ended`` as well."""
    ended: str | None = None
    """None: it is being written, or was not closed."""
    command: list[str] = []
    """The command line of filetap."""
    options: dict[str, Any] = {}
    """Targets and filters."""
    hooks: dict[str, str] = {}
    """Of the VFS level: function to its attach type."""
    calls: list[tuple[str, str]] = []
    """Op and name by number: the meaning of ``call`` while it is recorded."""
    clocks: list[tuple[int, int]] = []
    """CLOCK_BOOTTIME and the difference to CLOCK_REALTIME at that time, ns: whenever this had changed by a millisecond."""
    notes: list[str] = []
    statistics: dict[str, Any] | None = None
    """Seen = delivered + aggregated + lost, as ``--stats`` writes it. None: it was not closed."""
    segments: list[Segment] = []
    """The sealed segments."""
    first: int = 1
    """Earlier segments are deleted, or about to be."""
    dropped: int = 0
    """Events that were delivered and later dropped (``--keep``, ``--flight-recorder``): the tables have the others."""
    checksum: str = UNCHECKED
    """CRC-32 of this file, as eight hexadecimal digits, computed with UNCHECKED in their place."""

    def settle(self, statistics: Statistics) -> None:
        """Add the statistics of the run, and its notes."""
        self.statistics = statistics.as_json()
        self.notes = [*statistics.notes, *(note for note in self.notes if note not in statistics.notes)]

    @property
    def form(self) -> Version:
        """Return the version, for comparison."""
        return parsed(self.version)


class TraceError(FiletapError):
    """This is no recording that can be read, with the reason."""


def read_metadata(folder: Path) -> Metadata:
    """Read the metadata. Raise TraceError if this is not a recording, or one of an unknown version."""
    try:
        text = (folder / METADATA).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise TraceError(f"{folder} is not a recording: it has no {METADATA}") from None
    except OSError as error:
        raise TraceError(f"{folder / METADATA}: {error.strerror}") from None
    try:
        found = msgspec.json.decode(text)
        version = parsed(found["version"])
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError):
        raise TraceError(f"{folder / METADATA} is damaged: it is not valid metadata of a recording") from None
    newest = parsed(VERSION)
    if not OLDEST <= version < (newest[0] + 1, 0):
        raise TraceError(
            f"{folder} has format version {found['version']}, and this filetap reads 1 to {newest[0]}: use the filetap that wrote it"
        )
    try:
        metadata = msgspec.convert(_renamed(found) if version < (2, 0) else found, Metadata)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise TraceError(f"{folder / METADATA} is damaged: {error}") from None
    if f"{crc32(_with(text, metadata.checksum, UNCHECKED)):08x}" != metadata.checksum:
        raise TraceError(f"{folder / METADATA} is damaged: its checksum does not match")
    return metadata


def _renamed(found: dict[str, Any]) -> dict[str, Any]:
    """Rename metadata from before 2.0 to the present names."""
    statistics = found.pop("account", None)
    for op in (statistics or {}).get("ops", {}).values():
        op["aggregated"] = op.pop("folded")
    return found | {"statistics": statistics}


def _with(text: bytes, old: str, new: str) -> bytes:
    """Replace the value of the last member, ``checksum``."""
    before, found, after = text.rpartition(f'"checksum": "{old}"'.encode())
    return before + (f'"checksum": "{new}"'.encode() if found else b"") + after


def write_metadata(folder: Path, metadata: Metadata) -> None:
    """Write all of it or nothing, even if the process is killed."""
    text = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(metadata, checksum=UNCHECKED)), indent=1) + b"\n"
    new = folder / f"{METADATA}.new"
    with open(new, "wb") as stream:
        stream.write(_with(text, UNCHECKED, f"{crc32(text):08x}"))
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(new, folder / METADATA)


def segment(folder: Path, table: str, number: int, suffix: str) -> Path:
    """Return the path. ``suffix``: arrow and crc while it is written, parquet and parquet.crc once it is sealed."""
    return directory(folder, table) / f"{number:06}.{suffix}"
