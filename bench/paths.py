"""User space's work for each method, until every event of a batch has its path: by columns where possible.

Separate from resolution.py, which measures it. A path is computed once for each file of a batch, not for each event.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from filetap.capture.decode import components
from filetap.core import wire
from filetap.core.wire import Records
from filetap.kernel.libbpf import library
from filetap.kernel.loader import Object
from filetap.kernel.ring import PAGE, Ring

RING: Final = 64 << 20
REPORTED: Final = np.dtype({"names": ["key", "file"], "formats": ["V16", "<u4"], "offsets": [32, 48], "itemsize": 72})
"""struct reported of resolution.bpf.c, which follows the ring's header: only the members that are read here."""
_FRAGMENT: Final = struct.Struct("<12xI16s16s")
_WHOLE: Final = struct.Struct("<12xI")
_HEAD: Final = struct.Struct("<HHII")
_PARENT: Final = {wire.DEFINE_FILE: (40, wire.DEFINITION_FIXED)}
"""The offsets of a definition's parent and its name; in other definitions they follow the head."""
_NOWHERE: Final = bytes(16)
Key = TypeVar("Key", bytes, int)
Paths: TypeAlias = tuple[list[bytes], NDArray[np.intp]]
"""Paths, and for each event the index of its path."""


class Events(Ring):
    """The ring of events."""

    def column(self) -> Records:
        """Return all records, in place; all have the same length."""
        count = (self.produced() - self.position) // REPORTED.itemsize
        return np.frombuffer(self._pages, REPORTED, count, PAGE + (self.position & (self.size - 1)))


@dataclass(slots=True)
class Sent:
    """The data sent by one method, its table, and what user space keeps of it for later batches."""

    events: Events
    definitions: Ring
    table: int
    """The descriptor of its table, 0 if it has none."""
    kept: dict[bytes | int, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, way: Way, loaded: Object) -> Sent:
        table = loaded.map_fd(way.table) if way.table else 0
        return cls(Events(loaded.map_fd("stream"), RING), Ring(loaded.map_fd("definitions"), RING), table)

    @property
    def size(self) -> int:
        return self.events.produced() + self.definitions.produced()

    def records(self) -> Iterator[bytes]:
        return self.definitions.records(self.definitions.produced())

    def table_size(self) -> int:
        """Return the bytes of the entries in use."""
        if not self.table:
            return 0
        info = Path(f"/proc/self/fdinfo/{self.table}").read_text(encoding="ascii")
        fields = dict(line.split(":\t") for line in info.splitlines() if ":\t" in line)
        return int(fields["memlock"]) * self._entries(int(fields["key_size"])) // int(fields["max_entries"])

    def _entries(self, key_size: int) -> int:
        key, count = ctypes.create_string_buffer(key_size), 0
        before = None
        while not library().bpf_map_get_next_key(self.table, before, key):
            before, count = key, count + 1
        return count


def size_of(what: Any) -> int:
    """Return the bytes of a table of user space and its content."""
    inner = [*what.keys(), *what.values()] if isinstance(what, dict) else what if isinstance(what, tuple) else ()
    return sys.getsizeof(what) + sum(map(size_of, inner))


def _joined(names: list[bytes]) -> bytes:
    return b"/" + b"/".join(name for name in names if name != b"/")


def of_ids(sent: Sent) -> Paths:
    """Resolve as filetap does: definitions first."""
    sent.kept.update((_id(record), record) for record in sent.records())
    ids, which = np.unique(sent.events.column()["file"], return_inverse=True)
    return [_joined(components(sent.kept[number])) for number in ids.tolist()], which


def _id(record: bytes) -> int:
    number: int = struct.unpack_from("<I", record, 4)[0]
    return number


def of_events(sent: Sent) -> Paths:
    """Read records of any length, one after another."""
    names: dict[bytes, int] = {}
    which = [names.setdefault(record[64:], len(names)) for record in sent.events.records(sent.events.produced())]
    return [_joined(name.split(b"\0")[-2::-1]) for name in names], np.array(which)


def of_fragments(sent: Sent) -> Paths:
    """Join names by their parents' keys."""
    keys: dict[int, bytes] = {}
    for record in sent.records():
        length, parent, key = _FRAGMENT.unpack_from(record)
        keys[int.from_bytes(record[:4], "little")] = key
        sent.kept[key] = (parent, record[48 : 48 + length])
    known = {_NOWHERE: b""}
    ids, which = np.unique(sent.events.column()["file"], return_inverse=True)
    return [_climbed(keys[number], known, sent.kept.__getitem__) for number in ids.tolist()], which


def _climbed(key: Key, known: dict[Key, bytes], fragment: Callable[[Key], tuple[Key, bytes]]) -> bytes:
    if key not in known:
        parent, name = fragment(key)
        known[key] = _climbed(parent, known, fragment) + b"/" + name
    return known[key]


def of_parents(sent: Sent) -> Paths:
    """Join names by their parents' ids. An id never changes its meaning, so paths of directories could be kept for good."""
    for record in sent.records():
        kind, _, number, length = _HEAD.unpack_from(record)
        parent, name = _PARENT.get(kind, (16, 24))
        sent.kept[number] = (int.from_bytes(record[parent : parent + 4], "little"), record[name : name + length])
    known = {0: b""}
    ids, which = np.unique(sent.events.column()["file"], return_inverse=True)
    return [_climbed(number, known, sent.kept.__getitem__) for number in ids.tolist()], which


def of_kept_fragments(sent: Sent) -> Paths:
    """Look up each name by a call of bpf(2), once a batch."""
    value = ctypes.create_string_buffer(304)

    def fragment(key: bytes) -> tuple[bytes, bytes]:
        _look_up(sent.table, key, value)
        length, parent, _ = _FRAGMENT.unpack_from(value)
        return parent, value.raw[48 : 48 + length]

    known = {_NOWHERE: b""}
    keys, which = _keys(sent)
    return [_climbed(key, known, fragment) for key in keys], which


def of_kept_paths(sent: Sent) -> Paths:
    """Look up each path by a call of bpf(2), once a batch."""
    value = ctypes.create_string_buffer(16 + 4096)
    keys, which = _keys(sent)
    names = []
    for key in keys:
        _look_up(sent.table, key, value)
        (length,) = _WHOLE.unpack_from(value)
        names.append(_joined(ctypes.string_at(ctypes.addressof(value) + 16, length).split(b"\0")[-2::-1]))
    return names, which


def _keys(sent: Sent) -> tuple[list[bytes], NDArray[np.intp]]:
    """Return the key of each file in the batch. Ids are compared quicker than keys."""
    events = sent.events.column()
    _, first, which = np.unique(events["file"], return_index=True, return_inverse=True)
    return [key.tobytes() for key in events["key"][first]], which


def _look_up(table: int, key: bytes, value: ctypes.Array[ctypes.c_char]) -> None:
    if library().bpf_map_lookup_elem(table, key, value):
        raise KeyError(key)


def of_nothing(sent: Sent) -> Paths:
    return [b"/"], np.zeros(len(sent.events.column()), np.intp)


@dataclass(frozen=True, slots=True)
class Way:
    """A program of resolution.bpf.c, and the function that reads its data."""

    title: str
    program: str
    table: str
    read: Callable[[Sent], Paths]


WAYS: Final = (
    Way("ids (filetap's)", "by_id", "files", of_ids),
    Way("no path at all", "by_nothing", "", of_nothing),
    Way("path with each event", "by_path", "", of_events),
    Way("ids of parents", "by_parent", "linked", of_parents),
    Way("fragments, sent once", "by_fragment", "seen", of_fragments),
    Way("fragments, looked up", "by_lookups", "fragments", of_kept_fragments),
    Way("whole paths, looked up", "by_lookup", "wholes", of_kept_paths),
)
