"""``filetap replay``: a recorded trace through the sinks of a live run, filtered, from the words of the command line.

Apart, as each command has a file of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from filetap.cli.progress import Progress, ended_by_signals
from filetap.cli.query import destination, say_state
from filetap.cli.run import event_option, make_sink
from filetap.cli.say import say
from filetap.core.errors import FiletapError, UsageError

if TYPE_CHECKING:
    from filetap.recording.replay import Wanted


@click.command
@click.argument("folder", metavar="NAME.tap")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option("-p", "--pid", "pids", type=int, multiple=True, metavar="PID", help="This process and its children. Repeatable.")
@click.option("-c", "--command", "comms", multiple=True, metavar="NAME", help="Processes of this name and their children.")
@click.option("--no-follow", is_flag=True, help="Without children.")
@event_option
@click.option("--exclude", multiple=True, metavar="PATH", help="Not this file, or nothing below this directory. Repeatable.")
@click.option("--no-recursive", is_flag=True, help="Of a directory PATH only its direct children.")
@click.option("--failed", is_flag=True, help="Failures only.")
@click.option("--min-latency", metavar="TIME", help="Calls that took at least this long, such as 1ms.")
@click.option("--ancestors", is_flag=True, help="Show the processes that each one descends from.")
@click.option("-f", "--format", "form", type=click.Choice(["table", "json", "none"]), default="table", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Write the events to FILE.")
@click.option("--force", is_flag=True, help="Overwrite the FILE of -o.")
def replay(**given: Any) -> None:
    """Print a recorded trace as trace -f table or -f json would have.

    The same lines, thread by thread in order, and at the end what was folded. Filters choose among what was recorded. A
    PATH means the path that an event was recorded with, or a directory above it: not, as while tracing, the file itself
    under each of its names. Without -e everything that was recorded counts.

    Not for a recording: --follow, --type, --cgroup, --level, --latency, --host-paths and all else that tells the kernel
    what to look at. filetap query chooses by any column.

    \b
    Examples:
      filetap replay NAME.tap
      filetap replay NAME.tap -f json -e open --failed
      filetap replay NAME.tap -c python3 /usr/lib
    """
    words = Words(**given)
    wanted = wanted_of(words)
    with destination(words.form, words.output, words.force) as stream, ended_by_signals():
        _replay(words, wanted, stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The command line as it was given."""

    folder: str
    paths: Sequence[str]
    pids: Sequence[int]
    comms: Sequence[str]
    no_follow: bool
    events: Sequence[str]
    exclude: Sequence[str]
    no_recursive: bool
    failed: bool
    min_latency: str | None
    ancestors: bool
    form: str
    output: str | None
    force: bool


def wanted_of(words: Words) -> Wanted:
    """What the words mean. Raises UsageError for names that mean nothing."""
    from filetap.core.calls import CALLS
    from filetap.recording.replay import Wanted
    from filetap.selection.filters import named_calls, parse_duration

    calls = named_calls(words.events) if words.events else None
    return Wanted(
        calls=calls,
        ops=frozenset(CALLS[call].op for call in calls) if calls is not None else None,
        paths=recorded_names(words.paths),
        exclude=recorded_names(words.exclude),
        recursive=not words.no_recursive,
        pids=frozenset(words.pids),
        comms=frozenset(os.fsencode(name)[:15] for name in words.comms),
        children=not words.no_follow,
        failed=words.failed,
        min_latency=parse_duration(words.min_latency, "--min-latency") if words.min_latency else 0,
    )


def recorded_names(paths: Sequence[str]) -> tuple[bytes, ...]:
    """As they stand in a recording: absolute, for a shell completes relative ones."""
    if "" in paths:
        raise UsageError("an empty PATH names nothing")
    return tuple(os.fsencode(os.path.abspath(path)) for path in paths)


def _replay(words: Words, wanted: Wanted, stream: IO[bytes]) -> None:
    from filetap.recording.reader import Trace
    from filetap.recording.replay import Replay

    with Progress(stream) as progress:
        trace = Trace(Path(words.folder), progress.begin)
        played = Replay(trace, wanted)
        progress.begin("replaying", lambda: played.done)
        sink = make_sink(words.form, progress.raw, words.ancestors)
        try:
            played.into(sink)
            sink.close()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise FiletapError(f"{words.output or 'standard output'}: {error.strerror}") from None
    say_state([trace])
    if words.form == "none":
        say(f"{sink.written} events")
