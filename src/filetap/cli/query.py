"""``filetap query``."""

from __future__ import annotations

from typing import IO

import click

from filetap.cli import options
from filetap.cli.output import destination
from filetap.cli.recordings import asked
from filetap.core.errors import UsageError


class QueryCommand(options.Command):
    """Takes SQL that begins with a comment for no option."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(
            context, [f" {word}" if word.startswith("--") and len(word.split(None, 1)) > 1 else word for word in args]
        )


@click.command(cls=QueryCommand)
@click.argument("words", nargs=-1, required=True, metavar="NAME.tap... SQL")
@click.option("--format", "-f", "form", type=click.Choice(["table", "json", "csv", "parquet"]), default="table", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Write the answer to FILE.")
@options.force_option
def query(words: tuple[str, ...], form: str, output: str | None, force: bool) -> None:
    """Ask traces in SQL (DuckDB's).

    The view events has a row for each event, joined with its file and task: ts, op, call, path, target_path, pid, tid,
    command, exe, uid, cgroup, device, inode, "offset", size, result, error, duration, flags, bytes and more. Beside it
    are files, tasks and aggregated. docs/asking.md has all columns and the macros, such as seconds(duration) and
    since('5 minutes'). Several traces are one. Nothing is written, and nothing read but the traces; one that is being
    written is read as it is now. Times are UTC.

    \b
    Examples:
      filetap query NAME.tap "SELECT path, count(*) FROM events GROUP BY path ORDER BY 2 DESC LIMIT 5"
      filetap query NAME.tap "SELECT * FROM events WHERE path = '/etc/hostname'" --format json
      filetap query NAME.tap "SELECT ts, command, path, error FROM events WHERE error = 'ENOENT'"
      filetap query NAME.tap "SELECT every('1 second', ts), sum(bytes) FROM events GROUP BY 1 ORDER BY 1"
      filetap query NAME.tap "FROM events" -f parquet -o /tmp/events.parquet --force
    """
    *folders, question = words
    question = question.removeprefix(" ") if question.startswith(" --") else question
    if not folders:
        raise UsageError('give a trace and a query: filetap query NAME.tap "SELECT ..."')
    with destination(form, output, force) as stream:
        _answer(folders, question, form, stream)


def _answer(folders: list[str], question: str, form: str, stream: IO[bytes]) -> None:
    with asked(folders, stream) as (database, progress):
        progress.begin("asking", database.progress)
        answer = database.query(question)
        from filetap.report.query import WRITERS

        WRITERS[form](answer, progress.out)
