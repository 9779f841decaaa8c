"""Times and sizes in the syntax of options. Imports are light: options are checked before a command is forked."""

from __future__ import annotations

import re
from typing import Final

from filetap.core.errors import UsageError

SECOND: Final = 10**9
"""Nanoseconds."""
TIME_UNITS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": SECOND,
    "": SECOND,
    "min": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86400 * SECOND,
    "w": 604800 * SECOND,
}
SIZE_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MAX_TIME: Final = (1 << 63) - 1
_TIME: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|min|h|d|w|)")
_SIZE: Final = re.compile(r"([0-9]+)([KMGTkmgt]?)(?:[iI]?[bB])?")


def parse_time(text: str, option: str) -> int:
    """Return nanoseconds: ``1.5ms``, ``10s``, ``5min``, ``7d``; a bare number is seconds. Raise UsageError for anything else and for 0."""
    match = _TIME.fullmatch(text)
    if not match:
        raise UsageError(f"{option} {text}: give a time such as 10s, 1.5ms or 5min (units: ns, us, ms, s, min, h, d, w; none: seconds)")
    whole, _, fraction = match[1].partition(".")
    nanoseconds: int = int(f"{whole}{fraction}") * TIME_UNITS[match[2]] // 10 ** len(fraction)
    if not nanoseconds:
        raise UsageError(f"{option} {text}: give a time above 0")
    if nanoseconds > MAX_TIME:
        raise UsageError(f"{option} {text}: at most 292 years")
    return nanoseconds


def parse_seconds(text: str, option: str) -> float:
    """Return the same in seconds."""
    return parse_time(text, option) / SECOND


def parse_size(text: str, option: str) -> int:
    """Return bytes: ``64K``, ``20G``; a bare number is bytes, and K is 1024. Raise UsageError for anything else."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise UsageError(f"{option} {text}: give a size such as 64M or 20G (units: K, M, G, T; none: bytes)")
    return int(match[1]) * SIZE_UNITS[match[2].upper()]


def is_time(text: str) -> bool:
    """Return whether this is a time with its unit, where a size is possible as well."""
    match = _TIME.fullmatch(text)
    return bool(match and match[2])


def counted(number: int, one: str, many: str = "") -> str:
    """Return ``1 process``, ``2 processes``. ``many``: the plural, if it does not just end with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"
