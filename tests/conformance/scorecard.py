"""The score card: a row for each group, a column for each tracer; with --cases a row for each case.

Separate, because a verdict does not depend on its presentation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from rich.table import Table

from tests.conformance.cases import GROUPS
from tests.conformance.compare import VERDICTS, Verdict

Verdicts = Mapping[str, Mapping[str, Verdict]]
"""Tracer to case id to its verdict."""

COLOURS: Final[dict[Verdict, str]] = {"exact": "green", "seen": "yellow", "wrong": "magenta", "missed": "red", "broken": "bold red"}


def counted(verdicts: Verdicts, tracer: str, group: str = "") -> Counter[Verdict]:
    """Return how often each verdict occurred, in a group or in all."""
    return Counter(verdict for case, verdict in verdicts[tracer].items() if case.startswith(f"{group}/" if group else ""))


def group_table(verdicts: Verdicts) -> Table:
    """Return exact, seen, wrong and missed of each group, the number of cases, and how many had no verdict."""
    table = Table("group", title="cases by group: exact seen wrong missed", title_justify="left")
    for tracer in ("cases", "undone", *verdicts):
        table.add_column(tracer, justify="right", no_wrap=True)
    groups = [group for group in GROUPS if any(counted(verdicts, tracer, group) for tracer in verdicts)]
    for group in [*groups, ""]:
        counts = [counted(verdicts, tracer, group) for tracer in verdicts]
        undone = max(sum(count[verdict] for verdict in VERDICTS[4:]) for count in counts)
        heads = group or "all", str(counts[0].total()), str(undone or "")
        table.add_row(*heads, *map(in_short, counts), end_section=group == groups[-1])
    return table


def in_short(count: Counter[Verdict]) -> str:
    """Return the numbers of the first four verdicts, in colour."""
    reported = [f"[{COLOURS[verdict]}]{count[verdict]:3}[/]" if count[verdict] else "[dim]  0[/]" for verdict in VERDICTS[:4]]
    return " ".join(reported)


def case_table(verdicts: Verdicts, titles: Mapping[str, str]) -> Table:
    table = Table("case", *verdicts, "what it does", title="every case", title_justify="left")
    for case in next(iter(verdicts.values())):
        table.add_row(case, *(in_colour(row[case]) for row in verdicts.values()), titles[case])
    return table


def in_colour(verdict: Verdict) -> str:
    return f"[{COLOURS.get(verdict, 'dim')}]{verdict}[/]"
