"""How long definitions are kept: evicted files, forgotten names, ended tasks.

Separate from test_definitions.py, which decodes them.
"""

from __future__ import annotations

import numpy as np
import pytest

from filetap.capture.definitions import Definitions
from filetap.capture.files import Files
from filetap.core import wire
from filetap.core.batch import File, Task
from tests.unit.definition_records import file_record, name_record, record, task_record


def test_processes_are_counted_once() -> None:
    made = Definitions(1, 1)
    for number, (pid, start) in enumerate([(1, 5), (1, 5), (1, 6), (2, 5)]):
        made.apply(task_record(number, pid=pid, start=start))
    assert made.processes == 3


def test_a_task_described_anew_is_the_new_one() -> None:
    made = Definitions(1, 1)
    made.apply(task_record(5, euid=0))
    made.apply(task_record(5, euid=33))
    assert made.tasks[5].credentials.euid == 33


def end_drains(known: Definitions) -> None:
    for _ in range(Definitions.GRACE + 1):
        known.end_drain()


def test_names_for_one_event_are_kept_for_a_while(known: Definitions) -> None:
    """The last ones are kept; the memory of the others is freed."""
    count = 2 * Definitions.PAST
    for number in range(50, 50 + count):
        known.apply(name_record(number, b"a", 2, flags=wire.ONCE))
    end_drains(known)
    assert 50 not in known.files
    assert 50 + count - 1 in known.files
    assert 2 in known.files


def test_older_names_are_evicted() -> None:
    made = Definitions(100, 10)
    made.apply(file_record(77, []))
    for number in range(1, 11):
        made.apply(name_record(number, b"n%d" % number, 77))
    assert [len(keys) for keys in made.evict()] == [0, 0]
    made.apply(name_record(11, b"n11", 77))
    files, names = made.evict()
    assert (len(files), names["directory"].tolist()) == (0, [77] * 6)
    assert names["name"].tolist() == [b"n1", b"n2", b"n3", b"n4", b"n5", b"n6"]
    assert made.files[1].path == b"/n1"
    assert [len(keys) for keys in made.evict()] == [0, 0]


def retire(number: int) -> bytes:
    return record(np.dtype(wire.DEFINITION), wire.DEFINE_RETIRE, number, b"")


def test_ended_tasks_are_kept_for_a_while(known: Definitions) -> None:
    for number in range(100, 40_000):
        known.apply(task_record(number))
        known.apply(retire(number))
        if number % 100 == 0:
            known.end_drain()
    assert 39_999 in known.tasks
    assert 100 not in known.tasks
    assert len(known.tasks) < 20_000


def test_made_files_and_tasks_are_known() -> None:
    made = Definitions(1, 1)
    made.add_temporary(File(1 << 31, b"", resolved=False, inode=3))
    made.add_temporary(Task((1 << 31) + 1, 5, 5, b"x", b"x"))
    assert made.files[1 << 31].inode == 3
    assert made.tasks[(1 << 31) + 1].pid == 5
    made.drop_temporary()
    assert (len(made.files), len(made.tasks)) == (0, 0)


class Now:
    """Seconds, set by the test."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_older_files_are_evicted() -> None:
    """However many came at once, half of the limit is kept."""
    now = Now()
    files = Files(10, now=now)
    for number in range(40):
        key = {"key_dentry": 2, "key_mount": 3, "key_name": 4, "key_origin": 5, "generation": 6, "sequence": 7}
        files.define(number, file_record(number, [b"f%d" % number], inode=number, **key))
    keys = files.evict()
    assert [tuple(key) for key in keys.tolist()] == [(number, 2, 3, 4, 5, 6, 7) for number in range(35)]
    assert (wire.FILE_KEY.names or ()) == ("inode", "dentry", "mount", "name", "origin", "generation", "sequence")
    assert len(files.evict()) == 0


def test_evicted_files_stay_known_for_a_while() -> None:
    """Unread events may refer to them."""
    now = Now()
    files = Files(10, now=now)
    for number in range(11):
        files.define(number, file_record(number, [b"f%d" % number]))
    assert files[0].path == b"/f0"
    files.evict()
    assert files[0].path == b"/f0"
    assert files[1].path == b"/f1"
    assert sorted(files) == list(range(11))
    assert len(files) == 11
    now.seconds = Files.GRACE + 0.1
    files.evict()
    assert set(files) == set(range(6, 11))
    assert not any(number in files for number in range(6))
    assert files.path(0) == b""
    with pytest.raises(KeyError):
        files[0]
