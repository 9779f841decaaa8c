"""The number of descriptors this process may open: its hard limit; a traced command gets its own limit back.

Separate, because running out of descriptors can happen in any layer and must give the same message everywhere.
"""

from __future__ import annotations

import errno
import os
import resource
from typing import Final

from filetap.core.errors import FiletapError

USED: Final = 400
"""Used by one run, at most: its maps, programs and links, with some for the paths that it is given."""
LEAST: Final = 128
"""No run can begin with fewer. libbpf fails in misleading ways when it runs out: it assumes that features it cannot test are
missing."""
MOST: Final = 512
"""Opened at a time, of many paths."""
EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE)
"""A path that cannot be opened for these reasons may still exist."""
_started: Final = resource.getrlimit(resource.RLIMIT_NOFILE)


class DescriptorLimitError(FiletapError):
    """No more files can be opened."""

    def __init__(self, code: int) -> None:
        own = f"the limit of this process is {limit()}; raise it (ulimit -n)"
        systems = "the system-wide limit is reached (fs.file-max)"
        super().__init__(f"out of file descriptors: {own if code == errno.EMFILE else systems}")


def limit() -> int:
    """Return how many may be open now."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_limit() -> None:
    """Raise the soft limit: it is low for programs that use select(2), which filetap does not."""
    _set((_started[1], _started[1]))


def restore_limit() -> None:
    """Restore the limit that this process was started with."""
    _set(_started)


def _set(limits: tuple[int, int]) -> None:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    except (OSError, ValueError):
        pass  # the hard limit is now above fs.nr_open: keep the present one


def check(code: int) -> None:
    """Raise DescriptorLimitError if ``code`` is such an errno."""
    if code in EXHAUSTED:
        raise DescriptorLimitError(code)


def os_error(code: int, *rest: str) -> OSError:
    """Return the exception for an errno. Raise DescriptorLimitError if descriptors ran out."""
    check(code)
    return OSError(code, os.strerror(code), *rest)


def room() -> int:
    """Return how many more files may be opened."""
    return limit() - len(os.listdir("/proc/self/fd"))


def require() -> None:
    """Raise DescriptorLimitError if no run can begin."""
    if room() < LEAST:
        raise DescriptorLimitError(errno.EMFILE)


def portion() -> int:
    """Return how many files may be opened for a moment: half of the rest."""
    return max(1, min(MOST, room() // 2))
