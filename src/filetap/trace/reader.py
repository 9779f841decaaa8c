"""A trace opened: its metadata, its tables as Arrow, whatever state its segments are in.

Apart from writing. Nothing is changed on disk here. Next: analysis/ asks it, cli/query.py and cli/replay.py too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from typing import TYPE_CHECKING

import pyarrow as pa

from filetap.trace.format import SCHEMAS, Metadata, TraceError, read_metadata

if TYPE_CHECKING:
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
        return self._segments(name)[0]

    def streams(self, name: str) -> list[Path]:
        """Its segments that are being written, or were when the recorder was killed."""
        return self._segments(name)[1]

    def _segments(self, name: str) -> tuple[list[Path], list[Path]]:
        """Sealed ones, and those that are not. A stream goes only when its Parquet file is there: then that one counts."""
        folder = self.folder / name
        try:
            paths = sorted(folder / entry for entry in os.listdir(folder))
        except OSError as error:
            raise TraceError(f"{folder}: {error.strerror}") from None
        sealed = [path for path in paths if path.suffix == ".parquet"]
        stems = {path.stem for path in sealed}
        return sealed, [path for path in paths if path.suffix == ".arrow" and path.stem not in stems]

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """A table's rows in the columns of format.SCHEMAS."""
        import pyarrow.parquet as pq

        sealed, streams = self._segments(name)
        for path in sealed:
            for batch in pq.ParquetFile(path, page_checksum_verification=True).iter_batches():
                yield _cast(batch, SCHEMAS[name])
        for path in streams:
            yield from self.stream(path, name)

    def stream(self, path: Path, name: str) -> Iterator[pa.RecordBatch]:
        """The same of a segment that is not sealed; of none, when it has been sealed meanwhile."""
        from filetap.trace import seal  # a trace that is sealed is asked without it

        yield from seal.rows(path, name, self.metadata, self.damages)

    def table(self, name: str) -> pa.Table:
        """One of events, files, tasks, folded, as a whole."""
        return pa.Table.from_batches(self.batches(name), SCHEMAS[name])


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([batch.column(field.name).cast(field.type) for field in schema], schema=schema)
