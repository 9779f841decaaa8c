"""The errors a user may see: one clear line each, with what to do.

Separate, so that any layer may raise them and only cli/ prints them.
"""

from __future__ import annotations


class FiletapError(Exception):
    """Something failed. ``str()`` is the line for the user; ``status`` the exit status."""

    status = 1


class UsageError(FiletapError):
    """The command line is wrong: exit status 2."""

    status = 2


class KernelError(FiletapError):
    """The kernel refused what filetap needs."""
