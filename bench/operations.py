"""The cost of each kind of operation other than open, read and close for the traced process, and whether all of its events are
accounted for.

Separate, because each needs another workload and another choice of ``-e``; kernel_side.py measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from bench.kernel_side import NONE, UNTIMED, everything_delivered, slow_down, untraced_slow_down
from bench.lab import MAPPED, Lab
from bench.programs import attached
from bench.table import Row

MODES: Final = {"": ("with latency", NONE), "-untimed": ("--no-latency", UNTIMED)}
SYSCALLS: Final = ("empty_enter", "empty_exit")
URING: Final = ("empty_submit", "empty_complete")


@dataclass(frozen=True, slots=True)
class Operation:
    """A workload, and the operations that are requested when it is traced."""

    title: str
    words: Callable[[Lab, int], list[str]]
    count: int
    """Rounds that take half a second."""
    events: tuple[str, ...]
    limit: float
    hooks: tuple[str, ...] = ()
    """Programs of empty.bpf.c, for comparison."""
    paths: tuple[str, ...] = ()
    """PATHs to which exactness is restricted."""

    def measured(self, lab: Lab) -> list[str]:
        return self.words(lab, self.count)

    def chosen(self) -> tuple[str, ...]:
        return tuple(word for event in self.events for word in ("-e", event))


OPERATIONS: Final = {
    "stat": Operation("stat storm", Lab.stats, 400_000, ("stat",), 1.35, SYSCALLS),
    "churn": Operation("create/rename/unlink churn", Lab.churns, 30_000, ("namespace", "open", "write", "close"), 1.5, SYSCALLS),
    "touch": Operation("mmap touching, written", Lab.touches, 4, ("memory",), 1.35, ("empty_fault",), (str(MAPPED),)),
    "touch-read": Operation(
        "mmap touching, read", partial(Lab.touches, mode="read"), 32, ("memory",), 1.35, ("empty_fault",), (str(MAPPED),)
    ),
    "exec": Operation("fork+exec", Lab.execs, 6_000, ("process",), 1.15),
    "uring": Operation("io_uring reads, one block", Lab.urings, 1_200_000, ("io",), 1.35, URING),
    "uring-far": Operation("io_uring reads, many blocks", partial(Lab.urings, file=MAPPED), 600_000, ("io",), 1.35, URING),
}


def _exact(operation: Operation, mode: str) -> Callable[[Lab], Iterator[Row]]:
    mode_name, options = MODES[mode]
    figure = f"not delivered or differing: {operation.title}, {mode_name}"
    return partial(everything_delivered, figure, (*options, *operation.chosen(), *operation.paths), operation.words, 4 * operation.count)


def _slow(operation: Operation, mode: str) -> Callable[[Lab], Iterator[Row]]:
    mode_name, options = MODES[mode]
    figure = f"slow-down, {operation.title}, {mode_name}"
    return partial(slow_down, figure, (*options, *operation.chosen()), operation.measured, operation.limit)


def _compared(operation: Operation) -> Callable[[Lab], Iterator[Row]]:
    figure = f"for comparison: {operation.title}, empty programs there"
    return partial(untraced_slow_down, figure, partial(attached, "empty", operation.hooks), None, words=operation.measured)


MEASURES: Final[dict[str, Callable[[Lab], Iterator[Row]]]] = {
    f"{kind}-{name}{mode}": measure(operation, mode)
    for kind, measure in (("exact", _exact), ("slow", _slow))
    for name, operation in OPERATIONS.items()
    for mode in MODES
} | {f"slow-{name}-empty": _compared(operation) for name, operation in OPERATIONS.items() if operation.hooks}
"""Name for ``-k`` to measure, in the table's order."""
