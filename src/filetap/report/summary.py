"""A summary as text: aligned columns, the name last and never cut.

Apart, because a report never computes: analysis/summary.py did. Nothing in a name can move the cursor. Next: cli/trace.py
prints it before the account; cli/top.py shows the same cells on a screen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from filetap.enrich.terminal import printable
from filetap.report.account import human

HEADS: Final = {
    "count": ("COUNT", 9),
    "errors": ("ERRORS", 8),
    "bytes": ("BYTES", 11),
    "total": ("TIME", 8),
    "p50": ("P50", 7),
    "p90": ("P90", 7),
    "p99": ("P99", 7),
    "max": ("MAX", 7),
    "first": ("FIRST", 13),
    "last": ("LAST", 13),
}
"""Head and width of each figure, the blank before it included."""

NAMES: Final = {
    "path": "PATH",
    "directory": "DIRECTORY",
    "pid": "PID",
    "command": "COMMAND",
    "op": "OP",
    "uid": "USER",
    "cgroup_path": "CGROUP",
}
UNKNOWN: Final = {"path": "(no file)", "directory": "(no directory)", "cgroup_path": "(not known)"}
CUT: Final = "note: too many to be kept apart: the rarest were summed up as others, and counted anew when met again"
UNITS: Final = (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1))


def as_text(table: pa.Table, cut: bool = False) -> str:
    """A line per row, under a head. ``table``: what analysis.summary.summary gives. ``cut``: Accumulated.cut."""
    figures = [name for name in HEADS if name in table.column_names]
    keys = [name for name in table.column_names if name not in HEADS and name != "others"]
    names = [f"{'PID':>7}" if key == "pid" else NAMES.get(key, key.upper()) for key in keys]
    head = "".join(f"{HEADS[name][0]:>{HEADS[name][1]}}" for name in figures) + " " + " ".join(names)
    return "\n".join([head, *lines(table, figures, keys), *[CUT] * cut])


def lines(table: pa.Table, figures: list[str], keys: list[str]) -> Iterator[str]:
    moments = [name for name in ("time", "first", "last") if name in table.column_names]  # Python's own have no ns
    times = {name: table[name].cast(pa.int64()).to_pylist() for name in moments}
    digits = max(map(decimals, times.get("time", [])), default=0)
    for place, row in enumerate(table.select([*keys, "others", *figures]).drop_columns(moments).to_pylist()):
        row |= {name: times[name][place] for name in times}
        yield "".join(f" {cell(name, row[name]):>{HEADS[name][1] - 1}}" for name in figures) + " " + named(row, keys, digits)


def named(row: dict[str, Any], keys: list[str], digits: int) -> str:
    """Who or what the row is about. No path begins with a parenthesis, so no name can fake the marks."""
    return "(others)" if row["others"] else " ".join(name(key, row[key], digits) for key in keys)


def name(key: str, value: object, digits: int) -> str:
    if value is None:
        return UNKNOWN.get(key, "-")
    if key == "time" and isinstance(value, int):
        return moment(value, digits)
    text = printable(value) if isinstance(value, bytes) else str(value)
    return f"{text:>7}" if key == "pid" else text


def cell(figure: str, value: int | None) -> str:
    if value is None:
        return "-"
    if figure == "bytes":
        return human(value) if value else ""
    if figure in ("first", "last"):
        return clock(value)
    return str(value) if figure in ("count", "errors") else duration(value)


def clock(nanoseconds: int) -> str:
    """Of the day, in local time."""
    local = datetime.fromtimestamp(nanoseconds // 10**9, UTC).astimezone()
    return f"{local:%H:%M:%S}.{nanoseconds % 10**9 // 10**6:03}"


def decimals(nanoseconds: int) -> int:
    """How many of a second it has."""
    return len(f"{nanoseconds % 10**9:09}".rstrip("0"))


def moment(nanoseconds: int, digits: int) -> str:
    """In local time, with so many decimals."""
    local = datetime.fromtimestamp(nanoseconds // 10**9, UTC).astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S}" + (f".{nanoseconds % 10**9:09}"[: digits + 1] if digits else "")


def duration(nanoseconds: int) -> str:
    """Three digits and a unit, cut, not rounded."""
    unit, scale = next(((unit, scale) for unit, scale in UNITS if nanoseconds >= scale), UNITS[-1])
    whole, rest = divmod(nanoseconds, scale)
    digits = max(0, 3 - len(str(whole))) if scale > 1 else 0
    return f"{whole}.{rest * 10**digits // scale:0{digits}}{unit}" if digits else f"{whole}{unit}"
