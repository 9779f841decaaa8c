"""A run of a session: release the command, read until the run is over, finish.

Separate, because it prints nothing and parses nothing: cli/run.py has the arguments, the outputs and the view.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from filetap.capture.signals import Stop, undisturbed, wakeup_fd

if TYPE_CHECKING:
    from filetap.capture.kernel_source import KernelSource
    from filetap.capture.launch import Command
    from filetap.capture.session import Session
    from filetap.core.batch import Batch
    from filetap.core.statistics import Statistics
    from filetap.selection.targets import Sandbox


class Runner:
    """Decide when a session has seen enough: a signal, a duration, the end of the command or of all targets."""

    def __init__(
        self,
        session: Session,
        source: KernelSource,
        stop: Stop,
        command: Command | None = None,
        sandbox: Sandbox | None = None,
        *,
        seconds: float = float("inf"),
        no_wait: bool = False,
    ) -> None:
        """``command``: held until ``release``. ``sandbox``: its cgroup. ``no_wait``: end with the command, not with its children."""
        self.session, self.stop, self.seconds = session, stop, seconds
        self._source, self._command, self._sandbox, self._no_wait = source, command, sandbox, no_wait
        self._abandoned = False
        stop.also = self._on_signal
        session.add_wakeup_fd(wakeup_fd())
        if command:
            session.add_wakeup_fd(command.pidfd)

    def _on_signal(self, number: int) -> None:
        self.session.set_draining()
        if self._command:
            self._command.signal(number)

    def release(self) -> None:
        """Let the command exec, now that everything is attached."""
        if self._command and self.stop.number:
            self._abandoned = True
            self._command.abandon()
        elif self._command:
            self._command.release()

    def run(self, after_each: Callable[[], None]) -> None:
        """Read events until the run is over. ``after_each``: called after each reading, once a second at least."""
        end = time.monotonic() + self.seconds
        while not self.stop.number and (left := end - time.monotonic()) > 0 and not self.over():
            self.session.run_once(min(left, 1.0))
            after_each()

    def over(self) -> bool:
        """Return whether the command and the processes that this run is about have ended."""
        targets = self._source.options.targets
        if self._command and not self._command.poll():
            return False
        if self._command and self._no_wait and not targets.pids:
            return True
        if self._sandbox and len(targets.cgroups) == 1 and not targets.comms and not targets.all:
            return not self._sandbox.populated() and self._source.live <= 0
        return targets.ends_by_itself and self._source.live <= 0

    def failed(self) -> bool:
        """Return whether the command has ended with another status than 0."""
        return bool(self._command and self._command.poll() and self._command.wait())

    def outlived(self) -> bool:
        """Return whether the command goes on when nothing but the duration or the targets' end has ended the run."""
        return bool(self._command and not self._command.poll() and not self.stop.number)

    def list_pending(self) -> Batch | None:
        """Return the pending calls if SIGUSR2 came since the last call."""
        if not self.stop.list_requested():
            return None
        with undisturbed():
            return self.session.list_pending()

    def finish(self) -> Statistics:
        """Detach, read the rest, and return the statistics."""
        with undisturbed():
            return self.session.finish()

    def remove_sandbox(self) -> str:
        """Remove the command's cgroup. Return why it could not be, or nothing."""
        return self._sandbox.remove() if self._sandbox else ""

    def status(self) -> int:
        """Wait for the command, and return its exit status; 128 + the signal if it never began."""
        status = self._command.wait() if self._command else 0
        return 128 + self.stop.number if self._abandoned else status
