"""Recordings as a database for SQL: views over the files on disk, locked before a query runs.

Separate from recording/, which handles files, and from printing. DuckDB reads sealed segments itself, and only the columns that
a query needs; unsealed parts are passed to it as Arrow.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from filetap.analysis.columns import EVENTS, FILE_COLUMNS, MACROS, PENDING
from filetap.analysis.labels import named
from filetap.analysis.query_errors import PLACED, UnansweredError, require_text, single, translate_errors
from filetap.analysis.timezone import chosen, set_zone
from filetap.analysis.views import (
    given_by,
    joined,
    key_values,
    names,
    once,
    quoted,
    rest_of,
    rows_of,
    selected_columns,
    shown,
    task_names,
)
from filetap.core.errors import UsageError
from filetap.core.zone import Zone
from filetap.recording.format import TABLES
from filetap.recording.progress import Begin, no_progress
from filetap.recording.reader import Trace, compare

if TYPE_CHECKING:
    import pyarrow as pa

FAR: Final = " " * (128 << 10)
"""Put before views and macros: a position within one of them lies behind the end of any query on a command line
(MAX_ARG_STRLEN)."""
SETTINGS: Final = (
    "enable_progress_bar = true",
    "enable_progress_bar_print = false",
    "errors_as_json = true",
    "parquet_metadata_cache = true",
)
BATCH: Final = 1 << 14
"""Rows of an answer at a time."""
NUMBERS: Final = 1 << 32
"""The number of ids of one recording. Those of the second begin here."""


def open_traces(folders: Sequence[str | Path], begin: Begin = no_progress) -> list[Trace]:
    """Open recordings. Raise TraceError if one is not a recording, UsageError if one is given twice."""
    traces = [Trace(Path(folder), begin) for folder in folders]
    for place, trace in enumerate(traces):
        for other in traces[:place]:
            if trace.metadata.uuid == other.metadata.uuid:
                raise UsageError(f"{trace.folder} and {other.folder} are the same recording")
    return traces


class Answer:
    """The answer to a query: its columns, and its rows once, as Arrow or in the form a writer needs."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, question: str, statement: str, relation: duckdb.DuckDBPyRelation) -> None:
        self._connection, self._question, self._statement, self._relation = connection, question, statement, relation
        self.names: list[str] = list(relation.columns)
        self.types: list[str] = [str(kind) for kind in relation.types]
        self.plan = self.names == ["explain_key", "explain_value"]
        """The query is an EXPLAIN."""

    def arrow(self) -> Iterator[pa.RecordBatch]:
        with translate_errors(self._question):
            yield from self._relation.to_arrow_reader(BATCH)

    def schema(self) -> pa.Schema:
        with translate_errors(self._question):
            return self._relation.limit(0).to_arrow_table().schema

    def table(self) -> pa.Table:
        with translate_errors(self._question):
            return self._relation.to_arrow_table()

    def rows(self, expressions: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        """Yield some rows at a time. ``expressions``: of columns c0, c1, ..."""
        columns = ", ".join(f"c{number}" for number in range(len(self.names)))
        before = "FROM ("
        with translate_errors(self._question, len(before)):
            self._connection.execute(f"{before}{self._statement}\n) AS answer({columns}) SELECT {', '.join(expressions)}")
            while rows := self._connection.fetchmany(BATCH):
                yield rows

    def plain_rows(self) -> list[tuple[Any, ...]]:
        return self._relation.fetchall()


class Database:
    """One connection. To be closed."""

    def __init__(
        self, traces: Sequence[Trace], begin: Begin = no_progress, zone: Zone | None = None, within: tuple[int, int] | None = None
    ) -> None:
        """``zone``: of printed times, and of times in the query without a zone; UTC by default. ``within``: only events from
        the first to before the second, ns since 1970."""
        self.traces = traces
        self.named = named(traces)
        self._zone, self._within = zone or Zone(utc=True), within
        compare(traces, begin)
        self._scratch = scratch()
        self._directories: list[int] = []
        self._held: dict[Path, int] = {}
        """Open files that may be deleted at any moment; at most ``_most``."""
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._files: list[str] = []
        self.connection = duckdb.connect(":memory:", config={"temp_directory": self._scratch.name, "memory_limit": memory_limit()})
        self._locked = False
        begin("reading", self.progress)
        with translate_errors():
            self._define()

    def _define(self) -> None:
        run = self.connection.execute
        run("; ".join(f"SET {setting}" for setting in SETTINGS))
        set_zone(self.connection, self._zone, [round(time.time()), *(one.began // 10**6 for one in self.named)])
        run("CREATE SCHEMA recorded")
        for number, trace in enumerate(self.traces):
            self._hold(trace)
            run(f"CREATE SCHEMA trace{number}")
            for name in TABLES:
                self._view(number, trace, name)
            # These are joined with every event, so a table is worth its cost.
            run(f"CREATE TABLE trace{number}.file_names AS SELECT {names(FILE_COLUMNS)} FROM trace{number}.files")
            run(f"CREATE TABLE trace{number}.task_names AS {task_names(number)}")
        made = [f"VIEW traces AS {rows_of(self.named)}"]
        made += [f"VIEW recorded.{name} AS {self._union(name)}" for name in TABLES]
        made += [f"MACRO {call} AS {sql}" for call, (sql, _) in MACROS.items()]
        made += [f"VIEW {name} AS SELECT {shown(name)} FROM recorded.{name}" for name in ("files", "tasks", "aggregated")]
        for name, columns in (("events", EVENTS), ("pending", PENDING)):
            parts = [joined(number, name, columns) for number in range(len(self.traces))]
            made += [f"VIEW {name} AS {' UNION ALL '.join(parts)}"]
        run(FAR + "; ".join(f"CREATE {what}" for what in made))

    def _hold(self, trace: Trace) -> None:
        """Hold segments open of a recording that deletes its oldest ones: open files stay readable. Events last, because they
        are deleted first."""
        most = self._most // len(TABLES)
        for name in reversed(TABLES) if deletes_segments(trace) else ():
            for path in trace.whole(name)[:most]:
                self._is_held(path)

    def _is_held(self, path: Path) -> bool:
        """Return False if the file was deleted meanwhile."""
        if path in self._held or not plain(path) or len(self._held) >= self._most:
            return True
        with suppress(FileNotFoundError):
            self._held[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return path in self._held

    def _view(self, number: int, trace: Trace, name: str) -> None:
        """Create a table of one recording, with the key that all its rows share."""
        values = key_values(trace) | {"label": self.named[number].label}
        keys = [f"{quoted(value)} AS {key}" for key, value in values.items()]
        columns = names(selected_columns(name))
        sources = [f"SELECT {given}, {segment} AS segment FROM {source}" for source, given, segment in self._sources(number, trace, name)]
        every = f"({' UNION ALL '.join(sources)})"
        rows = f"{every} {once(name, every)} {chosen(name, self._within)}"
        self.connection.execute(f"CREATE VIEW trace{number}.{name} AS SELECT {', '.join(keys)}, {columns} FROM {rows}")

    def _sources(self, number: int, trace: Trace, name: str) -> list[tuple[str, str, str]]:
        """Return its intact sealed segments, and everything else that can be read; each with its columns, and the expression
        that distinguishes its segments."""
        paths, batches = trace.parts(name)
        paths = [*(path for path in trace.whole(name) if path in self._held and path not in paths), *paths]
        paths = [path for path in paths if not deletes_segments(trace) or self._is_held(path)]
        sealed = [self._readable(trace, path) for path in paths]
        self._files += sealed
        given = given_by(name, trace.metadata.form)
        sources = [(f"read_parquet([{', '.join(map(quoted, sealed))}])", given, "file_index")] if sealed else []
        rest = list(batches)
        if rest or not sealed:
            self.connection.register(f"{name}_{number}", rest_of(rest, name))
            sources.append((f"temp.main.{name}_{number}", names(selected_columns(name)), str(len(sealed))))
        return sources

    def _readable(self, trace: Trace, path: Path) -> str:
        """Return the path in the form DuckDB accepts: some characters are patterns to it, and all must be UTF-8."""
        if path in self._held:
            return f"/proc/self/fd/{self._held[path]}"
        if plain(path):
            return os.fspath(path.absolute())
        self._directories.append(os.open(trace.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        return f"/proc/self/fd/{self._directories[-1]}/{path.relative_to(trace.folder)}"

    def _union(self, name: str) -> str:
        return " UNION ALL ".join(f"SELECT * FROM trace{number}.{name}" for number in range(len(self.traces)))

    def lock(self) -> None:
        """Restrict the connection: only the recordings can be read, and nothing can be written or set."""
        if self._locked:
            return
        self._locked = True
        allowed = ", ".join(map(quoted, [*self._files, *(os.fspath(path.absolute()) for path in self._held)]))
        with dangling(list(self._held.values())):
            self.connection.execute(f"SET allowed_paths = [{allowed}]; SET enable_external_access = false; SET lock_configuration = true")

    def query(self, sql: str) -> Answer:
        """Return the answer to an untrusted query. Raise QueryError or UnansweredError; so does reading the answer."""
        require_text(sql)
        with translate_errors(sql):
            self.lock()
            statement = single(self.connection.extract_statements(sql))
            self._begin()
            try:
                relation = self.connection.sql(statement)
            except PLACED as error:
                if '"position"' not in str(error):
                    self.connection.execute(sql)  # gives the position in the original query
                raise
            answer = Answer(self.connection, sql, statement, relation)
            return self.answer(answer.table()) if answer.plan else answer  # EXPLAIN cannot be a subquery

    def answer(self, table: pa.Table) -> Answer:
        """Return a table of ours as an answer."""
        self.connection.register("answer", table)
        statement = "FROM answer"
        return Answer(self.connection, statement, statement, self.connection.sql(statement))

    def _begin(self) -> None:
        """Begin a read-only transaction; after an error this starts a new one."""
        with suppress(duckdb.TransactionException):
            self.connection.execute("ROLLBACK")
        self.connection.execute("BEGIN TRANSACTION READ ONLY")

    def run(self, sql: str) -> None:
        """Run one of our own statements."""
        with translate_errors():
            self.connection.execute(sql)

    def table(self, sql: str) -> pa.Table:
        """Return the result of one of our own queries."""
        with translate_errors():
            return self.connection.sql(sql).to_arrow_table()

    def progress(self) -> float:
        """Return the progress of the running query, 0 to 1; below 0: not known. May be called from another thread."""
        try:
            return float(self.connection.query_progress()) / 100
        except duckdb.Error:
            return -1.0

    def interrupt(self) -> None:
        """End the running query, with KeyboardInterrupt. May be called from another thread."""
        self.connection.interrupt()

    def close(self) -> None:
        self.connection.close()
        self._scratch.cleanup()
        for fd in [*self._directories, *self._held.values()]:
            os.close(fd)
        self._directories, self._held = [], {}


def deletes_segments(trace: Trace) -> bool:
    """Return whether a segment of it may be deleted at any moment."""
    return bool(trace.live and trace.metadata.options.get("keep"))


def plain(path: Path) -> bool:
    """Return whether DuckDB accepts the path as it is."""
    text = os.fspath(path.absolute())
    return text.isprintable() and not any(sign in text for sign in "*?[\\")


@contextmanager
def dangling(descriptors: Sequence[int]) -> Iterator[None]:
    """DuckDB follows links when paths are allowed, and again when it opens them: a descriptor whose file was deleted in
    between leads nowhere. So both are allowed, the file, and the link, which is registered while it leads nowhere."""
    copies = [os.dup(fd) for fd in descriptors]
    for fd in descriptors:
        os.close(fd)
    try:
        yield
    finally:
        for fd, copy in zip(descriptors, copies, strict=True):
            os.dup2(copy, fd, inheritable=False)
            os.close(copy)


def memory_limit() -> str:
    """Return half of the machine's memory: larger results are written to files, or refused."""
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 2 >> 20}MiB"


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for data that does not fit in memory."""
    try:
        return tempfile.TemporaryDirectory(prefix="filetap-")
    except OSError as error:
        raise UnansweredError(f"cannot create a temporary directory ({error.strerror}): set TMPDIR") from None
