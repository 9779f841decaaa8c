"""Ancestors in user space: kept while they may be referred to, added to each task, and shown as one line of any width.

Separate from test_definitions.py, because it does not need the kernel's records.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.capture.ancestors import Ancestors
from filetap.capture.definitions import Definitions
from filetap.core import command_line, wire
from filetap.core.batch import Task
from filetap.render import lineage
from filetap.render.terminal import columns_of
from tests.unit.definition_records import task_record

NAMES = st.text(min_size=1, max_size=15).map(lambda name: os.fsencode(name.replace("\0", "").encode(errors="replace"))[:15] or b"x")


def process(number: int, parent: int = 0, comm: bytes = b"sh", **more: Any) -> Task:
    return Task(number, 100 + number, 100 + number, comm, comm, parent=parent, ancestor=True, **more)


def below(*processes: Task, **more: Any) -> Task:
    """Return a task that descends from these, the nearest first."""
    return replace(process(99, processes[0].id if processes else 0, b"rm", **more), ancestor=False, ancestors=processes)


def test_a_task_has_its_ancestors() -> None:
    made = Definitions(9, 9)
    for number, parent in ((1, 0), (2, 1), (3, 2)):
        made.apply(task_record(number, flags=wire.ANCESTOR, pid=100 + number, parent=parent, comm=b"p%d" % number))
    made.apply(task_record(4, pid=104, parent=3, forker=77, flags=wire.ADOPTED))
    task = made.tasks[4]
    assert [(one.id, one.comm, one.ancestor) for one in task.ancestors] == [(3, b"p3", True), (2, b"p2", True), (1, b"p1", True)]
    assert (task.parent, task.forker, task.adopted, task.ancestor, task.is_cut) == (3, 77, True, False, False)
    assert (list(made.tasks), made.processes) == ([4], 1)


@pytest.mark.parametrize(("parent", "cut"), [(0, False), (5, True), (wire.UNKNOWN_PARENT, True)])
def test_unknown_ancestors_are_cut(parent: int, cut: bool) -> None:
    """An id without a row: its definition was lost, or the walk was too long."""
    made = Definitions(9, 9)
    made.apply(task_record(1, flags=wire.ANCESTOR, parent=parent))
    made.apply(task_record(2, parent=1))
    made.apply(task_record(3, parent=parent))
    assert [len(made.tasks[number].ancestors) for number in (2, 3)] == [1, 0]
    assert [made.tasks[number].is_cut for number in (2, 3)] == [cut, cut]


def test_a_line_is_as_long_as_it_may_be_and_no_ring() -> None:
    made = Ancestors(set)
    for number in range(1, 200):
        made.add(process(number, number - 1))
    made.add(process(300, 300))
    assert [one.id for one in made.above(150)] == list(range(150, 150 - wire.MAX_ANCESTORS, -1))
    assert len(made.above(300)) == wire.MAX_ANCESTORS


def test_unreferenced_ancestors_are_dropped() -> None:
    """Their ancestors too, but not those of other tasks; nor rows that arrived a moment ago."""
    used, now = {Ancestors.FEW - 1}, [0.0]
    made = Ancestors(lambda: used, lambda: now[0])
    made.add(process(1))
    made.add(process(2, 1))
    for number in range(3, Ancestors.FEW + 1):
        made.add(process(number, 2 if number % 2 else 1))
    now[0] += 2 * Ancestors.GRACE
    made.tidy()
    assert len(made) == Ancestors.FEW
    made.add(process(10**6, 1))
    made.tidy()
    assert [one.id for one in made.above(Ancestors.FEW - 1)] == [Ancestors.FEW - 1, 2, 1]
    assert [one.id for one in made.above(10**6)] == [10**6, 1]
    assert len(made) == 4


def test_memory_stays_bounded_over_a_long_line_of_processes() -> None:
    """Each is forked by the one before, which ends: a daemon may do this for weeks."""
    last, now = 0, [0.0]
    made = Ancestors(lambda: {last}, lambda: now[0])
    for last in range(1, 5 * Ancestors.FEW):
        now[0] += 0.01
        made.add(process(last, last - 1))
        made.tidy()
        assert len(made) <= Ancestors.FEW + 1
    assert len(made.above(last)) == wire.MAX_ANCESTORS


def test_arguments_that_the_kernel_could_not_read_are_requested() -> None:
    requested = []

    def read(pid: int, start: int) -> tuple[tuple[bytes, ...], bool] | None:
        requested.append((pid, start))
        return ((b"from", b"proc"), True) if pid == 7 else None

    made = Definitions(9, 9, arguments=read)
    for number, pid, arguments in ((1, 7, b""), (2, 8, b""), (3, 9, b"own\0")):
        made.apply(task_record(number, arguments, pid=pid, start=5))
    assert requested == [(7, 5), (8, 5)]
    found = [(task.args, task.args_truncated, task.args_late) for task in made.tasks.values()]
    assert found == [((b"from", b"proc"), True, True), (None, False, False), ((b"own",), False, False)]


def started(pid: int) -> int:
    """Return the start time from /proc, in its units."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) * command_line.TICK


def test_arguments_in_proc() -> None:
    own = Path("/proc/self/cmdline").read_bytes()
    pid, start = os.getpid(), started(os.getpid())
    for within in (0, 1, command_line.TICK - 1):
        assert command_line.read(pid, start + within) == (tuple(own[:4096].removesuffix(b"\0").split(b"\0")), len(own) > 4096)


def test_another_process_with_the_same_pid_is_not_read() -> None:
    assert command_line.read(os.getpid(), started(os.getpid()) - command_line.TICK) is None
    assert command_line.read(1 << 22, 0) is None


def test_a_kernel_thread_has_no_arguments() -> None:
    threads = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if not path.read_bytes()]
    assert [command_line.read(pid, started(pid)) for pid in threads[:3]] == [None] * len(threads[:3])


@given(st.lists(st.text().map(lambda text: text.encode(errors="replace").decode().replace("\0", "")), max_size=5))
def test_a_command_line_is_what_a_shell_reads(words: list[str]) -> None:
    line = command_line.join([word.encode() for word in words]).decode()
    assert shlex.split(line) == words
    assert line.isascii() is False or line == shlex.join(words)


def test_a_command_line_of_any_bytes() -> None:
    assert command_line.join([b"rm", b"-f", b"a b", b"\xff", b"it's", b""]) == b"rm -f 'a b' '\xff' 'it'\"'\"'s' ''"


FIRST, SHELL, MAKE = process(1, 0, b"systemd"), process(2, 1, b"bash"), process(3, 2, b"make")


@pytest.mark.parametrize(
    ("task", "line"),
    [
        (below(), "rm(199)"),
        (below(MAKE, SHELL, FIRST), "systemd(101) > bash(102) > make(103) > rm(199)"),
        (below(FIRST, adopted=True), "systemd(101) ~> rm(199)"),
        (below(replace(SHELL, adopted=True), FIRST), "systemd(101) ~> bash(102) > rm(199)"),
        (below(replace(MAKE, parent=77)), "... > make(103) > rm(199)"),
        (below(process(4, 0, b"a > b\x1b\n")), "a \\x3e b\\x1b\\n(104) > rm(199)"),
        (below(process(4, 0, b"~\xff\\")), "~\\xff\\\\(104) > rm(199)"),
    ],
)
def test_a_line(task: Task, line: str) -> None:
    assert lineage.line(task) == line


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (59, "systemd(101) > sshd(105) > bash(102) > make(103) > rm(199) "),
        (58, "systemd(101) > sshd(105) > bash(102) > make(103) > rm(199)"),
        (57, "systemd(101) > ... > bash(102) > make(103) > rm(199)     "),
        (52, "systemd(101) > ... > bash(102) > make(103) > rm(199)"),
        (51, "... > sshd(105) > bash(102) > make(103) > rm(199)  "),
        (48, "... > bash(102) > make(103) > rm(199)           "),
        (37, "... > bash(102) > make(103) > rm(199)"),
        (36, "... > make(103) > rm(199)           "),
        (25, "... > make(103) > rm(199)"),
        (24, "... > rm(199)           "),
        (13, "... > rm(199)"),
        (12, "rm(199)     "),
        (5, "rm(1+"),
    ],
)
def test_a_line_that_is_cut(width: int, line: str) -> None:
    assert lineage.line(below(MAKE, SHELL, process(5, 1, b"sshd"), FIRST), width) == line


@given(st.lists(NAMES, max_size=70), st.integers(1, 200), st.booleans())
def test_a_line_has_the_width_that_it_is_to_have(names: list[bytes], width: int, cut: bool) -> None:
    above = [process(number, number + 1, name) for number, name in enumerate(names, 1)]
    task = below(*[replace(one, parent=0) if one.id == len(names) and not cut else one for one in above])
    line = lineage.line(task, width)
    assert sum(map(columns_of, line)) == width
    assert line.isprintable()
    whole = lineage.line(task)
    assert whole.count(" > ") == len(names) + (cut and bool(names))
    assert whole.endswith("rm(199)")
