"""``python -m tests.conformance``: selects tracers and cases, prints the card; with --coverage it also writes the document.

Separate, as a command line. The exit status is about filetap alone: 1 if a case is neither exact nor proven impossible.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.conformance import coverage, scorecard
from tests.conformance.adapters import TRACERS
from tests.conformance.cases import Case, all_cases
from tests.conformance.runner import Result, TracerError, run
from tests.conformance.unsupported import unproven

WIDE: Final = 160
"""Columns of a file or a pipe."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("--tracer", nargs="+", choices=TRACERS, default=["filetap"], help="which ones, as columns (default: filetap)")
    parser.add_argument(
        "-k", dest="words", action="append", default=[], metavar="WORD", help="only cases whose name contains WORD; repeatable"
    )
    parser.add_argument("--cases", action="store_true", help="a row for each case, too")
    parser.add_argument("--differences", action="store_true", help="what differs, of every tracer; of filetap it is always shown")
    parser.add_argument("--coverage", type=Path, metavar="FILE", help="write docs/coverage.md; needs all tracers and all cases")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    cases = all_cases(given.words)
    if not cases:
        sys.exit(f"no case has such a name; there are: {' '.join(case.id for case in all_cases())}")
    if os.geteuid():
        sys.exit("conformance: must be root, as tracers must")
    if given.coverage and (given.words or set(given.tracer) != set(TRACERS)):
        sys.exit(f"--coverage needs all cases and --tracer {' '.join(TRACERS)}")
    try:
        results = {name: run(cases, TRACERS[name]) for name in given.tracer}
    except (TracerError, subprocess.CalledProcessError) as error:
        sys.exit(f"conformance: {error}")
    show(cases, results, given)
    return 1 if any(failed(result) for result in results.get("filetap", [])) else 0


def show(cases: list[Case], results: dict[str, list[Result]], given: argparse.Namespace) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    for name, row in results.items():
        for result in row:
            if failed(result) if name == "filetap" else given.differences and result.score.verdict != "exact":
                print(f"{name}: {result.case.id}: {result.score}")
    verdicts = {name: {result.case.id: result.score.verdict for result in row} for name, row in results.items()}
    if given.cases:
        console.print(scorecard.case_table(verdicts, {case.id: case.title for case in cases}))
    console.print(scorecard.group_table(verdicts))
    if given.coverage:
        coverage.write(given.coverage, results)


def failed(result: Result) -> bool:
    """Return whether it is neither exact nor proven to be impossible here."""
    return result.score.verdict != "exact" and (result.score.verdict != "cannot" or unproven(result.score.note))


if __name__ == "__main__":
    sys.exit(main())
