"""``filetap summary``: recorded traces summed up, from the words of the command line to a table.

Apart, as each command has a file of its own.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, NamedTuple

import click

from filetap.cli.query import asked, destination
from filetap.core.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from filetap.analysis.sql import Database

BY = ("file", "directory", "process", "op", "user", "cgroup", "time")
SORT = ("count", "errors", "bytes", "total", "p50", "p90", "p99", "max", "first", "last")


@click.command
@click.argument("folders", nargs=-1, required=True, metavar="NAME.tap...")
@click.option("--by", type=click.Choice(BY), default="file", show_default=True, help="What a row is about.")
@click.option("--top", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="Rows; all others are one more.")
@click.option(
    "--sort", type=click.Choice(SORT), default="count", show_default=True, metavar="FIGURE", help="The most of which comes first."
)
@click.option("--width", metavar="TIME", help="With --by time: of an interval, such as 10s or 1h. Unless given, what makes at most 40.")
@click.option("--format", "-f", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Write the summary to FILE.")
@click.option("--force", is_flag=True, help="Overwrite the FILE of -o.")
def summary(
    folders: tuple[str, ...], *, by: str, top: int, sort: str, width: str | None, form: str, output: str | None, force: bool
) -> None:
    """Sum up traces: who or what was touched how often, how much, how long.

    For each file, directory, process, ...: events, how many failed, bytes that reads, writes and copies moved, the time
    spent, percentiles of the durations (to a sixteenth) and the longest (exact), first and last touch. Folded events
    count in counts, bytes and touches. --by time has a row for each interval in which there was something, in
    order, and ignores --top and --sort.

    FIGUREs: count, errors, bytes, total, p50, p90, p99, max, first, last.

    \b
    Examples:
      filetap summary NAME.tap
      filetap summary NAME.tap --by process --sort bytes --top 5
      filetap summary NAME.tap --by time --width 1s
      filetap summary NAME.tap --by directory --format json
    """
    if width and by != "time":
        raise UsageError("--width is of an interval: give --by time")
    step = width_of(width) if width else None
    if step == 0:
        raise UsageError(f"--width {width}: give more than nothing")
    with destination(form, output, force) as stream:
        _sum_up(folders, Words(by, top, sort, step), form, stream)


def width_of(text: str) -> int:
    """In ns; from minutes on as --rotate-time has it."""
    from filetap.cli.record import parse_age
    from filetap.selection.filters import parse_duration

    if not re.fullmatch(r"[0-9.]+(ns|us|µs|ms|s|min|h|d|w)?", text):
        raise UsageError(f"--width {text}: give a number with ns, us, ms, s, min, h, d or w, such as 10s")
    if not text.endswith(("min", "h", "d", "w")):
        return parse_duration(text, "--width")
    seconds = parse_age(text, "--width")
    if seconds >= (1 << 63) / 10**9:
        raise UsageError(f"--width {text}: at most 292 years")
    return round(seconds * 10**9)


class Words(NamedTuple):
    """What ``summed`` is given."""

    by: str
    top: int
    sort: str
    width: int | None


def _sum_up(folders: tuple[str, ...], words: Words, form: str, stream: IO[bytes]) -> None:
    from filetap.analysis.aggregate import summed

    with asked(folders, stream) as (database, progress):
        progress.begin("summing up", database.progress)
        table = summed(database, *words)
        _write(database, table, form, progress.out)


def _write(database: Database, table: pa.Table, form: str, stream: IO[bytes]) -> None:
    if form == "table":
        from filetap.report.summary import as_text

        stream.write(as_text(table).encode() + b"\n")
    else:
        from filetap.analysis.aggregate import spelled
        from filetap.report.query import WRITERS

        WRITERS[form](database.answer(spelled(table)), stream)
