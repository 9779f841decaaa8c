"""The answer to a query as a table, JSON, CSV or Parquet.

Separate, because a report never computes: analysis/sql.py did. The database makes most of the text, row after row, so that an
answer may be larger than memory.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import IO, Final

from filetap.analysis.sql import BATCH, Answer
from filetap.render.terminal import columns_of, printable

NESTED: Final = ("STRUCT", "MAP", "UNION", "LIST", "ARRAY")
ZONED: Final = ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS")
RIGHT: Final = ("INT", "DECIMAL", "DOUBLE", "FLOAT")
"""Parts of the names of numeric types."""


def nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(NESTED)


def text_of(column: str, kind: str) -> str:
    """Return SQL for text: nested values as JSON, bytes that are not ASCII as \\xFF."""
    return f"to_json({column})::VARCHAR" if nested(kind) else f"{column}::VARCHAR"


def json_of(column: str, kind: str) -> str:
    """Return SQL for JSON: times are ISO 8601, those with a zone in UTC; NaN and infinity become null."""
    if kind == "BLOB":
        return f"to_json(base64({column}))::VARCHAR"
    if kind.startswith("TIMESTAMP") and not nested(kind):
        zoned, digits = kind in ZONED, "%n" if kind.endswith("_NS") else "%f"
        utc = " AT TIME ZONE 'UTC'" if zoned else ""
        text = f"strftime({column}{utc}, '%Y-%m-%dT%H:%M:%S.{digits}')"
        return f"""'"' || nullif(nullif({text}, 'infinity'), '-infinity') || '{"Z" if zoned else ""}"'"""
    if kind in ("DOUBLE", "FLOAT"):
        return f"CASE WHEN isfinite({column}) THEN to_json({column})::VARCHAR END"
    return f"to_json({column})::VARCHAR"


def finite(row: str) -> str:
    """Replace NaN and infinity within lists and structs by null, too."""
    return json.dumps(json.loads(row, parse_constant=lambda _: None), ensure_ascii=False, separators=(",", ":"))


def unlike(names: Sequence[str]) -> list[str]:
    """Make the names unique: repeated ones get a number."""
    unique: list[str] = []
    for name in names:
        alike = (f"{name}_{number}" for number in range(1, len(names) + 1))
        unique.append(next(other for other in (name, *alike) if other not in unique))
    return unique


def key_of(name: str, kind: str) -> str:
    """Return the key: bytes are base64 in ``NAME_b64``, as in events."""
    return f"{name.removesuffix('_bytes')}_b64" if kind == "BLOB" else name


def write_json(answer: Answer, out: IO[bytes]) -> None:
    """Write an array of objects, a line each; null columns of exact bytes are left out."""
    clean = finite if any(nested(kind) and ("DOUBLE" in kind or "FLOAT" in kind) for kind in answer.types) else str
    keys = unlike([key_of(*column) for column in zip(answer.names, answer.types, strict=True)])
    members = [member(number, key, kind) for number, (key, kind) in enumerate(zip(keys, answer.types, strict=True))]
    row = f"'{{' || concat_ws(',', {', '.join(members)}) || '}}'"
    out.write(b"[")
    before = b"\n"
    for rows in answer.rows([row]):
        out.write(before + ",\n".join([clean(text) for (text,) in rows]).encode())
        before = b",\n"
    out.write(b"\n]\n")


def member(number: int, key: str, kind: str) -> str:
    name = json.dumps(key, ensure_ascii=False).replace("'", "''")
    value = json_of(f"c{number}", kind)
    return f"'{name}:' || {value}" if kind == "BLOB" else f"'{name}:' || coalesce({value}, 'null')"


def write_csv(answer: Answer, out: IO[bytes]) -> None:
    """Write RFC 4180 with a header; null is empty."""
    out.write(csv_lines([answer.names]))
    for rows in answer.rows(texts(answer)):
        out.write(csv_lines(rows))


class Lines(list[str]):
    """Collects the lines of csv.writer. It quotes the bytes that may end a line, so it is given both, and one is removed
    again."""

    END: Final = "\r\n"

    def write(self, line: str) -> None:
        self.append(line[: -len(self.END)])


def csv_lines(rows: Iterable[Sequence[str | None]]) -> bytes:
    text = Lines()
    csv.writer(text, lineterminator=Lines.END).writerows(rows)
    return "\n".join([*text, ""]).encode()


def texts(answer: Answer) -> list[str]:
    return [text_of(f"c{number}", kind) for number, kind in enumerate(answer.types)]


def write_parquet(answer: Answer, out: IO[bytes]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = answer.schema()  # all names are unique
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in answer.arrow():
            writer.write_table(pa.Table.from_batches([batch]).rename_columns(schema.names))


def write_table(answer: Answer, out: IO[bytes]) -> None:
    """Write columns as wide as in the first rows: a wider value later shifts the rest of its line, and nothing is cut."""
    if answer.plan:
        out.write("".join(text.rstrip("\n") + "\n" for _, text in answer.plain_rows()).encode())
        return
    right = [any(sign in kind for sign in RIGHT) and not nested(kind) for kind in answer.types]
    columns: list[Cells] = []
    for rows in chain(answer.rows(texts(answer)), [[]]):
        cells = list(zip(*rows, strict=True)) or [()] * len(right)
        if not columns:
            wide = [max(map(width, map(visible, {name, *column}))) for name, column in zip(answer.names, cells, strict=True)]
            columns = [Cells(*kind) for kind in zip(wide, right, strict=True)]
            out.write(lines(columns, [[name] for name in answer.names]))
        out.write(lines(columns, cells))


class Cells(dict[str | None, str]):
    """A column's texts as they are shown, cached: few are different, and many rows have them."""

    def __init__(self, columns: int, right: bool) -> None:
        super().__init__()
        self._columns, self._right = columns, right

    def __missing__(self, text: str | None) -> str:
        shown = visible(text)
        blank = " " * (self._columns - width(shown))
        if len(self) > BATCH:
            self.clear()
        self[text] = cell = blank + shown if self._right else shown + blank
        return cell


def visible(text: str | None) -> str:
    if text is None:
        return "-"
    return text if text.isprintable() and "\\" not in text else printable(text.encode())


def width(text: str) -> int:
    return len(text) if text.isascii() else sum(map(columns_of, text))


def lines(columns: Sequence[Cells], cells: Sequence[Sequence[str | None]]) -> bytes:
    """Return lines without trailing blanks."""
    shown = [list(map(column.__getitem__, texts)) for column, texts in zip(columns, cells, strict=True)]
    return "".join([" ".join(row).rstrip(" ") + "\n" for row in zip(*shown, strict=True)]).encode()


WRITERS: Final[dict[str, Callable[[Answer, IO[bytes]], None]]] = {
    "table": write_table,
    "json": write_json,
    "csv": write_csv,
    "parquet": write_parquet,
}
