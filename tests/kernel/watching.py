"""Sessions that watch files: shared by test_watch_*.py.

Separate from harness.py, because only these tests watch: all processes are targets, as in ``filetap watch``. The oracle
is what the shell did, and os.stat.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filetap.selection.targets import Targets
from tests.kernel.harness import Event, Shell, Watch, wanted

OPS = ("open", "rename", "link", "unlink", "exec", "stat", "mkdir", "rmdir")


@contextmanager
def watching(
    place: Path, *paths: str, ops: Sequence[str] = ("open",), types: Sequence[str] = ("directory",), alone: bool = False, **filters: Any
) -> Iterator[tuple[Shell, Watch]]:
    """Start a shell in the directory and trace all processes; or the shell ``alone``, where slots are counted: another process's name
    with ".." takes a slot until user space has looked at it."""
    filters = {"recursive": False, "places": True} | filters
    with Shell() as shell:
        shell.do(f"cd {place}")
        chosen = wanted(*ops, types=types, paths=[str(place / path) for path in paths], **filters)
        targets = Targets(pids=[shell.pid]) if alone else Targets(all=True)
        with Watch(targets, chosen, latency=False) as watch:
            yield shell, watch


def reported(watch: Watch, place: Path) -> list[str]:
    """Return the paths of the events, relative to the directory."""
    assert watch.stats.total.seen == watch.stats.total.delivered == len(watch.events) + watch.foreign_events
    return [event.path.decode().removeprefix(f"{place}/") for event in watch.events]


def operations(events: Sequence[Event], place: Path) -> list[tuple[str, str, str]]:
    """Return op, path, and the second path of each event."""
    paths = [[name.decode().removeprefix(f"{place}/") for name in (event.path, event.target_path)] for event in events]
    return [(event.op, path, second) for event, (path, second) in zip(events, paths, strict=True)]


def touches(*names: str) -> str:
    return "; ".join(f": <{name}" for name in names)


def python(code: str) -> str:
    """Return a command for the shell; the code checks the results of its calls itself."""
    calls = "import ctypes, os; from contextlib import suppress; libc = ctypes.CDLL(None, use_errno=True)"
    return f"/usr/bin/python3 -I -S -c '{calls}\n{code}'"
