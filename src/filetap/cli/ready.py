"""Reports that tracing is active: a line on standard error, one on the descriptor of --ready-fd, READY=1 to the service
manager.

Separate from run.py, which decides when. sd_notify(3) is the protocol of the last; the service manager also gets STOPPING=1.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import click

from filetap.capture.launch import NOTIFY_SOCKET
from filetap.cli.messages import log_message
from filetap.core.errors import UsageError
from filetap.core.units import counted

LINE: Final = b"ready\n"

ready_option = click.option(
    "--ready-fd", type=int, metavar="N", help="Write a line to descriptor N and close it, once everything is attached."
)


def check_ready_fd(fd: int) -> None:
    """Check the descriptor before anything else is opened, because one of filetap's own could get its number. A command does
    not inherit it."""
    if fd < 3:
        raise UsageError(f"--ready-fd {fd}: give a descriptor from 3 on; 0, 1 and 2 are standard input, output and error")
    try:
        mode = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    except (OSError, OverflowError):
        raise UsageError(f"--ready-fd {fd}: it is not open; in a shell, open it with {fd}>FILE") from None
    if mode == os.O_RDONLY:
        raise UsageError(f"--ready-fd {fd}: it is open for reading only")
    os.set_inheritable(fd, False)


def announce(line: str, fd: int | None) -> None:
    """Report that everything is attached. ``line``: for standard error; "": none."""
    if line:
        log_message(line)
    if fd is not None:
        _write(fd)
    try:
        _notify(b"READY=1")
    except OSError as error:
        log_message(f"NOTIFY_SOCKET={os.environ['NOTIFY_SOCKET']}: {error.strerror or error}")


def stopping() -> None:
    """Report that tracing ends. Errors are ignored: a manager that cannot be reached was reported at the start."""
    with suppress(OSError):
        _notify(b"STOPPING=1")


def _write(fd: int) -> None:
    try:
        os.write(fd, LINE)
    except BrokenPipeError:
        pass  # the reader is gone
    except OSError as error:
        log_message(f"--ready-fd {fd}: {error.strerror}")
    os.close(fd)


def _notify(state: bytes) -> None:
    """Notify the service manager, if there is one. Raise OSError if it cannot be reached."""
    name = os.environb.get(NOTIFY_SOCKET, b"")
    if not name:
        return
    if not name.startswith((b"/", b"@")):
        raise OSError("neither a path nor an abstract socket (@NAME)")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.sendto(state, b"\0" + name[1:] if name.startswith(b"@") else name)


def scope(paths: Sequence[str], *targets: str) -> str:
    """Return what is traced, in a few words; ``targets`` are a union."""
    return f"{counted(len(paths), 'path') if paths else 'all files'} of {' and '.join(filter(None, targets))}"
