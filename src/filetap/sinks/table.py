"""A table for eyes: one aligned line per event, the path last and never cut.

Apart, because it is a format; that nothing in a name can move the cursor is seen to here, in printable().
Next: ndjson.py, the same events for programs.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filetap import model
from filetap.batch import Batch, File, Fold, Task
from filetap.calls import CALLS, OPS
from filetap.enrich import names
from filetap.enrich.columns import clock, durations, encode, ops
from filetap.enrich.fragments import Fragments, described
from filetap.enrich.strings import (
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
from filetap.model import Records
from filetap.sinks.ndjson import LineSink, RawFile

COMM, CALL, FD, RESULT, OFFSET, SIZE, LATENCY = 12, 8, 4, 8, 10, 8, 8
"""Widths. From the descriptor on they include the blank before, for those columns are aligned to the right."""

HEADER: Final = (
    f"{'TIME':15} {'PID':>7} {'COMM':{COMM}} {'CALL':{CALL}}"
    f"{'FD':>{FD}}{'RESULT':>{RESULT}}{'OFFSET':>{OFFSET}}{'SIZE':>{SIZE}}{'LATENCY':>{LATENCY}} PATH\n"
).encode()

RED: Final = "31"
COLOURS: Final = {"open": "36", "close": "2", "read": "32", "write": "33", "fork": "35", "thread": "35", "exec": "35", "exit": "35"}
"""By op; SGR codes of ECMA-48."""

UNITS: Final = strings([b"ns", *[b".%d" % tenth + unit for unit in (b"us", b"ms", b"s") for tenth in range(10)], b"us", b"ms", b"s"])


class TableSink(LineSink):
    def __init__(self, file: RawFile, colour: bool = False) -> None:
        super().__init__(file)
        self._colour = colour
        self._calls = call_strings(colour)
        self._files: Fragments[File] = Fragments(file_texts)
        self._tasks: Fragments[Task] = Fragments(task_texts)
        self._begun = False

    def lines(self, batch: Batch) -> Iterator[Strings]:
        for events, texts in described(batch, self._files, self._tasks):
            yield from join_in_parts(self._columns(events, batch.realtime, *texts))

    def flush(self) -> None:
        self._begin()
        super().flush()

    def folded(self, folds: Sequence[Fold], batch: Batch) -> None:
        self.flush()
        if folds:
            self._put(strings([self._fold(fold, batch) for fold in folds]), events=False)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._put(strings([HEADER]), events=False)

    def _columns(self, events: Records, realtime: int, file: Text, task: Text) -> list[Text]:
        """A line from left to right."""
        op = ops(events["call"])
        at, asked = (transfers(op) & (events["flags"] & flag == 0) for flag in (model.NO_OFFSET, model.NO_SIZE))
        return [
            *timestamps(clock(events, realtime), second_texts, 2),
            task,
            lookup(self._calls, op.astype(np.int32) * len(CALLS) + events["call"]),
            *right(or_dash(events["fd"] != -1, repeated(events["fd"])), FD),
            result_column(events["result"], self._colour),
            *right(or_dash(at, numbers(events["offset"])), OFFSET),
            *right(or_dash(asked, repeated(events["size"])), SIZE),
            latency_column(durations(events)),
            file,
        ]

    def _fold(self, fold: Fold, batch: Batch) -> bytes:
        first, last = (time_text(time + batch.realtime) for time in (fold.first, fold.last))
        (file,) = self._files.of(fold.file, batch.files)
        (task,) = self._tasks.of(fold.task, batch.tasks)
        folded = f"{OPS[fold.op]:{CALL}} FOLDED: {fold.count} events, {fold.bytes} bytes since {first}"
        return b"".join((last.encode(), task, folded.encode(), file))


def escape(character: str) -> str:
    """As in C and Python. Two digits only below 0x80, so that an invalid byte 9B and U+009B differ."""
    code = ord(character)
    if code < 0x80:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(value: bytes) -> str:
    """A name that can neither move the cursor nor turn the writing direction, and still tells every byte.

    Python counts as not printable all control, format, private and unassigned characters, and every space but one.
    """
    text = value.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
    return text if text.isprintable() else "".join([c if c.isprintable() else escape(c) for c in text])


def columns_of(character: str) -> int:
    """How many columns a terminal gives it."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, width: int) -> str:
    """Padded, or cut with a plus, as ps does."""
    widths = [columns_of(character) for character in text]
    if sum(widths) > width:
        while sum(widths) > width - 1:
            widths.pop()
        text = text[: len(widths)] + "+"
        widths.append(1)
    return text + " " * (width - sum(widths))


def painted(text: str, code: str, width: int) -> str:
    """Padded to the left of ``width`` columns; the colour's own bytes take none."""
    padding = " " * (width - len(text))
    return f"\x1b[{code}m{text}\x1b[0m{padding}" if code else text + padding


def call_strings(colour: bool) -> Strings:
    """By op and call."""
    codes = COLOURS if colour else {}
    return strings([painted(call.name or op, codes.get(op, ""), CALL).encode() for op in OPS for call in CALLS])


def file_texts(file: File | None) -> tuple[bytes]:
    """To the end of the line. No path begins with a parenthesis, so no name can fake the marks."""
    if file is None:
        return (b"\n",)
    marks = [mark for mark, holds in (("cut", file.truncated), ("deleted", file.deleted), ("raced", file.raced)) if holds]
    marks += [f"inode {file.inode}"] if not file.path else []
    words = [f"({', '.join(marks)})"] if marks else []
    return ("".join(f" {word}" for word in [*words, printable(file.path)] if word).encode() + b"\n",)


def task_texts(task: Task | None) -> tuple[bytes]:
    pid, comm = (str(task.pid), printable(task.comm)) if task else ("-", "-")
    return (f" {pid:>7} {fitted(comm, COMM)} ".encode(),)


def second_texts(seconds: NDArray[np.int64]) -> list[bytes]:
    return [f"{local(second):%H:%M:%S}.".encode() for second in seconds.tolist()]


def time_text(nanoseconds: int) -> str:
    return f"{local(nanoseconds // 10**9):%H:%M:%S}.{nanoseconds % 10**9 // 1000:06}"


def local(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC).astimezone()


def or_dash(known: NDArray[np.bool_], text: Text) -> Text:
    return choose(known, text, constant(b"-", len(known)))


def result_column(results: NDArray[Any], colour: bool) -> Text:
    """Bytes, a descriptor, a pid; or the error's name. Each distinct result is written once."""
    distinct, rows = encode(results)
    errors = strings([error_text(result, colour) for result in distinct[distinct < 0].tolist()])
    failed = np.cumsum(distinct < 0, dtype=np.int32) - np.int32(1)
    text = choose(distinct >= 0, whole(join(right(numbers(distinct), RESULT))), Text(errors, failed))
    return Text(text.strings, text.rows[rows])


def error_text(result: int, colour: bool) -> bytes:
    name = names.error(result)
    padding = " " * max(1, RESULT - len(name))
    return (padding + painted(name, RED if colour else "", len(name))).encode()


def latency_column(nanoseconds: NDArray[np.uint64]) -> Text:
    """As 812ns, 4.1us, 230us, 2.3ms, 1.0s: cut, not rounded. A dash: not known."""
    distinct, rows = encode(nanoseconds)
    scale = np.searchsorted(np.array([1000, 1000_000, 1000_000_000], np.uint64), distinct, "right")
    unit = np.array([1, 1000, 1000_000, 1000_000_000], np.uint64)[scale]
    count, tenth = distinct // unit, distinct % unit * np.uint64(10) // unit
    places = np.where(scale == 0, 0, np.where(count < 100, 10 * scale - 9 + tenth.astype(np.int64), 30 + scale))
    known = or_dash(distinct > 0, whole(join([numbers(count), lookup(UNITS, places)])))
    return Text(join(right(known, LATENCY)), rows)
