"""The SQL of the views of recordings: which columns of which segment, and how tables are joined.

Separate from sql.py, which runs it: here text is made, and the parts that are no Parquet files become Arrow tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from filetap.analysis.columns import PARENT_COLUMNS, TASK_COLUMNS, Column
from filetap.analysis.labels import Named
from filetap.recording.format import COLUMNS, KEY, Version, stored
from filetap.recording.reader import Trace

if TYPE_CHECKING:
    import pyarrow as pa

_WORDS: Final = "raw_arg0 raw_arg1 raw_arg2 raw_arg3 realtime".split()
UNSEEN: Final = {"events": [*_WORDS, "event_flags"], "pending": _WORDS}
"""Columns of a recording's tables that are only for replay."""
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
"""Of columns that older versions do not have, by the types of recording/format.py."""


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def names(columns: Sequence[str]) -> str:
    """Return the columns quoted, because some are SQL keywords."""
    return ", ".join(f'"{column}"' for column in columns)


def key_values(trace: Trace) -> dict[str, str]:
    values = {"trace": trace.metadata.uuid, "node": trace.metadata.node, "boot": trace.metadata.boot}
    return {name: values[name] for name in KEY}


def selected_columns(name: str) -> list[str]:
    """Return the columns of a table, except its key and those that are only for replay."""
    return [column for column in COLUMNS[name] if column not in KEY and column not in UNSEEN.get(name, ())]


def given_by(name: str, version: Version) -> str:
    """Return these columns from a table of a recording of a version: missing ones are null."""
    there, columns = stored(name, version), selected_columns(name)
    found = [f'"{there[one]}"' if one in there else f"NULL::{SQL_TYPES[COLUMNS[name][one]]}" for one in columns]
    return ", ".join(f'{value} AS "{column}"' for value, column in zip(found, columns, strict=True))


def once(name: str, every: str) -> str:
    """Return each id once. Files and tasks are repeated in each segment whose events refer to them: the first is enough."""
    if "id" not in COLUMNS[name]:
        return ""
    return f"SEMI JOIN (SELECT id, min(segment) AS segment FROM {every} GROUP BY id) USING (id, segment)"


def rest_of(batches: Sequence[pa.RecordBatch], name: str) -> pa.Table:
    """Return the unsealed and the damaged parts."""
    import pyarrow as pa  # slow to import, and not needed for an intact sealed recording

    from filetap.recording.schemas import SCHEMAS

    schema = pa.schema([SCHEMAS[name].field(column) for column in selected_columns(name)])
    table = pa.Table.from_batches([batch.select(schema.names) for batch in batches], schema).unify_dictionaries()
    return each_once(table, ["id"]) if "id" in schema.names else table


def each_once(table: pa.Table, keys: list[str]) -> pa.Table:
    """Return the first row of each."""
    if not len(table):
        return table
    import pyarrow as pa

    first = table.select(keys).append_column("row", pa.array(range(len(table)), pa.int64())).group_by(keys).aggregate([("row", "min")])
    return table.take(first["row_min"].combine_chunks().sort())


def shown(name: str) -> str:
    """Return the columns of a table other than ``events``, with times as in ``events``."""
    moment = 'make_timestamptz(epoch_ns("{0}") // 1000) AS "{0}"'
    return ", ".join((moment if kind == "time" else '"{0}"').format(column) for column, kind in [*COLUMNS[name].items(), ("label", "name")])


def rows_of(traces: Sequence[Named]) -> str:
    """Return the table ``traces``, one row per recording."""
    rows = [", ".join(f"{literal(value)} AS {name}" for name, value in trace._asdict().items()) for trace in traces]
    return " UNION ALL ".join(f"SELECT {row}" for row in rows)


def literal(value: str | int | None) -> str:
    """Return a value of ``traces`` as SQL; numbers are times."""
    if value is None:
        return "NULL::TIMESTAMPTZ"
    return quoted(value) if isinstance(value, str) else f"make_timestamptz({value})"


def task_names(number: int) -> str:
    """Return the tasks of a recording joined with their parent processes."""
    columns = [f"k.{name}" for name in TASK_COLUMNS] + [f"p.{name} AS parent_{name}" for name in PARENT_COLUMNS]
    text = "list_transform(k.args, lambda one: coalesce(try(decode(one)), one::VARCHAR)) AS args"
    tasks = f"trace{number}.tasks"
    return (
        f"SELECT {', '.join(columns)}, {text}, coalesce(p.pid, k.ppid) AS parent_pid FROM {tasks} k LEFT JOIN {tasks} p ON p.id = k.parent"
    )


def joined(number: int, name: str, shown_columns: Sequence[Column]) -> str:
    """Return events or pending calls of one recording, with the names of their files and tasks."""
    columns = ", ".join(f'{column.sql} AS "{column.name}"' for column in shown_columns)
    files, tasks = f"trace{number}.file_names", f"trace{number}.task_names"
    return (
        f"SELECT {columns} FROM trace{number}.{name} e LEFT JOIN {files} f ON f.id = e.file "
        f"LEFT JOIN {files} t ON t.id = e.target LEFT JOIN {tasks} k ON k.id = e.task"
    )
