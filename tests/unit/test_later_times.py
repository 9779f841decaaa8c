"""When a change that is looked up later was made: not before its call began, where that is known.

Separate from tests/kernel/test_later.py, because no test can make a call go on for long after it has changed a file.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from filetap.capture.later import SLACK, Answer, Later
from filetap.core import wire
from tests.unit.batches import REALTIME, batch_of, call

SECOND = 10**9


def times_of(*calls: tuple[int, int]) -> tuple[int, int]:
    """Return the first and the last time of chmods of one name. ``calls``: end and duration, ns."""
    nothing: Any = SimpleNamespace(given={}, files={})
    later = Later(nothing, nothing, nothing, nothing, ())
    batch = batch_of(*({"call": call("chmod"), "file": 9, "time": end, "duration": duration} for end, duration in calls))
    lookups = later._collect(batch, np.ones(len(calls), bool))
    assert len(lookups.first) == 1
    return int(lookups.first[0]) - REALTIME, int(lookups.last[0]) - REALTIME


@pytest.mark.parametrize(
    ("calls", "times"),
    [
        ([(9 * SECOND, SECOND)], (8 * SECOND, 8 * SECOND)),
        ([(9 * SECOND, 0)], (9 * SECOND, 9 * SECOND)),
        ([(9 * SECOND, 2 * SECOND), (10 * SECOND, SECOND), (8 * SECOND, 0)], (7 * SECOND, 9 * SECOND)),
    ],
)
def test_calls_count_from_their_begin_if_it_is_known(calls: list[tuple[int, int]], times: tuple[int, int]) -> None:
    assert times_of(*calls) == times


def test_long_durations_have_other_units() -> None:
    rows = batch_of({"call": call("chmod"), "file": 9, "time": 9 * SECOND, "duration": 5_000_000, "flags": wire.MICROSECONDS})
    nothing: Any = SimpleNamespace(given={}, files={})
    lookups = Later(nothing, nothing, nothing, nothing, ())._collect(rows, np.ones(1, bool))
    assert lookups.last[0] - REALTIME == 4 * SECOND


def test_a_call_that_takes_long_after_its_change_is_confirmed() -> None:
    """The file was changed half a second before the call ended."""
    answer = Answer(b"/f", True, changed=8 * SECOND + SECOND // 2 + 1)
    assert answer.confirms(8 * SECOND, 8 * SECOND)
    assert not answer.confirms(9 * SECOND, 9 * SECOND)
    assert answer.confirms(8 * SECOND, answer.changed + SLACK)
