"""``filetap trace``: from the words of the command line to a run, and from its end to an exit status.

Apart, as each command has a file of its own. The command to be traced is forked before anything heavy is imported.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from filetap.capture.launch import Command, find_user
from filetap.cli import run
from filetap.cli.ready import count, scope
from filetap.cli.run import Decorated, Output, Stop, event_option, hook_options, output_options, process_options, with_options
from filetap.cli.say import say, tell
from filetap.cli.start import BLOCKED, IGNORED
from filetap.core.errors import UsageError

if TYPE_CHECKING:
    from filetap.capture.session import Session
    from filetap.capture.source import Options
    from filetap.selection.targets import Sandbox


BY: Final = ("file", "directory", "process", "op", "user", "cgroup")
"""The words of analysis.summary.KEYS, which is not imported for the help."""


class TraceCommand(click.Command):
    """Keeps what follows ``--`` apart: PATH... stands before it, COMMAND ARG... behind it."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        context.obj = args[at + 1 :]
        if at < len(args) and not context.obj:
            raise click.UsageError("-- is followed by the command to trace", context)
        return super().parse_args(context, args[:at])

    def format_usage(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(context.command_path, "[TARGET] [FILTERS] [OUTPUT] [PATH...] [-- COMMAND ARG...]")


TARGET_OPTIONS = (
    click.option(
        "-p", "--pid", "pids", type=int, multiple=True, metavar="PID", help="A running process, its threads and children. Repeatable."
    ),
    click.option(
        "-c",
        "--command",
        "comms",
        multiple=True,
        metavar="NAME",
        help="Processes of this name: running ones, those that exec later, and their children.",
    ),
    click.option(
        "--cgroup",
        "cgroups",
        multiple=True,
        metavar="ID|PATH",
        help="A cgroup2 directory and all below it; a PATH is followed when it is made again. With -c: both must hold.",
    ),
    click.option("--all", "everything", is_flag=True, help="Every process but filetap itself."),
    click.option("--no-follow", is_flag=True, help="Without children."),
    click.option("--user", metavar="NAME", help="Run COMMAND as this user. Under sudo: the user who called it."),
    click.option("--sandbox", is_flag=True, help="Give COMMAND a cgroup of its own, so that daemons it leaves behind count too."),
    click.option("--no-wait", is_flag=True, help="End with COMMAND; do not wait for processes it has left behind."),
)

FILTER_OPTIONS = (
    event_option,
    click.option("--exclude", multiple=True, metavar="PATH", help="Not this file, or nothing below this directory. Repeatable."),
    click.option("--no-recursive", is_flag=True, help="Of a directory PATH only its direct children."),
    click.option("--follow", is_flag=True, help="A file below a PATH stays in the trace wherever it is moved."),
    click.option(
        "--type",
        "types",
        multiple=True,
        metavar="TYPE",
        help="Beside regular files: directory, pipe, socket, char, block, symlink, anon, all. Repeatable.",
    ),
    click.option("--failed", is_flag=True, help="Failures only."),
    click.option("--min-latency", metavar="TIME", help="Calls that took at least this long, such as 1ms."),
)


def target_options(command: Decorated) -> Decorated:
    """Whose events, in this order."""
    return with_options(TARGET_OPTIONS, command)


def filter_options(command: Decorated) -> Decorated:
    """Which of them, in this order."""
    return with_options(FILTER_OPTIONS, command)


@click.command(cls=TraceCommand)
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@target_options
@filter_options
@output_options
@click.option("--summary", is_flag=True, help="Print counts, bytes and latencies at the end; without -f and -o nothing else.")
@click.option("--by", type=click.Choice(BY), help="What --summary has a line for: file unless said otherwise.")
@click.option("--top", type=int, metavar="N", help="So many lines of --summary, 20 unless said otherwise; the last sums up all others.")
@click.option("--latency/--no-latency", default=True, show_default=True, help="Measure how long each call took.")
@process_options
@click.option("--host-paths", is_flag=True, help="Tell paths as this mount namespace has them too (file.host_path).")
@hook_options
@click.pass_context
def trace(context: click.Context, /, **given: Any) -> None:
    """Trace file accesses: who touched which file, how, with which result.

    A TARGET is required: a COMMAND behind --, -p, -c, --cgroup, or --all; several are a union. PATH... restricts to
    these files or to everything below these directories. The events of a COMMAND go to standard error, for standard
    output is its own; those of any other target go to standard output. At the end, on standard error: what was seen,
    and whether anything was lost.

    \b
    Examples:
      filetap trace -- ls -l /etc                         what a command touches
      filetap trace -e open --failed -- python3 -c ''     files it looks for in vain
      filetap trace -f json -o /tmp/events.json --force -- git --version
      filetap trace --duration 1 -p $$                    a running process
      filetap trace --all --duration 1 /etc               who touches anything below /etc
      filetap trace -e io --min-latency 1ms --all --duration 1
      filetap trace -e process --args -- sh -c 'ls; id'   commands and their arguments
    """
    started, stop = time.monotonic(), Stop()
    words = Words(command=context.obj, **given)
    words.check()
    command = Command(words.command, find_user(words.user), IGNORED, BLOCKED) if words.command else None
    try:
        begun = Run(words, command, stop, started)
    except BaseException:
        if command:
            command.abandon()
        raise
    context.exit(begun.to_the_end())


@dataclass(frozen=True, slots=True, kw_only=True)
class Words(Output):
    """The command line as it was given."""

    command: list[str]
    paths: Sequence[str]
    pids: Sequence[int]
    comms: Sequence[str]
    cgroups: Sequence[str]
    everything: bool
    no_follow: bool
    user: str | None
    sandbox: bool
    no_wait: bool
    events: Sequence[str]
    exclude: Sequence[str]
    no_recursive: bool
    follow: bool
    types: Sequence[str]
    failed: bool
    min_latency: str | None
    latency: bool
    host_paths: bool
    summary: bool
    by: str | None
    top: int | None

    @property
    def aggregate(self) -> bool:
        """Nobody wants single events."""
        return self.summary and not self.form and not self.output

    @property
    def shown(self) -> str:
        return "none" if self.aggregate else self.form or "table"

    def scope(self) -> str:
        command = f"command {self.command[0]}" if self.command else ""
        pids = count(len(self.pids), "process", "processes") if self.pids else ""
        named = f"processes named {' or '.join(self.comms)}" if self.comms else ""
        cgroups = count(len(self.cgroups), "cgroup", "cgroups") if self.cgroups else ""
        both = [f"{named} in {cgroups}"] if named and cgroups else [named, cgroups]
        return scope(self.paths, "all processes") if self.everything else scope(self.paths, command, pids, *both)

    def check(self) -> None:
        """Mistakes that need no kernel to be seen."""
        Output.check(self)
        for option, set_ in (("--user", self.user), ("--sandbox", self.sandbox), ("--no-wait", self.no_wait)):
            if set_ and not self.command:
                raise UsageError(f"{option} is for a launched command: give -- COMMAND")
        if self.follow and not self.paths:
            raise UsageError("--follow is for the files below a PATH: give one")
        if "permission" in self.events and not self.paths:
            raise UsageError("-e permission is told of the files that are named, and of no others: give a PATH")
        if self.min_latency and not self.latency:
            raise UsageError("--min-latency measures latency: leave --no-latency out")
        if self.pending and self.failed:
            raise UsageError("--pending lists calls that have not returned, --failed those that have: leave one of them out")
        for option, value in (("--by", self.by), ("--top", self.top)):
            if value is not None and not self.summary:
                raise UsageError(f"{option} is for --summary: give that too")
        if self.top is not None and self.top < 1:
            raise UsageError(f"--top {self.top}: give a number of lines above 0")


def options_of(words: Words, command: Command | None, sandbox: Sandbox | None) -> Options:
    """What the words mean. Raises UsageError for names that mean nothing."""
    from filetap.capture import pending, source
    from filetap.selection import filters, targets

    chosen = targets.Targets(
        command=command.pid if command else 0,
        comms=[targets.find_comm(name) for name in words.comms],
        cgroups=[targets.find_cgroup(name) for name in words.cgroups] + ([sandbox.cgroup()] if sandbox else []),
        all=words.everything,
        follow=not words.no_follow,
    )
    for pid in words.pids:
        chosen.name_process(pid)
    wanted = filters.Filters(
        calls=filters.select_calls(words.events, words.level),
        paths=list(words.paths),
        exclude=list(words.exclude),
        recursive=not words.no_recursive,
        follow=words.follow,
        types=filters.select_types(words.types),
        failed=words.failed,
        min_latency=filters.parse_duration(words.min_latency, "--min-latency") if words.min_latency else 0,
    )
    if words.pending:
        pending.check(wanted.calls)
    size = filters.parse_size(words.ring_size, "--ring-size")
    best = words.best_effort
    return source.Options(
        chosen,
        wanted,
        latency=words.latency,
        arguments=words.arguments,
        ancestors=words.ancestors,
        ring_size=size,
        host_paths=words.host_paths,
        level=words.level,
        best_effort=best,
        aggregate=words.aggregate,
    )


class Run(run.Run):
    """One run of ``filetap trace``."""

    def __init__(self, words: Words, command: Command | None, stop: Stop, started: float) -> None:
        self.words, self.command = words, command
        self._abandoned = self._outlived = False
        self.sandbox = self._make_sandbox()
        try:
            options = options_of(words, command, self.sandbox)
            self._by_itself = options.targets.ends_by_itself
            super().__init__(words, options, stop, started, "error" if command else "output")
        except BaseException:
            if self.sandbox and command:
                command.abandon()
                self.sandbox.remove()
            raise
        if command:
            self.session.wake_by(command.pidfd)

    def make_session(self, options: Options, started: float) -> Session:
        if not self.words.summary:
            return super().make_session(options, started)
        from filetap.analysis.aggregation import Summing
        from filetap.capture.session import Session

        self._summing = Summing(self._sink, self.words.by or "file")
        self._sink = self._summing
        return Session(options, self._sink, started, self._summing)

    def before_account(self) -> None:
        if self.words.summary:
            from filetap.report import summary

            tell(summary.as_text(self._summing.total.summary(self.words.top or 20), self._summing.total.cut))

    def _make_sandbox(self) -> Sandbox | None:
        if not self.words.sandbox or not self.command:
            return None
        from filetap.selection.targets import Sandbox

        sandbox = Sandbox()
        sandbox.adopt(self.command.pid)
        return sandbox

    def on_signal(self, number: int) -> None:
        super().on_signal(number)
        if self.command:
            self.command.signal(number)

    def on_attached(self) -> None:
        if self.command and self._stop.number:
            self._abandoned = True
            self.command.abandon()
        elif self.command:
            self.command.release()

    def over(self) -> bool:
        if self.command and not self.command.poll():
            return False
        if self.command and self.words.no_wait and not self.words.pids:
            return True
        if self.sandbox and not self.words.cgroups and not self.words.comms and not self.words.everything:
            return not self.sandbox.populated() and self.session.source.live <= 0
        return self._by_itself and self.session.source.live <= 0

    def has_failed(self) -> bool:
        return bool(self.command and self.command.poll() and self.command.wait())

    def on_end(self) -> None:
        self._outlived = bool(self.command and not self.command.poll() and not self._stop.number)

    def on_detached(self) -> None:
        line = self.sandbox.remove() if self.sandbox else ""
        if line:
            say(line)
        if self._outlived:
            say("tracing has ended; waiting for the command")

    def status(self) -> int:
        status = self.command.wait() if self.command else 0
        return 128 + self._stop.number if self._abandoned else status
