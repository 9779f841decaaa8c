"""Traces as a database for SQL: views over what they have on disk, locked up before a question is heard.

Apart from trace/, which knows files, and from printing. DuckDB reads sealed segments by itself, and only the columns that a
question needs; what is still written is handed to it as Arrow.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from filetap.analysis.columns import EVENTS, FILE_COLUMNS, MACROS, PARENT_COLUMNS, PENDING, TASK_COLUMNS, Column
from filetap.analysis.labels import Named, named
from filetap.analysis.timezone import chosen, set_zone
from filetap.core.errors import FiletapError, UsageError
from filetap.core.zone import Zone
from filetap.recording.format import COLUMNS, KEY, TABLES, Version, stored
from filetap.recording.progress import Begin, no_progress
from filetap.recording.reader import Trace, compare

if TYPE_CHECKING:
    import pyarrow as pa

READING: Final = ("SELECT", "EXPLAIN", "MULTI")
"""Kinds of statement. MULTI: PIVOT, which is two."""
FAILURES: Final = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InternalException, duckdb.FatalException)
PLACED: Final = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.ConversionException)
"""Errors that stand somewhere in the question."""
FAR: Final = " " * (128 << 10)
"""Before views and macros: a place within one of them lies behind the end of any question on a command line (MAX_ARG_STRLEN)."""
SETTINGS: Final = (
    "enable_progress_bar = true",
    "enable_progress_bar_print = false",
    "errors_as_json = true",
    "parquet_metadata_cache = true",
)
_WORDS: Final = "raw_arg0 raw_arg1 raw_arg2 raw_arg3 realtime".split()
UNSEEN: Final = {"events": [*_WORDS, "event_flags"], "pending": _WORDS}
"""Columns of a trace's tables that are for replay."""
SQL_TYPES: Final = {
    "name": "VARCHAR",
    "string": "VARCHAR",
    "binary": "BLOB",
    "bool": "BOOLEAN",
    "uint32": "UINTEGER",
    "uint64": "UBIGINT",
    "int64": "BIGINT",
    "numbers": "UINTEGER[]",
    "texts": "VARCHAR[]",
}
"""Of columns that older versions do not have, by the words of trace/format.py."""
BATCH: Final = 1 << 14
"""Rows of an answer at a time."""
NUMBERS: Final = 1 << 32
"""Ids of a trace. Of several, the second's begin here."""


class QueryError(UsageError):
    """A mistake in the question, and where."""


class UnansweredError(FiletapError):
    """The question is right, but it could not be answered."""


def open_traces(folders: Sequence[str | Path], begin: Begin = no_progress) -> list[Trace]:
    """Raises TraceError where one is none, UsageError where one is named twice."""
    traces = [Trace(Path(folder), begin) for folder in folders]
    for place, trace in enumerate(traces):
        for other in traces[:place]:
            if trace.metadata.uuid == other.metadata.uuid:
                raise UsageError(f"{trace.folder} and {other.folder} are the same recording")
    return traces


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def names(columns: Sequence[str]) -> str:
    """Quoted, for some are words of SQL."""
    return ", ".join(f'"{column}"' for column in columns)


class Answer:
    """To a question: its columns, and its rows once, as Arrow or as a writer wants them."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, question: str, statement: str, relation: duckdb.DuckDBPyRelation) -> None:
        self._connection, self._question, self._statement, self._relation = connection, question, statement, relation
        self.names: list[str] = list(relation.columns)
        self.types: list[str] = [str(kind) for kind in relation.types]
        self.plan = self.names == ["explain_key", "explain_value"]
        """Of EXPLAIN."""

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
        """Some at a time. ``expressions``: of columns c0, c1, ..."""
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
        """``zone``: of times that are printed, and of those that are given without one; UTC by default. ``within``: only events from
        the first to before the second, ns since 1970."""
        self.traces = traces
        self.named = named(traces)
        self._zone, self._within = zone or Zone(utc=True), within
        compare(traces, begin)
        self._scratch = scratch()
        self._directories: list[int] = []
        self._held: dict[Path, int] = {}
        """Open files that may be dropped at any moment; at most so many: ``_most``."""
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
            # These are joined with every event: it pays to have them at hand.
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
        """Of a trace that lets its oldest segments go, these: open files stay readable. Events last, for they go first."""
        most = self._most // len(TABLES)
        for name in reversed(TABLES) if lets_go(trace) else ():
            for path in trace.whole(name)[:most]:
                self._is_held(path)

    def _is_held(self, path: Path) -> bool:
        """False: it was dropped meanwhile."""
        if path in self._held or not plain(path) or len(self._held) >= self._most:
            return True
        with suppress(FileNotFoundError):
            self._held[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return path in self._held

    def _view(self, number: int, trace: Trace, name: str) -> None:
        """A table of one trace, with the key that all its rows have in common."""
        values = key_values(trace) | {"label": self.named[number].label}
        keys = [f"{quoted(value)} AS {key}" for key, value in values.items()]
        columns = names(asked_for(name))
        sources = [f"SELECT {given}, {segment} AS segment FROM {source}" for source, given, segment in self._sources(number, trace, name)]
        every = f"({' UNION ALL '.join(sources)})"
        rows = f"{every} {once(name, every)} {chosen(name, self._within)}"
        self.connection.execute(f"CREATE VIEW trace{number}.{name} AS SELECT {', '.join(keys)}, {columns} FROM {rows}")

    def _sources(self, number: int, trace: Trace, name: str) -> list[tuple[str, str, str]]:
        """Its sealed segments that are whole, and all else that can be read; each with its columns, and what tells its segments
        apart."""
        paths, batches = trace.parts(name)
        paths = [*(path for path in trace.whole(name) if path in self._held and path not in paths), *paths]
        paths = [path for path in paths if not lets_go(trace) or self._is_held(path)]
        sealed = [self._readable(trace, path) for path in paths]
        self._files += sealed
        given = given_by(name, trace.metadata.form)
        sources = [(f"read_parquet([{', '.join(map(quoted, sealed))}])", given, "file_index")] if sealed else []
        rest = list(batches)
        if rest or not sealed:
            self.connection.register(f"{name}_{number}", rest_of(rest, name))
            sources.append((f"temp.main.{name}_{number}", names(asked_for(name)), str(len(sealed))))
        return sources

    def _readable(self, trace: Trace, path: Path) -> str:
        """The path as DuckDB can take it: to it, some characters stand for others, and all are UTF-8."""
        if path in self._held:
            return f"/proc/self/fd/{self._held[path]}"
        if plain(path):
            return os.fspath(path.absolute())
        self._directories.append(os.open(trace.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        return f"/proc/self/fd/{self._directories[-1]}/{path.relative_to(trace.folder)}"

    def _union(self, name: str) -> str:
        return " UNION ALL ".join(f"SELECT * FROM trace{number}.{name}" for number in range(len(self.traces)))

    def lock(self) -> None:
        """From now on nothing but the traces can be read, and nothing be written or set."""
        if self._locked:
            return
        self._locked = True
        allowed = ", ".join(map(quoted, [*self._files, *(os.fspath(path.absolute()) for path in self._held)]))
        with away(list(self._held.values())):
            self.connection.execute(f"SET allowed_paths = [{allowed}]; SET enable_external_access = false; SET lock_configuration = true")

    def query(self, sql: str) -> Answer:
        """The answer to a question that may be anybody's. Raises QueryError or UnansweredError; so does reading it."""
        require_text(sql)
        with translate_errors(sql):
            self.lock()
            statement = single(self.connection.extract_statements(sql))
            self._begin()
            try:
                relation = self.connection.sql(statement)
            except PLACED as error:
                if '"position"' not in str(error):
                    self.connection.execute(sql)  # tells where, in what was asked
                raise
            answer = Answer(self.connection, sql, statement, relation)
            return self.answer(answer.table()) if answer.plan else answer  # it cannot be asked within another question

    def answer(self, table: pa.Table) -> Answer:
        """A table of our own as an answer."""
        self.connection.register("answer", table)
        statement = "FROM answer"
        return Answer(self.connection, statement, statement, self.connection.sql(statement))

    def _begin(self) -> None:
        """What only reads may not write; and after a mistake the next question begins anew."""
        with suppress(duckdb.TransactionException):
            self.connection.execute("ROLLBACK")
        self.connection.execute("BEGIN TRANSACTION READ ONLY")

    def run(self, sql: str) -> None:
        """Of our own statements."""
        with translate_errors():
            self.connection.execute(sql)

    def table(self, sql: str) -> pa.Table:
        """Of our own questions."""
        with translate_errors():
            return self.connection.sql(sql).to_arrow_table()

    def progress(self) -> float:
        """Of what is asked now, 0 to 1; below 0: not known. May be called from another thread."""
        try:
            return float(self.connection.query_progress()) / 100
        except duckdb.Error:
            return -1.0

    def interrupt(self) -> None:
        """End what is asked now, with KeyboardInterrupt. May be called from another thread."""
        self.connection.interrupt()

    def close(self) -> None:
        self.connection.close()
        self._scratch.cleanup()
        for fd in [*self._directories, *self._held.values()]:
            os.close(fd)
        self._directories, self._held = [], {}


def lets_go(trace: Trace) -> bool:
    """May a segment of it be dropped at any moment?"""
    return bool(trace.live and trace.metadata.options.get("keep"))


def plain(path: Path) -> bool:
    """Can DuckDB take it as it is?"""
    text = os.fspath(path.absolute())
    return text.isprintable() and not any(sign in text for sign in "*?[\\")


@contextmanager
def away(descriptors: Sequence[int]) -> Iterator[None]:
    """DuckDB follows links when it is told what is allowed, and again when it looks: a descriptor whose file was dropped in
    between leads nowhere. So both are allowed, the file, and the link, which is told while it leads nowhere."""
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
    """Half of what there is: more goes to files, or is refused."""
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 2 >> 20}MiB"


def scratch() -> tempfile.TemporaryDirectory[str]:
    """For what memory has no room for."""
    try:
        return tempfile.TemporaryDirectory(prefix="filetap-")
    except OSError as error:
        raise UnansweredError(f"cannot create a temporary directory ({error.strerror}): set TMPDIR") from None


def key_values(trace: Trace) -> dict[str, str]:
    values = {"trace": trace.metadata.uuid, "node": trace.metadata.node, "boot": trace.metadata.boot}
    return {name: values[name] for name in KEY}


def asked_for(name: str) -> list[str]:
    """Columns of a table but its key, and those that are for replay."""
    return [column for column in COLUMNS[name] if column not in KEY and column not in UNSEEN.get(name, ())]


def given_by(name: str, version: Version) -> str:
    """These columns from a table of a trace of a version: what it does not have is null."""
    there, columns = stored(name, version), asked_for(name)
    found = [f'"{there[one]}"' if one in there else f"NULL::{SQL_TYPES[COLUMNS[name][one]]}" for one in columns]
    return ", ".join(f'{value} AS "{column}"' for value, column in zip(found, columns, strict=True))


def once(name: str, every: str) -> str:
    """Files and tasks stand in each segment whose events name them: the first is enough."""
    if "id" not in COLUMNS[name]:
        return ""
    return f"SEMI JOIN (SELECT id, min(segment) AS segment FROM {every} GROUP BY id) USING (id, segment)"


def rest_of(batches: Sequence[pa.RecordBatch], name: str) -> pa.Table:
    """What is not sealed, or not whole."""
    import pyarrow as pa  # it takes a while, and a trace that is sealed and whole has no rest

    from filetap.recording.schemas import SCHEMAS

    schema = pa.schema([SCHEMAS[name].field(column) for column in asked_for(name)])
    table = pa.Table.from_batches([batch.select(schema.names) for batch in batches], schema).unify_dictionaries()
    return each_once(table, ["id"]) if "id" in schema.names else table


def each_once(table: pa.Table, keys: list[str]) -> pa.Table:
    """The first row of each."""
    if not len(table):
        return table
    import pyarrow as pa

    first = table.select(keys).append_column("row", pa.array(range(len(table)), pa.int64())).group_by(keys).aggregate([("row", "min")])
    return table.take(first["row_min"].combine_chunks().sort())


def shown(name: str) -> str:
    """The columns of a table beside ``events``: times as there."""
    moment = 'make_timestamptz(epoch_ns("{0}") // 1000) AS "{0}"'
    return ", ".join((moment if kind == "time" else '"{0}"').format(column) for column, kind in [*COLUMNS[name].items(), ("label", "name")])


def rows_of(traces: Sequence[Named]) -> str:
    """The table ``traces``, a row for each."""
    rows = [", ".join(f"{literal(value)} AS {name}" for name, value in trace._asdict().items()) for trace in traces]
    return " UNION ALL ".join(f"SELECT {row}" for row in rows)


def literal(value: str | int | None) -> str:
    """A value of ``traces``; numbers are times."""
    if value is None:
        return "NULL::TIMESTAMPTZ"
    return quoted(value) if isinstance(value, str) else f"make_timestamptz({value})"


def task_names(number: int) -> str:
    """Tasks of a trace beside the processes that they are children of."""
    columns = [f"k.{name}" for name in TASK_COLUMNS] + [f"p.{name} AS parent_{name}" for name in PARENT_COLUMNS]
    text = "list_transform(k.args, lambda one: coalesce(try(decode(one)), one::VARCHAR)) AS args"
    tasks = f"trace{number}.tasks"
    return (
        f"SELECT {', '.join(columns)}, {text}, coalesce(p.pid, k.ppid) AS parent_pid FROM {tasks} k LEFT JOIN {tasks} p ON p.id = k.parent"
    )


def joined(number: int, name: str, shown_columns: Sequence[Column]) -> str:
    """Events or calls under way of one trace, with the names of their files and tasks."""
    columns = ", ".join(f'{column.sql} AS "{column.name}"' for column in shown_columns)
    files, tasks = f"trace{number}.file_names", f"trace{number}.task_names"
    return (
        f"SELECT {columns} FROM trace{number}.{name} e LEFT JOIN {files} f ON f.id = e.file "
        f"LEFT JOIN {files} t ON t.id = e.target LEFT JOIN {tasks} k ON k.id = e.task"
    )


def require_text(sql: str) -> None:
    """What the command line gives may be any bytes."""
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        before = sql[: error.start]
        raise QueryError(
            f"invalid query{located(before, len(before.encode()), 0)}: it is not UTF-8, give bytes as from_hex('FF')"
        ) from None


def single(statements: Sequence[Any]) -> str:
    """One statement that only reads."""
    if len(statements) != 1:
        raise QueryError("the query is empty: give a SELECT" if not statements else "only one statement is allowed: give a single SELECT")
    kind = statements[0].type.name
    if kind not in READING:
        raise QueryError(f"a query can only read: {kind} is not allowed, give a SELECT")
    text: bytes = statements[0].query.encode()
    end = next((at for at, _ in duckdb.tokenize(text.decode()) if text[at] == ord(";")), len(text))
    return text[:end].decode()  # behind it, a comment may stand


def is_of_reading(error: BaseException | None) -> bool:
    """Of the disk, or of Arrow; who has not imported that has no error of it."""
    arrow = sys.modules.get("pyarrow")
    return isinstance(error, OSError) or bool(arrow and isinstance(error, arrow.ArrowException))


class translate_errors:  # noqa: N801 - reads as a word
    """DuckDB's errors as ours, on one line."""

    def __init__(self, sql: str = "", before: int = 0) -> None:
        """``before``: bytes that stand before the question, where it is asked within another one."""
        self._sql, self._before = sql, before

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, duckdb.InterruptException) or (isinstance(error, RuntimeError) and str(error) == "Query interrupted"):
            raise KeyboardInterrupt from None
        if isinstance(error, duckdb.Error):
            raise self._translated(error) from None
        if is_of_reading(error) and not isinstance(error, FiletapError):
            raise UnansweredError(f"the recording could not be read: {error}") from None

    def _translated(self, error: duckdb.Error) -> FiletapError:
        text, place = said(error)
        if isinstance(error, FAILURES):
            return UnansweredError(f"the query failed: {text}")
        if isinstance(error, duckdb.PermissionException):
            return QueryError(f"a query can read only its recordings: {text}")
        where = located(self._sql, place[0] - self._before, place[1]) if isinstance(error, PLACED) and place else ""
        return QueryError(f"invalid query{where}: {text}")


def said(error: duckdb.Error) -> tuple[str, list[int] | None]:
    """The words of an error, on one line; and where they are about in the question: first byte, how many."""
    text, place = str(error), None
    kind, brace, rest = text.partition(": {")
    if brace and "\n" not in kind:
        with suppress(json.JSONDecodeError):
            details = json.loads("{" + rest)
            text, place = details["exception_message"], json.loads(details["location"]) if "location" in details else None
    else:
        text = text.partition(" Error: ")[2] or text
    lines = (line.strip().rstrip("!") for line in text.splitlines() if line.strip() and set(line) - set(" ^"))
    return "; ".join(lines), place


def located(sql: str, place: int, length: int) -> str:
    """As an editor counts: line and column, both from 1; and the words there."""
    raw = sql.encode()
    if not 0 <= place <= len(raw):
        return ""
    before = raw[:place].decode(errors="replace")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    near = raw[place : place + length].decode(errors="replace")
    return f" at line {line}, column {column}" + (f", near {near!r}" if near.strip() else "")
