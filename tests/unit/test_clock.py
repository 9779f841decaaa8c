"""The clock with two clocks that the test sets, so that drift and slow samples are exact.

Separate from test_reader.py, which only advances the time.
"""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from filetap.core.clock import INTERVAL, Clock

SECOND = 1_000_000_000


class Hands:
    """CLOCK_BOOTTIME and CLOCK_REALTIME; each reading takes the next of ``costs``."""

    def __init__(self, boot: int = 5 * SECOND, offset: int = 1_000 * SECOND, costs: tuple[int, ...] = (0,)) -> None:
        self.boot, self.offset, self.costs = boot, offset, costs
        self.reads: list[int] = []

    def read(self, clock: int) -> int:
        self.boot += self.costs[len(self.reads) % len(self.costs)]
        self.reads.append(clock)
        return self.boot + (self.offset if clock == time.CLOCK_REALTIME else 0)


def test_boot_is_the_boot_clock() -> None:
    hands = Hands(boot=42)
    assert Clock(hands.read).boot() == 42
    assert hands.reads == [time.CLOCK_BOOTTIME]


def test_a_time_namespace_does_not_change_it() -> None:
    """It changes neither the kernel's boot time nor an event's time of day."""
    hands = Hands(boot=42 * SECOND, offset=1_000 * SECOND)
    clock = Clock(hands.read)
    clock.boot_offset = 40 * SECOND
    assert clock.boot() == 2 * SECOND
    assert clock.boot() + clock.offset() == hands.boot + hands.offset


def test_the_offset_makes_time_of_day() -> None:
    assert Clock(Hands(offset=123).read).offset() == 123
    assert Clock(Hands(offset=-5).read).offset() == -5


def test_it_is_measured_once_a_second() -> None:
    hands = Hands()
    clock = Clock(hands.read)
    clock.offset()
    hands.offset += 7
    hands.boot += INTERVAL
    assert clock.offset() == 1_000 * SECOND
    assert hands.reads.count(time.CLOCK_REALTIME) == 3
    hands.boot += 1
    assert clock.offset() == 1_000 * SECOND + 7


def test_a_clock_that_is_set_back_is_followed() -> None:
    hands = Hands()
    clock = Clock(hands.read)
    clock.offset()
    hands.offset -= 3600 * SECOND
    hands.boot += 2 * SECOND
    assert clock.offset() == (1_000 - 3600) * SECOND


def test_the_quickest_sample_counts() -> None:
    """A sample that is preempted in the middle would be wrong by half of the pause."""
    costs = (0, 0, 10, 500_000, 0, 10, 10, 0, 900_000, 10)
    assert abs(Clock(Hands(costs=costs).read).offset() - 1_000 * SECOND) <= 10


@given(st.lists(st.integers(0, 10**6), min_size=10, max_size=10))
def test_the_error_is_at_most_half_of_the_quickest_sample(costs: list[int]) -> None:
    clock = Clock(Hands(costs=tuple(costs)).read)
    samples = [costs[first + 1] + costs[first + 2] for first in (1, 4, 7)]
    assert abs(clock.offset() - 1_000 * SECOND) <= -(-min(samples) // 2)


def test_the_real_clocks() -> None:
    """However long the process is suspended, the time of day lies between the two readings of the boot clock."""
    clock = Clock()
    offset = clock.offset()
    before, real, after = (time.clock_gettime_ns(number) for number in (time.CLOCK_BOOTTIME, time.CLOCK_REALTIME, time.CLOCK_BOOTTIME))
    assert real - after - 50_000_000 < offset < real - before + 50_000_000
