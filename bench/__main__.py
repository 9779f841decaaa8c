"""``python -m bench``: selects measures and thoroughness, prints one table.

Separate, because it is the command line. The exit status tells whether everything could be measured, never whether a limit was
missed: the table's last lines do.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench import endurance, kernel_side, operations, queries, record, resolution, results, soak, user_side
from bench.lab import BenchError, Lab, prepare
from bench.table import Row, Table
from filetap.core.errors import FiletapError

MEASURES: Final[dict[str, Callable[[Lab], Iterator[Row]]]] = (
    kernel_side.MEASURES
    | operations.MEASURES
    | user_side.MEASURES
    | endurance.MEASURES
    | record.MEASURES
    | queries.MEASURES
    | resolution.MEASURES
    | soak.MEASURES
)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", epilog=f"measures: {' '.join(MEASURES)}")
    parser.add_argument(
        "-k",
        dest="names",
        action="append",
        metavar="NAME",
        help="only measures whose name contains NAME; repeatable (default: all but resolution, soak-names and endure-record)",
    )
    parser.add_argument("--pairs", type=int, metavar="N", help="pairs per ratio (default: 9)")
    parser.add_argument("--quick", action="store_true", help="3 pairs and a quarter of the work: shows the harness, proves nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every sample, as JSON")
    return parser.parse_args()


def chosen(names: list[str] | None) -> dict[str, Callable[[Lab], Iterator[Row]]]:
    usual = MEASURES.keys() - resolution.MEASURES.keys() - soak.MEASURES.keys() - {"endure-record"}
    found = {name: measure for name, measure in MEASURES.items() if (any(fits(part, name) for part in names) if names else name in usual)}
    if not found:
        sys.exit(f"bench: no measure has such a name; there are: {' '.join(MEASURES)}")
    return found


def fits(part: str, name: str) -> bool:
    """Return whether a measure is selected. Its whole name selects only that one."""
    return part == name if part in MEASURES else part in name


def measure_all(measures: dict[str, Callable[[Lab], Iterator[Row]]], lab: Lab, table: Table) -> None:
    """Run the measures. A failed one is reported, and the next one runs."""
    for name, measure in measures.items():
        lab.neighbours.look()
        try:
            for row in measure(lab):
                table.add(replace(row, note="; ".join(filter(None, (row.note, lab.neighbours.take())))))
        except (BenchError, FiletapError, OSError, ValueError) as error:
            table.break_off(name, f"{type(error).__name__}: {error}")


def main() -> int:
    given = arguments()
    measures = chosen(given.names)
    if os.geteuid():
        sys.exit("bench: must be root, as filetap must")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lab = Lab(given.pairs or (3 if given.quick else 9), given.quick)
    table = Table()
    try:
        prepare()
        table.begin(f"{lab.pairs} pairs{', quick' if lab.quick else ''}")
        measure_all(measures, lab, table)
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        table.break_off("interrupted", "the rest was not measured")
    table.end()
    results.keep(table.as_json(), given.json)
    return 1 if table.broken else 0


if __name__ == "__main__":
    sys.exit(main())
