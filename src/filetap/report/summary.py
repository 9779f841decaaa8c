"""A summary as text: aligned columns, the name last and never cut.

Apart, because a report never computes: analysis/summary.py did. Nothing in a name can move the cursor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from filetap.analysis.summary import USER
from filetap.render.terminal import printable
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
    "euid": "USER",
    "cgroup_path": "CGROUP",
}
UNKNOWN: Final = {"path": "(no file)", "directory": "(no directory)", "cgroup_path": "(not known)"}
CUT: Final = "note: too many rows: the rarest were merged into (others), and counted from zero if they came back"
UNITS: Final = (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1))


def as_text(table: pa.Table, cut: bool = False) -> str:
    """A line per row, under a head. ``table``: what analysis.summary.summary gives. ``cut``: Accumulated.cut."""
    figures = [name for name in HEADS if name in table.column_names]
    keys = [name for name in table.column_names if name not in HEADS and name != "others"]
    head = "".join(f"{HEADS[name][0]:>{HEADS[name][1]}}" for name in figures) + " " + name_heads(keys)
    return "\n".join([head, *lines(table, figures, keys), *[CUT] * cut])


def name_heads(keys: Sequence[str]) -> str:
    """What stands above the names of rows. ``start`` is never shown, and all that makes a user is one text."""
    shown = [key for key in keys if key not in ("start", *USER[1:])]
    return " ".join(f"{'PID':>7}" if key == "pid" else NAMES.get(key, key.upper()) for key in shown)


def lines(table: pa.Table, figures: list[str], keys: list[str]) -> Iterator[str]:
    moments = [name for name in ("time", "first", "last") if name in table.column_names]  # Python's own have no ns
    times = {name: table[name].cast(pa.int64()).to_pylist() for name in moments}
    digits = max(map(decimals, times.get("time", [])), default=0)
    for place, row in enumerate(table.select([*keys, "others", *figures]).drop_columns(moments).to_pylist()):
        row |= {name: times[name][place] for name in times}
        yield "".join(f" {cell(name, row[name]):>{HEADS[name][1] - 1}}" for name in figures) + " " + named(row, keys, digits)


def named(row: dict[str, Any], keys: list[str], digits: int) -> str:
    """Who or what the row is about. No path begins with a parenthesis, so no name can fake the marks."""
    if row["others"]:
        return "(others)"
    return user(row) if "euid" in keys else " ".join(name(key, row[key], digits) for key in keys)


def user(row: dict[str, Any]) -> str:
    """As chown(1) has it, and in parentheses who that is otherwise: ``root:root (real alice:alice, login alice)``."""
    if row["euid"] is None:
        return "-"
    acting, real = (owner(row, *ids) for ids in (USER[:4], USER[4:8]))
    differs = any(row[one] not in (None, row[other]) and row[other] is not None for one, other in (("uid", "euid"), ("gid", "egid")))
    others = [f"real {real}"] * differs
    others += [f"login {named_id(row, *USER[8:])}"] * (row["loginuid"] not in (None, row["euid"]))
    return acting + (f" ({', '.join(others)})" if others else "")


def owner(row: dict[str, Any], user_: str, user_name: str, group: str, group_name: str) -> str:
    known = [(user_, user_name), *([(group, group_name)] if row[group] is not None else [])]
    return ":".join(named_id(row, *one) for one in known)


def named_id(row: dict[str, Any], number: str, name: str) -> str:
    """By its name, or else the number."""
    return printable(row[name].encode()) if row[name] else str(row[number])


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
