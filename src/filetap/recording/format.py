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

from filetap.core import columns
from filetap.core.errors import FiletapError
from filetap.core.statistics import Statistics

Version = tuple[int, int]
VERSION: Final = "{}.{}".format(*max((2, 0), columns.newest()))
"""Major and minor: what wrote the newest column can be read by what knows it."""
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


def types_of(column: columns.Column) -> dict[str, str]:
    """Return the types of a column by name, in the words of schemas.py. An exact text has a second column with the bytes where they
    are not UTF-8."""
    return {column.name: "string", f"{column.name}_bytes": "binary"} if column.type == "exact" else {column.name: column.type}


def columns_of(owner: columns.Owner) -> dict[str, str]:
    """Return the columns of a table: the types by name."""
    found = dict.fromkeys(KEY, "name")
    for column in columns.of(owner):
        found |= types_of(column)
    return found


def added(owner: columns.Owner) -> dict[str, Version]:
    """Return the columns that version 1.0 does not have, and the version that they came with."""
    return {name: column.since for column in columns.of(owner) if column.since > columns.FIRST_VERSION for name in types_of(column)}


OWNERS: Final[dict[str, columns.Owner]] = {"events": "event", "files": "file", "tasks": "task", "aggregated": "sum", "pending": "event"}
"""The rows of each table."""
COLUMNS: Final = {table: columns_of(owner) for table, owner in OWNERS.items()}
"""The columns of each table. Files and tasks are those that events refer to; tasks also their ancestors."""
ADDED: Final = {table: added(owner) for table, owner in OWNERS.items()}
"""By table: the columns that older recordings do not have, and since when; there they are null."""


def parsed(version: int | str) -> Version:
    """Parse a version. Raise ValueError if it is none."""
    if isinstance(version, int):
        return NUMBERED.get(version, (version, 0))
    major, minor = version.split(".")
    return int(major), int(minor)


def stored(table: str, version: Version) -> dict[str, str]:
    """Return those of COLUMNS that a recording of a version has, and their names there. Newer versions have all."""
    new = {name for name, since in ADDED[table].items() if version < since}
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
        if not folder.exists():
            raise TraceError(f"{folder}: there is no such recording") from None
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
