"""The screen of filetap top: the current selection, and its lines for a terminal of any size.

Separate, because a report never computes, and so that screens are tested without a terminal. Names cannot move the cursor.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from filetap.analysis.rates import COLUMNS, chosen, whole
from filetap.analysis.summary import KEYS
from filetap.render.terminal import columns_of, printable
from filetap.report.stats import human
from filetap.report.summary import UNKNOWN, duration, name_heads, user

VIEWS: Final = tuple(KEYS)
TITLES: Final = dict(
    zip(VIEWS, ("files", "directories", "processes", "operations", "users", "cgroups"), strict=True),
)
ONE: Final = dict(zip(VIEWS, ("file", "directory", "process", "operation", "user", "cgroup"), strict=True))
HEADS: Final = {
    "rate": ("RATE/s", 8),
    "bytes/s": ("BYTES/s", 11),
    "errors/s": ("ERR/s", 7),
    "p50": ("P50", 7),
    "p99": ("P99", 7),
    "count": ("COUNT", 10),
    "errors": ("ERRORS", 8),
    "bytes": ("BYTES", 11),
}
"""Header and width of each column, including the blank before it."""
FIRST_TO_GO: Final = ("errors", "errors/s", "bytes", "p50", "count", "p99", "bytes/s")
"""Columns that a narrow terminal leaves out, in this order; never the sort column."""
NAME, LEAST = 32, 8
"""Preferred and minimum width of the name."""
PLAIN, HEAD, MARKED, LOST, STATUS = "", "reverse", "bold reverse", "bold red", "bold"
"""Styles of a line's parts."""

HELP: Final = """\
filetap top: who touches which files, aggregated in the kernel

  q  Ctrl-C        end
  h ?              this page, any key leaves it
  f d p o u c      files, directories, processes, operations, users, cgroups
  Tab              the next of them
  < >  left right  sort by the column to the left or right
  r                reverse
  /                show only what has this text in its name: Enter keeps it, Esc clears it
  Esc              show all again
  space            pause or continue; counting goes on meanwhile
  up down PgUp PgDn Home

RATE/s, BYTES/s, ERR/s, P50, P99: of the last interval; P50 and P99 are latencies,
to a sixteenth. COUNT, ERRORS, BYTES: since the start."""

UNITS: Final = (("", 1), ("k", 10**3), ("M", 10**6), ("G", 10**9), ("T", 10**12))

Line = list[tuple[str, str]]
"""Parts of a line: text and style."""


@dataclass(slots=True)
class Status:
    """The lines above the table."""

    seconds: float
    seen: int = 0
    lost: int = 0


@dataclass(slots=True)
class View:
    """The current selection. ``key`` applies a key."""

    by: str = "file"
    sort: str = "rate"
    reverse: bool = False
    text: str = ""
    paused: bool = False
    typing: bool = False
    help: bool = False
    over: bool = False
    first: int = 0
    page: int = field(default=10)

    def key(self, key: str) -> None:
        """Apply one key: a character, or a key's name."""
        if self.help:
            self.help = False
        elif self.typing:
            self._type(key)
        elif key in _VIEWS:
            self.by, self.first = _VIEWS[key], 0
        else:
            _ACTS.get(key, lambda _: None)(self)
        self.first = max(0, self.first)

    def _type(self, key: str) -> None:
        self.first = 0
        if key in ("enter", "escape"):
            self.typing, self.text = False, self.text * (key == "enter")
        elif key == "backspace":
            self.text = self.text[:-1]
        elif len(key) == 1 and key.isprintable():
            self.text += key

    def move(self, lines: int) -> None:
        self.first += lines

    def sort_by(self, step: int) -> None:
        self.sort = COLUMNS[(COLUMNS.index(self.sort) + step) % len(COLUMNS)]

    def next_view(self) -> None:
        self.by, self.first = VIEWS[(VIEWS.index(self.by) + 1) % len(VIEWS)], 0

    def rows(self, table: pa.Table) -> pa.Table:
        return chosen(table, KEYS[self.by], self.text.encode(errors="surrogateescape"), self.sort, self.reverse)


_VIEWS: Final = {"f": "file", "d": "directory", "p": "process", "o": "op", "u": "user", "c": "cgroup"}


def _set(**changes: Any) -> Any:
    def act(view: View) -> None:
        for name, value in changes.items():
            setattr(view, name, value(view) if callable(value) else value)

    return act


_ACTS: Final[dict[str, Any]] = {
    "q": _set(over=True),
    "h": _set(help=True),
    "?": _set(help=True),
    "/": _set(typing=True, text="", first=0),
    "escape": _set(text="", first=0),
    " ": _set(paused=lambda view: not view.paused),
    "r": _set(reverse=lambda view: not view.reverse),
    "tab": View.next_view,
    "<": lambda view: view.sort_by(-1),
    "left": lambda view: view.sort_by(-1),
    ">": lambda view: view.sort_by(1),
    "right": lambda view: view.sort_by(1),
    "up": lambda view: view.move(-1),
    "down": lambda view: view.move(1),
    "pageup": lambda view: view.move(-view.page),
    "pagedown": lambda view: view.move(view.page),
    "home": _set(first=0),
}


def screen(view: View, table: pa.Table, status: Status, width: int, height: int) -> list[Line]:
    """Return at most ``height`` lines of at most ``width`` columns. ``table``: the result of LiveAggregator.table."""
    if view.help:
        return [[(fitted(line, width), PLAIN)] for line in HELP.splitlines()[:height]]
    rows = view.rows(table)
    small = height < 5
    room = max(0, height - (1 if small else 4))
    view.page = max(1, room)
    view.first = min(view.first, max(0, len(rows) - room))
    columns = shown_columns(width, view.sort)
    body = [[(text, PLAIN)] for text in cells(rows.slice(view.first, room), view.by, columns, width)]
    top = [title(view, status, width), sums(whole(table), status, width), head(view, columns, width)]
    lines = top + body + [[] for _ in range(room - len(body))] + [foot(view, len(rows), width)]
    return [head(view, columns, width), *body] if small else lines


def title(view: View, status: Status, width: int) -> Line:
    minutes, seconds = divmod(int(status.seconds), 60)
    words = "PAUSED  " * view.paused + f"filetap top  {minutes // 60}:{minutes % 60:02}:{seconds:02}"
    words += f"  {TITLES[view.by]} by {HEADS[view.sort][0]}" + " reversed" * view.reverse
    return [(fitted(words, width), STATUS)]


def sums(total: dict[str, float], status: Status, width: int) -> Line:
    words = f"{number(total['rate'])} events/s, {human(int(total['bytes/s']))}/s, {number(total['errors/s'])} errors/s; {status.seen} seen"
    if not status.lost:
        return [(fitted(f"{words}, nothing lost", width), PLAIN)]
    return [(fitted(f"{status.lost} LOST: aggregation table full; {words}", width), LOST)]


def head(view: View, columns: list[str], width: int) -> Line:
    parts = [(f"{HEADS[name][0]:>{HEADS[name][1]}}", MARKED if name == view.sort else HEAD) for name in columns]
    return [*parts, (fitted(" " + name_heads(KEYS[view.by]), width - widths(columns)), HEAD)]


def foot(view: View, count: int, width: int) -> Line:
    if view.typing:
        return [(fitted(f"/{printable(view.text.encode(errors='surrogateescape'))}_  (Enter keeps, Esc clears)", width), STATUS)]
    words = f"{count} {(ONE if count == 1 else TITLES)[view.by]}" + (
        f' with "{printable(view.text.encode(errors="surrogateescape"))}"' if view.text else ""
    )
    return [(fitted(f"{words}   f d p o u c: view  < >: sort  r  /: filter  space: pause  h: help  q: quit", width), PLAIN)]


def shown_columns(width: int, sort: str) -> list[str]:
    """Return the columns that leave room for the name. The sort column is never left out, and the rate is the last one before
    it."""
    columns = list(HEADS)
    for name in (*FIRST_TO_GO, "rate"):
        if name != sort and widths(columns) + NAME > width:
            columns.remove(name)
    return columns if widths(columns) + LEAST <= width else []


def widths(columns: list[str]) -> int:
    return sum(HEADS[name][1] for name in columns)


def cells(rows: pa.Table, by: str, columns: list[str], width: int) -> list[str]:
    room = width - widths(columns) - 1
    return [
        "".join(f" {cell(name, row[name]):>{HEADS[name][1] - 1}}" for name in columns) + " " + fitted(named(row, by, room), room)
        for row in rows.to_pylist()
    ]


def cell(column: str, value: float | None) -> str:
    if column in ("p50", "p99"):
        return duration(int(value)) if value is not None else "-"
    if not value:
        return "0" if column in ("rate", "count") else ""
    return human(int(value)) if column in ("bytes", "bytes/s") else number(value)


def number(value: float) -> str:
    """Return at most seven characters."""
    if value < 10 and value != int(value):
        return f"{value:.1f}"
    unit, scale = next(((unit, scale) for unit, scale in UNITS if value < 10**6 * scale), UNITS[-1])
    return f"{value / scale:.0f}{unit}"


def named(row: dict[str, Any], by: str, room: int) -> str:
    """Return the name of the row's group; of a long path its end."""
    if row["others"]:
        return "(others)"
    key = KEYS[by][0]
    if by == "process":
        command = row["command"]
        return f"{'-' if row['pid'] is None else row['pid']:>7} {printable(command) if command else '-'}"
    if by == "user":
        return user(row)
    value = row[key]
    if value is None:
        return UNKNOWN.get(key, "-")
    return tail(printable(value), room) if isinstance(value, bytes) else str(value)


def tail(text: str, width: int) -> str:
    """Return the end of a text that is too long, after a plus."""
    taken = 0
    for place in range(len(text) - 1, -1, -1):
        taken += columns_of(text[place])
        if taken > width - (place > 0):
            return ("+" + text[place + 1 :])[: max(0, width)]
    return text


def fitted(text: str, width: int) -> str:
    """Pad or cut the text."""
    taken, end = 0, 0
    for character in text:
        if taken + columns_of(character) > width:
            break
        taken += columns_of(character)
        end += 1
    return text[:end] + " " * max(0, width - taken)


def plain(view: View, table: pa.Table, status: Status, rows: int) -> str:
    """Return text for a pipe: like the screen, of any width."""
    found = view.rows(table).slice(0, rows)
    columns = list(HEADS)
    lines = ["".join(f"{HEADS[name][0]:>{HEADS[name][1]}}" for name in columns) + f" {name_heads(KEYS[view.by])}"]
    for row in found.to_pylist():
        text = "".join(f" {cell(name, row[name]):>{HEADS[name][1] - 1}}" for name in columns)
        lines.append(f"{text} {named(row, view.by, 1 << 20)}")
    above = [title(view, status, 1 << 10), sums(whole(table), status, 1 << 10)]
    return "\n".join([*("".join(text for text, _ in line).rstrip() for line in above), *lines]) + "\n"
