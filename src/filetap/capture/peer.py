"""The arguments of a pending call that are given by address: names and numbers in the memory of the waiting process.

Separate from pending.py, because reading another process's memory may itself have to wait: for the lock of its mappings, which
a thread that hangs in mmap(2) holds, or for a page. So it runs in a thread, and is abandoned after a while.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Final

from filetap.core.wire import Records

PATH_MAX: Final = 4096
MAX_IOVECS: Final = 1024
PATIENCE: Final = 0.5
"""Seconds for each call."""
MOST_HUNG: Final = 8
"""Hanging reads after which no more are tried."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Addresses; 0: none."""

    name: int = 0
    to_name: int = 0
    how: int = 0
    """Address of a struct open_how."""
    kind: int = 0
    """Address of the type of a file system."""
    iovecs: tuple[int, int] = (0, 0)
    """Address of an array of struct iovec, and its length."""


@dataclass(slots=True)
class PeerData:
    """The values read there; None: not readable."""

    name: bytes | None = None
    to_name: bytes | None = None
    how: tuple[int, int, int] = (0, 0, 0)
    """Flags, mode and RESOLVE_*."""
    kind: bytes | None = None
    size: int | None = None
    """Sum over all iovecs."""
    done: bool = field(default=False)


def read(records: Any, wanted: Sequence[Wanted]) -> list[PeerData]:
    """Return the arguments of each call."""
    found, hung = [], 0
    for record, what in zip(records, wanted, strict=True):
        data = PeerData()
        found.append(data)
        if what == Wanted() or hung >= MOST_HUNG:
            continue
        thread = Thread(target=_read, args=(record, what, data), name="peer", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        hung += thread.is_alive()
    return [data if data.done else PeerData() for data in found]


def _read(record: Any, what: Wanted, data: PeerData) -> None:
    tid = int(record["number"])
    if not tid:
        return  # it is not visible here
    try:
        memory = os.open(f"/proc/{tid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return  # it has ended
    try:
        if not _is_in(tid, record):
            return
        data.name, data.to_name = (_string(memory, address) for address in (what.name, what.to_name))
        data.how = _how(memory, what.how) if what.how else (0, 0, 0)
        data.kind = _string(memory, what.kind)
        data.size = _sum(memory, *what.iovecs) if what.iovecs[0] else None
        data.done = _is_in(tid, record)
    except OSError:
        return
    finally:
        os.close(memory)


AIO_HEAD: Final = struct.Struct("<8I")
"""struct aio_ring, fs/aio.c: id, nr, head, tail, magic, compatible and incompatible features, its own length."""
AIO_MAGIC: Final = 0xA10A10A1
AIO_EVENT: Final = struct.Struct("<QQqq")
"""struct io_event: data, the request's address, two results."""


def completed(pid: int, number: int, places: Records, positions: Records) -> set[int]:
    """Return addresses of a process's requests that are in its completion rings after the last position that was read.
    ``number``: its number in /proc."""
    found: set[int] = set()
    rings = [(int(place["address"]), int(at)) for place, at in zip(places, positions, strict=True) if place["tgid"] == pid]
    thread = Thread(target=lambda: found.update(*(_completed(number, *ring) for ring in rings)), name="peer", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return found


def _completed(pid: int, address: int, start: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            head = os.pread(memory.fileno(), AIO_HEAD.size, address)
            _, nr, _, tail, magic, _, incompatible, length = AIO_HEAD.unpack(head)
            if magic != AIO_MAGIC or incompatible or not tail < nr > start:
                return []
            events = os.pread(memory.fileno(), nr * AIO_EVENT.size, address + length)
    except (OSError, struct.error):
        return []
    rows = list(AIO_EVENT.iter_unpack(events[: len(events) // AIO_EVENT.size * AIO_EVENT.size]))
    return [rows[(start + at) % nr][1] for at in range((tail - start) % nr)] if len(rows) == nr else []


def _is_in(tid: int, record: Any) -> bool:
    """Return whether it is the right thread, and still in that call. proc(5); for a running one /proc shows no registers."""
    words = Path(f"/proc/{tid}/syscall").read_text(encoding="ascii").split()
    expected = [int(record["nr"]), *record["arguments"].tolist(), int(record["sp"]), int(record["ip"])]
    return words == ["running"] or [int(word, 0) for word in words] == expected


def _string(memory: int, address: int) -> bytes | None:
    """Read up to the NUL; None: there is none, or no memory."""
    try:
        text, end, _ = os.pread(memory, PATH_MAX, address).partition(b"\0") if address else (b"", b"", b"")
    except OSError:
        return None
    return text if end else None


def _how(memory: int, address: int) -> tuple[int, int, int]:
    flags, mode, resolve = struct.unpack("<QQQ", os.pread(memory, 24, address))
    return flags, mode, resolve


def _sum(memory: int, address: int, count: int) -> int | None:
    if count > MAX_IOVECS:
        return None
    vectors = os.pread(memory, 16 * count, address)
    return sum(length for _, length in struct.iter_unpack("<QQ", vectors)) if len(vectors) == 16 * count else None
