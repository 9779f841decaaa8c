"""Converts the kernel's boot clock to wall-clock time.

Separate, so that tests can inject a clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

INTERVAL: Final = 1_000_000_000


class Clock:
    """CLOCK_REALTIME - CLOCK_BOOTTIME, measured again each second, because wall clocks are set and drift."""

    def __init__(self, read: Callable[[int], int] = time.clock_gettime_ns) -> None:
        self._read = read
        self.boot_offset = 0
        """ns that a time namespace adds to filetap's CLOCK_BOOTTIME, and not to the kernel's."""
        self._sampled = 0
        self._offset = 0

    def boot(self) -> int:
        """Return CLOCK_BOOTTIME as the kernel has it, ns."""
        return self._read(time.CLOCK_BOOTTIME) - self.boot_offset

    def offset(self) -> int:
        """Return the nanoseconds to add to a boot time to get the time of day."""
        now = self.boot()
        if not self._sampled or now - self._sampled > INTERVAL:
            self._sampled = now
            self._offset = min((self._sample() for _ in range(3)), key=lambda sample: sample[0])[1]
        return self._offset

    def _sample(self) -> tuple[int, int]:
        """Return how long the sample took, and the offset."""
        before = self.boot()
        real = self._read(time.CLOCK_REALTIME)
        after = self.boot()
        return after - before, real - (before + after) // 2


def utc(seconds: float) -> str:
    """Return ISO 8601 for seconds since 1970."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
