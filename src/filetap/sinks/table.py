"""A table for the terminal: one aligned line per event, the path last and never cut.

Separate, because it is a format; render/terminal.py makes sure that names cannot move the cursor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from time import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filetap.core import columns, command_line, constants, wire
from filetap.core.batch import Batch, File, Overflow, Task
from filetap.core.calls import BYTE_OPS, CALLS, GROUPS, OP_NUMBER, OPS, Call
from filetap.core.columns import Column
from filetap.core.wire import Records
from filetap.core.zone import SECOND, Fixed, Zone
from filetap.render import arguments, lineage
from filetap.render.columns import clock, durations, encode, ops, second
from filetap.render.strings import (
    Strings,
    Text,
    choose,
    constant,
    join,
    join_in_parts,
    lookup,
    numbers,
    repeated,
    right,
    strings,
    timestamps,
    whole,
)
from filetap.render.terminal import fitted, printable
from filetap.render.text_cache import Descriptions
from filetap.sinks.lines import LineSink, RawFile

COMM, CALL, FD, RESULT, OFFSET, SIZE, LATENCY = 10, 15, 4, 8, 7, 6, 6
"""Widths. From the descriptor on they include the blank before, because those columns are aligned to the right."""

ADDED: Final = 16
HEADED: Final = [column for column in columns.of("task") if column.heading]
"""Columns of the registry that the table has, and their width."""
TIME: Final = 12
HEADER: Final = (
    f" {'PID':>7} {'COMM':{COMM}} {'CALL':{CALL}}{'FD':>{FD}}{'RESULT':>{RESULT}}{'OFFSET':>{OFFSET}}{'SIZE':>{SIZE}}{'TOOK':>{LATENCY}}"
)

RED: Final = "31"
FAMILIES: Final = {
    "36": ("open",),
    "2": ("close",),
    "32": ("read", "readahead"),
    "33": ("write", "truncate", "fallocate", *GROUPS["transfer"]),
    "35": GROUPS["process"],
    "34": GROUPS["metadata"],
    "94": GROUPS["memory"],
    "93": (*GROUPS["namespace"], "setattr", "setxattr", "removexattr", "chdir"),
}
COLOURS: Final = {op: code for code, family in FAMILIES.items() for op in family if op != "none"}
"""By op; SGR codes of ECMA-48."""

TIMES: Final = strings([b"ns", *[b".%d" % tenth + unit for unit in (b"us", b"ms", b"s") for tenth in range(10)], b"us", b"ms", b"s"])
UNITS: Final = strings([unit + rest for unit in (b"", b"K", b"M", b"G", b"T", b"P", b"E") for rest in (b"", b"+")])
ACCESSES: Final = strings([b"read", b"write", b"exec", b"exec"])
MAPPINGS: Final = [r + w + x + kind for kind in "ps" for x in "-x" for w in "-w" for r in "-r"]
"""The same as in /proc/PID/maps."""
WORDS: Final = strings([word.rjust(RESULT).encode() for word in ("-", "minor", "major", *MAPPINGS, "pending")])
"""Shown instead of a result that is not a meaningful number."""
FAULT, MMAP, MREMAP = (OP_NUMBER[op] for op in ("fault", "mmap", "mremap"))


class TableSink(LineSink):
    def __init__(
        self, file: RawFile, colour: bool = False, *, ancestors: int | None = None, args: int | None = None, zone: Zone | None = None
    ) -> None:
        """``ancestors``, ``args``: the width of a column that has them, 0: as long as they are; None: there is none. ``zone``: of
        times, the local one by default; its offset is that of the first time, which the heading names."""
        super().__init__(file)
        self._zone = zone or Zone()
        self._fixed: Fixed | None = None
        self._colour = colour
        self._calls = call_strings(colour)
        self._descriptions = Descriptions(file_texts, partial(task_texts, ancestors=ancestors, args=args), target_texts)
        added = [f" {column.heading:{ADDED}}" for column in HEADED]
        added += [f" {name:{width or ''}}" for name, width in (("ANCESTORS", ancestors), ("ARGS", args)) if width is not None]
        self._header = f"{HEADER}{''.join(added)} PATH\n"
        self._begun = False

    def write(self, batch: Batch) -> None:
        self._see(batch)
        super().write(batch)

    def pending(self, batch: Batch) -> None:
        self._see(batch)
        super().pending(batch)

    def _see(self, batch: Batch) -> None:
        if len(batch.events):
            self._offset(int(batch.events["time"][0]) + batch.realtime)

    def _offset(self, nanoseconds: int) -> Fixed:
        """Return the offset from UTC, that of the first moment."""
        self._fixed = self._fixed or self._zone.fixed(nanoseconds // SECOND)
        return self._fixed

    def lines(self, batch: Batch) -> Iterator[Strings]:
        for part, texts in self._descriptions.parts(batch):
            yield from join_in_parts(self._columns(part, *texts))

    def flush(self) -> None:
        self._begin()
        super().flush()

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        if overflows:
            self._offset(overflows[0].first + batch.realtime)
        self.flush()
        if overflows:
            self._put(strings([self._overflow(overflow, batch) for overflow in overflows]), events=False)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            heading = f"TIME {self._offset(int(time() * SECOND)).name}"
            self._put(strings([f"{heading:{TIME}}{self._header}".encode()]), events=False)

    def _columns(self, batch: Batch, file: Text, task: Text, above: Text, target: Text | None = None) -> list[Text]:
        """Return a line from left to right."""
        events = batch.events
        return [
            *timestamps(clock(events, batch.realtime), self._seconds, 1),
            task,
            lookup(self._calls, events["call"]),
            *right(or_dash(events["fd"] != -1, repeated(events["fd"])), FD),
            result_column(batch, self._colour),
            *right(offset_column(events), OFFSET),
            *right(size_column(events), SIZE),
            took_column(events),
            above,
            file,
            target or constant(b"\n", len(events)),
        ]

    def _seconds(self, seconds: NDArray[np.int64]) -> list[bytes]:
        fixed = self._offset(int(seconds[0]) * SECOND if len(seconds) else 0)
        return [f"{fixed.at(second):%H:%M:%S}.".encode() for second in seconds.tolist()]

    def _overflow(self, overflow: Overflow, batch: Batch) -> bytes:
        first, last = (self._offset(moment).clock(moment) for moment in (overflow.first + batch.realtime, overflow.last + batch.realtime))
        file, task, above = self._descriptions.of(overflow, batch)
        moved = f", {overflow.bytes} bytes" if OPS[overflow.op] in BYTE_OPS else ""
        aggregated = f"{OPS[overflow.op]:{CALL}} AGGREGATED: {overflow.count} events{moved} since {first}"
        return b"".join((last.encode(), task, aggregated.encode(), above, file, b"\n"))


def painted(text: str, code: str, width: int) -> str:
    """Pad to the left to ``width`` columns; the colour's own bytes take none."""
    padding = " " * (width - len(text))
    return f"\x1b[{code}m{text}\x1b[0m{padding}" if code else text + padding


def shown_name(call: Call) -> str:
    """Return the call, or else its op, in CALL columns; io_uring's with a shorter prefix."""
    prefix, _, name = call.name.rpartition(":")
    prefix = "uring:" if prefix else ""
    fitting = [text for text in (prefix + name, prefix + call.op) if len(text) <= CALL]
    return fitting[0] if fitting else f"{prefix}{call.op}"[: CALL - 1] + "+"


def call_strings(colour: bool) -> Strings:
    codes = COLOURS if colour else {}
    return strings([painted(shown_name(call) or call.op, codes.get(call.op, ""), CALL).encode() for call in CALLS])


def described_file(file: File) -> str:
    """Return the path with marks. No path begins with a parenthesis, so no name can look like a mark."""
    marks = [mark for mark, holds in (("cut", file.truncated), ("deleted", file.deleted), ("raced", file.raced)) if holds]
    marks += [_pathless(file)] if not file.path else []
    words = [f"({', '.join(marks)})"] if marks else []
    return "".join(f" {word}" for word in [*words, printable(file.path or file.requested)] if word)


def _pathless(file: File) -> str:
    """Return a name that leads nowhere known as the caller wrote it: the source of a mount, a name relative to a descriptor
    that is not open."""
    if file.requested:
        return "as given"
    return f"inode {file.inode}" if file.inode else "no name"


def file_texts(file: File | None) -> tuple[bytes]:
    return (described_file(file).encode() if file else b"",)


def target_texts(file: File | None) -> tuple[bytes]:
    """Return the text to the end of the line."""
    return (f" ->{described_file(file)}\n".encode() if file else b"\n",)


def task_texts(task: Task | None, ancestors: int | None = None, args: int | None = None) -> tuple[bytes, bytes]:
    """Return what stands before the call, and before the path. ``ancestors``, ``args``: as of TableSink."""
    pid, comm = (str(task.pid), printable(task.comm)) if task else ("-", "-")
    more = "".join([f" {fitted(headed(column, task), ADDED)}" for column in HEADED])
    above = "" if ancestors is None else f" {lineage.line(task, ancestors) if task else '-':{ancestors or ''}}"
    return f" {pid:>7} {fitted(comm, COMM)} ".encode(), f"{more}{above}{'' if args is None else described_args(task, args)}".encode()


def headed(column: Column, task: Task | None) -> str:
    """Return a value for a column of its own."""
    value = column.recorded(task) if task else None
    return printable(value if isinstance(value, bytes) else str(value).encode()) if value else "-"


def described_args(task: Task | None, width: int) -> str:
    """Return the command line as a shell takes it; three dots: there was more than filetap keeps."""
    known = printable(command_line.join(task.args)) + " ..." * task.args_truncated if task and task.args else "-"
    return f" {fitted(known, width) if width else known}"


def or_dash(known: NDArray[np.bool_], text: Text) -> Text:
    return choose(known, text, constant(b"-", len(known)))


def compact(values: NDArray[np.uint64], width: int) -> Text:
    """Return bytes in at most ``width`` columns: exact if it fits, else in the first binary unit that does. A plus: cut."""
    scale = np.full(len(values), len(UNITS) // 2 - 1, np.uint64)
    for unit in range(len(UNITS) // 2 - 1, -1, -1):
        cut = values & np.uint64((1 << 10 * unit) - 1) != 0
        room = 10 ** (width - (unit > 0) - cut.astype(np.int64))
        scale[values >> np.uint64(10 * unit) < room.astype(np.uint64)] = unit
    shift = scale * np.uint64(10)
    cut = values & ((np.uint64(1) << shift) - np.uint64(1)) != 0
    return whole(join([numbers(values >> shift), lookup(UNITS, 2 * scale + cut)]))


def offset_column(events: Records) -> Text:
    offset, calls = events["offset"], events["call"]
    text = compact(offset, OFFSET - 1)
    back = arguments.SIGNED[calls] & (offset > np.uint64(2**63))
    if back.any():
        text = choose(back, numbers(offset.view(np.int64)), text)
    return or_dash(arguments.OFFSETS[calls] & (events["flags"] & wire.NO_OFFSET == 0), text)


def size_column(events: Records) -> Text:
    """Return the size; of a fault, the kind of access."""
    calls, flags = events["call"], events["flags"]
    distinct, rows = encode(events["size"] * arguments.SIZES[calls])
    text = or_dash(arguments.SIZES[calls] & (flags & wire.NO_SIZE == 0), Text(compact(distinct, SIZE - 1).strings, rows))
    faults = ops(calls) == FAULT
    return choose(faults, lookup(ACCESSES, flags // wire.FAULT_WRITE & 3), text) if faults.any() else text


def result_column(batch: Batch, colour: bool) -> Text:
    """Return the call's result; of a fault its kind instead, of a new mapping its protection."""
    events, words = batch.events, word_places(batch)
    result = returned_column(events["result"] * (words < 0), colour)
    return choose(words < 0, result, lookup(WORDS, words)) if (words >= 0).any() else result


def word_places(batch: Batch) -> NDArray[np.int32]:
    """Return the index into WORDS; -1: the result is shown."""
    op, flags = ops(batch.events["call"]), batch.events["flags"]
    words = np.where(flags & wire.NO_RESULT, 0, -1)
    words[op == MREMAP] = 0
    if (faults := op == FAULT).any():
        words[faults] = 1 + (flags[faults] & wire.FAULT_MAJOR != 0)
    if (mapped := op == MMAP).any():
        argument = second(batch, "argument")[mapped]
        words[mapped] = 3 + (argument & 7) + 8 * (argument >> 8 & 1)
    words[flags & wire.PENDING != 0] = len(WORDS) - 1
    return np.where(batch.events["result"] < 0, -1, words).astype(np.int32)


def returned_column(results: NDArray[Any], colour: bool) -> Text:
    """Return bytes, a descriptor, a pid; or the error's name. Each distinct result is written once."""
    distinct, rows = encode(results)
    errors = strings([error_text(result, colour) for result in distinct[distinct < 0].tolist()])
    failed = np.cumsum(distinct < 0, dtype=np.int32) - np.int32(1)
    good = compact(np.maximum(distinct, 0).astype(np.uint64), RESULT - 1)
    text = choose(distinct >= 0, whole(join(right(good, RESULT))), Text(errors, failed))
    return Text(text.strings, text.rows[rows])


def error_text(result: int, colour: bool) -> bytes:
    name = constants.error(result)
    padding = " " * max(1, RESULT - len(name))
    return (padding + painted(name, RED if colour else "", len(name))).encode()


def took_column(events: Records) -> Text:
    """Return the duration; of a pending call the time so far, or a lower bound."""
    took, at_least = durations(events), events["flags"] & wire.AT_LEAST != 0
    text = latency_column(took)
    if not at_least.any():
        return text
    distinct, rows = encode(took)
    bounds = strings([least(nanoseconds).rjust(LATENCY).encode() for nanoseconds in distinct.tolist()])
    return choose(at_least, Text(bounds, rows), text)


def least(nanoseconds: int) -> str:
    """Return text like >52ms, >1.4s, >23s: cut, not rounded."""
    tenths = nanoseconds // 100_000_000
    if not tenths:
        return f">{nanoseconds // 1_000_000}ms"
    return f">{tenths // 10}.{tenths % 10}s" if tenths < 100 else f">{tenths // 10}s"


def latency_column(nanoseconds: NDArray[np.uint64]) -> Text:
    """Return text like 812ns, 4.1us, 23us, 2.3ms, 1.0s: cut, not rounded. A dash: not known."""
    distinct, rows = encode(nanoseconds)
    scale = np.searchsorted(np.array([1000, 1000_000, 1000_000_000], np.uint64), distinct, "right")
    unit = np.array([1, 1000, 1000_000, 1000_000_000], np.uint64)[scale]
    count, tenth = distinct // unit, distinct % unit * np.uint64(10) // unit
    places = np.where(scale == 0, 0, np.where(count < 10, 10 * scale - 9 + tenth.astype(np.int64), 30 + scale))
    known = or_dash(distinct > 0, whole(join([numbers(count), lookup(TIMES, places)])))
    return Text(join(right(known, LATENCY)), rows)
