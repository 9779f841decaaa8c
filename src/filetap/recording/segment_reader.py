"""Reads a sealed file: each row group is compared with its CRC before it is decoded.

Separate from streams, which need no intact footer. Parquet has CRCs of pages, but none of the metadata, and a decoder may crash
on damaged data.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filetap.recording.checksum_index import Damage, Entry, crc, entries
from filetap.recording.format import OLD_COLUMNS, Metadata, stored, table_of

if TYPE_CHECKING:
    import pyarrow as pa


def read(path: Path, trace: Metadata, schema: pa.Schema, damages: list[Damage]) -> Iterator[pa.RecordBatch]:
    """Yield the intact row groups, if they belong to this recording. FileNotFoundError: there is no such file."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # slow to import, and not needed for an intact recording

    with open(path, "rb", buffering=0) as data:
        index = _read_index(path, damages)
        if not index or not _has_end(data.fileno(), path, trace, index, damages):
            return
        name = os.fsencode(path)  # Arrow accepts text only as UTF-8
        with pa.OSFile(name, "rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            for number, entry in enumerate(index[:-1]):
                if entry and _is_whole(data.fileno(), entry):
                    for batch in file.iter_batches(row_groups=[number]):
                        yield in_columns(dict(zip(batch.schema.names, batch.columns, strict=True)), schema, batch.num_rows)
                elif entry:
                    damages.append(Damage(path, entry.offset, entry.rows, "damaged"))


def is_whole(path: Path, trace: Metadata, progress: Callable[[int], None] = lambda size: None) -> bool:
    """Return whether every byte of the file is as this recording wrote it. ``progress`` is called with the bytes compared."""
    damages: list[Damage] = []
    try:
        with open(path, "rb", buffering=0) as data:
            index = _read_index(path, damages)
            return (
                bool(index)
                and _has_end(data.fileno(), path, trace, index, damages)
                and all(entry and _is_whole(data.fileno(), entry, progress) for entry in index[:-1])
            )
    except FileNotFoundError:
        return False


def _read_index(path: Path, damages: list[Damage]) -> list[Entry | None]:
    try:
        index = list(entries(path.with_suffix(".parquet.crc"), damages))
    except FileNotFoundError:
        if not path.exists():
            raise  # the whole segment was deleted
        index = []
    if not index:
        damages.append(Damage(path, 0, None, "its checksum file (.crc) is missing"))
    return index


def _has_end(fd: int, path: Path, trace: Metadata, index: list[Entry | None], damages: list[Damage]) -> bool:
    """Check the footer after the row groups: without it nothing of the file can be read."""
    end, why = index[-1], "its footer is damaged"
    if end and not end.rows and os.fstat(fd).st_size == end.offset + end.size and _is_whole(fd, end):
        words = [*stored(table_of(path), trace.form).values(), trace.uuid if any(entry and entry.rows for entry in index) else ""]
        if _has_words(os.pread(fd, end.size, end.offset), words):
            return True
        why = "it belongs to another recording or table"
    known = [entry.rows for entry in index if entry]
    rows = sum(known) if len(known) == len(index) and end and not end.rows else None
    damages.append(Damage(path, end.offset if end else 0, rows, why))
    return False


def _has_words(end: bytes, words: Sequence[str]) -> bool:
    """Return whether the footer contains the words: the columns, and of each the minimum and maximum; with rows, the
    recording's own name."""
    return all(word.encode() in end for word in words)


def _is_whole(fd: int, entry: Entry, progress: Callable[[int], None] = lambda size: None) -> bool:
    found = crc(fd, entry.offset, entry.size)
    progress(entry.size)
    return found == entry.checksum


def in_columns(columns: Mapping[str, pa.Array], schema: pa.Schema, count: int) -> pa.RecordBatch:
    """Return the present columns, of ``count`` rows: columns missing in an older version are null, and columns with an old
    name are found by that name."""
    import pyarrow as pa

    names = {field.name: field.name if field.name in columns else OLD_COLUMNS.get(field.name, "") for field in schema}
    made = [columns[name].cast(field.type) if (name := names[field.name]) in columns else pa.nulls(count, field.type) for field in schema]
    return pa.record_batch(made, schema=schema)
