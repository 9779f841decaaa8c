"""The page fault hook set: accesses through mapped memory, reported by file and offset.

Separate, because its hooks run on every fault of every process: nothing is loaded unless faults are requested. bpf/faults.bpf.c
is its kernel half.
"""

from __future__ import annotations

from filetap.core.calls import CALLS
from filetap.probes import Plan


def plan(chosen: frozenset[int]) -> Plan:
    """Return the tracepoints of the requested faults; each program is named after its own, without the page."""
    names = [CALLS[number].name for number in sorted(chosen) if CALLS[number].op == "fault"]
    return Plan("faults", raw=[name.removeprefix("page_") for name in names])
