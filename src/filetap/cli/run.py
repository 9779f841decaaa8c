"""One run of a command that traces: from attaching, through its loop, to the statistics and the exit status.

A View prints what a command shows in addition to events; arguments.py makes targets and filters.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING

from filetap.capture.launch import Command, find_user
from filetap.capture.signals import Stop, undisturbed
from filetap.cli import ready
from filetap.cli.arguments import Arguments, options_of
from filetap.cli.messages import log_message, write_stderr
from filetap.cli.output import make_sink, standard_stream
from filetap.cli.start import BLOCKED, IGNORED
from filetap.core.errors import FiletapError

if TYPE_CHECKING:
    from filetap.capture.options import Options
    from filetap.capture.runner import Runner
    from filetap.capture.session import Session
    from filetap.core.batch import Batch
    from filetap.core.sink import SummingSink
    from filetap.core.statistics import Statistics
    from filetap.selection.targets import Sandbox


class View:
    """What a run shows in addition to its events, and how it waits. This base class shows nothing."""

    on_terminal = False
    """Whether it draws on the terminal. Then lines on standard error would corrupt the screen."""

    def sink(self) -> SummingSink | None:
        """Return its own sink, for events and for the kernel's sums."""
        return None

    def adjust(self, session: Session) -> None:
        """Change the session's settings before anything is read."""

    def loop(self, run: Run) -> None:
        """Trace until the run is over."""
        run.until_over()

    def report(self) -> None:
        """Print what precedes the statistics."""

    def end(self) -> None:
        """Print what follows everything else."""


def trace_with(given: Arguments, stop: Stop, started: float, view: View, launching: AbstractContextManager[None] | None = None) -> int:
    """Run with these arguments and return the exit status. ``launching``: surrounds the fork of COMMAND."""
    command = None
    if given.command:
        with launching or nullcontext():
            command = Command(given.command, find_user(given.user), IGNORED, BLOCKED)
    sandbox = None
    try:
        sandbox = _sandbox_of(given, command)
        run = Run(given, view, stop, started, command=command, sandbox=sandbox)
    except BaseException:
        if command:
            command.abandon()
        if sandbox:
            sandbox.remove()
        raise
    return run.to_the_end()


class Run:
    """One run. The constructor attaches; ``to_the_end`` traces and returns the exit status."""

    def __init__(
        self, given: Arguments, view: View, stop: Stop, started: float, *, command: Command | None, sandbox: Sandbox | None
    ) -> None:
        from filetap.cli.outputs import Outputs

        self._given, self._view = given, view
        self._failure: FiletapError | None = None
        options = options_of(given, command, sandbox)
        self._summing = view.sink()
        self._outputs = Outputs(given, "error" if command else "output", stop, [self._summing] if self._summing else [])
        try:
            self.session = self._make_session(options, started)
            self.runner = self._make_runner(options, stop, command, sandbox)
        except BaseException:
            self._outputs.discard()
            raise
        self._outputs.begin()

    def _make_session(self, options: Options, started: float) -> Session:
        from filetap.capture.kernel_source import KernelSource
        from filetap.capture.session import Session

        self._source = KernelSource(options)
        session = Session(self._source, self._outputs.outlets, started, sums=self._summing if options.aggregate else None)
        self._view.adjust(session)
        return session

    def _make_runner(self, options: Options, stop: Stop, command: Command | None, sandbox: Sandbox | None) -> Runner:
        from filetap.capture.runner import Runner

        given = self._given
        return Runner(self.session, self._source, stop, command, sandbox, seconds=given.seconds, no_wait=given.no_wait)

    def to_the_end(self) -> int:
        """Trace, print the statistics, and return the exit status."""
        from filetap.capture.session import OutputError

        try:
            self._trace()
        except OutputError:
            pass  # the outlets store it
        except FiletapError:
            self._finish()
            self._remove_sandbox()
            raise
        outlived = self.runner.outlived()
        stats = self._finish()
        self._print_statistics(stats)
        self._remove_sandbox()
        if outlived:
            log_message("tracing has ended; waiting for the command")
        status = self.runner.status()
        if self._failure:
            raise self._failure
        self._view.end()
        return status

    def _finish(self) -> Statistics:
        """Return the statistics, with which the outputs are completed; of their failures the first is raised at the end."""
        stats = self.runner.finish()
        failures = self.session.outlets.finish(stats)
        for failure in failures[1:]:
            log_message(str(failure))
        self._failure = failures[0] if failures else None
        return stats

    def _trace(self) -> None:
        try:
            if not self.runner.stop.number:
                line = "" if self._view.on_terminal else f"tracing {self._given.scope()}; attached in {self.session.attached:.1f} s"
                ready.announce(line, self._given.ready_fd)
            self.runner.release()
            self._view.loop(self)
        finally:
            for recording in self._outputs.recordings:
                recording.stop()
            ready.stopping()

    def until_over(self) -> None:
        """Read events until the run is over; report requested listings and changes of target cgroups meanwhile."""
        self.runner.run(self._after_each)

    def _after_each(self) -> None:
        for line in self._source.cgroup_news():
            log_message(line)
        self.list_if_asked()
        for recording in self._outputs.recordings:
            with undisturbed():
                recording.poll(self.session, self.runner.failed())

    def list_if_asked(self) -> None:
        """List the pending calls after a SIGUSR2: among the events, or on standard error where none are printed."""
        found = self.runner.list_pending()
        if found is not None and not self._given.prints:
            self._show_pending(found)

    def _show_pending(self, found: Batch) -> None:
        """Print a table to standard error."""
        if self._view.on_terminal:
            return
        if not len(found.events):
            log_message("no call is pending")
            return
        with suppress(OSError):
            sink = make_sink("table", standard_stream("error"), self._given.zone)
            sink.pending(found)
            sink.finish()

    def _print_statistics(self, stats: Statistics) -> None:
        from filetap.report import stats as report

        self._view.report()
        if self._given.pending and (not self._given.prints or not stats.pending):
            self._show_pending(self.session.last_pending)
        write_stderr(report.as_text(stats))
        failure = self._outputs.write_statistics(report.as_json(stats))
        self._failure = self._failure or failure

    def _remove_sandbox(self) -> None:
        if line := self.runner.remove_sandbox():
            log_message(line)


def _sandbox_of(given: Arguments, command: Command | None) -> Sandbox | None:
    if not given.sandbox or not command:
        return None
    from filetap.selection.targets import Sandbox

    sandbox = Sandbox()
    sandbox.adopt(command.pid)
    return sandbox
