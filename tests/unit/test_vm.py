"""Results of a machine that QEMU ended: nothing counts twice, and an unfinished file counts as failed.

Separate from the machines themselves, which `make vm` runs: no test can make QEMU do that.
"""

from __future__ import annotations

from typing import Any

import pytest

from vm.machine import GHOST, Life, gathered

A, B = "tests/kernel/test_a.py", "tests/kernel/test_b.py"


def row(test: str, result: str = "passed") -> dict[str, Any]:
    return {"group": "kernel/test_a", "test": test.removeprefix("tests/"), "result": result, "note": "", "seconds": 1.0}


def reported(*lives: Life) -> list[tuple[str, str]]:
    return [(outcome.test, outcome.result) for outcome in gathered(lives)]


BROKEN = Life([A, B], [row(f"{A}::one"), row(f"{B}::one"), row(f"{B}::two", "failed"), {"done": A}], f"[ 616.1] {GHOST}: 0000 [#1]")


ONE, TWO = "kernel/test_b.py::one", "kernel/test_b.py::two"
FIRST = ("kernel/test_a.py::one", "passed")


def test_a_file_that_did_not_end_has_failed() -> None:
    assert reported(BROKEN) == [FIRST, (ONE, "passed"), (TWO, "failed"), (B, "failed")]


def test_a_file_that_is_run_again_counts_once_except_failures() -> None:
    again = Life(BROKEN.unfinished, [row(f"{B}::one"), row(f"{B}::two"), {"done": B}], "")
    assert again.files == [B]
    assert reported(BROKEN, again) == [FIRST, (TWO, "failed"), (ONE, "passed"), (TWO, "passed")]


@pytest.mark.parametrize(
    ("life", "was"),
    [
        (BROKEN, True),
        (Life([A, B], BROKEN.rows, "BUG: kernel NULL pointer dereference"), False),
        (Life([A], [{"done": A}], BROKEN.console), False),
        (Life([A], [], ""), False),
    ],
)
def test_only_machines_ended_by_qemu_are_run_again(life: Life, was: bool) -> None:
    assert life.was_ended_by_qemu == was
