"""A trace opened: its metadata, its tables as Arrow, whatever state its segments are in.

Apart from writing. Nothing is changed on disk here. Next: analysis/ asks it, cli/query.py and cli/replay.py too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from filetap.trace import seal
from filetap.trace.format import SCHEMAS, Metadata, read_metadata
from filetap.trace.stream import Damage


class Trace:
    """A folder that ``filetap trace -o NAME.tap`` wrote, or is writing. Raises TraceError when it is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.metadata: Metadata = read_metadata(folder)
        self.damages: list[Damage] = []
        """What could not be read so far."""

    def sealed(self, name: str) -> list[Path]:
        """The Parquet files of a table."""
        return sorted((self.folder / name).glob("*.parquet"))

    def streams(self, name: str) -> list[Path]:
        """Its segments that are being written, or were when the recorder was killed."""
        return sorted((self.folder / name).glob("*.arrow"))

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """A table's rows in the columns of format.SCHEMAS."""
        for path in self.sealed(name):
            for batch in pq.ParquetFile(path).iter_batches():
                yield _cast(batch, SCHEMAS[name])
        for path in self.streams(name):
            yield from seal.rows(path, name, self.metadata, self.damages)

    def table(self, name: str) -> pa.Table:
        """One of events, files, tasks, folded, as a whole."""
        return pa.Table.from_batches(self.batches(name), SCHEMAS[name])


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([batch.column(field.name).cast(field.type) for field in schema], schema=schema)
