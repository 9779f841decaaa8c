"""``filetap summary``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import click

from filetap.cli import options
from filetap.cli.messages import log_message
from filetap.cli.output import destination
from filetap.cli.recordings import opened
from filetap.core.errors import UsageError
from filetap.core.units import counted, parse_time
from filetap.core.zone import Zone

if TYPE_CHECKING:
    import pyarrow as pa

    from filetap.analysis.sql import Database

BY = ("file", "directory", "process", "op", "call", "user", "cgroup", "trace", "time")
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
@options.since_option
@options.until_option
@options.utc_query_option
@options.force_option
def summary(folders: tuple[str, ...], *, interval: str | None, output: str | None, force: bool, form: str, **given: Any) -> None:
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
      filetap summary NAME.tap --by call --since '2026-11-30 14:53+01:00'
    """
    if interval and given["by"] != "time":
        raise UsageError("--interval requires --by time")
    step = parse_time(interval, "--interval") if interval else None
    with destination(form, output, force) as stream:
        _sum_up(folders, SummaryOptions(interval=step, **given), form, stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryOptions:
    """The parameters of a summary."""

    by: str
    limit: int
    sort: str
    interval: int | None
    since: str | None
    until: str | None
    utc: bool

    @property
    def zone(self) -> Zone:
        return Zone(self.utc)


def _sum_up(folders: tuple[str, ...], chosen: SummaryOptions, form: str, stream: IO[bytes]) -> None:
    from filetap.analysis.aggregate import summed

    with opened(folders, stream, chosen.zone, chosen.since, chosen.until) as (database, progress):
        progress.begin("summarizing", database.progress)
        table = summed(database, chosen.by, chosen.limit, chosen.sort, chosen.interval)
        _write(database, table, form, progress.out, chosen.zone)
        pending = 0 if len(table) or chosen.since or chosen.until else database.table("SELECT count(*) AS n FROM pending")["n"][0].as_py()
    if pending:
        log_message(f"no call returned; {counted(pending, 'call')} that began: see the table pending of filetap query")


def _write(database: Database, table: pa.Table, form: str, stream: IO[bytes], zone: Zone) -> None:
    if form == "table":
        from filetap.report.summary import as_text, headings

        several = len(database.named) > 1 and "host" not in table.column_names
        heads = [f"{line}\n" for line in headings(database.named, zone)] if several else []
        stream.write("".join([*heads, as_text(table, zone=zone), "\n"]).encode())
    else:
        from filetap.analysis.aggregate import spelled
        from filetap.report.query import WRITERS

        WRITERS[form](database.answer(spelled(table)), stream)
