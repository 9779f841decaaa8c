"""``filetap top``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from filetap.capture.signals import Stop
from filetap.cli import options
from filetap.cli.arguments import Arguments
from filetap.cli.options import TraceCommand
from filetap.cli.run import Run, View, trace_with
from filetap.core import units
from filetap.core.errors import FiletapError, UsageError

if TYPE_CHECKING:
    from filetap.analysis.live import LiveAggregator
    from filetap.capture.session import Session
    from filetap.cli.terminal import Terminal
    from filetap.report.top import Status

SORTS: Final = ("rate", "bytes/s", "errors/s", "p50", "p99", "count", "errors", "bytes")
"""The words of analysis.rates.COLUMNS, which is not imported for the help."""
ROWS: Final = 20
LEAST_INTERVAL: Final = 0.1
FIRST: Final = 0.5
"""Seconds to the first update, at most."""
TOP_ONLY: Final = ("interval", "iterations", "batch", "by", "sort", "limit")


@click.command(cls=TraceCommand)
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@options.target_options
@options.filter_options
@options.no_recursive_option
@click.option("--by", type=options.RunBy(), default="file", show_default=True, help="Group events by this.")
@click.option("--sort", type=click.Choice(SORTS), default="rate", show_default=True, help="Sort by this column.")
@click.option("--interval", default="2s", show_default=True, metavar="TIME", help="Time between updates.")
@click.option("-n", "--iterations", type=int, metavar="N", help="Stop after N updates.")
@click.option("--duration", metavar="TIME", help="Stop after this long, such as 10s.")
@click.option("-b", "--batch", is_flag=True, help="Print each update as plain text to standard output.")
@click.option("--limit", type=int, default=ROWS, show_default=True, metavar="N", help="Lines per update with --batch.")
@options.utc_option
@options.latency_option(True)
@options.hook_options
@click.pass_context
def top(context: click.Context, /, no_recursive: bool, **given: Any) -> None:
    """Show live who touches which files: rates, bytes, errors and latencies.

    Lists files, directories, processes, operations, users or cgroups. Events are aggregated in the kernel and not read one
    by one, so top can run all day. Without a TARGET it traces every process. On a terminal it fills the screen; press h
    for its keys. The output of a COMMAND on that terminal is discarded.

    \b
    Examples:
      filetap top --batch -n 1                    all processes, one update, as text
      filetap top -b -n 1 --interval 1s --by process /etc
      filetap top -b -n 2 --interval 500ms --sort bytes/s -- ls -R /etc
    """
    started, stop = time.monotonic(), Stop()
    choice = Choice(**{name: given.pop(name) for name in TOP_ONLY})
    targeted = context.obj or any(given[name] for name in ("pids", "comms", "cgroups"))
    given["everything"] = given["everything"] or not targeted
    arguments = Arguments(command=context.obj, recursive=not no_recursive, summary=True, **given)
    choice.check()
    arguments.check()
    if not choice.batch:
        require_terminal()
    context.exit(trace_with(arguments, stop, started, TopView(choice), None if choice.batch else away_from_terminal()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The arguments for the updates."""

    interval: str
    iterations: int | None
    batch: bool
    by: str
    sort: str
    limit: int

    @property
    def seconds(self) -> float:
        """Seconds between two updates."""
        return units.parse_seconds(self.interval, "--interval")

    def check(self) -> None:
        if self.seconds < LEAST_INTERVAL:
            raise UsageError(f"--interval {self.interval}: give at least 100ms")
        for option, value in (("--iterations", self.iterations), ("--limit", self.limit)):
            if value is not None and value < 1:
                raise UsageError(f"{option} {value}: give a number above 0")


def require_terminal() -> None:
    for stream, name in ((sys.stdin, "input"), (sys.stdout, "output")):
        if stream is None or not stream.isatty():
            raise FiletapError(f"standard {name} is not a terminal: give --batch for plain text")


@contextmanager
def away_from_terminal() -> Iterator[None]:
    """Replace the terminal, which filetap uses, with /dev/null for processes forked in the block."""
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


class TopView(View):
    """Updates of the rates, on a terminal or as text."""

    def __init__(self, choice: Choice) -> None:
        from filetap.analysis.live import LiveAggregator
        from filetap.report.top import View as Shown

        self._choice, self._interval = choice, choice.seconds
        self.on_terminal = not choice.batch
        self._view = Shown(by=choice.by, sort=choice.sort)
        self._live = LiveAggregator()
        self._pictures, self._size = 0, (0, 0)

    def sink(self) -> LiveAggregator:
        return self._live

    def adjust(self, session: Session) -> None:
        session.sum_interval = min(1.0, self._interval)

    def loop(self, run: Run) -> None:
        self._run, self._session = run, run.session
        self._began = time.monotonic()
        self._live.restart()
        self._end = self._began + run.runner.seconds
        if self._choice.batch:
            self._print_until_the_end()
            return
        from filetap.cli.terminal import Terminal

        with Terminal() as terminal:
            self._show_until_the_end(terminal)

    def _wait(self, until: float) -> bool:
        """Sum up for a moment. Return whether to continue."""
        left = min(until, self._end) - time.monotonic()
        if left > 0:
            self._session.run_once(left)
            self._run.list_if_asked()
        runner = self._run.runner
        return not runner.stop.number and time.monotonic() < self._end and not runner.over() and not self._view.over

    def _print_until_the_end(self) -> None:
        from filetap.report.top import plain

        goes_on = True
        while goes_on and self._pictures != self._choice.iterations:
            due = time.monotonic() + self._interval
            while goes_on and time.monotonic() < due:
                goes_on = self._wait(due)
            self._turn()
            text = plain(self._view, self._live.table(self._view.by), self._status(), self._choice.limit)
            self._print(("\n" if self._pictures > 1 else "") + text)

    def _print(self, text: str) -> None:
        try:
            sys.stdout.buffer.write(text.encode(errors="backslashreplace"))
            sys.stdout.buffer.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the rest of the buffer can be flushed
            raise FiletapError(f"cannot write to standard output: {error.strerror}") from None

    def _turn(self) -> None:
        self._session.sum_up()
        self._live.turn()
        self._pictures += 1

    def _show_until_the_end(self, terminal: Terminal) -> None:
        due = time.monotonic() + min(FIRST, self._interval)  # show the first update early
        self._session.add_wakeup_fd(terminal.fd)
        self._draw(terminal)
        while self._wait(due):
            pressed = list(terminal.pressed())
            for key in pressed:
                self._press(key)
            self._session.add_wakeup_fd(terminal.fd)
            late = time.monotonic() >= due
            if late and not self._view.paused:
                self._turn()
            if late:
                due = time.monotonic() + self._interval
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

        counters = self._session.source.counters()
        return Status(time.monotonic() - self._began, int(counters["seen"].sum()), int(counters["lost"].sum()))
