"""How many descriptors this process may have open: as many as its hard limit says; a traced command gets its own limit back.

Apart, because an error for want of descriptors comes from any layer and is to say the same everywhere.
"""

from __future__ import annotations

import errno
import os
import resource
from typing import Final

from filetap.core.errors import FiletapError

USED: Final = 400
"""By one run, at most: its maps, programs and links, with some for the paths that it is given."""
LEAST: Final = 128
"""Without so many no run can begin. libbpf fails for odd reasons when it runs out: it takes what it cannot try for missing."""
MOST: Final = 512
"""Opened at a time, of many paths."""
EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE)
"""A path that cannot be opened for these reasons is there all the same."""
_started: Final = resource.getrlimit(resource.RLIMIT_NOFILE)


class DescriptorLimitError(FiletapError):
    """No more files can be opened, wherever that is noticed."""

    def __init__(self, code: int) -> None:
        own = f"the limit of this process is {limit()}; raise it (ulimit -n)"
        systems = "the system-wide limit is reached (fs.file-max)"
        super().__init__(f"out of file descriptors: {own if code == errno.EMFILE else systems}")


def limit() -> int:
    """How many may be open now."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_limit() -> None:
    """The soft limit is low for the sake of programs that use select(2); filetap does not."""
    _set((_started[1], _started[1]))


def restore_limit() -> None:
    """What this process was started with."""
    _set(_started)


def _set(limits: tuple[int, int]) -> None:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    except (OSError, ValueError):
        pass  # the hard limit is above fs.nr_open by now: then what there is must do


def check(code: int) -> None:
    """Raise DescriptorLimitError if ``code``, an errno, says so."""
    if code in EXHAUSTED:
        raise DescriptorLimitError(code)


def os_error(code: int, *rest: str) -> OSError:
    """The exception for an errno. Raises DescriptorLimitError for want of descriptors."""
    check(code)
    return OSError(code, os.strerror(code), *rest)


def room() -> int:
    """How many more files may be opened."""
    return limit() - len(os.listdir("/proc/self/fd"))


def require() -> None:
    """Raise DescriptorLimitError where no run can begin."""
    if room() < LEAST:
        raise DescriptorLimitError(errno.EMFILE)


def portion() -> int:
    """How many files may be opened for a moment: half of what is left."""
    return max(1, min(MOST, room() // 2))
