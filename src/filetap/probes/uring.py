"""The io_uring hook set: requests from their submission to their completion.

Separate, because its tracepoints have changed more often than any others: the kernel's own types decide which of the programs
fits. bpf/uring.bpf.c is its kernel half.
"""

from __future__ import annotations

from typing import Protocol

from filetap.probes import Plan


class Tracepoints(Protocol):
    """The tests of kernel/types.py."""

    def parameters(self, tracepoint: str) -> int:
        """Return how many values a program on it gets; 0: there is no such tracepoint."""


SUBMISSIONS = {"io_uring_submit_req": "submit_req", "io_uring_submit_sqe": "submit_sqe", "io_uring_req_failed": "submit_fail"}
COMPLETIONS = {3: "complete_cqe", 7: "complete_val"}

SEES = "operations through io_uring"


def programs(kernel: Tracepoints) -> list[str]:
    """Return the programs that fit; none if requests cannot be followed from submission to completion.

    io_uring_submit_sqe had other parameters before v6.0, and io_uring_complete got no request (v5.19).
    """
    submissions = [program for name, program in SUBMISSIONS.items() if kernel.parameters(name) in (1, 2, 3)]
    completion = COMPLETIONS.get(kernel.parameters("io_uring_complete"))
    overflow = ["cqe_overflow"] if kernel.parameters("io_uring_cqe_overflow") else []
    return [completion, *submissions, *overflow] if completion and submissions else []


RENAMES = {"io_uring_submit_sqe": "rename_begun", "io_uring_complete": "rename_done"}
"""Where requests cannot be followed, these at least detect that paths may have changed."""


def plan(kernel: Tracepoints) -> Plan:
    """Return the programs, whatever is requested: a rename through io_uring changes paths too, and processes without a ring
    pay nothing."""
    renames = list(RENAMES.values()) if all(map(kernel.parameters, RENAMES)) else []
    return Plan("uring", raw=programs(kernel) or renames)
