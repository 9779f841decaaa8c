"""``filetap trace``: from the words of the command line to a run, and from its end to an exit status.

Apart, as each command has a file of its own. The command to be traced is forked before anything heavy is imported.
Next: session.py does the work, report/account.py prints the end.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import click

from filetap.errors import FiletapError, UsageError
from filetap.launch import Command, find_user

if TYPE_CHECKING:
    from filetap.account import Account
    from filetap.batch import Sink
    from filetap.session import Session
    from filetap.source import Options
    from filetap.targets import Sandbox


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


@click.command(cls=TraceCommand)
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option(
    "-p", "--pid", "pids", type=int, multiple=True, metavar="PID", help="A running process, its threads and children. Repeatable."
)
@click.option(
    "-c",
    "--command",
    "comms",
    multiple=True,
    metavar="NAME",
    help="Processes of this name: running ones, those that exec later, and their children.",
)
@click.option(
    "--cgroup", "cgroups", multiple=True, metavar="ID|PATH", help="A cgroup2 directory and all below it. With -c: both must hold."
)
@click.option("--all", "everything", is_flag=True, help="Every process but filetap itself.")
@click.option("--no-follow", is_flag=True, help="Without children.")
@click.option("--user", metavar="NAME", help="Run COMMAND as this user. Under sudo: the user who called it.")
@click.option("--sandbox", is_flag=True, help="Give COMMAND a cgroup of its own, so that daemons it leaves behind count too.")
@click.option("--no-wait", is_flag=True, help="End with COMMAND; do not wait for processes it has left behind.")
@click.option(
    "-e",
    "--event",
    "events",
    multiple=True,
    metavar="OP",
    help="An operation (read), a group (io, metadata, memory, namespace, ..., all) or a call (pread64). Repeatable.",
)
@click.option("--exclude", multiple=True, metavar="PATH", help="Not this file, or nothing below this directory. Repeatable.")
@click.option("--no-recursive", is_flag=True, help="Of a directory PATH only its direct children.")
@click.option("--follow", is_flag=True, help="A file below a PATH stays in the trace wherever it is moved.")
@click.option(
    "--type",
    "types",
    multiple=True,
    metavar="TYPE",
    help="Beside regular files: directory, pipe, socket, char, block, symlink, anon, all. Repeatable.",
)
@click.option("--failed", is_flag=True, help="Failures only.")
@click.option("--min-latency", metavar="TIME", help="Calls that took at least this long, such as 1ms.")
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["table", "json", "none"]),
    default="table",
    show_default=True,
    help="The form of the events.",
)
@click.option("-o", "--output", metavar="FILE", help="Write the events to FILE.")
@click.option("--force", is_flag=True, help="Overwrite the FILE of -o.")
@click.option("--account", metavar="FILE", help="Write the account of the run to FILE as JSON.")
@click.option("--duration", type=float, metavar="SECONDS", help="End the tracing, never the command, after so long.")
@click.option("--latency/--no-latency", default=True, show_default=True, help="Measure how long each call took.")
@click.option("--args", "arguments", is_flag=True, help="Record the arguments of commands.")
@click.option("--host-paths", is_flag=True, help="Tell paths as this mount namespace has them too (file.host_path).")
@click.option(
    "--level",
    type=click.Choice(["syscall", "vfs", "auto"]),
    default="auto",
    show_default=True,
    help="Make events of system calls, of the kernel's file hooks (vfs), or of calls, with names resolved by hooks where these attach.",
)
@click.option("--best-effort", is_flag=True, help="Go on without hooks that do not attach here.")
@click.option("--ring-size", default="128M", show_default=True, metavar="SIZE", help="Memory for events under way, over all CPUs.")
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
    command = Command(words.command, find_user(words.user)) if words.command else None
    try:
        run = Run(words, command, stop, started)
    except BaseException:
        if command:
            command.abandon()
        raise
    context.exit(run.to_the_end())


@dataclass(frozen=True, slots=True)
class Words:
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
    form: str
    output: str | None
    force: bool
    account: str | None
    duration: float | None
    latency: bool
    arguments: bool
    host_paths: bool
    level: str
    best_effort: bool
    ring_size: str

    def check(self) -> None:
        """Mistakes that need no kernel to be seen."""
        for option, set_ in (("--user", self.user), ("--sandbox", self.sandbox), ("--no-wait", self.no_wait)):
            if set_ and not self.command:
                raise UsageError(f"{option} is for a launched command: give -- COMMAND")
        if self.output and self.output.rstrip("/").endswith(".tap"):
            raise UsageError("recording to a .tap folder is not in this version: use -f json -o FILE")
        if self.duration is not None and not 0 < self.duration < float("inf"):
            raise UsageError(f"--duration {self.duration:g}: give a number of seconds above 0")
        if self.follow and not self.paths:
            raise UsageError("--follow is for the files below a PATH: give one")
        if self.min_latency and not self.latency:
            raise UsageError("--min-latency measures latency: leave --no-latency out")


def options_of(words: Words, command: Command | None, sandbox: Sandbox | None) -> Options:
    """What the words mean. Raises UsageError for names that mean nothing."""
    from filetap import filters, source, targets

    chosen = targets.Targets(
        command=command.pid if command else 0,
        pids=[targets.find_process(pid) for pid in words.pids],
        comms=[targets.find_comm(name) for name in words.comms],
        cgroups=[targets.find_cgroup(name) for name in words.cgroups] + ([sandbox.cgroup()] if sandbox else []),
        all=words.everything,
        follow=not words.no_follow,
    )
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
    size = filters.parse_size(words.ring_size, "--ring-size")
    return source.Options(chosen, wanted, words.latency, words.arguments, size, words.host_paths, words.level, words.best_effort)


def open_output(words: Words) -> IO[bytes]:
    """The stream of events, unbuffered."""
    if words.output:
        mode = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if words.force else os.O_EXCL)
        try:
            return open(os.open(words.output, mode, 0o644), "wb", buffering=0)
        except FileExistsError:
            raise UsageError(f"{words.output} exists: give --force to overwrite it") from None
        except OSError as error:
            raise FiletapError(f"{words.output}: {error.strerror}") from None
    stream = sys.stderr if words.command else sys.stdout
    if stream is None:
        raise FiletapError(f"standard {'error' if words.command else 'output'} is closed: give -o FILE")
    return open(stream.fileno(), "wb", buffering=0, closefd=False)


def open_account(words: Words) -> IO[str] | None:
    """The file for ``--account``, opened before anything is traced."""
    if not words.account:
        return None
    try:
        return open(words.account, "w", encoding="utf-8")
    except OSError as error:
        raise FiletapError(f"{words.account}: {error.strerror}") from None


def make_sink(form: str, stream: IO[bytes]) -> Sink:
    """The sink for ``-f``."""
    if form == "none":
        from filetap.sinks.count import CountSink

        return CountSink()
    if form == "json":
        from filetap.sinks.ndjson import NdjsonSink

        return NdjsonSink(stream)
    from filetap.sinks.table import TableSink

    return TableSink(stream, colour=stream.isatty() and "NO_COLOR" not in os.environ)


class Stop:
    """SIGINT and SIGTERM, heard from before the command is forked. Python's own way, an exception, is lost in a callback."""

    def __init__(self) -> None:
        self.number = 0
        """The last one; 0: none yet."""
        self.also: Callable[[int], None] = lambda number: None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        self.number = number
        self.also(number)


class Run:
    """One run of ``filetap trace``: attached when made."""

    def __init__(self, words: Words, command: Command | None, stop: Stop, started: float) -> None:
        self.words, self.command, self._stop = words, command, stop
        self._abandoned = False
        self._failure: FiletapError | None = None
        self.sandbox = self._make_sandbox()
        try:
            options = options_of(words, command, self.sandbox)
            self._by_itself = options.targets.ends_by_itself
            self._account = open_account(words)
            self._stream = open_output(words)
            self._sink = make_sink(words.form, self._stream)
            self.session = self._begin(options, started)
        except BaseException:
            if self.sandbox and command:
                command.abandon()
                self.sandbox.remove()
            raise

    def _make_sandbox(self) -> Sandbox | None:
        if not self.words.sandbox or not self.command:
            return None
        from filetap.targets import Sandbox

        sandbox = Sandbox()
        sandbox.adopt(self.command.pid)
        return sandbox

    def _begin(self, options: Options, started: float) -> Session:
        from filetap.session import Session

        session = Session(options, self._sink, started)
        wakeup, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
        session.wake_by(wakeup)
        self._stop.also = self._on_signal
        if self.command:
            session.wake_by(self.command.pidfd)
        return session

    def _on_signal(self, number: int) -> None:
        self._sink.hurry = True
        if self.command:
            self.command.signal(number)

    def to_the_end(self) -> int:
        """Trace, settle the account, and return the exit status."""
        from filetap.session import OutputError

        try:
            if self.command and self._stop.number:
                self._abandoned = True
                self.command.abandon()
            elif self.command:
                self.command.release()
            self._pump()
        except OutputError:
            pass  # session.failure keeps it
        except FiletapError:
            self.session.finish()
            self._end_sandbox()
            raise
        outlived = bool(self.command and not self.command.poll() and not self._stop.number)
        account = self.session.finish()
        self._failure = self.session.failure
        with suppress(OSError):
            self._sink.close()
        self._say(account)
        self._end_sandbox()
        if outlived:
            print("filetap: tracing has ended; waiting for the command", file=sys.stderr)
        return self._status()

    def _pump(self) -> None:
        end = time.monotonic() + self.words.duration if self.words.duration else float("inf")
        while not self._stop.number and (left := end - time.monotonic()) > 0 and not self._over():
            self.session.pump(min(left, 1.0))

    def _over(self) -> bool:
        """Have the processes ended that this run is about?"""
        if self.command and not self.command.poll():
            return False
        if self.command and self.words.no_wait and not self.words.pids:
            return True
        if self.sandbox and not self.words.cgroups and not self.words.comms and not self.words.everything:
            return not self.sandbox.populated() and self.session.source.live <= 0
        return self._by_itself and self.session.source.live <= 0

    def _say(self, account: Account) -> None:
        from filetap.report import account as report

        print(report.as_text(account), file=sys.stderr)
        if self._account:
            try:
                with self._account as stream:
                    stream.write(report.as_json(account))
            except OSError as error:
                self._failure = self._failure or FiletapError(f"{self.words.account}: {error.strerror}")

    def _end_sandbox(self) -> None:
        line = self.sandbox.remove() if self.sandbox else ""
        if line:
            print(f"filetap: {line}", file=sys.stderr)

    def _status(self) -> int:
        status = self.command.wait() if self.command else 0
        if self._abandoned:
            status = 128 + self._stop.number
        if self._failure:
            raise self._failure
        return status
