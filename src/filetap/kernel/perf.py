"""Classic tracepoints through perf_event_open(2), without a tracefs mount that would stay behind.

Separate, because libbpf needs a mounted tracefs and filetap mounts nothing: fsmount(2) gives a tracefs that only this process
sees and that ends with its descriptor.
"""

from __future__ import annotations

import ctypes
import os
import struct
from functools import cache
from typing import Final

from filetap.core import descriptors
from filetap.core.errors import KernelError

_SYSCALL: Final = ctypes.CDLL(None, use_errno=True).syscall
_PERF_EVENT_OPEN, _FSOPEN, _FSCONFIG, _FSMOUNT = 298, 430, 431, 432
_FSCONFIG_CMD_CREATE: Final = 6
_CLOEXEC: Final = 1
_PERF_TYPE_TRACEPOINT: Final = 2
_PERF_FLAG_FD_CLOEXEC: Final = 8
_ATTR_SIZE: Final = 120


class MissingTracepointError(KernelError):
    """This kernel has no such tracepoint: for a system call this means that it has no such call."""


def _call(number: int, *arguments: object) -> int:
    result = int(_SYSCALL(number, *arguments))
    if result < 0:
        raise descriptors.os_error(ctypes.get_errno())
    return result


@cache
def tracefs() -> int:
    """Return the descriptor of tracefs's root, mounted nowhere."""
    for path in ("/sys/kernel/tracing", "/sys/kernel/debug/tracing"):
        if os.path.isdir(f"{path}/events"):
            return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    context = _call(_FSOPEN, b"tracefs", _CLOEXEC)
    try:
        _call(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return _call(_FSMOUNT, context, _CLOEXEC, 0)
    finally:
        os.close(context)


def tracepoint_id(category: str, event: str) -> int:
    """Return the id of a tracepoint for perf. Raise OSError if this kernel has none of that name."""
    fd = os.open(f"events/{category}/{event}/id", os.O_RDONLY | os.O_CLOEXEC, dir_fd=tracefs())
    with open(fd) as stream:
        return int(stream.read())


def open_tracepoint(category: str, event: str) -> int:
    """Open a perf event on one tracepoint, to attach a program to. A program sees all processes, whatever pid and CPU."""
    try:
        attr = struct.pack("<IIQQQQ", _PERF_TYPE_TRACEPOINT, _ATTR_SIZE, tracepoint_id(category, event), 1, 0, 0)
        attr = attr.ljust(_ATTR_SIZE, b"\0")
        return _call(_PERF_EVENT_OPEN, attr, -1, 0, -1, _PERF_FLAG_FD_CLOEXEC)
    except FileNotFoundError:
        raise MissingTracepointError(f"this kernel has no tracepoint {category}:{event}") from None
    except OSError as error:
        descriptors.check(error.errno or 0)
        raise KernelError(f"tracepoint {category}:{event}: {error.strerror}") from None
