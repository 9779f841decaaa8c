"""``filetap query``."""

from __future__ import annotations

from typing import IO

import click

from filetap.cli import options
from filetap.cli.output import destination
from filetap.cli.recordings import opened
from filetap.core.errors import UsageError
from filetap.core.zone import Zone


class QueryCommand(options.Command):
    """A command that accepts SQL beginning with a comment, which looks like an option."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(
            context, [f" {word}" if word.startswith("--") and len(word.split(None, 1)) > 1 else word for word in args]
        )


@click.command(cls=QueryCommand)
@click.argument("words", nargs=-1, required=True, metavar="NAME.tap... SQL")
@click.option("--format", "-f", "form", type=click.Choice(["table", "json", "csv", "parquet"]), default="table", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Write the result to FILE.")
@options.utc_query_option
@options.force_option
def query(words: tuple[str, ...], form: str, output: str | None, utc: bool, force: bool) -> None:
    """Query recordings with SQL.

    Queries are DuckDB SQL over one or more recordings, finished or in progress. They cannot change the recordings or read
    other files. Times are printed in the local zone with its offset, or with --utc in UTC, and a text without a zone is
    read in the same one. JSON has UTC.

    The view events has one row per event, joined with its file and task: ts, op, call, path, target_path, pid, tid,
    command, exe, uid, cgroup, device, inode, "offset", size, result, error, duration, flags, bytes and more. The view
    pending has the calls that had not returned. The tables files, tasks, aggregated and traces have the rest. docs/querying.md
    lists all columns, and macros such as seconds(duration) and since('5 minutes').

    \b
    Examples:
      filetap query NAME.tap "SELECT path, count(*) FROM events GROUP BY path ORDER BY 2 DESC LIMIT 5"
      filetap query NAME.tap "SELECT * FROM events WHERE path = '/etc/hostname'" --format json
      filetap query NAME.tap "SELECT ts, command, path, error FROM events WHERE error = 'ENOENT'"
      filetap query NAME.tap "SELECT every('1 second', ts), sum(bytes) FROM events GROUP BY 1 ORDER BY 1"
      filetap query NAME.tap "SELECT ts, op FROM events WHERE ts > now() - INTERVAL '1 hour'" --utc
      filetap query NAME.tap "FROM events" -f parquet -o /tmp/events.parquet --force
    """
    *folders, question = words
    question = question.removeprefix(" ") if question.startswith(" --") else question
    if not folders:
        raise UsageError('give a recording and a query: filetap query NAME.tap "SELECT ..."')
    with destination(form, output, force) as stream:
        _answer(folders, question, form, stream, Zone(utc))


def _answer(folders: list[str], question: str, form: str, stream: IO[bytes], zone: Zone) -> None:
    with opened(folders, stream, zone) as (database, progress):
        progress.begin("querying", database.progress)
        answer = database.query(question)
        from filetap.report.query import WRITERS

        WRITERS[form](answer, progress.out)
