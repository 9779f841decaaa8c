"""The meaning of an event's numbers, call by call: offsets and sizes, or flags, modes, owners and addresses.

Plain tables, separate from the sinks, because the meaning of an argument does not depend on the format. A call that is like the
others of its op needs no line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from filetap.core import constants, wire
from filetap.core.batch import Batch
from filetap.core.calls import (
    CALLS,
    KIND_IOCTL,
    KIND_MAPPED,
    KIND_MMAP,
    KIND_PLAIN,
    KIND_READ,
    KIND_SUBMIT,
    KIND_TRANSFER,
    KIND_WRITE,
    VECTORED,
    Call,
)
from filetap.core.wire import Records
from filetap.render.columns import second

Members = dict[str, Any]
"""Members of ``io``, by name."""


class ArgumentDecoder(NamedTuple):
    """Decodes the arguments of some calls other than offset and size."""

    op: str
    uses: tuple[str, ...]
    """Columns of the event that ``decode`` gets, and so no number of bytes. ``argument`` is in the second slot."""
    decode: Callable[..., Members]
    calls: str = ""
    """Calls of the op; if empty: all that no other line names."""


def _opening(flags: int, mode: int) -> Members:
    """Return the mode only if the call creates a file; otherwise it is an arbitrary register value."""
    return {"flags": constants.open_flags(flags)} | ({"mode": _octal(mode)} if constants.creates(flags) else {})


def _octal(mode: int) -> str:
    return f"0{mode:03o}"


def _mode(mode: int) -> Members:
    """Return the mode. The kernel's umode_t has 16 bits."""
    return {"mode": _octal(mode & 0xFFFF)}


def _owner(uid: int, gid: int) -> Members:
    """Return the ids. -1 means unchanged, and is left out."""
    given = {name: value & 0xFFFFFFFF for name, value in (("uid", uid), ("gid", gid))}
    owner = {name: value for name, value in given.items() if value != 0xFFFFFFFF}
    return {"owner": owner} if owner else {}


def _access(mode: int) -> Members:
    return {"flags": constants.flags(mode & 0xFFFFFFFF, constants.ACCESS) or ["F_OK"]}


def _permission(mask: int) -> Members:
    return {"flags": constants.flags(mask & 0xFFFFFFFF, constants.PERMISSION)}


def _flags(table: dict[str, int]) -> Callable[[int], Members]:
    """Return flags only if there are any."""
    return lambda bits: {"flags": constants.flags(bits, table)} if bits else {}


_lookup = _flags(constants.LOOKUP)


def _protection(bits: int) -> Members:
    return {"protection": constants.flags(bits, constants.PROTECTION) or ["PROT_NONE"]}


def _mapping(bits: int) -> Members:
    return _protection(bits & 0xFF) | {"flags": constants.map_flags(bits >> 8)}


def _page_fault(flags: int) -> Members:
    access = "exec" if flags & wire.FAULT_EXEC else "write" if flags & wire.FAULT_WRITE else "read"
    return {"access": access, "fault": "major" if flags & wire.FAULT_MAJOR else "minor"}


DECODERS: Final = (
    ArgumentDecoder("open", ("offset", "size"), _opening),
    ArgumentDecoder("open", (), dict, "memfd_create"),
    ArgumentDecoder("open", ("offset",), lambda flags: {"flags": constants.open_flags(flags)}, "security_file_open"),
    ArgumentDecoder("access", ("size",), _access),
    ArgumentDecoder("mmap", ("argument",), _mapping),
    ArgumentDecoder("mremap", ("argument",), _flags(constants.MREMAP)),
    ArgumentDecoder("mprotect", ("argument",), _protection),
    ArgumentDecoder("madvise", ("argument",), lambda advice: {"advice": constants.number(advice, constants.MEMORY_ADVICE)}),
    ArgumentDecoder("fault", ("flags",), _page_fault),
    ArgumentDecoder("rename", ("argument",), _flags(constants.RENAME)),
    ArgumentDecoder("link", ("argument",), _flags(constants.LINK)),
    ArgumentDecoder("mkdir", ("size",), _mode),
    ArgumentDecoder("mknod", ("size", "offset"), lambda mode, device: _mode(mode)),
    ArgumentDecoder("mount", ("argument",), _flags(constants.MOUNT)),
    ArgumentDecoder("mount", ("argument",), _flags(constants.MOVE_MOUNT), "move_mount"),
    ArgumentDecoder("umount", ("argument",), _flags(constants.UMOUNT)),
    ArgumentDecoder("setattr", ("size",), _mode, "chmod fchmod fchmodat security_path_chmod"),
    ArgumentDecoder("setattr", ("size", "argument"), lambda mode, flags: _lookup(flags) | _mode(mode), "fchmodat2"),
    ArgumentDecoder("setattr", ("offset", "size"), _owner, "chown fchown lchown security_path_chown"),
    ArgumentDecoder("setattr", ("offset", "size", "argument"), lambda uid, gid, flags: _lookup(flags) | _owner(uid, gid), "fchownat"),
    ArgumentDecoder("setattr", ("argument",), _lookup, "utimensat file_setattr"),
    ArgumentDecoder("setxattr", ("argument",), _lookup, "setxattrat"),
    ArgumentDecoder("removexattr", ("argument",), _lookup, "removexattrat"),
    ArgumentDecoder("permission", ("size",), _permission),
    ArgumentDecoder("fallocate", ("argument",), _flags(constants.FALLOCATE)),
    ArgumentDecoder("splice", ("argument",), _flags(constants.SPLICE)),
    ArgumentDecoder("tee", ("argument",), _flags(constants.SPLICE)),
    ArgumentDecoder("vmsplice", ("argument",), _flags(constants.SPLICE)),
    ArgumentDecoder("copy_file_range", ("argument",), _flags({})),
    ArgumentDecoder("seek", ("size",), lambda whence: {"whence": constants.number(whence & 0xFFFFFFFF, constants.WHENCE)}),
    ArgumentDecoder("sync", ("argument",), _flags(constants.SYNC_RANGE), "sync_file_range io_uring:sync_file_range"),
    ArgumentDecoder("sync", ("argument",), _flags(constants.MSYNC), "msync"),
    ArgumentDecoder("advise", ("argument",), lambda advice: {"advice": constants.number(advice, constants.ADVICE)}),
    ArgumentDecoder("lock", ("argument",), lambda bits: {"operation": "|".join(constants.flags(bits, constants.FLOCK)) or "0"}, "flock"),
    ArgumentDecoder("lock", ("argument",), lambda command: {"operation": constants.number(command >> 8, constants.LOCK_COMMANDS)}, "fcntl"),
)

NOTHING: Final = ArgumentDecoder("", (), dict)


def _decoder_of(call: Call) -> ArgumentDecoder:
    rows = [row for row in DECODERS if row.op == call.op and (not row.calls or call.name in row.calls.split())]
    return max(rows, key=lambda row: bool(row.calls), default=NOTHING)


BY_CALL: Final = [_decoder_of(call) for call in CALLS]
_USES: Final = {source: np.array([source in row.uses for row in BY_CALL]) for source in ("offset", "size", "argument", "flags")}
HAS_ARGS: Final = np.array([row is not NOTHING for row in BY_CALL])
"""By call: whether it has decoded arguments."""


def used(batch: Batch, rows: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    """Return for these events the columns that ``decode_call`` needs; 0 where a call does not use one, so that few values are
    distinct."""
    calls = batch.events["call"][rows]
    columns = {}
    for source, uses in _USES.items():
        wanted = uses[calls]
        if wanted.any():
            column = (second(batch, source) if source == "argument" else batch.events[source])[rows]
            columns[source] = column if wanted.all() else column * wanted
    return columns


def decode_call(call: int, values: Mapping[str, int]) -> Members:
    row = BY_CALL[call]
    return row.decode(*(values[source] for source in row.uses))


_MOVES_BYTES: Final = {KIND_READ, KIND_WRITE, KIND_SUBMIT, KIND_TRANSFER, KIND_IOCTL, KIND_MMAP, KIND_MAPPED}


def _is_number(number: int, call: Call, column: str) -> bool:
    """Return whether the column is a number of bytes."""
    if call.op == "fault":
        return column == "offset"
    given = call.kind == KIND_PLAIN and (column in call.shape.split() or (column == "size" and call.flags & VECTORED))
    return (bool(given) or call.kind in _MOVES_BYTES) and column not in BY_CALL[number].uses


OFFSETS: Final = np.array([_is_number(number, call, "offset") for number, call in enumerate(CALLS)])
SIZES: Final = np.array([_is_number(number, call, "size") for number, call in enumerate(CALLS)])
SIGNED: Final = np.array([call.op == "seek" for call in CALLS])
"""By call: whether a negative offset is valid."""
COPIES: Final = np.array([call.kind in (KIND_TRANSFER, KIND_IOCTL) for call in CALLS])
"""By call: from one descriptor to another."""

_FROM_RESULT: Final = np.array([call.kind == KIND_MMAP for call in CALLS])
_FROM_SIZE: Final = np.array([call.op == "fault" for call in CALLS])
ADDRESSED: Final = np.array([call.kind == KIND_MAPPED for call in CALLS]) | _FROM_RESULT | _FROM_SIZE
"""By call: whether it has an address in memory."""


def addresses(events: Records, target_offset: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Return the addresses of the calls, and which have one: a failed mmap has none."""
    calls, result = events["call"], events["result"]
    none = (result < 0) | (events["flags"] & wire.NO_RESULT != 0)
    values = np.select([_FROM_RESULT[calls], _FROM_SIZE[calls]], [result.astype(np.uint64), events["size"]], target_offset)
    return values, ADDRESSED[calls] & ~(_FROM_RESULT[calls] & none)
