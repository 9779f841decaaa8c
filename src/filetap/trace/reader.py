"""A trace opened: its metadata, its tables as Arrow, whatever state its segments are in.

Apart from writing. Nothing is changed on disk here. Next: analysis/ asks it, cli/query.py and cli/replay.py too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from filetap.trace.format import SCHEMAS, Metadata, TraceError, read_metadata

if TYPE_CHECKING:
    from filetap.trace.stream import Damage


ROWS: Final = 1 << 16
"""Of a batch."""


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
        sealed, streams = self._segments(name)
        for path in sealed:
            for batch in self.row_groups(path):
                yield _cast(batch, SCHEMAS[name])
        for path in streams:
            yield from self.stream(path, name)

    def row_groups(self, path: Path) -> Iterator[pa.RecordBatch]:
        """Of a sealed segment. What is damaged is added to ``damages``, never read as data."""
        import pyarrow.parquet as pq

        from filetap.trace.stream import Damage

        try:
            file = pq.ParquetFile(path, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            self.damages.append(Damage(path, 0, 0, f"damaged, all of it ({str(error).splitlines()[0]})"))
            return
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            try:
                yield from file.read_row_group(number).to_batches(ROWS)
            except (OSError, pa.ArrowException):
                self.damages.append(Damage(path, group.column(0).data_page_offset, group.num_rows, "damaged"))

    def rows(self, name: str) -> int:
        """Of the sealed segments; 0 where that is not known."""
        import pyarrow.parquet as pq

        try:
            return sum(pq.read_metadata(path).num_rows for path in self.sealed(name))
        except (OSError, pa.ArrowException):
            return 0

    def stream(self, path: Path, name: str) -> Iterator[pa.RecordBatch]:
        """The same of a segment that is not sealed; of none, when it has been sealed meanwhile."""
        from filetap.trace import seal  # a trace that is sealed is asked without it

        yield from seal.rows(path, name, self.metadata, self.damages)

    def table(self, name: str) -> pa.Table:
        """One of events, files, tasks, folded, as a whole."""
        return pa.Table.from_batches(self.batches(name), SCHEMAS[name])


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([batch.column(field.name).cast(field.type) for field in schema], schema=schema)
