"""What ``filetap.open`` gives: the tables of one or several traces, SQL over them, their summary; all as Arrow.

Apart from the command line, which uses the same parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Self

import pyarrow as pa

from filetap.analysis import aggregate
from filetap.analysis.sql import Database, each_once, open_traces
from filetap.core.errors import UsageError
from filetap.recording.format import Metadata
from filetap.recording.schemas import SCHEMAS


class Recording:
    """One trace, or several as one. A trace that is being written is seen as it was when it was opened.

    Every method raises FiletapError, with a line that says why.
    """

    def __init__(self, folders: Sequence[str | PathLike[str]]) -> None:
        if not folders:
            raise UsageError("give a recording to open")
        self._traces = open_traces([Path(folder) for folder in folders])
        self._database: Database | None = None

    @property
    def metadata(self) -> list[Metadata]:
        """trace.json of each: node, kernel, when it began, the statistics of what was lost."""
        return [trace.metadata for trace in self._traces]

    @cached_property
    def events(self) -> pa.Table:
        """A row for each event, as recorded; ``task``, ``file`` and ``target`` are ids of the tables below."""
        return self._table("events")

    @cached_property
    def files(self) -> pa.Table:
        """The files, each id once."""
        return self._table("files")

    @cached_property
    def tasks(self) -> pa.Table:
        """The tasks, each id once."""
        return self._table("tasks")

    @cached_property
    def aggregated(self) -> pa.Table:
        """Events that found no room when they were recorded: sums by task, file and op."""
        return self._table("aggregated")

    @cached_property
    def pending(self) -> pa.Table:
        """Calls that were pending at the end, and whenever somebody asked: in the columns of events, without a result."""
        return self._table("pending")

    @property
    def damages(self) -> list[str]:
        """What could not be read so far, a line each; everything else is without it."""
        return [str(damage) for trace in self._traces for damage in trace.damages]

    def query(self, sql: str) -> pa.Table:
        """The answer to a query, as ``filetap query`` gives it; the view ``events`` is joined with files and tasks."""
        return self._asked().query(sql).table()

    def summary(self, by: str = "file", top: int = 20, *, sort: str = "count", width: int | None = None) -> pa.Table:
        """The ``top`` groups with the most of ``sort``, then all others in one row.

        ``by``: file, directory, process, op, user, cgroup or time; ``width``: of an interval of time, ns.
        Columns: the group's; ``others``, true in the last row; count, errors, bytes, and in ns total, p50, p90, p99, max of
        the durations; first and last touch.
        """
        return aggregate.summed(self._asked(), by, top, sort, width)

    def close(self) -> None:
        """Give back what was held; tables that were taken stay."""
        if self._database:
            self._database.close()
            self._database = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asked(self) -> Database:
        self._database = self._database or Database(self._traces)
        return self._database

    def _table(self, name: str) -> pa.Table:
        table = pa.concat_tables([trace.table(name) for trace in self._traces]).unify_dictionaries()
        return each_once(table, ["trace", "id"]) if "id" in SCHEMAS[name].names else table
