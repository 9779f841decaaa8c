"""The table: rows as they are measured, the verdict on each, and the same as JSON.

Separate, because a row has its limit and its unit and does not depend on how it was measured.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

RATIO, COUNT = "", "events"
_FORMS: Final = {RATIO: ".3f", COUNT: ",.0f", "us": ".4f", "M/s": ".2f", "MB": ".1f", "s": ".3f", "%": ".2f", "bytes": ".1f"}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. Without a limit it is for comparison."""

    figure: str
    samples: Sequence[float]
    limit: float | None = None
    unit: str = RATIO
    at_least: bool = False
    """The limit is a minimum; otherwise a maximum."""
    note: str = ""

    @property
    def measured(self) -> float:
        return median(self.samples)

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        good = self.measured >= self.limit if self.at_least else self.measured <= self.limit
        return "ok" if good else "NOT"

    def cells(self) -> tuple[str, str, str, str]:
        spread = f"{_text(min(self.samples), self.unit)}-{_text(max(self.samples), self.unit)}" if len(self.samples) > 1 else ""
        limit = f"{'>=' if self.at_least else '<='} {self.limit:g} {self.unit}".rstrip() if self.limit is not None else "none"
        return self.figure, f"{_text(self.measured, self.unit)} {self.unit}".rstrip(), spread, limit


def _text(value: float, unit: str) -> str:
    return format(value, _FORMS[unit])


@dataclass(slots=True)
class Table:
    """Prints rows as they are measured, because a whole run takes minutes."""

    rows: list[Row] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    started: str = ""
    load: float = 0.0
    """The highest load seen."""

    def begin(self, how: str) -> None:
        self.started = f"Linux {platform.release()}, {os.cpu_count()} CPUs ({_model()}); {how}; load {os.getloadavg()[0]:.2f}"
        print(self.started)
        self._line(("figure", "measured", "min-max", "limit"), "", "")

    def add(self, row: Row) -> None:
        self.rows.append(row)
        self.load = max(self.load, os.getloadavg()[0])
        self._line(row.cells(), row.verdict, row.note)

    def break_off(self, name: str, reason: str) -> None:
        """Report a measure that failed."""
        self.broken.append(name)
        self._line((name, "BROKE", "", ""), "", reason)

    @staticmethod
    def _line(cells: tuple[str, str, str, str], verdict: str, note: str) -> None:
        figure, measured, spread, limit = cells
        print(f"{figure:<70}{measured:>14}{spread:>18}{limit:>13}  {verdict:<4}{note}".rstrip(), flush=True)

    def end(self) -> None:
        """Print how many limits were missed, and which."""
        limited = [row for row in self.rows if row.limit is not None]
        missed = [row.figure for row in limited if row.verdict != "ok"]
        print(f"\n{len(missed)} of {len(limited)} limits missed; the load went up to {self.load:.1f}")
        for figure in missed:
            print(f"  missed: {figure}")
        for name in self.broken:
            print(f"  not measured: {name}")

    def as_json(self) -> dict[str, Any]:
        rows = [
            {
                "figure": row.figure,
                "unit": row.unit or "ratio",
                "median": row.measured,
                "samples": list(row.samples),
                "limit": row.limit,
                "at_least": row.at_least,
                "verdict": row.verdict,
                "note": row.note,
            }
            for row in self.rows
        ]
        return {"machine": self.started, "highest_load": self.load, "rows": rows, "broken": self.broken}


def _model() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        names = [line.partition(":")[2].strip() for line in stream if line.startswith("model name")]
    return names[0] if names else platform.machine()
