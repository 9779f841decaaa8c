"""``filetap top``: who touches which files now, from sums that the kernel makes, as a screen or as plain text.

Apart, as each command has a file of its own. Targets and filters are those of ``filetap trace``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from filetap.capture.launch import Command, find_user
from filetap.cli import trace
from filetap.cli.run import Stop, hook_options
from filetap.cli.start import BLOCKED, IGNORED
from filetap.cli.trace import BY, TraceCommand, Words, filter_options, target_options
from filetap.core.errors import FiletapError, UsageError

if TYPE_CHECKING:
    from filetap.analysis.live import Live
    from filetap.capture.session import Session
    from filetap.capture.source import Options
    from filetap.cli.terminal import Terminal
    from filetap.core.batch import Batch
    from filetap.report.top import Status, View

SORTS: Final = ("rate", "bytes/s", "errors/s", "p50", "p99", "count", "errors", "bytes")
"""The words of analysis.rates.COLUMNS, which is not imported for the help."""
ROWS: Final = 20
TOP_ONLY: Final = ("interval", "iterations", "batch", "by", "sort", "rows")


@click.command(cls=TraceCommand)
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@target_options
@filter_options
@click.option("--by", type=click.Choice(BY), default="file", show_default=True, help="What has a line.")
@click.option("--sort", type=click.Choice(SORTS), default="rate", show_default=True, help="The column that decides the order.")
@click.option("--interval", type=float, default=2.0, show_default=True, metavar="SECONDS", help="Between two pictures.")
@click.option("-n", "--iterations", type=int, metavar="N", help="End after N pictures.")
@click.option("--duration", type=float, metavar="SECONDS", help="End after so long.")
@click.option("-b", "--batch", is_flag=True, help="Plain text to standard output, one picture after another.")
@click.option("--rows", type=int, default=ROWS, show_default=True, metavar="N", help="Lines of each picture of --batch.")
@click.option("--latency/--no-latency", default=True, show_default=True, help="Measure how long each call took.")
@hook_options
@click.pass_context
def top(context: click.Context, /, **given: Any) -> None:
    """Show live who touches which files, how often, how much, how fast.

    Files, directories, processes, operations, users or cgroups by rate, bytes, errors or latency. Events are summed up in
    the kernel and never handed over singly, so it can stay on all day. Without a TARGET: every process. On a terminal it is a
    screen with keys, and h shows them; what a COMMAND prints there is not shown.

    \b
    Examples:
      filetap top --batch -n 1                    everything on this machine, one picture, as text
      filetap top -b -n 1 --interval 1 --by process /etc
      filetap top -b -n 2 --interval 0.5 --sort bytes/s -- ls -R /etc
    """
    started, stop = time.monotonic(), Stop()
    choice = Choice(**{name: given.pop(name) for name in TOP_ONLY})
    words = words_of(context.obj, given)
    choice.check()
    words.check()
    if not choice.batch:
        require_terminal()
    context.exit(run(words, choice, stop, started))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is to be seen, in the words of the command line."""

    interval: float
    iterations: int | None
    batch: bool
    by: str
    sort: str
    rows: int

    def check(self) -> None:
        if not 0.1 <= self.interval < float("inf"):
            raise UsageError(f"--interval {self.interval:g}: give at least 0.1 seconds")
        for option, value in (("--iterations", self.iterations), ("--rows", self.rows)):
            if value is not None and value < 1:
                raise UsageError(f"{option} {value}: give a number above 0")


def words_of(command: list[str], given: dict[str, Any]) -> Words:
    """As of ``filetap trace --summary``."""
    words = trace.trace.make_context("trace", []).params | given | {"command": command, "summary": True}
    if not (command or words["pids"] or words["comms"] or words["cgroups"]):
        words["everything"] = True
    return Words(**words)


def require_terminal() -> None:
    for stream, name in ((sys.stdin, "input"), (sys.stdout, "output")):
        if stream is None or not stream.isatty():
            raise FiletapError(f"standard {name} is no terminal: give --batch for plain text")


@contextmanager
def away_from_terminal() -> Iterator[None]:
    """What is forked in the block has /dev/null wherever we have a terminal, which is ours alone."""
    kept = {fd: os.dup(fd) for fd in (0, 1, 2) if os.isatty(fd)}
    null = os.open(os.devnull, os.O_RDWR)
    try:
        for fd in kept:
            os.dup2(null, fd)
        yield
    finally:
        for fd, copy in kept.items():
            os.dup2(copy, fd)
            os.close(copy)
        os.close(null)


def run(words: Words, choice: Choice, stop: Stop, started: float) -> int:
    command = None
    if words.command:
        with nullcontext() if choice.batch else away_from_terminal():
            command = Command(words.command, find_user(words.user), IGNORED, BLOCKED)
    try:
        begun = Run(words, choice, command, stop, started)
    except BaseException:
        if command:
            command.abandon()
        raise
    return begun.to_the_end()


class Run(trace.Run):
    """One run of ``filetap top``."""

    def __init__(self, words: Words, choice: Choice, command: Command | None, stop: Stop, started: float) -> None:
        from filetap.report.top import View

        self._choice = choice
        self._view: View = View(by=choice.by, sort=choice.sort)
        self._pictures, self._size = 0, (0, 0)
        super().__init__(words, command, stop, started)

    def make_session(self, options: Options, started: float) -> Session:
        from filetap.analysis.live import Live
        from filetap.capture.session import Session

        self._live: Live = Live()
        self._sink = self._live
        session = Session(options, self._sink, started, self._live)
        session.sum_interval = min(1.0, self._choice.interval)
        return session

    def ready_line(self) -> str:
        return super().ready_line() if self._choice.batch else ""

    def before_account(self) -> None:
        """The picture has said it."""

    def show_pending(self, found: Batch) -> None:
        """Not over a screen."""
        if self._choice.batch:
            super().show_pending(found)

    def _pump(self) -> None:
        self._began = time.monotonic()
        self._live.begin()
        self._end = self._began + (self._given.duration or float("inf"))
        if self._choice.batch:
            self._print_until_the_end()
            return
        from filetap.cli.terminal import Terminal

        with Terminal() as terminal:
            self._show_until_the_end(terminal)

    def _wait(self, until: float) -> bool:
        """Sum up for a moment. Is it to go on?"""
        left = min(until, self._end) - time.monotonic()
        if left > 0:
            self.session.pump(left)
            self.list_if_asked()
        return not self._stop.number and time.monotonic() < self._end and not self.over() and not self._view.over

    def _print_until_the_end(self) -> None:
        from filetap.report.top import plain

        goes_on = True
        while goes_on and self._pictures != self._choice.iterations:
            due = time.monotonic() + self._choice.interval
            while goes_on and time.monotonic() < due:
                goes_on = self._wait(due)
            self._turn()
            text = plain(self._view, self._live.table(self._view.by), self._status(), self._choice.rows)
            self._print(("\n" if self._pictures > 1 else "") + text)

    def _print(self, text: str) -> None:
        try:
            sys.stdout.buffer.write(text.encode(errors="backslashreplace"))
            sys.stdout.buffer.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer has a place to go
            raise FiletapError(f"the output takes no more ({error.strerror})") from None

    def _turn(self) -> None:
        self.session.sum_up()
        self._live.turn()
        self._pictures += 1

    def _show_until_the_end(self, terminal: Terminal) -> None:
        due = time.monotonic() + min(0.5, self._choice.interval)  # the first picture is not waited for
        self.session.wake_by(terminal.fd)
        self._draw(terminal)
        while self._wait(due):
            pressed = list(terminal.pressed())
            for key in pressed:
                self._press(key)
            self.session.wake_by(terminal.fd)
            late = time.monotonic() >= due
            if late and not self._view.paused:
                self._turn()
            if late:
                due = time.monotonic() + self._choice.interval
            if late or pressed or terminal.size != self._size:
                self._draw(terminal)
            if self._pictures == self._choice.iterations:
                break

    def _press(self, key: str) -> None:
        paused = self._view.paused
        self._view.key(key)
        if self._view.paused and not paused:
            self._live.freeze()

    def _draw(self, terminal: Terminal) -> None:
        from filetap.report.top import screen

        self._size = terminal.size
        terminal.draw(screen(self._view, self._live.table(self._view.by), self._status(), *self._size))

    def _status(self) -> Status:
        from filetap.report.top import Status

        counters = self.session.source.counters()
        return Status(time.monotonic() - self._began, int(counters["seen"].sum()), int(counters["lost"].sum()))
