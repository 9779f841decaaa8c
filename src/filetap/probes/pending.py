"""bpf/pending.bpf.c: iterators over pending calls."""

from __future__ import annotations

from typing import Final

from filetap.probes import Plan

PLAN: Final = Plan("pending", raw=["list_calls", "list_reqs", "list_living"])
TABLES: Final = {"uring": ("slots", "requests"), "aio": ("under_way",)}
"""By object: its maps of requests."""
OWN: Final = ("path_scratch", "name_scratch", "counters", "ancestors")
"""Maps that it does not share with the others: any of their programs may preempt an iterator."""
