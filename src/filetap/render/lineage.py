"""A process and its ancestors as one line: ``systemd(1) > bash(812) > make(4711) > rm(4713)``.

Separate from sinks/table.py, because shortening a line that is too long needs its own rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from filetap.core.batch import Task
from filetap.render.terminal import columns_of, fitted, printable

GAP: Final = "... > "
"""There are more, which are not known or not shown."""


def line(task: Task, width: int = 0) -> str:
    """Return the line, the first process at the left. With a ``width`` exactly as wide: padded, or with some left out; the
    nearest are kept longest."""
    links = links_of(task)
    if not width:
        return "".join(links)
    return next((padded(shown, width) for shown in shorter(links) if columns_in(shown) <= width), fitted(links[-1], width))


def links_of(task: Task) -> list[str]:
    """Return the parts. ``~>`` follows a parent that has adopted the next process instead of having forked it."""
    processes = [*reversed(task.ancestors), task]
    known = [f"{named(parent)} {'~>' if child.adopted else '>'} " for parent, child in pairwise(processes)]
    return [*[GAP] * task.is_cut, *known, named(task)]


def named(process: Task) -> str:
    """Return name and pid. A name cannot look like a separator."""
    return f"{printable(process.comm).replace('>', chr(92) + 'x3e')}({process.pid})"


def shorter(links: Sequence[str]) -> list[list[str]]:
    """Return shorter versions, the longest first. The first process is kept while there is room for it with a parent and its
    parent."""
    count = len(links)
    return [
        [*links],
        *([links[0], GAP, *links[left_out:]] for left_out in range(2, count - 2)),
        *([GAP, *links[left_out:]] for left_out in range(1, count)),
    ]


def columns_in(links: Sequence[str]) -> int:
    return sum(columns_of(character) for character in "".join(links))


def padded(links: Sequence[str], width: int) -> str:
    return "".join(links) + " " * (width - columns_in(links))
