"""Prints the sums of ``--summary`` at the end of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from filetap.cli.messages import write_stderr
from filetap.cli.run import View

if TYPE_CHECKING:
    from filetap.analysis.aggregation import Totals
    from filetap.core.zone import Zone

LINES: Final = 20


class SummaryView(View):
    """``by``: the group of a line. ``limit``: maximum number of lines. ``zone``: of times."""

    def __init__(self, by: str | None, limit: int | None, zone: Zone) -> None:
        self._by, self._limit, self._zone = by or "file", limit or LINES, zone

    def sink(self) -> Totals:
        from filetap.analysis.aggregation import Totals

        self._totals = Totals(self._by)
        return self._totals

    def report(self) -> None:
        from filetap.report import summary

        write_stderr(summary.as_text(self._totals.total.summary(self._limit), self._totals.total.cut, self._zone))
