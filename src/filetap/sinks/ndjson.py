"""NDJSON: one line of JSON per event (docs/events.md), laid out by columns.

Separate, because it is a format: render/ has the pieces, and only their order on the line is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from filetap.core import constants, wire
from filetap.core.batch import Batch, File, Overflow, Task
from filetap.core.calls import BYTE_OPS, CALLS, OPS, Call
from filetap.core.wire import Records
from filetap.render import arguments, jsontext
from filetap.render.columns import clock, durations, encode, pack, second
from filetap.render.strings import (
    Strings,
    Text,
    choose,
    hexadecimal,
    join,
    join_in_parts,
    lengths,
    lookup,
    numbers,
    only,
    repeated,
    some,
    strings,
    timestamps,
)
from filetap.render.text_cache import Descriptions
from filetap.sinks.lines import LineSink, RawFile


class NdjsonSink(LineSink):
    def __init__(self, file: RawFile, ancestors: bool = False) -> None:
        """``ancestors``: each event has all known ancestors of its process."""
        super().__init__(file)
        self._descriptions = Descriptions(file_texts, partial(task_texts, ancestors=ancestors), target_texts)

    def lines(self, batch: Batch) -> Iterator[Strings]:
        for part, texts in self._descriptions.parts(batch):
            yield from join_in_parts(columns(part, *texts))

    def aggregated(self, overflows: Sequence[Overflow], batch: Batch) -> None:
        self.flush()
        if overflows:
            self._put(strings([self._overflow(overflow, batch) for overflow in overflows]), events=False)

    def _overflow(self, overflow: Overflow, batch: Batch) -> bytes:
        first, last = (np.datetime64(time + batch.realtime, "ns") for time in (overflow.first, overflow.last))
        task = batch.tasks.get(overflow.task)
        file, process, cgroup = self._descriptions.of(overflow, batch)
        event = f'"action":"{OPS[overflow.op]}","kind":"aggregated","count":{overflow.count},"start":"{first}Z","end":"{last}Z"'
        head = f'{{"@timestamp":"{last}Z","event":{{{event}'.encode()
        thread = process + b"%d}" % task.tid if task else b'},"process":{"pid":%d}' % overflow.pid
        moved = b',"io":{"bytes":%d}' % overflow.bytes if OPS[overflow.op] in BYTE_OPS else b""
        return b"".join((head, file, thread, moved, cgroup))


def columns(batch: Batch, file: Text, process: Text, cgroup: Text, target: Text | None = None) -> list[Text]:
    """Return a line from left to right. ``keys``: the members shared by events of one thread on one descriptor."""
    events = batch.events
    keys, rows = encode(pack(**{name: events[name] for name in ("tid", "fd", "open", "call", "flags")}))
    layout = layouts(keys)
    return [
        *timestamps(clock(events, batch.realtime), second_texts, 3),
        *action_columns(events),
        file,
        *(target_columns(file, target) if target else []),
        process,
        Text(head_strings(keys, layout), rows),
        *(offset_columns(events, layout[rows]) if (layout & OFFSET).any() else []),
        *(decoded_columns(batch, layout[rows]) if (layout & DECODED).any() else [outcome_column(events, layout[rows])]),
        cgroup,
    ]


def file_texts(file: File | None) -> tuple[bytes]:
    """Return the text from the end of ``event`` to before the end of ``file``."""
    return (f'}},"file":{{{jsontext.file_members(file)}'.encode() if file else b"",)


def target_texts(file: File | None) -> tuple[bytes]:
    return (f'"target":{{{jsontext.file_members(file)}}}'.encode() if file else b"",)


def task_texts(task: Task | None, ancestors: bool = False) -> tuple[bytes, bytes]:
    """Return the text from the end of ``file`` or ``event`` to the thread's number; and from ``cgroup`` to the end
    of the line."""
    if task is None:
        return b'},"thread":{"id":', b"}\n"
    above = jsontext.ancestor_members(task) if ancestors else ""
    thread, context = jsontext.thread_members(task), jsontext.context_members(task)
    process = f'}},"process":{{{jsontext.process_members(task)}{above}}},"thread":{{{thread}{"," * bool(thread)}"id":'
    return process.encode(), f"{',' * bool(context)}{context}}}\n".encode()


BEFORE_TARGET: Final = strings([b"", b",", b'},"file":{'])


def target_columns(file: Text, target: Text) -> list[Text]:
    """Return the second file inside of the first, which may not be known."""
    there, first = (lengths(text.strings)[text.rows] > 0 for text in (target, file))
    return [lookup(BEFORE_TARGET, there * np.where(first, 1, 2)), target]


def second_texts(seconds: NDArray[np.int64]) -> list[bytes]:
    return [f'{{"@timestamp":"{text}.'.encode() for text in np.datetime_as_string(seconds.astype("M8[s]")).tolist()]


TIMES: Final = ("", ',"duration":', ',"kind":"pending"', ',"kind":"pending","duration":', ',"kind":"pending","duration_min":')
"""Of an event, without and with a duration; of a pending call, too, and with what is known of it."""


def action_text(call: Call, times: str) -> bytes:
    """Return the text from the end of ``@timestamp`` to the duration."""
    exact = f',"call":"{call.name}"' if call.name else ""
    return f'Z","event":{{"action":"{call.op}"{exact}{times}'.encode()


ACTIONS: Final = strings([action_text(call, times) for call in CALLS for times in TIMES])


def action_columns(events: Records) -> list[Text]:
    duration, flags = durations(events), events["flags"]
    timed, pending, at_least = duration > 0, flags & wire.PENDING != 0, flags & wire.AT_LEAST != 0
    place = len(TIMES) * events["call"].astype(np.int32) + timed + 2 * pending + (timed & at_least)
    return [lookup(ACTIONS, place), only(timed, repeated(duration))]


OFFSET, SIZE, RESULT, DECODED, UNCERTAIN, DESCRIPTOR = (1 << bit for bit in range(6))
"""Bits of a layout of ``io``: the members that are present. ``DECODED``: something other than offset, size and result."""

LAYOUTS: Final = range(64)


def label(name: str) -> Strings:
    """Return nothing, nothing, the label before the first member, the label before a later one."""
    return strings([b"", b"", f'"{name}":'.encode(), f',"{name}":'.encode()])


def first_label(layout: int) -> list[str]:
    """Return the text before the first of them."""
    members = {OFFSET: '"offset":', SIZE: '"size":', RESULT: '"result":'}
    return [text for bit, text in members.items() if layout & bit][:1]


def joined_after(preceded: int, parts: Sequence[str]) -> bytes:
    return ("," * bool(preceded and parts) + ",".join(parts)).encode()


def before_rest(layout: int) -> bytes:
    """Return the text from the descriptor to the next number, or to the decoded arguments."""
    uncertain = ['"offset_uncertain":true'] if layout & UNCERTAIN else []
    return joined_after(layout & DESCRIPTOR, uncertain + first_label(layout & OFFSET if layout & DECODED else layout))


def before_size(layout: int) -> bytes:
    return b',"size":' if layout & SIZE and layout & OFFSET and not layout & DECODED else b""


def before_result(layout: int) -> bytes:
    return b',"result":' if layout & RESULT and (layout & SIZE or (layout & OFFSET and not layout & DECODED)) else b""


BEFORE_FD: Final = strings([b'},"io":{', b'},"io":{"fd":'])
BEFORE_OPEN_ID: Final = label("open_id")
BEFORE_REST: Final = strings([before_rest(layout) for layout in LAYOUTS])
BEFORE_SIZE: Final = strings([before_size(layout) for layout in LAYOUTS])
BEFORE_RESULT: Final = strings([before_result(layout) for layout in LAYOUTS])


def layouts(keys: Records) -> NDArray[np.int32]:
    calls, flags = keys["call"], keys["flags"]
    parts = {
        OFFSET: arguments.OFFSETS[calls] & (flags & wire.NO_OFFSET == 0),
        SIZE: arguments.SIZES[calls] & (flags & wire.NO_SIZE == 0),
        RESULT: flags & wire.NO_RESULT == 0,
        DECODED: (arguments.HAS_ARGS | arguments.COPIES | arguments.ADDRESSED)[calls],
        UNCERTAIN: wire.CALL_RETURNS_BYTES[calls] & (flags & wire.UNCERTAIN != 0),
        DESCRIPTOR: (keys["fd"] != -1) | (keys["open"] != 0),
    }
    return np.asarray(sum(bit * there for bit, there in parts.items()), np.int32)


def head_strings(keys: Records, layout: NDArray[np.int32]) -> Strings:
    """Return the text from the thread's number to the next number, or to the decoded arguments."""
    fd, opened = keys["fd"] != -1, keys["open"] != 0
    columns = [
        numbers(keys["tid"]),
        lookup(BEFORE_FD, fd),
        only(fd, numbers(keys["fd"])),
        lookup(BEFORE_OPEN_ID, fd + 2 * opened),
        only(opened, numbers(keys["open"])),
        lookup(BEFORE_REST, layout),
    ]
    return join(columns)


def decoded_columns(batch: Batch, layout: NDArray[np.int32]) -> list[Text]:
    """Return the decoded arguments other than offset, size and result: numbers of all kinds first, then values that repeat."""
    preceded = layout & (DESCRIPTOR | UNCERTAIN | OFFSET) != 0
    copied, preceded = copy_columns(batch, preceded)
    addressed, quoted = address_columns(batch, preceded)
    members = members_column(batch, layout & (SIZE | RESULT | DECODED) | PRECEDED * preceded | QUOTED * quoted)
    return [*copied, *addressed, outcome_column(batch.events, layout, members)]


BEFORE_TARGET_FD: Final = label("target_fd")
BEFORE_TARGET_OFFSET: Final = label("target_offset")
BEFORE_ADDRESS: Final = strings([b"", b"", b'"address":"0x', b',"address":"0x'])
NO_POSITION: Final = 2**64 - 1


def copy_columns(batch: Batch, preceded: NDArray[np.bool_]) -> tuple[list[Text], NDArray[np.bool_]]:
    """Return the target of a copy, and which rows have members by then."""
    copies = arguments.COPIES[batch.events["call"]] & (batch.events["flags"] & wire.HAS_EXT != 0)
    if not copies.any():
        return [], preceded
    fd, offset = second(batch, "target_fd"), second(batch, "target_offset")
    opened, placed = copies & (fd != -1), copies & (offset != NO_POSITION)
    columns = [
        lookup(BEFORE_TARGET_FD, 2 * opened + preceded),
        only(opened, repeated(fd)),
        lookup(BEFORE_TARGET_OFFSET, 2 * placed + (preceded | opened)),
        some(placed, numbers(offset[placed])),
    ]
    return columns, preceded | opened | placed


def address_columns(batch: Batch, preceded: NDArray[np.bool_]) -> tuple[list[Text], NDArray[np.bool_]]:
    """Return an address without its closing quote, and which rows have one."""
    if not arguments.ADDRESSED[batch.events["call"]].any():
        return [], np.zeros(len(preceded), bool)
    address, known = arguments.addresses(batch.events, second(batch, "target_offset"))
    return [lookup(BEFORE_ADDRESS, 2 * known + preceded), some(known, hexadecimal(address[known]))], known


PRECEDED, QUOTED = UNCERTAIN, DESCRIPTOR
"""Bits of a layout of members: other members precede them; an address precedes them, which needs its closing quote."""


def members_column(batch: Batch, layout: NDArray[np.int32]) -> Text:
    """Return flags, modes, owners: each combination is written once. From the end of an address to the next number."""
    decoded = layout & DECODED != 0
    used = arguments.used(batch, decoded)
    distinct, rows = encode(pack(call=batch.events["call"][decoded], layout=layout[decoded], **used))
    texts = [members_text(row[0], row[1], dict(zip(used, row[2:], strict=True))) for row in distinct.tolist()]
    return some(decoded, Text(strings(texts), rows))


def members_text(call: int, layout: int, values: Mapping[str, int]) -> bytes:
    parts = [given] if (given := jsontext.members(arguments.decode_call(call, values))) else []
    return b'"' * bool(layout & QUOTED) + joined_after(layout & (PRECEDED | QUOTED), parts + first_label(layout))


def offset_columns(events: Records, layout: NDArray[np.int32]) -> list[Text]:
    """Return the offset in the file."""
    there, signed = layout & OFFSET != 0, arguments.SIGNED[events["call"]]
    offset = numbers(events["offset"])
    if signed.any():
        offset = choose(signed, numbers(events["offset"].view(np.int64)), offset)
    return [only(there, offset)]


def outcome_column(events: Records, layout: NDArray[np.int32], members: Text | None = None) -> Text:
    """Return the text from the offset to the end of ``io`` and the error. Sizes and results repeat, so each pair is written
    once."""
    size = events["size"] * (layout & SIZE != 0) if members else events["size"]  # otherwise it may be an address
    decoded = {"members": members.rows} if members else {}
    distinct, rows = encode(pack(size=size, result=events["result"], layout=layout, **decoded))
    sized, ended = (distinct["layout"] & bit != 0 for bit in (SIZE, RESULT))
    columns = [
        *([Text(members.strings, distinct["members"])] if members else []),
        lookup(BEFORE_SIZE, distinct["layout"]),
        only(sized, numbers(distinct["size"])),
        lookup(BEFORE_RESULT, distinct["layout"]),
        only(ended, numbers(distinct["result"])),
        error_column(np.where(ended, distinct["result"], 0)),
    ]
    return Text(join(columns), rows)


def error_column(results: NDArray[Any]) -> Text:
    distinct, rows = encode(np.minimum(results, 0))
    return Text(strings([error_text(result) for result in distinct.tolist()]), rows)


def error_text(result: int) -> bytes:
    """Return the end of ``io``, and the error."""
    return f'}},"error":{{"code":"{constants.error(result)}"}}'.encode() if result else b"}"
