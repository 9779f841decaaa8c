"""A summary by call, against a count of the batch's own events.

Separate from test_aggregate.py, whose keys live sums have too.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import filetap
from filetap.core.batch import Overflow
from filetap.core.calls import CALL_NUMBER, OP_NUMBER
from filetap.core.errors import UsageError
from filetap.recording.writer import TraceSink
from filetap.report import summary as report
from tests.unit.batches import batch_of
from tests.unit.traces import metadata

CALLS = ("pread64", "read", "pread64", "openat", "read", "pread64", "copy_file_range")
OVERFLOW = Overflow(task=0, file=0, op=OP_NUMBER["read"], count=9, bytes=90, first=5, last=6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sink = TraceSink(tmp_path / "t.tap", metadata())
    batch = batch_of(*({"call": CALL_NUMBER[name], "time": n, "result": n, "duration": 100 * n} for n, name in enumerate(CALLS)))
    sink.write(batch)
    sink.aggregated([OVERFLOW], batch)
    sink.close()
    return tmp_path / "t.tap"


def rows(folder: Path, **words: Any) -> list[dict[str, Any]]:
    with filetap.open(folder) as trace:
        return trace.summary(by="call", **words).drop_columns(["first", "last"]).to_pylist()  # type: ignore[no-any-return]


def test_each_call_is_counted_and_overflows_have_only_the_operation(folder: Path) -> None:
    found = {(row["call"], row["op"]): row for row in rows(folder)}
    ops = {"openat": "open", "pread64": "read"}
    expected = {(name, ops.get(name, name)): count for name, count in Counter(CALLS).items()} | {(None, "read"): 9}
    assert {key: row["count"] for key, row in found.items()} == expected
    assert found["pread64", "read"]["total"] == 100 * (0 + 2 + 5)
    assert (found[None, "read"]["bytes"], found[None, "read"]["total"]) == (90, None)


def test_the_rest_is_one_row(folder: Path) -> None:
    *_, last = rows(folder, top=2)
    assert (last["others"], last["call"], last["op"], last["count"]) == (True, None, None, len(CALLS) + 9 - 9 - 3)


def test_the_columns_are_below_their_heads(folder: Path) -> None:
    with filetap.open(folder) as trace:
        head, *lines = report.as_text(trace.summary(by="call")).splitlines()
    at = head.index(" CALL") + 1
    assert {line[at:].split()[0]: line[head.index(" OP") + 1 :] for line in lines} == {
        "-": "read", "pread64": "read", "read": "read", "openat": "open", "copy_file_range": "copy_file_range",
    }  # fmt: skip


def test_an_unknown_word_names_call_too(folder: Path) -> None:
    with filetap.open(folder) as trace, pytest.raises(UsageError, match="call"):
        trace.summary(by="nobody")
