"""What is said of events that a trace has not: by the account it was closed with.

Apart from tests/e2e/test_loss.py, which loses events indeed, because this machine's kernel skips no programs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from filetap.capture.statistics import Account, OpAccount
from filetap.cli.recordings import unrecorded
from tests.unit.traces import record

OPS = {"read": OpAccount(seen=9, delivered=4, aggregated=3, lost=2), "open": OpAccount(seen=5, delivered=4, aggregated=1)}


@pytest.mark.parametrize(
    ("account", "said"),
    [
        (None, []),
        (Account(ops={"read": OpAccount(seen=9, delivered=9)}), []),
        (Account(ops=OPS), ["4 events were aggregated while recording", "2 events were lost while recording"]),
        (Account(reasons=["one", "two"]), ["nothing was seen while recording; perhaps: one; two"]),
        (Account(missed=7), ["events may be missing: the kernel skipped a BPF program 7 times"]),
    ],
)
def test_what_a_trace_has_not(tmp_path: Path, account: Account | None, said: list[str]) -> None:
    trace = record(tmp_path / "t.tap", [], statistics=account.as_json() if account else None)
    lines = list(unrecorded(trace))
    assert [line.startswith(f"{tmp_path}/t.tap: {words}") for line, words in zip(lines, said, strict=True)] == [True] * len(said)
