"""``filetap replay``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from filetap.cli import options
from filetap.cli.messages import log_message
from filetap.cli.output import destination, make_sink
from filetap.cli.progress import Progress, ended_by_signals
from filetap.cli.recordings import say_state, within
from filetap.core import units
from filetap.core.errors import FiletapError, UsageError
from filetap.core.zone import Zone

if TYPE_CHECKING:
    from filetap.recording.replay import Wanted


@click.command(cls=options.Command)
@click.argument("folder", metavar="NAME.tap")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@options.pid_option
@options.command_option
@options.children_option
@options.event_option
@options.exclude_option
@options.no_recursive_option
@options.failed_option
@options.latency_limit_option
@click.option("--args", is_flag=True, help="Show the arguments of each process, if they were recorded.")
@click.option("--ancestors", is_flag=True, help="Show the ancestors of each process.")
@click.option("-f", "--format", "form", type=click.Choice(["table", "json", "none"]), default="table", show_default=True)
@click.option("-o", "--output", metavar="FILE", help="Write the events to FILE.")
@options.since_option
@options.until_option
@options.utc_query_option
@options.force_option
def replay(**given: Any) -> None:
    """Print a recording in the format of trace -f table or -f json.

    Prints the same lines as filetap trace, in the order of each thread, then the aggregated events. Filters select from
    what was recorded; without -e, all operations are printed. A PATH selects events recorded with this path or a path
    below it. While tracing, a PATH means the file under all of its names; here it means only
    the path.

    Options that select what the kernel traces (--follow, --type, --cgroup, --level, --latency, --host-paths, ...) do not
    apply to a recording. To filter by any column, use filetap query.

    \b
    Examples:
      filetap replay NAME.tap
      filetap replay NAME.tap -f json -e open --failed
      filetap replay NAME.tap -c python3 /usr/lib
      filetap replay NAME.tap --since 14:53:01.123 --until 14:53:02
    """
    arguments = Arguments(**given)
    wanted = wanted_of(arguments)
    with destination(arguments.form, arguments.output, arguments.force) as stream, ended_by_signals():
        _replay(arguments, wanted, stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The arguments of the command line."""

    folder: str
    paths: Sequence[str]
    pids: Sequence[int]
    comms: Sequence[str]
    no_children: bool
    events: Sequence[str]
    exclude: Sequence[str]
    no_recursive: bool
    failed: bool
    min_latency: str | None
    ancestors: bool
    args: bool
    form: str
    output: str | None
    force: bool
    since: str | None
    until: str | None
    utc: bool


def wanted_of(given: Arguments) -> Wanted:
    """Return the filters of the arguments. Raise UsageError for names that mean nothing."""
    from filetap.core.calls import CALLS
    from filetap.recording.replay import Wanted
    from filetap.selection.filters import named_calls

    calls = named_calls(given.events) if given.events else None
    return Wanted(
        calls=calls,
        ops=frozenset(CALLS[call].op for call in calls) if calls is not None else None,
        paths=recorded_names(given.paths),
        exclude=recorded_names(given.exclude),
        recursive=not given.no_recursive,
        pids=frozenset(given.pids),
        comms=frozenset(os.fsencode(name)[:15] for name in given.comms),
        children=not given.no_children,
        failed=given.failed,
        min_latency=units.parse_time(given.min_latency, "--min-latency") if given.min_latency else 0,
    )


def recorded_names(paths: Sequence[str]) -> tuple[bytes, ...]:
    """Return the paths in the form of a recording: absolute, because a shell completes relative ones."""
    if "" in paths:
        raise UsageError("a PATH is empty")
    return tuple(os.fsencode(os.path.abspath(path)) for path in paths)


def _replay(given: Arguments, wanted: Wanted, stream: IO[bytes]) -> None:
    from filetap.capture.outlet import Outlet
    from filetap.capture.recorded_source import play
    from filetap.recording.reader import Trace
    from filetap.recording.replay import Replay

    with Progress(stream) as progress:
        zone = Zone(given.utc)
        trace = Trace(Path(given.folder), progress.begin)
        wanted = replace(wanted, within=within([trace], zone, given.since, given.until))
        played = Replay(trace, wanted)
        progress.begin("replaying", lambda: played.done)
        sink = make_sink(given.form, progress.raw, zone, ancestors=given.ancestors, args=given.args)
        try:
            play(played, Outlet(sink))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise FiletapError(f"{given.output or 'standard output'}: {error.strerror}") from None
    say_state([trace])
    if given.form == "none":
        log_message(f"{sink.written} events")
