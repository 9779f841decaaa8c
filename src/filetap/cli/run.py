"""One run of a command that traces: from attaching, through its loop, to the statistics and the exit status.

What a command shows apart from its events is a View's; targets and filters are those of arguments.py.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from filetap.capture.launch import Command, find_user
from filetap.cli import ready
from filetap.cli.arguments import Arguments, options_of
from filetap.cli.messages import log_message, write_stderr
from filetap.cli.output import make_sink, standard_stream
from filetap.cli.outputs import Outputs
from filetap.cli.start import BLOCKED, IGNORED
from filetap.core.errors import FiletapError

if TYPE_CHECKING:
    from filetap.capture.session import AggregateSink, Session
    from filetap.capture.source import Options
    from filetap.capture.statistics import Statistics
    from filetap.core.batch import Batch, Sink
    from filetap.selection.targets import Sandbox


class Stop:
    """SIGINT and SIGTERM, and SIGUSR2, which asks for the calls under way. Made before a command is forked.

    Python's own way, an exception, is lost in a callback.
    """

    def __init__(self) -> None:
        self.number = 0
        """The last one; 0: none yet."""
        self.also: Callable[[int], None] = lambda number: None
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)
        signal.signal(signal.SIGUSR2, self._ask)

    def asked(self) -> bool:
        """Return whether SIGUSR2 came since the last time."""
        asked, self._asked = self._asked, False
        return asked

    def _ask(self, _number: int, _frame: object) -> None:
        self._asked = True

    def _note(self, number: int, _frame: object) -> None:
        self.number = number
        self.also(number)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Block SIGUSR2: no program is loaded for a thread with pending signals (kernel/bpf/verifier.c)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR2,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR2,))


class View:
    """What a run shows apart from its events, and how it waits. This one shows nothing more."""

    on_terminal = False
    """Does it draw on the terminal? Then lines on standard error would spoil it."""

    def wrap(self, sink: Sink) -> tuple[Sink, AggregateSink | None]:
        """Return the sink for the session, and the one for what the kernel has summed up."""
        return sink, None

    def adjust(self, session: Session) -> None:
        """Change how the session works, before anything is read."""

    def loop(self, run: Run) -> None:
        """Trace until the run is over."""
        run.pump_until_over()

    def report(self) -> None:
        """Print what comes before the statistics."""

    def end(self) -> None:
        """Print what comes after everything else."""


def trace_with(given: Arguments, stop: Stop, started: float, view: View, launching: AbstractContextManager[None] | None = None) -> int:
    """Run what the arguments say and return the exit status. ``launching``: surrounds the fork of COMMAND."""
    command = None
    if given.command:
        with launching or nullcontext():
            command = Command(given.command, find_user(given.user), IGNORED, BLOCKED)
    try:
        run = Run(given, command, stop, started, view)
    except BaseException:
        if command:
            command.abandon()
        raise
    return run.to_the_end()


class Run:
    """Attached when made; ``to_the_end`` traces and returns the exit status."""

    def __init__(self, given: Arguments, command: Command | None, stop: Stop, started: float, view: View) -> None:
        self.given, self.command, self.stop, self._view = given, command, stop, view
        self._failure: FiletapError | None = None
        self._abandoned = self._outlived = False
        self._sandbox = _sandbox_of(given, command)
        try:
            self._attach(started)
        except BaseException:
            if self._sandbox and command:
                command.abandon()
                self._sandbox.remove()
            raise

    def _attach(self, started: float) -> None:
        options = options_of(self.given, self.command, self._sandbox)
        self._by_itself = options.targets.ends_by_itself
        self._outputs = Outputs(self.given, "error" if self.command else "output")
        try:
            self.session = self._make_session(options, started)
        except BaseException:
            self._outputs.discard()
            raise
        self._outputs.begin(self.session)
        if self.command:
            self.session.add_wakeup_fd(self.command.pidfd)

    def _make_session(self, options: Options, started: float) -> Session:
        from filetap.capture.session import Session

        self._outputs.sink, sums = self._view.wrap(self._outputs.sink)
        session = Session(options, self._outputs.sink, started, sums)
        self._view.adjust(session)
        wakeup, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
        session.add_wakeup_fd(wakeup)
        self.stop.also = self._on_signal
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGUSR2,))  # in this thread only
        return session

    def to_the_end(self) -> int:
        """Trace, print the statistics, and return the exit status."""
        from filetap.capture.session import OutputError

        try:
            self._trace()
        except OutputError:
            pass  # session.failure keeps it
        except FiletapError:
            self._outputs.finish(self._finish())
            self._on_detached()
            raise
        self._outlived = bool(self.command and not self.command.poll() and not self.stop.number)
        stats = self._finish()
        unfinished = self._outputs.finish(stats)
        self._failure = self.session.failure or unfinished
        self._print_statistics(stats)
        self._on_detached()
        status = self._status()
        if self._failure:
            raise self._failure
        self._view.end()
        return status

    def _trace(self) -> None:
        try:
            if not self.stop.number:
                line = "" if self._view.on_terminal else f"tracing {self.given.scope()}; attached in {self.session.attached:.1f} s"
                ready.announce(line, self.given.ready_fd)
            self._release_command()
            self._view.loop(self)
        finally:
            if self._outputs.recording:
                self._outputs.recording.stop()
            ready.stopping()

    def _release_command(self) -> None:
        """Let the command exec, now that everything is attached."""
        if self.command and self.stop.number:
            self._abandoned = True
            self.command.abandon()
        elif self.command:
            self.command.release()

    def _finish(self) -> Statistics:
        with undisturbed():
            return self.session.finish()

    def pump_until_over(self) -> None:
        """Read events until a signal, the end of --duration, or the end of all targets."""
        end = time.monotonic() + self.given.seconds
        while not self.stop.number and (left := end - time.monotonic()) > 0 and not self.over():
            self.session.run_once(min(left, 1.0))
            for line in self.session.source.cgroup_news():
                log_message(line)
            self.list_if_asked()
            if self._outputs.recording:
                with undisturbed():
                    self._outputs.recording.poll(self._has_failed())

    def list_if_asked(self) -> None:
        """List the calls under way after a SIGUSR2: among the events, or on standard error where none are printed."""
        if self.stop.asked():
            with undisturbed():
                found = self.session.list_pending()
            if not self.given.prints:
                self._show_pending(found)

    def _show_pending(self, found: Batch) -> None:
        """Print a table to standard error."""
        if self._view.on_terminal:
            return
        if not len(found.events):
            log_message("no call is pending")
            return
        with suppress(OSError):
            sink = make_sink("table", standard_stream("error"), self.given.zone)
            sink.pending(found)
            sink.close()

    def _print_statistics(self, stats: Statistics) -> None:
        from filetap.report import stats as report

        self._view.report()
        if self.given.pending and (not self.given.prints or not stats.pending):
            self._show_pending(self.session.pending)
        write_stderr(report.as_text(stats))
        failure = self._outputs.write_statistics(report.as_json(stats))
        self._failure = self._failure or failure

    def _on_signal(self, number: int) -> None:
        """Comes at any moment."""
        self._outputs.sink.draining = True
        if self.command:
            self.command.signal(number)

    def over(self) -> bool:
        """Return whether the processes have ended that this run is about."""
        given = self.given
        if self.command and not self.command.poll():
            return False
        if self.command and given.no_wait and not given.pids:
            return True
        if self._sandbox and not given.cgroups and not given.comms and not given.everything:
            return not self._sandbox.populated() and self.session.source.live <= 0
        return self._by_itself and self.session.source.live <= 0

    def _has_failed(self) -> bool:
        return bool(self.command and self.command.poll() and self.command.wait())

    def _on_detached(self) -> None:
        line = self._sandbox.remove() if self._sandbox else ""
        if line:
            log_message(line)
        if self._outlived:
            log_message("tracing has ended; waiting for the command")

    def _status(self) -> int:
        status = self.command.wait() if self.command else 0
        return 128 + self.stop.number if self._abandoned else status


def _sandbox_of(given: Arguments, command: Command | None) -> Sandbox | None:
    if not given.sandbox or not command:
        return None
    from filetap.selection.targets import Sandbox

    sandbox = Sandbox()
    sandbox.adopt(command.pid)
    return sandbox
