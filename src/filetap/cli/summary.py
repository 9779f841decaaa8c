"""``filetap summary``."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, NamedTuple

import click

from filetap.cli import options
from filetap.cli.output import destination
from filetap.cli.recordings import asked
from filetap.core.errors import UsageError
from filetap.core.units import parse_time

if TYPE_CHECKING:
    import pyarrow as pa

    from filetap.analysis.sql import Database

BY = ("file", "directory", "process", "op", "user", "cgroup", "time")
SORT = ("count", "errors", "bytes", "total", "p50", "p90", "p99", "max", "first", "last")


@click.command(cls=options.Command)
@click.argument("folders", nargs=-1, required=True, metavar="NAME.tap...")
@click.option("--by", type=click.Choice(BY), default="file", show_default=True, help="Group events by this.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="Number of rows; one more has the sum of all others.",
)
@click.option("--sort", type=click.Choice(SORT), default="count", show_default=True, metavar="FIGURE", help="Sort by this, largest first.")
@click.option("--interval", metavar="TIME", help="Bucket width for --by time, such as 10s or 1h.  [default: at most 40 rows]")
@click.option("--format", "-f", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Write the summary to FILE.")
@options.force_option
def summary(
    folders: tuple[str, ...], *, by: str, limit: int, sort: str, interval: str | None, form: str, output: str | None, force: bool
) -> None:
    """Summarize recordings: counts, bytes and latencies per file, process or operation.

    Each row has the number of events, how many failed, the bytes that reads, writes and copies moved, the total time,
    percentiles of the durations (within a sixteenth), the longest duration (exact), and the times of the first and last
    event. Aggregated events are included in the counts, bytes and times of first and last. --by time prints one row per
    interval with events, in order, and ignores --limit and --sort.

    FIGUREs: count, errors, bytes, total, p50, p90, p99, max, first, last.

    \b
    Examples:
      filetap summary NAME.tap
      filetap summary NAME.tap --by process --sort bytes --limit 5
      filetap summary NAME.tap --by time --interval 1s
      filetap summary NAME.tap --by directory --format json
    """
    if interval and by != "time":
        raise UsageError("--interval requires --by time")
    step = parse_time(interval, "--interval") if interval else None
    with destination(form, output, force) as stream:
        _sum_up(folders, Question(by, limit, sort, step), form, stream)


class Question(NamedTuple):
    """What ``summed`` is given."""

    by: str
    limit: int
    sort: str
    interval: int | None


def _sum_up(folders: tuple[str, ...], question: Question, form: str, stream: IO[bytes]) -> None:
    from filetap.analysis.aggregate import summed

    with asked(folders, stream) as (database, progress):
        progress.begin("summarizing", database.progress)
        table = summed(database, *question)
        _write(database, table, form, progress.out)


def _write(database: Database, table: pa.Table, form: str, stream: IO[bytes]) -> None:
    if form == "table":
        from filetap.report.summary import as_text

        stream.write(as_text(table).encode() + b"\n")
    else:
        from filetap.analysis.aggregate import spelled
        from filetap.report.query import WRITERS

        WRITERS[form](database.answer(spelled(table)), stream)
