"""Paths as the kernel reports them: bytes, absolute, without "." and ".."."""

from __future__ import annotations

from collections.abc import Set as AbstractSet


def is_below(path: bytes, directory: bytes) -> bool:
    """Return whether ``path`` is ``directory`` or lies anywhere below it."""
    return path == directory or path.startswith(directory.rstrip(b"/") + b"/")


def is_below_any(path: bytes, directories: AbstractSet[bytes]) -> bool:
    """Return whether ``path`` is one of ``directories`` or below one: one lookup per path component, because there may be many."""
    end = len(path)
    while end > 0:
        if path[:end] in directories:
            return True
        end = path.rfind(b"/", 0, end)
    return path.startswith(b"/") and b"/" in directories
