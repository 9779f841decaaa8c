"""The tables of SQL queries: each column's expression, type and description; and the macros.

Plain data, separate from the connection: docs/querying.md shows it, a test compares.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from filetap.core import columns
from filetap.core.errnos import ERRORS
from filetap.core.wire import AT_LEAST


class Column(NamedTuple):
    """Of the view ``events``. In ``sql``, e is the event, f its file, t its second file, k its task."""

    name: str
    sql: str
    meaning: str


def _shown(column: columns.Column) -> list[Column]:
    """Return the columns of the view for one of the registry; of a text also one with the exact bytes where they are not UTF-8."""
    unit = f"{column.unit}: " if column.unit else ""
    text = Column(column.view, column.expression, f"{unit}{column.meaning}")
    if column.type != "exact":
        return [text]
    exact = Column(f"{text.name}_bytes", _exact(column.expression), f"exact bytes (BLOB), if `{text.name}` is not UTF-8")
    return [text, exact]


def _exact(expression: str) -> str:
    """Return the column of the bytes of a text."""
    return f'{expression[:-1]}_bytes"' if expression.endswith('"') else f"{expression}_bytes"


EVENTS: Final = tuple(shown for column in columns.in_view() for shown in _shown(column))

BEFORE: Final = f"e.event_flags & {AT_LEAST} != 0"
SO_FAR: Final = Column("duration", f"CASE WHEN NOT ({BEFORE}) THEN e.duration END", "ns since the call began; null if not known")
AT_LEAST_SO: Final = Column(
    "duration_min", f"CASE WHEN {BEFORE} THEN e.duration END", "ns since the call began, at least: it began before tracing did"
)
PENDING: Final = (*(SO_FAR if column.name == "duration" else column for column in EVENTS), AT_LEAST_SO)
"""Of the view ``pending``; e is the pending call."""


def _needed(owner: columns.Owner, also: str) -> list[str]:
    """Return the columns of the files or tasks that the view needs."""
    there = [(column.name, column.type == "exact") for column in columns.of(owner) if column.view]
    return [*also.split(), *(one for name, exact in there for one in (name, f"{name}_bytes")[: 1 + exact] if name not in SPECIAL)]


SPECIAL: Final = ("args",)
"""Not as they are recorded."""
FILE_COLUMNS: Final = _needed("file", "id")
TASK_COLUMNS: Final = _needed("task", "id start")
PARENT_COLUMNS: Final = "command command_bytes exe exe_bytes command_line command_line_bytes".split()
"""Columns of the other tables that ``events`` needs."""

_ERRNO: Final = ", ".join(f"{number}: '{name}'" for number, name in sorted(ERRORS.items()))
_DIRECTORY: Final = "nullif(regexp_replace(path, '/[^/]*$', ''), '')"

MACROS: Final = {
    "seconds(ns)": ("(ns / 1e9)", "a duration in seconds"),
    "ms(ns)": ("(ns / 1e6)", "a duration in milliseconds"),
    "us(ns)": ("(ns / 1e3)", "a duration in microseconds"),
    "since(age)": (
        "make_timestamptz(((SELECT max(epoch_ns(ts)) FROM recorded.events) - epoch_ns(CAST(age AS INTERVAL))) // 1000)",
        "the time this long before the last event: `ts >= since('5 minutes')`",
    ),
    "every(width, ts)": (
        "make_timestamptz(epoch_ns(ts) // epoch_ns(CAST(width AS INTERVAL)) * epoch_ns(CAST(width AS INTERVAL)) // 1000)",
        "the start of the interval that contains a time, counted from 1970: `every('1 second', ts)`",
    ),
    "errno_name(result)": (
        f"coalesce(MAP {{{_ERRNO}}}[CASE WHEN result BETWEEN -4095 AND 4095 THEN abs(result)::INTEGER END], ltrim(result::VARCHAR, '-'))",
        "name of an error number: ENOENT for -2 or 2",
    ),
    "directory(path)": (f"CASE WHEN starts_with(path, '/') THEN coalesce({_DIRECTORY}, '/') END", "the directory of a path"),
    "basename(path)": ("regexp_extract(path, '[^/]*$')", "the last component of a path"),
    "exact(name, name_bytes)": ("coalesce(name_bytes, encode(name))", "the exact bytes of a name"),
}
"""By call: SQL and meaning."""
