"""The result of ``filetap.open``: the tables of one or several recordings, SQL over them, their summary; all as Arrow.

Separate from the command line, which uses the same parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Self

import pyarrow as pa

from filetap.analysis import aggregate
from filetap.analysis.sql import Database, open_traces
from filetap.analysis.views import each_once
from filetap.core.errors import UsageError
from filetap.recording.format import Metadata
from filetap.recording.schemas import SCHEMAS


class Recording:
    """One recording, or several as one. A recording in progress is seen as it was when it was opened.

    Every method raises FiletapError, with a line that gives the reason.
    """

    def __init__(self, folders: Sequence[str | PathLike[str]]) -> None:
        if not folders:
            raise UsageError("give a recording to open")
        self._traces = open_traces([Path(folder) for folder in folders])
        self._database: Database | None = None

    @property
    def metadata(self) -> list[Metadata]:
        """Return trace.json of each: node, kernel, begin, and the statistics with what was lost."""
        return [trace.metadata for trace in self._traces]

    @cached_property
    def events(self) -> pa.Table:
        """Return a row for each event, as recorded; ``task``, ``file`` and ``target`` are ids of the tables below."""
        return self._table("events")

    @cached_property
    def files(self) -> pa.Table:
        """Return the files, each id once."""
        return self._table("files")

    @cached_property
    def tasks(self) -> pa.Table:
        """Return the tasks, each id once."""
        return self._table("tasks")

    @cached_property
    def aggregated(self) -> pa.Table:
        """Return the events that did not fit in the rings during recording: sums by task, file and op."""
        return self._table("aggregated")

    @cached_property
    def pending(self) -> pa.Table:
        """Return the calls that were pending at the end, and at each listing: in the columns of events, without a result."""
        return self._table("pending")

    @property
    def damages(self) -> list[str]:
        """Return the parts that could not be read so far, a line each; all results leave them out."""
        return [str(damage) for trace in self._traces for damage in trace.damages]

    def query(self, sql: str) -> pa.Table:
        """Return the answer to a query, as ``filetap query`` does; the view ``events`` is joined with files and tasks."""
        return self._database_of().query(sql).table()

    def summary(self, by: str = "file", top: int = 20, *, sort: str = "count", width: int | None = None) -> pa.Table:
        """Return the ``top`` groups with the most of ``sort``, then all others in one row.

        ``by``: file, directory, process, op, user, cgroup or time; ``width``: of an interval of time, ns. Columns: the group's;
        ``others``, true in the last row; count, errors, bytes, and in ns total, p50, p90, p99, max of the durations; first and
        last access.
        """
        return aggregate.summed(self._database_of(), by, top, sort, width)

    def close(self) -> None:
        """Release the files and memory held; tables returned earlier stay valid."""
        if self._database:
            self._database.close()
            self._database = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _database_of(self) -> Database:
        self._database = self._database or Database(self._traces)
        return self._database

    def _table(self, name: str) -> pa.Table:
        table = pa.concat_tables([trace.table(name) for trace in self._traces]).unify_dictionaries()
        return each_once(table, ["trace", "id"]) if "id" in SCHEMAS[name].names else table
