"""A small tree of files, and Python programs that run in it: what the tests of test_identity_*.py share.

Separate from harness.py, which knows nothing of particular files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.kernel.harness import Event, Run, trace, wanted

PYTHON = ("/usr/bin/python3", "-I", "-S", "-c")


def below(events: Sequence[Event], tree: Path) -> list[str]:
    """Return the paths of the events below the tree, relative to it."""
    start = f"{tree}/"
    return [event.path.decode().removeprefix(start) for event in events if event.path.decode().startswith(start)]


def python(code: str, tree: Path, *ops: str, watch: dict[str, Any] | None = None, **filters: Any) -> Run:
    """Trace lines of Python that run in the tree, which they know as ``here``."""
    run = trace([*PYTHON, f"import os; here = {str(tree)!r}\n{code}"], wanted(*ops, **filters), watch, cwd=tree)
    assert run.status == 0
    return run
