"""Converts batches to the columns of a recording, and back: translates the numbers of the wire format, in one place for all
readers.

Separate from the files that store them. All work is by columns; only files and tasks, which are few, are handled in a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from filetap.core import columns as registry
from filetap.core import wire
from filetap.core.batch import Batch, Credentials, File, Overflow, Task, lineage
from filetap.core.calls import CALLS
from filetap.core.constants import NEVER_SET
from filetap.core.wire import Records
from filetap.recording.format import KEY, OF_EVENTS, Metadata, TraceError
from filetap.recording.schemas import AGGREGATED, EVENTS, FILES, RECORDED, SCHEMAS, TASKS
from filetap.render import arguments, jsontext
from filetap.render.columns import clock, durations, encode, pack, second

SECOND: Final = ("target_offset", "target", "target_fd", "argument")
"""Columns of the second slot that a recording keeps; files and tasks without an id have got one by now."""
FIRST: Final = tuple(name for name in RECORDED.names if name not in (*SECOND, "realtime"))
NO_POSITION: Final = 2**64 - 1
OP_NAMES: Final = pa.array([call.op for call in CALLS])
CALL_NAMES: Final = pa.array([call.name for call in CALLS])
_OURS: Final = {(call.op, call.name): at for at, call in enumerate(CALLS)}
UNKNOWN: Final = 2**16 - 1

Columns = dict[str, Any]


def value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if isinstance(kind, pa.DictionaryType) else kind


def plain(schema: pa.Schema) -> pa.Schema:
    """Return a table's columns while it is written: text is plain, and columns with the same value in all rows are added by
    sealing."""
    return pa.schema([(field.name, value_type(field.type)) for field in schema if field.name not in KEY])


RECORDED_SCHEMAS: Final = {name: RECORDED if name in OF_EVENTS else plain(schema) for name, schema in SCHEMAS.items()}


def recorded(batch: Batch) -> pa.RecordBatch:
    """Return a batch's events as RECORDED; copied, because the batch may be a view of the ring."""
    events = batch.events
    columns = {name: np.ascontiguousarray(events[name]) for name in FIRST}
    columns["realtime"] = np.full(len(events), batch.realtime)
    columns |= {name: second(batch, name) for name in SECOND}
    return pa.record_batch([pa.array(columns[name]) for name in RECORDED.names], schema=RECORDED)


def records_of(rows: pa.RecordBatch) -> tuple[Records, Records, NDArray[np.int64]]:
    """Return the events and second slots that ``recorded`` was made from, and each event's realtime."""
    columns = {name: rows.column(name).to_numpy(zero_copy_only=False) for name in rows.schema.names}
    return _records(columns)


def _records(columns: Mapping[str, NDArray[Any]]) -> tuple[Records, Records, NDArray[np.int64]]:
    events = np.zeros(len(columns["time"]), wire.EVENT)
    for name in FIRST:
        events[name] = columns[name]
    two = events["flags"] & wire.HAS_EXT != 0
    ext = np.zeros(int(two.sum()), wire.EVENT_EXT)
    for name in SECOND:
        ext[name] = columns[name][two]
    return events, ext, columns["realtime"]


def key_columns(metadata: Metadata, count: int) -> Columns:
    values = {"trace": metadata.uuid, "node": metadata.node, "boot": metadata.boot}
    return {name: pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([values[name]])) for name in KEY}


def event_table(batch: Batch, metadata: Metadata, realtime: NDArray[np.int64] | None = None) -> pa.RecordBatch:
    """Return a batch's events as EVENTS. ``realtime``: of each event, if it is not the batch's."""
    events, calls = batch.events, batch.events["call"]
    real = np.full(len(events), batch.realtime) if realtime is None else realtime
    columns = key_columns(metadata, len(events)) | _numbers(batch) | _words(batch)
    columns |= {
        "ts": pa.array(clock(events, 0) + real).cast(EVENTS.field("ts").type),
        "realtime": real,
        "op": _named(OP_NAMES, calls),
        "call": _named(CALL_NAMES, calls),
        "arguments": _arguments(batch),
        "event_flags": events["flags"],
    }
    return _batch(columns, EVENTS)


def _batch(columns: Columns, schema: pa.Schema) -> pa.RecordBatch:
    arrays = [column if isinstance(column, pa.Array) else pa.array(np.ascontiguousarray(column)) for column in _in_order(columns, schema)]
    return pa.record_batch([array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema)


def _in_order(columns: Columns, schema: pa.Schema) -> Iterable[Any]:
    return (columns[name] for name in schema.names)


def _where(values: NDArray[Any], there: NDArray[np.bool_]) -> pa.Array:
    return pa.array(np.ascontiguousarray(values), mask=None if there.all() else ~there)


def _named(texts: pa.Array, numbers: NDArray[Any]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(numbers.astype(np.int32), texts)


def _numbers(batch: Batch) -> Columns:
    """Return the columns that are numbers; other values are in ``arguments``."""
    events, calls, flags = batch.events, batch.events["call"], batch.events["flags"]
    target, target_fd, target_offset = (second(batch, name) for name in ("target", "target_fd", "target_offset"))
    copies = arguments.COPIES[calls] & (flags & wire.HAS_EXT != 0)
    address, addressed = arguments.addresses(events, target_offset)
    duration = durations(events).astype(np.int64)
    return {
        "task": _where(events["task"], events["task"] != 0),
        "file": _where(events["file"], events["file"] != 0),
        "target": _where(target, target != 0),
        "tid": events["tid"],
        "fd": _where(events["fd"], events["fd"] != -1),
        "open_id": _where(events["open"], events["open"] != 0),
        "offset": _where(events["offset"].astype(np.int64), has_offset(events)),
        "size": _where(events["size"], has_size(events)),
        "result": _where(events["result"], flags & wire.NO_RESULT == 0),
        "duration": _where(duration, duration != 0),
        "target_fd": _where(target_fd, copies & (target_fd != -1)),
        "target_offset": _where(target_offset.astype(np.int64), copies & (target_offset != NO_POSITION)),
        "address": _where(address, addressed),
    }


def has_offset(events: Records) -> NDArray[np.bool_]:
    """Return for each event whether the wire's offset is an offset."""
    return np.asarray(arguments.OFFSETS[events["call"]] & (events["flags"] & wire.NO_OFFSET == 0))


def has_size(events: Records) -> NDArray[np.bool_]:
    """Return for each event whether the wire's size is a size."""
    return np.asarray(arguments.SIZES[events["call"]] & (events["flags"] & wire.NO_SIZE == 0))


def _words(batch: Batch) -> Columns:
    """Return the words of the wire format that no other column has unchanged, so that a replay has them."""
    events = batch.events
    argument, position = second(batch, "argument").astype(np.uint64), second(batch, "target_offset")
    copies = arguments.COPIES[events["call"]]
    return {
        "raw_arg0": _where(events["offset"], ~has_offset(events) & (events["offset"] != 0)),
        "raw_arg1": _where(events["size"], ~has_size(events) & (events["size"] != 0)),
        "raw_arg2": _where(argument, argument != 0),
        "raw_arg3": _where(position, ~copies & (position != 0)),
    }


def _arguments(batch: Batch) -> pa.Array:
    """Return the arguments that are not numbers, as JSON: each combination is written once."""
    has_args = arguments.HAS_ARGS[batch.events["call"]]
    if not has_args.any():
        return pa.DictionaryArray.from_arrays(pa.nulls(len(has_args), pa.int32()), pa.array([], pa.string()))
    used = arguments.used(batch, has_args)
    distinct, rows = encode(pack(call=batch.events["call"][has_args], **used))
    texts = [_told(row[0], dict(zip(used, row[1:], strict=True))) for row in distinct.tolist()]
    places = np.zeros(len(has_args), np.int32)
    places[has_args] = rows
    present = np.array([text != "{}" for text in texts])
    return pa.DictionaryArray.from_arrays(_where(places, has_args & present[places]), pa.array(texts, pa.string()))


def _told(call: int, values: Mapping[str, int]) -> str:
    return jsontext.ENCODER.encode(arguments.decode_call(call, values)).decode()


def replayed(rows: pa.RecordBatch) -> tuple[Records, Records, NDArray[np.int64]]:
    """Convert EVENTS back to the wire format: events, second slots, each event's realtime."""
    get = {name: rows.column(name) for name in rows.schema.names}
    numbers = {name: _filled(get[name], none) for name, none in _NONE.items()}
    copies = arguments.COPIES[(calls := _call_numbers(get["op"], get["call"]))]
    columns = numbers | {
        "time": get["ts"].cast(pa.int64()).to_numpy() - numbers["realtime"],
        "call": calls,
        "open": numbers["open_id"],
        "flags": numbers["event_flags"],
        "offset": _either(get["offset"], get["raw_arg0"]),
        "size": _either(get["size"], get["raw_arg1"]),
        "argument": numbers["raw_arg2"],
        "target_offset": np.where(copies, numbers["target_offset"].astype(np.uint64), numbers["raw_arg3"]),
    }
    duration = numbers["duration"]
    for flag, unit in ((wire.MICROSECONDS, 1000), (wire.MILLISECONDS, 1_000_000)):
        duration = np.where(numbers["event_flags"] & flag != 0, duration // unit, duration)
    columns["duration"] = duration
    return _records(columns)


_NONE: Final = {
    **dict.fromkeys("task file target tid open_id result duration event_flags realtime raw_arg2 raw_arg3".split(), 0),
    **dict.fromkeys(("fd", "target_fd", "target_offset"), -1),
}
"""The wire format's value for a missing one."""


def _filled(column: pa.Array, none: int) -> NDArray[Any]:
    return np.asarray(column.fill_null(none).to_numpy(zero_copy_only=False))


def _either(number: pa.Array, word: pa.Array) -> NDArray[np.uint64]:
    return np.where(number.is_valid().to_numpy(zero_copy_only=False), _filled(number, 0).astype(np.uint64), _filled(word, 0))


def own_calls(events: Records, calls: Sequence[tuple[str, str]]) -> Records:
    """Convert events with another version's numbers of calls, given by op and name, to the present numbers."""
    ours = np.array([_OURS.get(call, UNKNOWN) for call in calls], "<u2")
    if not calls or np.array_equal(ours, np.arange(len(CALLS))):
        return events
    events["call"] = _known(ours[events["call"]], lambda row: calls[events["call"][row]])
    return events


def _known(numbers: NDArray[np.uint16], call: Callable[[int], tuple[str, str]]) -> NDArray[np.uint16]:
    """Return the numbers, if all are known. ``call``: of a row, for a message."""
    if (unknown := numbers == UNKNOWN).any():
        op, name = call(int(unknown.argmax()))
        raise TraceError(f"it contains the unknown call {name} ({op}): use the filetap that recorded it, or a newer one")
    return numbers


def _call_numbers(ops: pa.Array, calls: pa.Array) -> NDArray[np.uint16]:
    """Return the numbers by op and name, as ``own_calls``."""
    ops, calls = (column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode() for column in (ops, calls))
    if not len(ops):
        return np.zeros(0, "<u2")
    names, kinds = calls.dictionary.to_pylist(), ops.dictionary.to_pylist()
    table = np.array([[_OURS.get((op, name), UNKNOWN) for name in names] for op in kinds], "<u2")
    numbers = table[ops.indices.to_numpy(), calls.indices.to_numpy()]
    return _known(numbers, lambda row: (ops[row].as_py(), calls[row].as_py()))


def _texts(name: str, values: Sequence[bytes | None]) -> Columns:
    """Return text with replacement characters, and the bytes where these were needed."""
    texts = [value.decode(errors="replace") if value else None for value in values]
    plain = all(value.isascii() for value in values if value)
    exact = [
        value if value and text and text.encode() != value else None for text, value in zip(texts, () if plain else values, strict=False)
    ]
    return {
        name: pa.array(texts, pa.string()),
        f"{name}_bytes": pa.nulls(len(texts), pa.binary()) if plain else pa.array(exact, pa.binary()),
    }


def _described(items: Sequence[object], owner: registry.Owner, metadata: Metadata, schema: pa.Schema) -> pa.RecordBatch:
    """Return the columns of an owner."""
    made = key_columns(metadata, len(items))
    for column in registry.of(owner):
        values = list(map(column.recorded, items))
        name = column.name
        made |= _texts(name, values) if column.type == "exact" else {name: pa.array(values, value_type(schema.field(name).type))}
    return _batch(made, schema)


def file_table(files: Sequence[File], metadata: Metadata) -> pa.RecordBatch:
    return _described(files, "file", metadata, FILES)


def task_table(tasks: Sequence[Task], metadata: Metadata) -> pa.RecordBatch:
    return _described(tasks, "task", metadata, TASKS)


def overflow_table(overflows: Sequence[Overflow], realtime: int, metadata: Metadata) -> pa.RecordBatch:
    shifted = [replace(overflow, first=overflow.first + realtime, last=overflow.last + realtime) for overflow in overflows]
    return _described(shifted, "sum", metadata, AGGREGATED)


def _exact(row: Mapping[str, Any], name: str) -> bytes:
    exact: bytes | None = row[f"{name}_bytes"]
    return exact if exact is not None else (row[name] or "").encode()


def _added(row: Mapping[str, Any], owner: registry.Owner) -> Columns | None:
    """Return the known values that stages have added."""
    new = [column for column in registry.of(owner) if column.added]
    values = {column.name: _exact(row, column.name) if column.type == "exact" else row[column.name] for column in new}
    return {name: value for name, value in values.items() if value} or None


def _number(device: str | None) -> int:
    """Return the number in the kernel's encoding."""
    if not device:
        return 0
    major, minor = device.split(":")
    return int(major) << 20 | int(minor)


def files_of(table: pa.Table) -> dict[int, File]:
    """Return FILES by id."""
    return {row["id"]: _file(row) for batch in table.to_batches() for row in batch.to_pylist()}


def _file(row: Mapping[str, Any]) -> File:
    same = "id resolved inode subvolume generation size mount mount_namespace real_inode truncated deleted raced".split()
    return File(
        path=_exact(row, "path"),
        host_path=_exact(row, "host_path"),
        requested=_exact(row, "requested"),
        device=_number(row["device"]),
        real_device=_number(row["real_device"]),
        mode=row["mode"] or 0,
        filesystem=(row["filesystem"] or "").encode(),
        later=bool(row["later"]),
        added=_added(row, "file"),
        **{name: row[name] for name in same},
    )


def tasks_of(table: pa.Table) -> dict[int, Task]:
    """Return TASKS by id, each with its ancestors."""
    tasks = {row["id"]: _task(row) for batch in table.to_batches() for row in batch.to_pylist()}
    below = {number: task for number, task in tasks.items() if task.parent and not task.ancestor}
    return tasks | {number: replace(task, ancestors=lineage(task.parent, tasks.get)) for number, task in below.items()}


def _task(row: Mapping[str, Any]) -> Task:
    same: Columns = {name: row[name] for name in row if name in Task.__dataclass_fields__}
    same |= {"credentials": _credentials_of(row), "added": _added(row, "task")}
    same |= {name: _exact(row, name) for name in ("thread", "exe", "root", "cgroup_path")}
    same["args"] = None if row["args"] is None else tuple(row["args"])
    same |= {name: bool(row[name]) for name in ("adopted", "ancestor", "args_late")}
    same |= {name: row[name] or 0 for name in ("parent", "forker")}
    if row["ancestor"] is None:  # version 1.0: "parent" is the forking task, and there is no row of the parent
        same |= {"parent": 0, "forker": row["parent"] or 0}
    return Task(comm=_exact(row, "command"), **same)


def _credentials_of(row: Mapping[str, Any]) -> Credentials:
    """An older version has 4294967295 for a loginuid that was never set, and lacks some others."""
    same = {name: row[name] for name in Credentials.__dataclass_fields__}
    same |= {name: same[name] or "" for name in same if name.endswith("_name")}
    same["loginuid"] = None if same["loginuid"] == NEVER_SET else same["loginuid"]
    same["groups"] = None if same["groups"] is None else tuple(same["groups"])
    return Credentials(**same | {"group_names": tuple(same["group_names"] or ()), "groups_truncated": bool(same["groups_truncated"])})
