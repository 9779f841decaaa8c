"""NDJSON: one line of JSON per event (docs/events.md), laid out by columns.

Apart, because it is a format: enrich/ has the pieces, and only their order on the line is decided here.
Next: enrich/jsontext.py, how a file and a task read; table.py, the same events for eyes.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from filetap import model
from filetap.batch import Batch, File, Fold, Task
from filetap.calls import CALLS, OP_NUMBER, OPS
from filetap.enrich import jsontext, names
from filetap.enrich.columns import clock, durations, encode, ops, pack, transfers
from filetap.enrich.fragments import Fragments, described
from filetap.enrich.strings import Strings, Text, choose, join, join_in_parts, lookup, numbers, offsets, only, repeated, strings, timestamps
from filetap.model import Records


class RawFile(Protocol):
    """A binary file opened without a buffer, so that what it took is out."""

    def write(self, data: memoryview, /) -> int | None: ...

    def fileno(self) -> int: ...


def waits(file: RawFile) -> bool:
    """May a write have to wait for a reader?"""
    try:
        return not stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, AttributeError):  # io.UnsupportedOperation: a file in memory
        return False


class Writeback:
    """Has a growing file written to disk in windows, and its pages given back, so that a long trace does not push what
    it observes out of the page cache. Writing into pages just given back is also two to five times cheaper than into
    new ones (measured). In a thread: a slow disk would block it, and then all is as without it.
    """

    WINDOW: Final = 64 << 20

    def __init__(self, file: RawFile) -> None:
        self._file = file
        self._begun = self._ended = 0
        self._thread: threading.Thread | None = None

    def advance(self, count: int) -> None:
        """So many bytes more are in the file."""
        self._ended += count
        if self._ended - self._begun < self.WINDOW or (self._thread and self._thread.is_alive()):
            return
        self._begun = self._ended
        self._thread = threading.Thread(target=self._drop, args=(os.dup(self._file.fileno()),), daemon=True)
        self._thread.start()

    @staticmethod
    def _drop(fd: int) -> None:
        """Starts the writing of what is dirty and drops what is clean, which is mostly the window before (fadvise64(2))."""
        with suppress(OSError):  # A pipe has no pages.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


class LineSink:
    """Puts whole lines into a raw file; whoever opened it closes it."""

    PATIENCE: Final = 1.0
    """Seconds."""

    def __init__(self, file: RawFile) -> None:
        self._file = file
        self._layout = ThreadPoolExecutor(1, "layout")
        self._held: list[Strings] = []
        self._waits = waits(file)
        self._writeback = None if self._waits else Writeback(file)
        self.hurry = False
        """The run is to end: wait no longer for somebody who reads."""
        self.written = 0
        """Events whose line is in the file to its end."""

    def lines(self, batch: Batch) -> Iterator[Strings]:
        """The batch as lines, in parts that Arrow can hold."""
        raise NotImplementedError

    def write(self, batch: Batch) -> None:
        """Lays this batch out while the one before is written: both are memory copies that need no interpreter."""
        following = self._layout.submit(list, self.lines(batch))
        try:
            self.flush()
        finally:
            self._held = following.result()

    def flush(self) -> None:
        """Write what is held back."""
        held, self._held = self._held, []
        for lines in held:
            self._put(lines)

    def close(self) -> None:
        """Write the rest, and no more."""
        self._layout.shutdown()
        self.flush()

    def _put(self, lines: Strings, events: bool = True) -> None:
        """After OSError all lines that found room are in the file, and nothing of the next where it can be taken back."""
        first, ends = int(offsets(lines)[0]), offsets(lines)[1:]
        data = memoryview(lines.buffers()[2])[first : int(ends[-1])]
        done = 0
        try:
            while done < len(data):
                done += self._some(data[done:])
        except OSError:
            complete = int(np.searchsorted(ends, first + done, "right"))
            self.written += complete * events
            self._take_back(first + done - int(ends[complete - 1] if complete else first))
            raise
        self.written += len(ends) * events
        if self._writeback:
            self._writeback.advance(len(data))

    def _some(self, data: memoryview) -> int:
        """At most what a pipe or terminal takes without making us wait, so that a signal is heard while nobody reads."""
        if self._waits:
            self._await_room()
            data = data[: select.PIPE_BUF]
        return self._file.write(data) or 0

    def _await_room(self) -> None:
        """Until there is room; when the run is to end, for PATIENCE more."""
        poll = select.poll()
        poll.register(self._file.fileno(), select.POLLOUT)
        waited = 0.0
        while not poll.poll(100):
            waited += 0.1 * self.hurry
            if waited > self.PATIENCE:
                raise OSError(errno.EAGAIN, "nobody reads it")

    def _take_back(self, count: int) -> None:
        """Only from a regular file whose last bytes are ours."""
        with suppress(OSError):
            fd = self._file.fileno()
            end, status = os.lseek(fd, 0, os.SEEK_CUR), os.fstat(fd)
            if count and stat.S_ISREG(status.st_mode) and status.st_size == end:
                os.ftruncate(fd, end - count)
                os.lseek(fd, end - count, os.SEEK_SET)


class NdjsonSink(LineSink):
    def __init__(self, file: RawFile) -> None:
        super().__init__(file)
        self._files: Fragments[File] = Fragments(file_texts)
        self._tasks: Fragments[Task] = Fragments(task_texts)

    def lines(self, batch: Batch) -> Iterator[Strings]:
        for events, texts in described(batch, self._files, self._tasks):
            yield from join_in_parts(columns(events, batch.realtime, *texts))

    def folded(self, folds: Sequence[Fold], batch: Batch) -> None:
        self.flush()
        if folds:
            self._put(strings([self._fold(fold, batch) for fold in folds]), events=False)

    def _fold(self, fold: Fold, batch: Batch) -> bytes:
        first, last = (np.datetime64(time + batch.realtime, "ns") for time in (fold.first, fold.last))
        task = batch.tasks.get(fold.task)
        (file,) = self._files.of(fold.file, batch.files)
        process, cgroup = self._tasks.of(fold.task, batch.tasks)
        event = f'"action":"{OPS[fold.op]}","kind":"folded","count":{fold.count},"start":"{first}Z","end":"{last}Z"'
        head = f'{{"@timestamp":"{last}Z","event":{{{event}'.encode()
        thread = process + b"%d}" % task.tid if task else b""
        return b"".join((head, file, thread, b',"io":{"bytes":%d}' % fold.bytes, cgroup))


def columns(events: Records, realtime: int, file: Text, process: Text, cgroup: Text) -> list[Text]:
    """A line from left to right. ``keys``: what the events of one thread on one descriptor have in common."""
    keys, rows = encode(pack(**{name: events[name] for name in ("tid", "fd", "open", "call", "flags")}))
    layout = layouts(keys)
    return [
        *timestamps(clock(events, realtime), second_texts, 3),
        *action_columns(action_places(keys)[rows], durations(events)),
        file,
        process,
        Text(head_strings(keys, layout), rows),
        place_column(events, layout[rows]),
        outcome_column(events, layout[rows]),
        cgroup,
    ]


def file_texts(file: File | None) -> tuple[bytes]:
    """From the end of ``event`` to the end of ``file``."""
    return (f'}},"file":{{{jsontext.file_members(file)}}}'.encode() if file else b"}",)


def task_texts(task: Task | None) -> tuple[bytes, bytes]:
    """From ``process`` to where the thread's number stands; and from ``cgroup`` to the end of the line."""
    if task is None:
        return b',"thread":{"id":', b"}\n"
    process = f',"process":{{{jsontext.process_members(task)}}},"thread":{{{jsontext.thread_members(task)}"id":'
    cgroup = f',"cgroup":{{{jsontext.cgroup_members(task)}}}}}\n' if task.cgroup else "}\n"
    return process.encode(), cgroup.encode()


def second_texts(seconds: NDArray[np.int64]) -> list[bytes]:
    return [f'{{"@timestamp":"{text}.'.encode() for text in np.datetime_as_string(seconds.astype("M8[s]")).tolist()]


def action_text(op: str, call: str, timed: bool) -> bytes:
    """From the end of ``@timestamp`` to where the duration stands."""
    exact = f',"call":"{call}"' if call else ""
    duration = ',"duration":' if timed else ""
    return f'Z","event":{{"action":"{op}"{exact}{duration}'.encode()


ACTIONS: Final = strings([action_text(op, call.name, timed) for op in OPS for call in CALLS for timed in (False, True)])


def action_places(keys: Records) -> NDArray[np.int32]:
    """Where in ACTIONS; one further with a duration."""
    return np.asarray(2 * (ops(keys["call"]).astype(np.int32) * len(CALLS) + keys["call"]), np.int32)


def action_columns(places: NDArray[np.int32], duration: NDArray[np.uint64]) -> list[Text]:
    timed = duration > 0
    return [lookup(ACTIONS, places + timed), only(timed, repeated(duration))]


BARE, OFFSET, SIZE, BOTH, OPEN = range(5)
"""Layouts of ``io``: what stands before the result."""

FIRST_LABEL: Final = ('"result":', '"offset":', '"size":', '"offset":', "")
BEFORE_SIZE: Final = strings([b"", b"", b"", b',"size":', b""])
BEFORE_RESULT: Final = strings([b"", *[b',"result":'] * 4])

BEFORE_FD: Final = strings([b'},"io":{', b'},"io":{"fd":'])
BEFORE_OPEN_ID: Final = strings([b"", b",", b'"open_id":', b',"open_id":'])
BEFORE_REST: Final = strings(
    [(comma + uncertain + label).encode() for label in FIRST_LABEL for uncertain in ("", '"offset_uncertain":true,') for comma in ("", ",")]
)


def layouts(keys: Records) -> NDArray[np.int32]:
    op, flags = ops(keys["call"]), keys["flags"]
    parts = OFFSET * (flags & model.NO_OFFSET == 0) + SIZE * (flags & model.NO_SIZE == 0)
    return np.asarray(np.where(op == OP_NUMBER["open"], OPEN, np.where(transfers(op), parts, BARE)), np.int32)


def head_strings(keys: Records, layout: NDArray[np.int32]) -> Strings:
    """From the thread's number to where the offset, open's arguments or the result stand."""
    fd, opened = keys["fd"] != -1, keys["open"] != 0
    uncertain = (keys["flags"] & model.UNCERTAIN != 0) & transfers(ops(keys["call"]))
    columns = [
        numbers(keys["tid"]),
        lookup(BEFORE_FD, fd),
        only(fd, numbers(keys["fd"])),
        lookup(BEFORE_OPEN_ID, fd + 2 * opened),
        only(opened, numbers(keys["open"])),
        lookup(BEFORE_REST, 4 * layout + 2 * uncertain + opened),
    ]
    return join(columns)


def place_column(events: Records, layout: NDArray[np.int32]) -> Text:
    """Where in the file; of an open, its arguments."""
    offset = only(layout & OFFSET != 0, numbers(events["offset"]))
    opens = layout == OPEN
    return choose(~opens, offset, open_column(events, opens)) if opens.any() else offset


def open_column(events: Records, opens: NDArray[np.bool_]) -> Text:
    """Flags and mode of those events that are opens; of the others, nothing of use."""
    arguments, places = encode(pack(offset=events["offset"][opens], size=events["size"][opens]))
    rows = np.zeros(len(events), np.int32)
    rows[opens] = places
    return Text(strings([jsontext.open_members(*pair).encode() for pair in arguments.tolist()]), rows)


def outcome_column(events: Records, layout: NDArray[np.int32]) -> Text:
    """From the offset to the end of ``io`` and the error. Sizes and results repeat, so each pair is written once."""
    distinct, rows = encode(pack(size=events["size"], result=events["result"], layout=layout))
    columns = [
        lookup(BEFORE_SIZE, distinct["layout"]),
        only(distinct["layout"] & SIZE != 0, numbers(distinct["size"])),
        lookup(BEFORE_RESULT, distinct["layout"]),
        numbers(distinct["result"]),
        error_column(distinct["result"]),
    ]
    return Text(join(columns), rows)


def error_column(results: NDArray[Any]) -> Text:
    distinct, rows = encode(np.minimum(results, 0))
    return Text(strings([error_text(result) for result in distinct.tolist()]), rows)


def error_text(result: int) -> bytes:
    """The end of ``io``, and what went wrong."""
    return f'}},"error":{{"code":"{names.error(result)}"}}'.encode() if result else b"}"
