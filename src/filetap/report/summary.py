"""A summary as text: aligned columns, the name last and never cut.

Separate, because a report never computes: analysis/summary.py did. Names cannot move the cursor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from filetap.analysis.labels import Named
from filetap.analysis.summary import USER
from filetap.core.zone import SECOND, Fixed, Zone, decimals
from filetap.render.terminal import printable
from filetap.report.stats import human

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
"""Header and width of each figure, including the blank before it."""
MOMENTS: Final = ("first", "last")

NAMES: Final = {
    "path": "PATH",
    "directory": "DIRECTORY",
    "pid": "PID",
    "command": "COMMAND",
    "call": "CALL",
    "label": "TRACE",
    "time": "INTERVAL",
    "op": "OP",
    "euid": "USER",
    "cgroup_path": "CGROUP",
}
PADDED: Final = {"pid": ">7", "call": "<15", "label": "<15", "host": "<12", "began": "<25"}
"""The alignment of names that are followed by another one."""
UNKNOWN: Final = {"path": "(no file)", "directory": "(no directory)", "cgroup_path": "(not known)"}
CUT: Final = "note: too many rows: the rarest were merged into (others), and counted from zero if they came back"
UNITS: Final = (("s", 10**9), ("ms", 10**6), ("us", 10**3), ("ns", 1))


def as_text(table: pa.Table, cut: bool = False, zone: Zone | None = None) -> str:
    """Return a line per row, below a header. ``table``: the result of analysis.summary.summary. ``cut``: Accumulated.cut.
    ``zone``: of times, the local one by default."""
    zone = zone or Zone()
    figures = [name for name in HEADS if name in table.column_names]
    keys = [name for name in table.column_names if name not in HEADS and name != "others"]
    fixed = zone.fixed(earliest(table) // SECOND)
    head = "".join(f"{head_of(name, fixed):>{HEADS[name][1]}}" for name in figures) + " " + name_heads(keys)
    return "\n".join([head, *lines(table, figures, keys, zone, fixed), *[CUT] * cut])


def earliest(table: pa.Table) -> int:
    """Return the earliest ``first``, ns since 1970; 0: there is none."""
    return (pc.min(table["first"].cast(pa.int64())).as_py() or 0) if "first" in table.column_names else 0


def headings(traces: Sequence[Named], zone: Zone) -> Iterator[str]:
    """Yield a line for each of several recordings that are summed up as one."""
    for one in traces:
        label, command, host = (printable(text.encode()) for text in (one.label, one.command, one.host))
        yield f"trace {label}: {command}, on {host}, since {zone.text(one.began * 1000, 0)}"


def head_of(figure: str, fixed: Fixed) -> str:
    """Return the header of a figure, with the zone if it is a time."""
    return f"{HEADS[figure][0]} {fixed.name}" if figure in MOMENTS else HEADS[figure][0]


def name_heads(keys: Sequence[str]) -> str:
    """Return the headers above the names of rows. ``start`` is never shown, and all columns of a user are one text."""
    shown = [key for key in keys if key not in ("start", *USER[1:])]
    return " ".join(f"{NAMES.get(key, key.upper()):{PADDED.get(key, '')}}" for key in shown)


def lines(table: pa.Table, figures: list[str], keys: list[str], zone: Zone, fixed: Fixed) -> Iterator[str]:
    moments = [name for name in ("time", "began", *MOMENTS) if name in table.column_names]  # Python's datetime has no ns
    times = {name: table[name].cast(pa.int64()).to_pylist() for name in moments}
    digits = max(map(places, times.get("time", [])), default=0)
    for place, row in enumerate(table.select([*keys, "others", *figures]).drop_columns(moments).to_pylist()):
        shown = row | {name: moment(name, times[name][place], digits, zone, fixed) for name in times}
        yield "".join(f" {cell(name, shown[name]):>{HEADS[name][1] - 1}}" for name in figures) + " " + named(shown, keys)


def named(row: dict[str, Any], keys: list[str]) -> str:
    """Return the name of the row's group. No path begins with a parenthesis, so no name can look like a mark."""
    if row["others"]:
        return "(others)"
    return user(row) if "euid" in keys else " ".join(name(key, row[key]) for key in keys)


def user(row: dict[str, Any]) -> str:
    """Return the user as in chown(1), with differing ids in parentheses: ``root:root (real alice:alice, login alice)``."""
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
    """Return the name, or else the number."""
    text = printable(row[name].encode()) if row[name] else str(row[number])
    return f"\\x28{text[1:]}" if text.startswith("(") else text  # no user name can look like a mark


def name(key: str, value: object) -> str:
    text = UNKNOWN.get(key, "-") if value is None else printable(value if isinstance(value, bytes) else str(value).encode())
    return f"{text:{PADDED.get(key, '')}}"


def cell(figure: str, value: int | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if figure == "bytes":
        return human(value) if value else ""
    return str(value) if figure in ("count", "errors") else duration(value)


def moment(name: str, nanoseconds: int | None, digits: int, zone: Zone, fixed: Fixed) -> str | None:
    """Return first and last as the time of day, because the header names the zone; others with date and zone."""
    if nanoseconds is None:
        return None
    if name in MOMENTS:
        return fixed.clock(nanoseconds)
    return zone.text(nanoseconds, digits)


def places(nanoseconds: int) -> int:
    """Return how many decimals of a second it has."""
    return len(decimals(nanoseconds, 9).rstrip("0")) - 1


def duration(nanoseconds: int) -> str:
    """Return three digits and a unit, cut, not rounded."""
    unit, scale = next(((unit, scale) for unit, scale in UNITS if nanoseconds >= scale), UNITS[-1])
    whole, rest = divmod(nanoseconds, scale)
    digits = max(0, 3 - len(str(whole))) if scale > 1 else 0
    return f"{whole}.{rest * 10**digits // scale:0{digits}}{unit}" if digits else f"{whole}{unit}"
