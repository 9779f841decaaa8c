"""What came of the machines as one table: for a terminal, and docs/kernels.md.

Apart, as neither booting nor testing knows how it is shown. Nothing is left out of it: what failed, what a kernel has not,
what is not run in machines, each is named with its reason.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from vm.machine import CPUS, MACHINES, Outcome, Report

NOTES: Final = Path(__file__).with_name("notes.md")
"""What outcomes cannot tell, by hand: it stands in the document below the table."""
NOT_HERE: Final = (
    "tests/unit needs no kernel, and tests/e2e starts the whole command hundreds of times, which takes hours under emulation: "
    "both run natively alone."
)
RESULTS: Final = ("passed", "failed", "cannot")
CASE: Final = re.compile(r"^conformance/test_conformance.py::test_filetap_tells_exactly_what_was_done\[(.*)\]$")
FEW: Final = 4


def cells(report: Report) -> dict[str, str]:
    """By group: passed/failed/cannot."""
    counts: dict[str, Counter[str]] = {}
    for outcome in report.outcomes:
        counts.setdefault(outcome.group, Counter())[outcome.result] += 1
    return {group: "/".join(str(count[result]) for result in RESULTS) for group, count in counts.items()}


def rows(reports: Sequence[Report]) -> Iterator[list[str]]:
    """A group in each, then the sum."""
    by_machine = [cells(report) for report in reports]
    for group in sorted({group for column in by_machine for group in column}):
        yield [group, *(column.get(group, "-") for column in by_machine)]
    yield ["all", *(_sum(report) for report in reports)]


def _sum(report: Report) -> str:
    return "/".join(str(sum(outcome.result == result for outcome in report.outcomes)) for result in RESULTS)


def show(reports: Sequence[Report]) -> None:
    table = Table(title="tests by kernel: passed/failed/cannot", title_justify="left")
    table.add_column("")
    for report in reports:
        table.add_column(f"{report.machine.name}\n{report.release or 'did not boot'}", justify="right")
    for row in rows(reports):
        table.add_row(*row)
    table.add_row("minutes", *(f"{report.seconds / 60:.1f}" for report in reports))
    if any(report.ghosts for report in reports):
        table.add_row("ended by QEMU", *("once, and gone on with" if report.ghosts else "" for report in reports))
    Console(width=160).print(table)


def document(reports: Sequence[Report], libbpf: str, qemu: str) -> str:
    return "\n".join(_document(reports, libbpf, qemu)) + "\n"


def _document(reports: Sequence[Report], libbpf: str, qemu: str) -> Iterator[str]:
    yield from ("# Kernels", "", "`make vm-all` wrote this, with vm/notes.md in it; it is never edited.", "")
    yield f"QEMU {qemu} (software emulation, {CPUS} CPUs), libbpf {libbpf}. Debian's cloud kernels:"
    yield ""
    yield from (_run(report) for report in reports)
    run = {report.machine for report in reports}
    yield from (f"- **{machine.name}**: not run this time" for machine in MACHINES if machine not in run)
    yield from (
        "",
        "Tests by group and kernel: passed/failed/cannot. *Cannot*: the kernel has not what the test needs; the reasons are below.",
        "",
    )
    yield f"| | {' | '.join(report.machine.name for report in reports)} |"
    yield f"|---|{'---:|' * len(reports)}"
    yield from (f"| {' | '.join(row)} |" for row in rows(reports))
    yield from ("", NOT_HERE, "", NOTES.read_text().strip())
    for title, result in (("Failed", "failed"), ("Cannot", "cannot"), ("Not run in machines", "left")):
        named = list(_named(reports, result))
        if named:
            yield from ("", f"## {title}", "", *named)


def _run(report: Report) -> str:
    what = f"{report.release}, package {report.package}, on {report.day} in {report.seconds / 60:.1f} minutes"
    again = "; QEMU ended it once (Oops: int3), and the files that had not ended were run in another" if report.ghosts else ""
    return f"- **{report.machine.name}**: {what}; commit {report.tree}{again}"


def _named(reports: Sequence[Report], result: str) -> Iterator[str]:
    """One line for each reason: which tests, on which machines."""
    found: dict[tuple[str, str], list[str]] = {}
    for report in reports:
        for outcome in report.outcomes:
            if outcome.result == result:
                found.setdefault((_reason(outcome), outcome.test), []).append(report.machine.name)
    reasons: dict[tuple[str, str], list[str]] = {}
    for (reason, test), machines in found.items():
        reasons.setdefault((reason, ", ".join(machines)), []).append(test)
    for (reason, on), tests in sorted(reasons.items()):
        everywhere = on == ", ".join(report.machine.name for report in reports)
        yield f"- {reason} ({'all' if everywhere else on}): {_listed(tests)}"


def _listed(tests: Sequence[str]) -> str:
    """Each by its name, or, of many, how many of each file or of each group of cases."""
    short = [CASE.sub(r"conformance/\1", test) for test in tests]
    if len(short) <= FEW:
        return ", ".join(f"`{test}`" for test in short)
    counts = Counter(test.partition("::")[0] if "::" in test else test.rpartition("/")[0] for test in short)
    return ", ".join(f"{count} of {place}" for place, count in counts.items())


def _reason(outcome: Outcome) -> str:
    """Of a failure what the assertion says, of the others the whole."""
    lines = [line.strip() for line in outcome.note.splitlines() if line.strip()]
    said = [line.removeprefix("E").strip() for line in lines if line.startswith("E  ")]
    return (said or lines[-1:] or ["no reason"])[0][:200]


def failures(reports: Sequence[Report]) -> Iterator[tuple[str, Outcome]]:
    for report in reports:
        for outcome in report.outcomes:
            if outcome.result == "failed":
                yield report.machine.name, outcome
