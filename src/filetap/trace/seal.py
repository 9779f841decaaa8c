"""Sealing: a segment's streams become Parquet, with meaning in every column.

Apart from recording, because it costs more and has time. The Parquet file appears under its name when it is whole; only
then does the stream go. Next: tables.py, what the columns are; reader.py, who reads them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from filetap.batch import Batch
from filetap.trace import stream, tables
from filetap.trace.format import EVENTS, FILES, FOLDED, RECORDED, TASKS, Metadata, segment
from filetap.trace.stream import Damage

ROW_GROUP: Final = 1 << 19


def seal(folder: Path, number: int, metadata: Metadata) -> list[Damage]:
    damages: list[Damage] = []
    for name, schema in (("files", FILES), ("tasks", TASKS), ("folded", FOLDED), ("events", EVENTS)):
        source = segment(folder, name, number, "arrow")
        if source.exists():
            _parquet(segment(folder, name, number, "parquet"), schema, rows(source, name, metadata, damages))
            source.unlink()
            source.with_suffix(".crc").unlink()
    return damages


def rows(source: Path, name: str, metadata: Metadata, damages: list[Damage]) -> Iterator[pa.RecordBatch]:
    """A stream's batches in the columns of the sealed table."""
    if name == "events":
        for batch in stream.read(source, RECORDED, damages):
            events, more, realtime = tables.wire(batch)
            yield tables.event_table(Batch(events, {}, {}, 0, more), metadata, realtime)
        return
    schema = {"files": FILES, "tasks": TASKS, "folded": FOLDED}[name]
    for batch in stream.read(source, tables.RECORDED_SCHEMAS[name], damages):
        keys = tables.key_columns(metadata, batch.num_rows)
        columns = [keys[field.name] if field.name in keys else batch.column(field.name).cast(field.type) for field in schema]
        yield pa.record_batch(columns, schema=schema)


def _parquet(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    new = path.with_suffix(".new")
    held: list[pa.RecordBatch] = []
    with pq.ParquetWriter(new, schema, compression="zstd", compression_level=1, write_page_checksum=True) as writer:
        for batch in batches:
            held.append(batch)
            if sum(map(len, held)) >= ROW_GROUP:
                writer.write_table(pa.Table.from_batches(held, schema).unify_dictionaries())
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held, schema).unify_dictionaries())
    os.replace(new, path)
