"""``python -m vm``: selects kernels and test files, prints one table.

Separate, because it is the command line. The exit status is 1 when a test failed, or a machine ran none.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Final

from tests.conformance import cases
from tests.kernel import programs
from vm import debian, machine, table
from vm.debian import ROOT, VMError
from vm.machine import MACHINES, Machine, Report

FOLDERS: Final = ("tests/kernel", "tests/conformance")
SLOWEST: Final = (
    "watch_changes filters loss watch_names process identity_names namespaces later ancestry features counts reuse pending_filters "
    "pending_calls cgroups watch_paths aggregation ends targets credentials identity_follow paths names vfs_paths threads"
).split()
"""Test files by the time they take, from twenty minutes down to two."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m vm")
    parser.add_argument(
        "kernels", nargs="*", metavar="KERNEL", help=f"which of {' '.join(debian.SUITES)} (default: all, or with --reports none)"
    )
    parser.add_argument(
        "-k", dest="words", action="append", default=[], metavar="WORD", help="only files whose path contains WORD; repeatable"
    )
    parser.add_argument("--minutes", type=float, default=40, help="that a machine may take (default: 40)")
    parser.add_argument("--fetch", action="store_true", help="fetch everything again instead of using the cache")
    parser.add_argument("--document", type=Path, metavar="FILE", help="rewrite docs/kernels.md; needs all files")
    parser.add_argument("--reports", type=Path, nargs="*", default=[], metavar="FILE", help="what --json wrote of kernels not run now")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every outcome of the machines that are run now")
    parser.add_argument("--console", action="store_true", help="print each machine's console")
    return parser.parse_args()


def machines(kernels: list[str]) -> list[Machine]:
    unknown = set(kernels) - set(debian.SUITES)
    if unknown:
        sys.exit(f"vm: no kernel is called {' '.join(sorted(unknown))}; there are: {' '.join(debian.SUITES)}")
    return [one for one in MACHINES if not kernels or one.kernel in kernels]


def test_files(words: list[str]) -> list[str]:
    """Return the slowest ones first, so that none is waited for at the end."""
    found = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("test_*.py"))
    found.sort(key=lambda path: SLOWEST.index(path.stem[5:]) if path.stem[5:] in SLOWEST else len(SLOWEST))
    names = [str(path.relative_to(ROOT)) for path in found]
    return [name for name in names if not words or any(word in name for word in words)]


def main() -> int:
    given = arguments()
    files = test_files(given.words)
    if os.geteuid():
        sys.exit("vm: must be root, to make a root image with devices in it")
    earlier = [machine.from_json(row) for file in given.reports for row in json.loads(file.read_text())]
    known = {report.machine: report for report in earlier}
    chosen = [] if given.reports and not given.kernels else machines(given.kernels)
    if given.document and given.words:
        sys.exit("vm: --document needs all files")
    if not files:
        sys.exit("vm: no test file has such a name")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("vm: ended by SIGTERM"))  # also removes the machine and its disks
    try:
        if given.fetch:
            debian.fetch_all()
        cases.build(cases.all_cases())
        programs.build_all()
        for one in chosen:
            known[one] = _run(one, files, given)
            _keep([report for report in known.values() if report not in earlier], given)
    except VMError as error:
        sys.exit(f"vm: {error}")
    reports = [known[one] for one in MACHINES if one in known]
    if given.document:
        given.document.write_text(table.document(reports, debian.libbpf_version(), debian.qemu_version()))
    table.show(reports)
    return 0 if all(_good(report) for report in reports) else 1


def _run(one: Machine, files: list[str], given: argparse.Namespace) -> Report:
    report = machine.run(one, files, given.minutes * 60)
    failed = list(table.failures([report]))
    for _, outcome in failed:
        print(f"--- {one.name}: {outcome.test}\n{outcome.note}\n", flush=True)
    if given.console or failed or not _good(report):
        print(f"--- {one.name}: console\n{report.console[-20000:] if given.console else report.console[-3000:]}", flush=True)
    return report


def _good(report: Report) -> bool:
    results = {outcome.result for outcome in report.outcomes}
    return "passed" in results and "failed" not in results


def _keep(reports: list[Report], given: argparse.Namespace) -> None:
    """Write the results after each machine: the next may take half an hour."""
    if given.json:
        given.json.write_text(json.dumps([machine.as_json(report) for report in reports], indent=1))


if __name__ == "__main__":
    sys.exit(main())
