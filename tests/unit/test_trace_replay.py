"""Which tasks a replay selects by command, from the recorded rows only.

Separate from tests/e2e/test_replay.py, where the CPU on which real processes are described cannot be chosen: a task's
id does not give its time.
"""

from __future__ import annotations

from filetap.core.batch import Task
from filetap.recording.replay import Chosen, Wanted


def chosen(*tasks: Task, children: bool = True) -> set[int]:
    wanted = Wanted(comms=frozenset([b"cp"]), children=children)
    return set(Chosen(wanted, {}, {task.id: task for task in tasks})._tasks.tolist())


BEFORE = Task(900, 7, 7, b"python3", b"python3", start=1, execs=3)
NAMED = Task(5, 7, 7, b"cp", b"cp", start=1, execs=4)
AFTER = Task(2, 7, 7, b"sh", b"sh", start=1, execs=5)
FORKED = Task(1, 8, 8, b"sh", b"sh", start=2, execs=5, forker=2)
RENAMED = Task(1, 7, 7, b"cp: half", b"cp: half", start=1, execs=4)
"""A name set by prctl(2)."""
ANOTHER = Task(1000, 7, 7, b"sh", b"sh", start=3, execs=9)
"""A later process of the same pid."""


def test_a_process_matches_from_the_exec_on() -> None:
    assert chosen(BEFORE, NAMED, AFTER, FORKED, ANOTHER) == {5, 2, 1}


def test_a_process_that_renames_itself_still_matches() -> None:
    assert chosen(BEFORE, NAMED, RENAMED) == chosen(BEFORE, RENAMED, NAMED) == {5, 1}


def test_without_children_only_processes_with_the_name() -> None:
    assert chosen(BEFORE, NAMED, AFTER, FORKED, ANOTHER, children=False) == {5}


def test_earlier_children_do_not_match() -> None:
    assert chosen(BEFORE, NAMED, Task(901, 9, 9, b"python3", b"python3", start=2, execs=3, forker=900)) == {5}


def test_descendants_match() -> None:
    """Through processes without events, whatever process forked them."""
    above = Task(77, 7, 7, b"cp", b"cp", start=1, execs=4, ancestor=True)
    between = Task(78, 8, 8, b"sh", b"sh", start=2, execs=5, parent=77, ancestor=True)
    child = Task(3, 9, 9, b"rm", b"rm", start=3, execs=6, parent=78)
    other = Task(4, 10, 10, b"rm", b"rm", start=4, execs=6, parent=1)
    assert chosen(above, between, child, other) == {77, 78, 3}
    assert chosen(above, between, child, other, children=False) == {77}
