"""Sealing: converts a segment's streams to Parquet, with readable values in every column.

Separate from recording, because it costs more and is not urgent. The Parquet file gets its name when it is complete, with its
checksum index; only then the stream is deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from filetap.core.batch import Batch
from filetap.recording import checksum_index, segment_reader, stream, tables
from filetap.recording.checksum_index import Damage, Entry
from filetap.recording.format import OF_EVENTS, VERSION, Metadata, Segment, directory, segment, stored
from filetap.recording.schemas import EVENTS, SCHEMAS

ROW_GROUP: Final = 1 << 17
CHUNK: Final = 1 << 15
"""Rows that are translated at once: few batches have so many, and a hundred short ones would cost a hundred times more."""

DELTAS: Final = ("ts", "file", "id")
"""Columns whose values differ little from row to row."""
PATHS: Final = ("path", "host_path", "requested")
"""Text that differs in each row."""


def options(schema: pa.Schema) -> dict[str, Any]:
    """Return the encodings that were measured to be smallest among those that every reader of Parquet supports
    (docs/adr/0017-trace-on-disk.md)."""
    dictionaries = [field.name for field in schema if tables.value_type(field.type) == pa.string() and field.name not in PATHS]
    deltas = {name: "DELTA_BINARY_PACKED" for name in DELTAS if name in schema.names}
    return {
        "compression": "zstd",
        "compression_level": 1,
        "use_dictionary": dictionaries,
        "column_encoding": deltas,
        "write_page_checksum": True,
        "write_statistics": True,
    }


Progress = Callable[[int], None]
"""Called repeatedly, with the number of events that are done."""


Aside = Callable[[], AbstractContextManager[object]]
"""Entered around long work that does not need the interpreter lock."""


def seal(
    folder: Path,
    number: int,
    metadata: Metadata,
    damages: list[Damage],
    *,
    progress: Progress = lambda rows: None,
    aside: Aside = nullcontext,
) -> Segment:
    """Seal the rest of a segment. OSError: unsealed parts stay as they were."""
    for name in ("files", "tasks", "aggregated", "pending", "events"):
        source, made = (segment(folder, name, number, suffix) for suffix in ("arrow", "parquet"))
        if source.exists() and not made.exists():
            batches = rows(source, name, metadata, damages)
            batches = _as_stored(_told(batches, progress) if name == "events" else batches, stored(name, metadata.form))
            _parquet(made, batches, _stored_schema(name, metadata), aside)
        for old in (source, source.with_suffix(".crc")):
            old.unlink(missing_ok=True)
    return _entry(folder, number, metadata)


def _told(batches: Iterable[pa.RecordBatch], progress: Progress) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        progress(batch.num_rows)


def _stored_schema(name: str, metadata: Metadata) -> pa.Schema:
    """Return the schema. A recording of an older version keeps it: repaired parts are stored together with parts sealed
    before."""
    return pa.schema([SCHEMAS[name].field(column).with_name(old) for column, old in stored(name, metadata.form).items()])


def _as_stored(batches: Iterable[pa.RecordBatch], names: dict[str, str]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.select(list(names)).rename_columns(list(names.values()))


def _entry(folder: Path, number: int, metadata: Metadata) -> Segment:
    """Return the metadata's entry of a sealed segment."""
    events = segment(folder, "events", number, "parquet")
    times = list(_times(events)) if segment_reader.is_whole(events, metadata) else []
    began, ended = (min(low for low, _ in times), max(high for _, high in times)) if times else (None, None)
    size = sum(path.stat().st_size for name in SCHEMAS for path in directory(folder, name).glob(f"{number:06}.parquet*"))
    return Segment(number=number, events=checksum_index.counted(events.with_suffix(".parquet.crc")), began=began, ended=ended, bytes=size)


def _times(events: Path) -> Iterator[tuple[int, int]]:
    """Yield the first and last time of each row group."""
    at = EVENTS.names.index("ts")
    with pa.OSFile(os.fsencode(events), "rb") as data, pq.ParquetFile(data) as file:
        for group in range(file.num_row_groups):
            bounds = file.metadata.row_group(group).column(at).statistics
            yield bounds.min_raw, bounds.max_raw


def reason(error: Exception) -> str:
    """Return the reason on one line: Arrow's messages are longer."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error).partition("\n")[0]


def rows(source: Path, name: str, metadata: Metadata, damages: list[Damage], live: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield a stream's batches in the columns of the sealed table."""
    schema, known = SCHEMAS[name], tables.RECORDED_SCHEMAS[name] if metadata.version == VERSION else None
    for batch in _gathered(stream.read(source, known, damages, live)):
        if name in OF_EVENTS:
            events, more, realtime = tables.records_of(batch)
            yield tables.event_table(Batch(tables.own_calls(events, metadata.calls), {}, {}, 0, more), metadata, realtime)
        else:
            keys = tables.key_columns(metadata, batch.num_rows)
            known = dict(zip(batch.schema.names, batch.columns, strict=True)) | keys
            yield segment_reader.in_columns(known, schema, batch.num_rows)


def _gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= CHUNK:
            yield pa.concat_batches(held)
            held = []
    if held:
        yield pa.concat_batches(held)


def _parquet(path: Path, batches: Iterator[pa.RecordBatch], schema: pa.Schema, aside: Aside) -> None:
    """Write the file with its checksum index, or, after an error, neither."""
    new, index = path.with_suffix(".new"), path.with_suffix(".parquet.crc")
    try:
        _write(new, schema, batches, aside)
        index.write_bytes(b"".join(map(checksum_index.sealed, pieces(new))))
        os.replace(new, path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
            index.unlink(missing_ok=True)
        raise


def _write(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch], aside: Aside) -> None:
    held: list[pa.RecordBatch] = []
    with pa.OSFile(os.fsencode(path), "wb") as data, pq.ParquetWriter(data, schema, **options(schema)) as writer:
        for batch in batches:
            held.append(batch)
            if sum(map(len, held)) >= ROW_GROUP:
                _write_group(writer, held, schema, aside)
                held = []
        if held:
            _write_group(writer, held, schema, aside)


def _write_group(writer: pq.ParquetWriter, batches: list[pa.RecordBatch], schema: pa.Schema, aside: Aside) -> None:
    table = pa.Table.from_batches(batches, schema).unify_dictionaries()
    with aside():
        writer.write_table(table, row_group_size=len(table))


def pieces(path: Path) -> Iterator[Entry]:
    """Yield a Parquet file's row groups, in order from its first byte, and its footer: each with its CRC."""
    with pa.OSFile(os.fsencode(path), "rb") as source, pq.ParquetFile(source) as file, open(path, "rb", buffering=0) as data:
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        size, counts = os.fstat(data.fileno()).st_size, [group.num_rows for group in groups]
        ends = [max(map(_end, (group.column(at) for at in range(group.num_columns)))) for group in groups]
        for begin, end, count in zip([0, *ends], [*ends, size], [*counts, 0], strict=True):
            yield Entry(begin, end - begin, checksum_index.crc(data.fileno(), begin, end - begin), count)


def _end(column: Any) -> int:
    begin = min(filter(None, (column.dictionary_page_offset, column.data_page_offset)))
    return int(begin + column.total_compressed_size)
