"""``filetap query``: SQL over traces, from the words of the command line to rows.

Apart, as each command has a file of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedWriter
from typing import IO, TYPE_CHECKING

import click

from filetap.cli.files import OutputFile
from filetap.cli.progress import Progress, ended_by_signals, interruptible
from filetap.cli.say import say
from filetap.core.errors import FiletapError, UsageError

if TYPE_CHECKING:
    from filetap.analysis.sql import Database
    from filetap.recording.reader import Trace


class QueryCommand(click.Command):
    """Takes SQL that begins with a comment for no option."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(
            context, [f" {word}" if word.startswith("--") and len(word.split(None, 1)) > 1 else word for word in args]
        )


@click.command(cls=QueryCommand)
@click.argument("words", nargs=-1, required=True, metavar="NAME.tap... SQL")
@click.option("--format", "-f", "form", type=click.Choice(["table", "json", "csv", "parquet"]), default="table", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Write the answer to FILE.")
@click.option("--force", is_flag=True, help="Overwrite the FILE of -o.")
def query(words: tuple[str, ...], form: str, output: str | None, force: bool) -> None:
    """Ask traces in SQL (DuckDB's).

    The view events has a row for each event, joined with its file and task: ts, op, call, path, target_path, pid, tid,
    command, exe, uid, cgroup, device, inode, "offset", size, result, error, duration, flags, bytes and more. Beside it
    are files, tasks and folded. docs/asking.md has all columns and the macros, such as seconds(duration) and
    since('5 minutes'). Several traces are one. Nothing is written, and nothing read but the traces; one that is being
    written is read as it is now. Times are UTC.

    \b
    Examples:
      filetap query NAME.tap "SELECT path, count(*) FROM events GROUP BY path ORDER BY 2 DESC LIMIT 5"
      filetap query NAME.tap "SELECT * FROM events WHERE path = '/etc/hostname'" --format json
      filetap query NAME.tap "SELECT ts, command, path, error FROM events WHERE error = 'ENOENT'"
      filetap query NAME.tap "SELECT every('1 second', ts), sum(bytes) FROM events GROUP BY 1 ORDER BY 1"
      filetap query NAME.tap "FROM events" -f parquet -o /tmp/events.parquet
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


@contextmanager
def asked(folders: Sequence[str], stream: IO[bytes]) -> Iterator[tuple[Database, Progress]]:
    """Traces as a database, for one answer to ``stream``; behind it, what is to be said of them. Ctrl-C ends all of it."""
    from filetap.analysis.sql import Database, open_traces

    with ended_by_signals(), Progress(stream) as progress:
        traces = open_traces(folders, progress.begin)
        database = Database(traces, progress.begin)
        try:
            with interruptible(database.interrupt):
                yield database, progress
        finally:
            database.close()
    say_state(traces)


def say_state(traces: list[Trace]) -> None:
    """What was repaired, and what could not be read or was never recorded: the answer is without it."""
    for trace in traces:
        for line in [*trace.notes, *map(str, dict.fromkeys(trace.damages)), *unrecorded(trace)]:
            say(line)


def unrecorded(trace: Trace) -> Iterator[str]:
    """What its account says of events that are not among the trace's, if it was closed."""
    account = trace.metadata.account or {"ops": {}, "missed": 0}
    folded, lost = (sum(op[name] for op in account["ops"].values()) for name in ("folded", "lost"))
    if folded:
        yield f"{trace.folder}: {folded} events found no room while it was recorded: only their sums are there (folded)"
    if lost:
        yield f"{trace.folder}: {lost} events were lost while it was recorded"
    if account.get("reasons"):
        yield f"{trace.folder}: nothing was seen while it was recorded; perhaps: {'; '.join(account['reasons'])}"
    if account["missed"]:
        yield f"{trace.folder}: not all was seen: {account['missed']} times the kernel skipped a program"


@contextmanager
def destination(form: str, output: str | None, force: bool) -> Iterator[IO[bytes]]:
    """Where the answer goes: a file that was not there, or standard output."""
    if output is None:
        yield _standard_output(form)
        return
    file = OutputFile(output, force)
    try:
        with BufferedWriter(file) as stream:
            yield stream
            file.empty()
    except OSError as error:
        file.discard()
        raise FiletapError(f"{output}: {error.strerror}") from None
    except BaseException:
        file.discard()  # half an answer is none
        raise


def _standard_output(form: str) -> IO[bytes]:
    if sys.stdout is None:
        raise FiletapError("standard output is closed: give -o FILE")
    if form == "parquet" and sys.stdout.isatty():
        raise UsageError("parquet is not for a terminal: give -o FILE")
    return sys.stdout.buffer
