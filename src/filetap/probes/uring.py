"""The io_uring hook set: requests from their submission to their completion.

Apart, because its tracepoints have changed more often than any others: which of the programs fits is told by the
kernel's own types. bpf/uring.bpf.c is its kernel half.
"""

from __future__ import annotations

from typing import Protocol

from filetap.probes import Plan


class Tracepoints(Protocol):
    """What this kernel has: kernel/types.py."""

    def parameters(self, tracepoint: str) -> int:
        """How many values a program on it is given; 0: there is no such tracepoint."""


SUBMISSIONS = {"io_uring_submit_req": "submit_req", "io_uring_submit_sqe": "submit_sqe", "io_uring_req_failed": "submit_fail"}
COMPLETIONS = {3: "complete_cqe", 7: "complete_val"}

SEES = "operations through io_uring"


def programs(kernel: Tracepoints) -> list[str]:
    """The programs that fit; none where requests cannot be followed from submission to completion.

    io_uring_submit_sqe had other parameters before v6.0, and io_uring_complete was given no request (v5.19).
    """
    submissions = [program for name, program in SUBMISSIONS.items() if kernel.parameters(name) in (1, 2, 3)]
    completion = COMPLETIONS.get(kernel.parameters("io_uring_complete"))
    overflow = ["cqe_overflow"] if kernel.parameters("io_uring_cqe_overflow") else []
    return [completion, *submissions, *overflow] if completion and submissions else []


RENAMES = {"io_uring_submit_sqe": "rename_begun", "io_uring_complete": "rename_done"}
"""Where requests cannot be followed, that paths may have changed is seen at least."""


def plan(kernel: Tracepoints) -> Plan:
    """Always, whatever is asked for: a rename through io_uring changes paths too, and nobody else pays."""
    renames = list(RENAMES.values()) if all(map(kernel.parameters, RENAMES)) else []
    return Plan("uring", raw=programs(kernel) or renames)
