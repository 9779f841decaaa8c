"""A command held before its exec until the probes are attached.

Separate, because the fork must come first: before numpy and its threads are imported.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import signal
import struct
from collections.abc import Collection, Iterable
from typing import NoReturn

from filetap.core import descriptors, libraries
from filetap.core.errors import FiletapError, UsageError

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses of a command that cannot be executed, as in sh(1)."""

NOTIFY_SOCKET = b"NOTIFY_SOCKET"
"""The service manager's socket for filetap, not for its command: messages of the command would count as filetap's."""

ABANDONED = 125
"""Exit status of a child that was never released."""

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2, signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that filetap handles itself, or Python ignores, and its command must not."""


class CommandError(FiletapError):
    """The command could not be executed."""

    def __init__(self, command: str, code: int) -> None:
        super().__init__(f"{command}: {os.strerror(code)}")
        self.status = NOT_FOUND if code == errno.ENOENT else NOT_EXECUTABLE


def find_program(name: str) -> str:
    """Return the path of a program. Raise CommandError if it is certain that it cannot be executed: then nothing is begun."""
    path = name if "/" in name else shutil.which(name)
    if path is None or not os.path.exists(path):
        raise CommandError(name, errno.ENOENT)
    if os.path.isdir(path) or not os.access(path, os.X_OK):
        raise CommandError(name, errno.EACCES)
    return path


def find_user(name: str | None) -> pwd.struct_passwd | None:
    """Return the user that the command runs as: ``name`` or number, else the user who called sudo, else None (filetap's own)."""
    wanted = name or os.environ.get("SUDO_UID")
    if not wanted:
        return None
    try:
        return pwd.getpwuid(int(wanted)) if wanted.isascii() and wanted.isdigit() else pwd.getpwnam(wanted)
    except KeyError:
        raise UsageError(f"no user {wanted}: --user takes a user name or id of /etc/passwd") from None


class Command:
    """The held child. ``pid`` is known at once; ``release`` lets it exec."""

    def __init__(
        self,
        arguments: list[str],
        user: pwd.struct_passwd | None = None,
        ignored: Collection[int] = (),
        blocked: Collection[int] | None = None,
    ) -> None:
        """``ignored``, ``blocked``: signals that were so when filetap began, such as SIGINT in a script's background job
        (``&``): they stay so."""
        self.arguments = arguments
        path = find_program(arguments[0])
        go, self._go = os.pipe()
        self._error, error = os.pipe()
        # # Blocked during the fork: a signal that reaches the child before its handlers are reset must not run filetap's.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._go)
            os.close(self._error)
            _forget_handlers(before if blocked is None else blocked, ignored)
            _child(path, arguments, user, go, error)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(go)
        os.close(error)
        self.pidfd = os.pidfd_open(self.pid)
        self._status: int | None = None

    def release(self) -> None:
        """Let it exec. Raise CommandError if that failed; then it has ended."""
        try:
            os.write(self._go, b"g")
        except BrokenPipeError:
            pass  # it was killed: its status shows it
        os.close(self._go)
        code = os.read(self._error, 4)
        os.close(self._error)
        if code:
            self.wait()
            raise CommandError(self.arguments[0], struct.unpack("<i", code)[0])

    def abandon(self) -> None:
        """End it before its exec, because tracing could not begin."""
        if self._status is None:
            os.close(self._go)
            os.close(self._error)
            self.wait()

    def poll(self) -> bool:
        """Return True when it has exited."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status is not None

    def wait(self) -> int:
        """Return its exit status as a shell does: 128 + n for signal n."""
        if self._status is None:
            self._status = os.waitpid(self.pid, 0)[1]
        code = os.waitstatus_to_exitcode(self._status)
        return 128 - code if code < 0 else code

    def signal(self, number: int) -> None:
        """Forward a signal, if it still runs and has not received it itself: the terminal sends some to both."""
        if not self.poll() and not (number in (signal.SIGINT, signal.SIGHUP) and self._hears_terminal()):
            os.kill(self.pid, number)

    def _hears_terminal(self) -> bool:
        """Return whether it and filetap are in the foreground of the terminal. tcgetpgrp(3)"""
        try:
            terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:  # there is none
            return False
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp() == os.getpgid(self.pid)
        except OSError:
            return False
        finally:
            os.close(terminal)


def _forget_handlers(mask: Iterable[int], ignored: Collection[int]) -> None:
    """Reset signals in the child: filetap's own handlers, and those it blocks, would keep it from being killed."""
    for number in HANDLED:
        signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _child(path: str, arguments: list[str], user: pwd.struct_passwd | None, go: int, error: int) -> NoReturn:
    """The child's side: wait, become the user, exec. Never returns into the caller's code."""
    try:
        if not os.read(go, 1):
            os._exit(ABANDONED)  # filetap has ended or abandoned it
        if user:
            os.initgroups(user.pw_name, user.pw_gid)
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        libraries.restore_environment()
        descriptors.restore_limit()
        os.environb.pop(NOTIFY_SOCKET, None)
        os.execv(path, arguments)
    except OSError as failure:
        os.write(error, struct.pack("<i", failure.errno or errno.EINVAL))
    finally:
        os._exit(ABANDONED)
