"""The score card: a row for each group, a column for each tracer; and with --cases a row for each case.

Apart, because a verdict knows nothing of how it is shown. Next: coverage.py writes the same into docs/coverage.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Table

from tests.conformance.cases import GROUPS
from tests.conformance.compare import VERDICTS, Verdict

Verdicts = Mapping[str, Mapping[str, Verdict]]
"""Tracer to case's id to its verdict."""

COLOURS: Final[dict[Verdict, str]] = {"exact": "green", "seen": "yellow", "wrong": "magenta", "missed": "red", "broken": "bold red"}


def counted(verdicts: Verdicts, tracer: str, group: str = "") -> Counter[Verdict]:
    """How often each verdict was given, in a group or in all."""
    return Counter(verdict for case, verdict in verdicts[tracer].items() if case.startswith(f"{group}/" if group else ""))


def group_table(verdicts: Verdicts) -> Table:
    """Exact, seen, wrong and missed of each group, and how many cases there are."""
    table = Table("group", title="exact, seen, wrong, missed: cases by group", title_justify="left")
    table.add_column("cases", justify="right")
    for tracer in verdicts:
        table.add_column(tracer, justify="right", no_wrap=True)
    groups = [group for group in GROUPS if any(counted(verdicts, tracer, group) for tracer in verdicts)]
    for group in [*groups, ""]:
        counts = [counted(verdicts, tracer, group) for tracer in verdicts]
        table.add_row(group or "all", str(max(count.total() for count in counts)), *map(in_short, counts), end_section=group == groups[-1])
    return table


def in_short(count: Counter[Verdict]) -> str:
    """The first four verdicts' numbers, in colour; the last two only if there are any."""
    told = [f"[{COLOURS[verdict]}]{count[verdict]:3}[/]" if count[verdict] else "[dim]  0[/]" for verdict in VERDICTS[:4]]
    rest = [f"{count[verdict]} {verdict}" for verdict in VERDICTS[4:] if count[verdict]]
    return " ".join(told + rest)


def case_table(verdicts: Verdicts, titles: Mapping[str, str]) -> Table:
    table = Table("case", *verdicts, "what it does", title="every case", title_justify="left")
    for case in next(iter(verdicts.values())):
        table.add_row(case, *(in_colour(row[case]) for row in verdicts.values()), titles[case])
    return table


def in_colour(verdict: Verdict) -> str:
    return f"[{COLOURS.get(verdict, 'dim')}]{verdict}[/]"


def failures(tracer: str, scores: Sequence[tuple[str, str]]) -> str:
    """Each case that is not exact, with what differs."""
    return "\n".join(f"{tracer}: {case}: {text}" for case, text in scores)
