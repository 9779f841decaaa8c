"""The options that commands share, in groups. Imports are light, because --help has to be quick."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import click

from filetap.cli.ready import ready_option
from filetap.core.errors import UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., object])
FLIGHT_MEMORY: Final = "256M"
QUEUE_SIZE: Final = "64M"
RUN_BY: Final = ("file", "directory", "process", "op", "user", "cgroup")
"""The keys of analysis.summary.KEYS, which is not imported for the help."""


OLD_NAMES: Final = {
    "--account": "--stats",
    "--no-follow": "--no-children",
    "--rows": "--limit",
    "--top": "--limit",
    "--wait": "--missing-ok",
    "--width": "--interval",
}
"""The option names that scripts from before version 0.1 use."""


class Command(click.Command):
    """A command that accepts the old names of its options, too."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        known = {name for option in self.params for name in option.opts}
        return super().parse_args(context, [self._renamed(word, known) for word in args])

    def _renamed(self, word: str, known: set[str]) -> str:
        name, equals, value = word.partition("=")
        new = OLD_NAMES.get(name, name)
        return f"{new}{equals}{value}" if new in known else word


class TraceCommand(Command):
    """A command with PATH... before ``--`` and COMMAND ARG... after it, which it stores in ``context.obj``."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        context.obj = args[at + 1 :]
        if at < len(args) and not context.obj:
            raise click.UsageError("-- is followed by the command to trace", context)
        return super().parse_args(context, args[:at])

    def format_usage(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        paths = "PATH..." if self.name == "watch" else "[PATH...]"
        formatter.write_usage(context.command_path, f"[TARGET] [FILTERS] [OUTPUT] {paths} [-- COMMAND ARG...]")


def split(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Split comma lists: ``-e read,write`` is ``-e read -e write``."""
    return tuple(part for value in values for part in (value.split(",") if value else [""]))


def split_events(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Split the list; ``-e list`` prints the operations."""
    names = split(context, parameter, values)
    if "list" in names:
        from filetap.selection.filters import operations_text

        click.echo(operations_text())
        context.exit()
    return names


def split_pids(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[int, ...]:
    pids = split(context, parameter, values)
    for pid in pids:
        if not (pid.isascii() and pid.isdigit() and int(pid)):
            raise UsageError(f"-p {pid}: give the id of a process")
    return tuple(map(int, pids))


def with_options(options: tuple[Callable[[Decorated], Decorated], ...], command: Decorated) -> Decorated:
    for option in reversed(options):
        command = option(command)
    return command


event_option = click.option(
    "-e",
    "--event",
    "events",
    multiple=True,
    callback=split_events,
    metavar="OP",
    help="An operation (read), a group (io, metadata, ..., all) or a call (pread64). Repeatable; or OP,OP. -e list prints them.",
)
pid_option = click.option(
    "-p",
    "--pid",
    "pids",
    multiple=True,
    callback=split_pids,
    metavar="PID",
    help="A running process, its threads and children. Repeatable; or PID,PID.",
)
command_option = click.option(
    "-c",
    "--command",
    "comms",
    multiple=True,
    metavar="NAME",
    help="Processes with this name, running now or started later, and their children.",
)
children_option = click.option("--no-children", is_flag=True, help="Do not trace child processes.")
exclude_option = click.option(
    "--exclude", multiple=True, metavar="PATH", help="Exclude this file, or everything below this directory. Repeatable."
)
no_recursive_option = click.option("--no-recursive", is_flag=True, help="Only the direct children of a directory PATH.")
recursive_option = click.option("-r", "--recursive", is_flag=True, help="Everything below a directory, not only its direct children.")
failed_option = click.option("--failed", is_flag=True, help="Only calls that failed.")
latency_limit_option = click.option("--min-latency", metavar="TIME", help="Only calls that took at least this long, such as 1ms.")
utc_option = click.option("--utc", is_flag=True, help="Print times in UTC, not in the local time zone.")
utc_query_option = click.option("--utc", is_flag=True, help="Print times in UTC, and read them so where they have no zone.")
since_option = click.option("--since", metavar="TIME", help="Only what was at this time or later; as it is printed, or with a date.")
until_option = click.option("--until", metavar="TIME", help="Only what was at this time or earlier.")
force_option = click.option("--force", is_flag=True, help="Overwrite the FILE of -o, or replace the recording.")


class RunBy(click.Choice[str]):
    """The choices RUN_BY, with a reason in the error for call."""

    def __init__(self) -> None:
        super().__init__(RUN_BY)

    def convert(self, value: str, parameter: click.Parameter | None, context: click.Context | None) -> str:
        if value == "call":
            raise UsageError("--by call is for recordings: live sums are by operation. Give --by op, or record and use filetap summary")
        return str(super().convert(value, parameter, context))


TARGET_OPTIONS: Final = (
    pid_option,
    command_option,
    click.option(
        "--cgroup",
        "cgroups",
        multiple=True,
        metavar="ID|PATH",
        help="A cgroup2 directory and all below it. A PATH is traced again when it is created again. With -c, processes must match both.",
    ),
    click.option("--all", "everything", is_flag=True, help="Every process except filetap itself."),
    children_option,
    click.option("--user", metavar="NAME", help="Run COMMAND as this user. Under sudo the default is the user who called it."),
    click.option("--sandbox", is_flag=True, help="Give COMMAND a cgroup of its own, so that daemons it leaves behind are traced too."),
    click.option("--no-wait", is_flag=True, help="End when COMMAND ends; do not wait for processes it leaves behind."),
)

FILTER_OPTIONS: Final = (
    event_option,
    exclude_option,
    click.option("--follow", is_flag=True, help="Keep tracing a file below a PATH after it is moved elsewhere."),
    click.option(
        "--type",
        "types",
        multiple=True,
        callback=split,
        metavar="TYPE",
        help="More types than regular files: directory, pipe, socket, char, block, symlink, anon, all. Repeatable; or TYPE,TYPE.",
    ),
    failed_option,
    latency_limit_option,
)

OUTPUT_OPTIONS: Final = (
    click.option(
        "-f",
        "--format",
        "form",
        type=click.Choice(["table", "json", "none"]),
        help="Output format of the events.  [default: table; with a recording: none]",
    ),
    utc_option,
    force_option,
    click.option("--pending", is_flag=True, help="List calls that have not returned at the end, even if no events are printed."),
    click.option("--stats", metavar="FILE", help="Write the statistics of the run to FILE as JSON."),
    click.option("--duration", metavar="TIME", help="Stop tracing, but never a COMMAND, after this long, such as 10s."),
)

QUEUE_OPTIONS: Final = (
    click.option(
        "--queue-size",
        default=QUEUE_SIZE,
        show_default=True,
        metavar="SIZE",
        help="Memory for the events that wait for a slow output, for each output; one output alone has a queue only with --when-full.",
    ),
    click.option(
        "--when-full",
        type=click.Choice(["block", "drop", "spill"]),
        default="block",
        show_default=True,
        help="When the queue of a FILE is full: wait for it, drop events, or write them to the recording FILE-spilled.tap "
        "(of -: standard-output-spilled.tap).",
    ),
)

RECORD_OPTIONS: Final = (
    click.option("--rotate-size", metavar="SIZE", help="Start a new segment of the recording at this size, such as 64M."),
    click.option("--rotate-time", metavar="TIME", help="Start a new segment of the recording at this age, such as 10min or 1h."),
    click.option("--keep", metavar="AGE|SIZE", help="Delete the oldest segments to keep at most this age or size, such as 7d or 20G."),
    click.option(
        "--flight-recorder",
        metavar="TIME",
        help="Keep only the last TIME (60s) in memory; write NAME.tap on SIGUSR1, when COMMAND fails, or at the end.",
    ),
    click.option("--flight-memory", metavar="SIZE", help=f"Memory limit of --flight-recorder.  [default: {FLIGHT_MEMORY}]"),
)

SUMMARY_OPTIONS: Final = (
    click.option("--summary", is_flag=True, help="Print counts, bytes and latencies at the end, and no events unless -f or -o is given."),
    click.option("--by", type=RunBy(), help="Group the lines of --summary by this.  [default: file]"),
    click.option("--limit", type=int, metavar="N", help="Lines of --summary; one more has the sum of all others.  [default: 20]"),
)

PROCESS_OPTIONS: Final = (
    click.option("--args", "arguments", is_flag=True, help="Record the arguments of processes and of their ancestors."),
    click.option(
        "--ancestors",
        is_flag=True,
        help="Show the ancestors of each process, including ended ones. Traces all forks on the machine.",
    ),
    click.option("--host-paths", is_flag=True, help="Also report paths in the mount namespace of filetap (file.host_path)."),
)

HOOK_OPTIONS: Final = (
    click.option(
        "--level",
        type=click.Choice(["syscall", "vfs", "auto"]),
        default="auto",
        show_default=True,
        help="Trace system calls (syscall) or the kernel's hooks below them (vfs). auto: system calls, with files resolved by hooks.",
    ),
    click.option("--best-effort", is_flag=True, help="Continue without the hooks that do not attach on this kernel."),
    click.option("--ring-size", default="128M", show_default=True, metavar="SIZE", help="Size of the event rings, all CPUs together."),
    ready_option,
)


def latency_option(default: bool) -> Callable[[Decorated], Decorated]:
    return click.option("--latency/--no-latency", default=default, show_default=True, help="Measure how long each call took.")


def output_option(text: str) -> Callable[[Decorated], Decorated]:
    text += " -: standard output. FILE.json: JSON without -f. Repeatable."
    return click.option("-o", "--output", "outputs", multiple=True, metavar="FILE|NAME.tap", help=text)


def target_options(command: Decorated) -> Decorated:
    """Add the options that select processes."""
    return with_options(TARGET_OPTIONS, command)


def filter_options(command: Decorated) -> Decorated:
    """Add the options that select events."""
    return with_options(FILTER_OPTIONS, command)


def output_options(command: Decorated) -> Decorated:
    """Add the options for output."""
    return with_options(OUTPUT_OPTIONS, command)


def queue_options(command: Decorated) -> Decorated:
    """Add the options for slow outputs."""
    return with_options(QUEUE_OPTIONS, command)


def record_options(command: Decorated) -> Decorated:
    """Add the options of a recording."""
    return with_options(RECORD_OPTIONS, command)


def summary_options(command: Decorated) -> Decorated:
    """Add the options for the summary at the end of a run."""
    return with_options(SUMMARY_OPTIONS, command)


def process_options(command: Decorated) -> Decorated:
    """Add the options for what is reported about processes and paths."""
    return with_options(PROCESS_OPTIONS, command)


def hook_options(command: Decorated) -> Decorated:
    """Add the options for how the kernel is instrumented."""
    return with_options(HOOK_OPTIONS, command)
