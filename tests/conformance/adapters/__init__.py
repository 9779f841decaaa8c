"""The tracers that can be scored, by name.

Separate from runner.py, which knows none of them. A new one is a module here that makes a Tracer, and a line in
TRACERS.
"""

from __future__ import annotations

from typing import Final

from tests.conformance.adapters import bpftrace, filetap, strace
from tests.conformance.runner import Tracer

TRACERS: Final[dict[str, Tracer]] = {tracer.name: tracer for tracer in (filetap.TRACER, strace.TRACER, bpftrace.TRACER)}
