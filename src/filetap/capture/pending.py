"""Pending calls as events that have no result yet: from the records of bpf/pending.bpf.c to a batch.

Separate from reader.py, because they are not sent: they are looked for, twice, and their names are read from another process's
memory (peer.py). They are handled in a loop, because they are as few as the waiting threads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from filetap.capture.decode import text
from filetap.capture.definitions import Definitions
from filetap.capture.mounts import has_plain_source, makes_new
from filetap.capture.peer import PeerData, Wanted
from filetap.core import wire
from filetap.core.batch import UNKNOWN_USER, Batch, Task
from filetap.core.calls import (
    CALLS,
    HOW,
    KIND_CLOSE_RANGE,
    KIND_FCNTL,
    KIND_IOCTL,
    KIND_MAPPED,
    KIND_MMAP,
    KIND_OPEN,
    KIND_PLAIN,
    KIND_READ,
    KIND_TRANSFER,
    KIND_WRITE,
    MAX_NR,
    POSITIONAL,
    RWF,
    VECTORED,
    Call,
)
from filetap.core.errors import UsageError
from filetap.core.wire import Records

Row = dict[str, int]
"""Columns of an event and of its second slot."""

SAME: Final = ["tid", "call", "nr", "arguments", "ip", "sp"]
"""Columns that are equal in two records of one call."""
NO_POSITION: Final = 2**64 - 1
AT_FDCWD: Final = -100
NEVER: Final = ("fork", "thread", "exit", "fault")
"""Operations that no thread waits in: they are about another thread, or are no call."""
AT_REMOVEDIR: Final = 0x200
O_CREATING: Final = 0o1101
"""creat(2): O_CREAT | O_WRONLY | O_TRUNC."""
LOCKS: Final = (6, 7, 37, 38)
"""F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW."""
FICLONE, FICLONERANGE, FIDEDUPERANGE = 0x40049409, 0x4020940D, 0xC0189436
WITH_SECOND: Final = ("link", "symlink", "rename", "mmap")
"""Hooks with a second slot: has_second_slot() of bpf/lib/emit_hook.bpf.h."""
AIO: Final = [number for number, call in enumerate(CALLS) if call.name == "io_submit"]
REQUESTS: Final = frozenset(number for number, call in enumerate(CALLS) if call.nr >= MAX_NR or call.name == "io_submit")
"""Indices into CALLS that no thread waits in."""
FOUND_PATH, FOUND_BELOW = 1 << 32, 4 << 32
"""WANTED_PATH and WANTED_BELOW of bpf/event.h, in a struct found that is read as one number."""
RESOLVE_BENEATH, RESOLVE_IN_ROOT = 0x08, 0x10
"""Of openat2(2)."""


def check(chosen: frozenset[int]) -> None:
    """Refuse a selection of calls that are never listed."""
    if all(CALLS[number].op in NEVER or CALLS[number].kind == KIND_CLOSE_RANGE for number in chosen):
        raise UsageError("--pending cannot list the operations of -e: they never wait. Give others.")


def same(before: Records, after: Records, timed: bool) -> Records:
    """Return those of ``after`` that were pending in ``before``, too. A thread that has not left its CPU since is in the same
    call; so is one whose call began at the same moment, where that is measured (``timed``)."""
    seen = {*keys(before, "instance"), *(keys(before, "entered") if timed else ())}
    either = zip(keys(after, "instance"), keys(after, "entered"), strict=True)
    return after[[bool(seen.intersection(both)) for both in either]]


def keys(records: Records, moment: str) -> list[tuple[str, bytes]]:
    columns = np.empty(len(records), [(name, wire.PENDING_CALL[name]) for name in (*SAME, moment)])
    for name in (*SAME, moment):
        columns[name] = records[name]
    return [(moment, row.tobytes()) for row in columns]


def meaning(record: Any, chosen: frozenset[int]) -> int:
    """Return the index into CALLS, as choose_meaning() of bpf/lib/call_event.bpf.h; 0: not one of ``chosen``."""
    if record["call"]:
        return int(record["call"])
    numbers = _BY_NR.get(int(record["nr"]), ())
    return next((number for number in numbers if number in chosen and _is_meant(CALLS[number], record["arguments"])), 0)


_BY_NR: Final[dict[int, list[int]]] = {
    nr: [number for number, call in enumerate(CALLS) if call.nr == nr] for nr in {call.nr for call in CALLS if 0 <= call.nr < MAX_NR}
}


def _is_meant(call: Call, arguments: Any) -> bool:
    word = int(arguments[1]) & 0xFFFFFFFF
    if call.kind == KIND_FCNTL:
        return call.other and word in LOCKS
    if call.kind == KIND_IOCTL:
        return word == FIDEDUPERANGE if call.other else word in (FICLONE, FICLONERANGE)
    return call.name != "unlinkat" or call.other == bool(int(arguments[2]) & AT_REMOVEDIR)


def wanted(call: Call, record: Any) -> Wanted:
    """Return the addresses in the process's memory that the call refers to."""
    given, arguments = given_by(call, record), record["arguments"].tolist()
    if record["call"]:
        return Wanted()
    return Wanted(
        name=given.get("name", 0),
        to_name=given.get("to_name", 0),
        how=arguments[2] if call.flags & HOW else 0,
        kind=arguments[2] if has_source(call, record) and makes_new(arguments[3]) else 0,
        iovecs=(arguments[1], arguments[2]) if call.flags & VECTORED else (0, 0),
    )


def given_by(call: Call, record: Any) -> Row:
    """Return a call's arguments by the words of its shape."""
    return {word: int(value) for word, value in zip(call.shape.split(), record["arguments"].tolist(), strict=False) if word != "-"}


def number32(value: int) -> int:
    """Return a descriptor."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


@dataclass(frozen=True, slots=True)
class Listing:
    """The pending calls found, and the values read of them: converted to a batch once their definitions are read."""

    records: Records
    data: list[PeerData]
    alive: Collection[tuple[int, int]] = ()
    """Processes, by pid and start, that have requests: requests outlive the threads that made them."""


class Pending:
    """Converts listings to batches."""

    def __init__(self, chosen: frozenset[int], definitions: Definitions, new_id: Callable[[], int], named_only: bool) -> None:
        """``new_id``: for names and tasks. ``named_only``: it is not known whether a call whose name could not be read
        matches."""
        self._chosen, self._definitions, self._new_id, self._named_only = chosen, definitions, new_id, named_only

    def calls(self, records: Records) -> list[int]:
        """Return the index into CALLS of each record."""
        return [meaning(record, self._chosen) for record in records]

    def chosen(self, records: Records) -> Records:
        """Return those of requested calls."""
        return records[np.array(self.calls(records), np.int64) > 0]

    def batch(self, listing: Listing, began: int, realtime: int) -> Batch:
        """Return the batch. ``began``: since when the beginning of calls is traced, CLOCK_BOOTTIME; 0: it is not."""
        rows = list(self._rows(listing, began))
        events, ext = np.zeros(len(rows), wire.EVENT), np.zeros(sum(bool(second) for _, second in rows), wire.EVENT_EXT)
        for event, (first, _) in zip(events, rows, strict=True):
            for name, value in first.items():
                event[name] = value
        for record, second in zip(ext, filter(None, (second for _, second in rows)), strict=True):
            for name, value in second.items():
                record[name] = value
        known = self._definitions
        return Batch(events, known.files, known.tasks, realtime, ext, known.files.made)

    def _rows(self, listing: Listing, began: int) -> Iterator[tuple[Row, Row]]:
        for record, number, data in zip(listing.records, self.calls(listing.records), listing.data, strict=True):
            call = CALLS[number]
            if number in REQUESTS and not self._lives(record, listing.alive):
                continue
            first, second = _described(call, record) if record["call"] else _row(call, record, data)
            if not record["call"] and "name" in call.shape.split() and not self._name(call, record, data, first, second):
                continue
            flags, took = duration(record, began)
            first["flags"] |= flags | wire.PENDING | wire.NO_RESULT | wire.HAS_EXT * bool(second)
            first |= {"time": int(record["time"]), "call": number, "duration": took, "tid": int(record["tid"]), "task": self._task(record)}
            yield first, second

    def _lives(self, record: Any, alive: Collection[tuple[int, int]]) -> bool:
        """Return whether the process that made a request still lives."""
        task = self._definitions.tasks.get(int(record["task"]))
        return not task or (task.pid, task.start) in alive

    def _task(self, record: Any) -> int:
        if record["task"]:
            return int(record["task"])
        comm, who = text(bytes(record["comm"]).ljust(16, b"\0")), (int(record["pid"]), int(record["tid"]))
        user = replace(UNKNOWN_USER, euid=int(record["euid"]))
        task = Task(self._new_id(), *who, comm, comm, ppid=int(record["ppid"]), credentials=user)
        self._definitions.add_temporary(task)
        return task.id

    def _name(self, call: Call, record: Any, data: PeerData, first: Row, second: Row) -> bool:
        """Set the files of a call that names them. Return False if it is not known whether they match."""
        given = given_by(call, record)
        name = data.name if given["name"] else b""
        if "to_name" in given:
            second["target"] = self._defined(data.to_name, Origin.of(record, "to_start", data.to_name))
        if call.op == "symlink":
            first["file"] = self._defined(name, Origin(second["target"], int(record["root"]), wire.RELATIVE_TO_LINK))
        elif has_source(call, record):
            first["file"] = self._defined(name, Origin.of(record, "start", name, wire.SOURCE), data.kind)
        elif name == b"" and "dir" in given:
            first["file"], first["fd"] = int(record["start"]) & 0xFFFFFFFF, max(number32(given["dir"]), -1)
        else:
            first["file"] = self._defined(name, Origin.of(record, "start", name, scope=data.how[2]))
        return bool(first["file"] or second.get("target") or not self._named_only)

    def _defined(self, name: bytes | None, origin: Origin, kind: bytes | None = None) -> int:
        """Return the id of a name; 0: it could not be read. ``kind``: for the source of a mount, the type of the file system."""
        if name is None:
            return 0
        given = name + b"\0" + (b"" if kind is None else kind + b"\0")
        definition, number = np.zeros(1, wire.NAME_DEFINITION), self._new_id()
        values = {"kind": wire.DEFINE_NAME, "flags": origin.flags | wire.ONCE, "id": number, "length": len(given)}
        for word, value in (values | {"directory": origin.start & 0xFFFFFFFF, "root": origin.root & 0xFFFFFFFF}).items():
            definition[word] = value
        self._definitions.apply(definition.tobytes().ljust(wire.DEFINITION_FIXED, b"\0") + given)
        return number


@dataclass(frozen=True, slots=True)
class Origin:
    """The start of a name, and the root that ".." does not leave: as struct origin of bpf/lib/path_rules.bpf.h."""

    start: int
    root: int
    flags: int = 0
    """DEFINITION_*."""

    @classmethod
    def of(cls, record: Any, place: str, name: bytes | None, flags: int = 0, scope: int = 0) -> Origin:
        """``scope``: RESOLVE_*."""
        start, root = int(record[place]), int(record["root"])
        if scope & (RESOLVE_BENEATH | RESOLVE_IN_ROOT):
            root = start
        elif name and name.startswith(b"/"):
            start = root
        flags |= (wire.FROM_WANTED if start & FOUND_BELOW else 0) | (wire.START_WANTED if start & FOUND_PATH else 0)
        return cls(start, root, flags | (wire.BENEATH if scope & RESOLVE_BENEATH else 0))


def has_source(call: Call, record: Any) -> bool:
    """Return whether the name is the source of a mount, which the type of the file system may make a device or other text."""
    return call.name == "mount" and has_plain_source(int(record["arguments"][3]))


def duration(record: Any, began: int) -> tuple[int, int]:
    """Return EVENT_* and the wire format's number: how long it has been pending, or a lower bound."""
    since = int(record["entered"]) or began
    took = int(record["time"]) - since if since else 0
    flags = 0 if record["entered"] or not took else wire.AT_LEAST
    for unit, bit in ((1, 0), (1000, wire.MICROSECONDS), (1_000_000, wire.MILLISECONDS)):
        if took // unit < 1 << 32:
            return flags | bit, took // unit
    return flags | wire.MILLISECONDS, (1 << 32) - 1


def _found(record: Any) -> tuple[Row, Row]:
    """Return what the kernel has found of the files."""
    first = {name: int(record[name]) for name in ("file", "open", "flags")}
    return {"fd": -1, **first}, {"target": int(record["target"]), "target_fd": -1, "target_offset": 0}


def _described(call: Call, record: Any) -> tuple[Row, Row]:
    first, second = _found(record)
    first["fd"] = int(record["fd"])
    first["offset"], first["size"], argument = record["arguments"][:3].tolist()
    two = bool({"argument", "to_name", "to_fd"} & {*call.shape.split()}) if call.nr >= MAX_NR else call.op in WITH_SECOND
    if call.kind == KIND_TRANSFER:
        second["target_offset"] = NO_POSITION
    return first, second | {"argument": argument & 0xFFFFFFFF} if two else {}


def _row(call: Call, record: Any, data: PeerData) -> tuple[Row, Row]:
    """Fill the event like the pending events of bpf/lib: values that are no arguments come from the kernel, or were read."""
    given, (first, second) = given_by(call, record), _found(record)
    first |= {"fd": number32(given.get("fd", -1)), "offset": given.get("offset", 0), "size": given.get("size", 0)}
    second["argument"] = given.get("argument", 0) & 0xFFFFFFFF
    for name, value in _SHAPED.get(call.kind, _plain)(call, record["arguments"].tolist(), data, int(record["position"])).items():
        (second if name in second else first)[name] = value
    if call.flags & VECTORED:
        first["size"] = data.size or 0
    first["flags"] = _flags(call, given, data, first["flags"])
    return first, second if call.kind in _TWO or {"argument", "to_name"} & given.keys() else {}


def _flags(call: Call, given: Row, data: PeerData, flags: int) -> int:
    """Return EVENT_* for missing values."""
    plain = call.kind == KIND_PLAIN
    if plain and "fd" in given:
        flags = flags & ~wire.NO_OFFSET | wire.NO_OFFSET * ("offset" not in given)
    sized = data.size is not None if call.flags & VECTORED else "size" in given or not plain
    return flags | wire.NO_SIZE * (not sized)


def _plain(_call: Call, _arguments: list[int], _data: PeerData, _position: int) -> Row:
    """Return nothing: its shape describes everything."""
    return {}


def _moving(call: Call, arguments: list[int], _data: PeerData, position: int) -> Row:
    """Return the offset. preadv2's -1 means the file's own position."""
    positional = call.flags & POSITIONAL and not (call.flags & RWF and arguments[3] == NO_POSITION)
    return {"offset": arguments[3] if positional else position}


def _opening(call: Call, arguments: list[int], data: PeerData, _position: int) -> Row:
    if call.flags & HOW:
        return {"fd": -1, "offset": data.how[0], "size": data.how[1]}
    flags = {"offset": O_CREATING} if call.name == "creat" else {}
    return {"fd": -1} | flags


def _locking(_call: Call, arguments: list[int], _data: PeerData, _position: int) -> Row:
    return {"argument": (arguments[1] & 0xFFFFFF) << 8}


def _copying(call: Call, arguments: list[int], _data: PeerData, _position: int) -> Row:
    """Return the target. Offsets are in the process's memory, or are the files' own."""
    to_fd = number32(arguments[call.shape.split().index("to_fd")])
    return {"offset": 0, "target_fd": to_fd, "target_offset": NO_POSITION}


def _cloning(_call: Call, arguments: list[int], _data: PeerData, _position: int) -> Row:
    """Return the target. Ranges are in the process's memory; FICLONE has none."""
    command, to_fd = arguments[1] & 0xFFFFFFFF, number32(arguments[0])
    if command == FICLONE:
        return {"fd": number32(arguments[2]), "target_fd": to_fd}
    return {"target_offset": NO_POSITION} if command == FIDEDUPERANGE else {"fd": -1, "target_fd": to_fd, "target_offset": NO_POSITION}


def _mapping(_call: Call, arguments: list[int], _data: PeerData, _position: int) -> Row:
    argument = (arguments[2] & 0xFF) | (arguments[3] << 8 & 0xFFFFFFFF)
    return {"fd": number32(arguments[4]), "offset": arguments[5], "size": arguments[1], "argument": argument}


def _mapped(_call: Call, arguments: list[int], _data: PeerData, position: int) -> Row:
    return {"offset": position, "target_offset": arguments[0]}


_TWO: Final = (KIND_FCNTL, KIND_TRANSFER, KIND_IOCTL, KIND_MMAP, KIND_MAPPED)
_SHAPED: Final[dict[int, Callable[[Call, list[int], PeerData, int], Row]]] = {
    KIND_READ: _moving,
    KIND_WRITE: _moving,
    KIND_OPEN: _opening,
    KIND_FCNTL: _locking,
    KIND_TRANSFER: _copying,
    KIND_IOCTL: _cloning,
    KIND_MMAP: _mapping,
    KIND_MAPPED: _mapped,
}
