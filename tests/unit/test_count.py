"""The counting sink: it counts, and it notices events whose files or tasks have no definition.

Separate from the other sinks' tests, because nothing is written here.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from filetap.core import wire
from filetap.core.batch import Batch, File, Overflow, Task
from filetap.core.calls import CALLS, OPS
from filetap.sinks.count import CountSink

ROWS = st.lists(st.tuples(st.integers(0, len(CALLS) - 1), st.integers(0, 3), st.integers(0, 3)), max_size=50)


def batch_of(rows: list[tuple[int, int, int]]) -> Batch:
    """Files and tasks 1 and 2 are defined, 3 is not, 0 means none."""
    events = np.zeros(len(rows), wire.EVENT)
    for name, values in zip(("call", "file", "task"), zip(*rows, strict=True), strict=False):
        events[name] = values
    return Batch(events, {n: File(n, b"/") for n in (1, 2)}, {n: Task(n, n, n, b"", b"") for n in (1, 2)}, 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=3))
def test_counts(batches: list[list[tuple[int, int, int]]]) -> None:
    sink = CountSink()
    for rows in batches:
        sink.write(batch_of(rows))
    rows = [row for batch in batches for row in batch]
    counted = Counter(CALLS[call].op for call, _, _ in rows)
    assert {op: int(count) for op, count in zip(OPS, sink.ops, strict=True) if count} == counted
    assert sink.written == len(rows)
    assert sink.unknown == sum(3 in (file, task) for _, file, task in rows)


def test_counts_aggregated_events_apart() -> None:
    sink = CountSink()
    sink.aggregated(
        [Overflow(1, 1, 3, count=17, bytes=5, first=0, last=1), Overflow(2, 1, 3, count=3, bytes=5, first=0, last=1)], batch_of([])
    )
    assert (sink.written, sink.overflows) == (0, 20)
