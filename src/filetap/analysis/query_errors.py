"""Checks of a query, and DuckDB's errors as filetap's, on one line with the position in the query.

Separate from sql.py, which runs queries: here nothing is connected or read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import duckdb

from filetap.core.errors import FiletapError, UsageError

READING: Final = ("SELECT", "EXPLAIN", "MULTI")
"""Kinds of statement. MULTI: PIVOT, which is two."""
FAILURES: Final = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InternalException, duckdb.FatalException)
PLACED: Final = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.ConversionException)
"""Errors that have a position in the query."""


class QueryError(UsageError):
    """A mistake in the query, and its position."""


class UnansweredError(FiletapError):
    """The query is right, but it could not be answered."""


def require_text(sql: str) -> None:
    """Raise an error if the query is not text: the command line may contain any bytes."""
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        before = sql[: error.start]
        raise QueryError(
            f"invalid query{located(before, len(before.encode()), 0)}: it is not UTF-8, give bytes as from_hex('FF')"
        ) from None


def single(statements: Sequence[Any]) -> str:
    """Return the query if it is one statement that only reads."""
    if len(statements) != 1:
        raise QueryError("the query is empty: give a SELECT" if not statements else "only one statement is allowed: give a single SELECT")
    kind = statements[0].type.name
    if kind not in READING:
        raise QueryError(f"a query can only read: {kind} is not allowed, give a SELECT")
    text: bytes = statements[0].query.encode()
    end = next((at for at, _ in duckdb.tokenize(text.decode()) if text[at] == ord(";")), len(text))
    return text[:end].decode()  # a comment may follow


def is_of_reading(error: BaseException | None) -> bool:
    """Return whether the error comes from the disk or from Arrow. A process that has not imported Arrow has no such error."""
    arrow = sys.modules.get("pyarrow")
    return isinstance(error, OSError) or bool(arrow and isinstance(error, arrow.ArrowException))


class translate_errors:  # noqa: N801 - used like a function
    """Convert DuckDB's errors to filetap's, on one line."""

    def __init__(self, sql: str = "", before: int = 0) -> None:
        """``before``: bytes before the query, if it is a part of another one."""
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
        text, place = message_of(error)
        if isinstance(error, FAILURES):
            return UnansweredError(f"the query failed: {text}")
        if isinstance(error, duckdb.PermissionException):
            return QueryError(f"a query can read only its recordings: {text}")
        where = located(self._sql, place[0] - self._before, place[1]) if isinstance(error, PLACED) and place else ""
        return QueryError(f"invalid query{where}: {text}")


def message_of(error: duckdb.Error) -> tuple[str, list[int] | None]:
    """Return the message of an error, on one line; and its position in the query: first byte, length."""
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
    """Return the position as an editor counts it: line and column, both from 1; and the words there."""
    raw = sql.encode()
    if not 0 <= place <= len(raw):
        return ""
    before = raw[:place].decode(errors="replace")
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    near = raw[place : place + length].decode(errors="replace")
    return f" at line {line}, column {column}" + (f", near {near!r}" if near.strip() else "")
