"""Batches of events for tests: by hand from dictionaries, and invented by hypothesis.

Apart from traces.py, which writes whole recordings.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from hypothesis import strategies as st

from filetap.core import wire
from filetap.core.batch import GROUPS, USERS, Batch, Credentials, File, Task
from filetap.core.calls import CALL_NUMBER, CALLS
from filetap.core.wire import Records

REALTIME: Final = 1_795_000_000_000_000_000


SECOND: Final = {"target", "target_fd", "target_offset", "argument"}
FILE: Final = File(1, b"/etc/hostname", inode=1234, device=254 << 20, mode=0o100644, filesystem=b"ext4")
TASK: Final = Task(1, 77, 77, b"cat", b"cat", b"/usr/bin/cat", ppid=70, cgroup=1)


def events_of(*rows: dict[str, int]) -> Records:
    events = np.zeros(len(rows), wire.EVENT)
    for event, row in zip(events, rows, strict=True):
        for name, value in ({"fd": -1, "tid": 77, "task": 1, "file": 1} | row).items():
            event[name] = value
    return events


def batch_of(*rows: dict[str, int], files: Sequence[File] = (FILE,), tasks: Sequence[Task] = (TASK,)) -> Batch:
    """A row's fields are the event's, or the second slot's: the flag then tells that there is one."""
    seconds = [{name: value for name, value in row.items() if name in SECOND} for row in rows]
    firsts = [
        {name: value for name, value in row.items() if name not in SECOND} | {"flags": row.get("flags", 0) & ~1 | bool(ext)}
        for row, ext in zip(rows, seconds, strict=True)
    ]
    ext = np.zeros(sum(map(bool, seconds)), wire.EVENT_EXT)
    ext["target_fd"] = -1
    for record, fields in zip(ext, filter(None, seconds), strict=True):
        for name, value in fields.items():
            record[name] = value
    known = {file.id: file for file in files}, {task.id: task for task in tasks}
    return Batch(events_of(*firsts), *known, REALTIME, ext)


def call(name: str) -> int:
    return CALL_NUMBER[name]


# What hypothesis invents.

BYTES: Final = st.binary(max_size=20) | st.text(max_size=10).map(lambda text: text.encode(errors="surrogatepass"))
PATHS: Final = BYTES.map(lambda name: b"/" + name)
U32: Final = st.integers(0, 2**32 - 1)
U64: Final = st.integers(0, 2**64 - 1) | st.sampled_from([0, 2**63 - 1, 2**63, 2**64 - 1])
MODES: Final = st.integers(0, 0xFFFF) | st.sampled_from([0o100644, 0o40755, 0o10600, 0o600, 0])


def file_strategy(number: int) -> st.SearchStrategy[File]:
    systems = st.sampled_from([b"", b"ext4"]) | BYTES
    return st.builds(
        File, st.just(number), st.just(b"") | PATHS, st.booleans(), inode=U64, device=U32 | st.just(0), mode=MODES, filesystem=systems,
        truncated=st.booleans(), deleted=st.booleans(), raced=st.booleans(), host_path=st.just(b"") | PATHS, real_inode=st.just(0) | U64,
        real_device=U32,
    )  # fmt: skip


USER_ID: Final = st.none() | st.integers(0, 3) | st.just(2**32 - 2)
USER_NAME: Final = st.just("") | st.text(min_size=1, max_size=8)
GROUP_LIST: Final = st.lists(st.tuples(U32, USER_NAME), max_size=3)


def credentials_strategy() -> st.SearchStrategy[Credentials]:
    ids = dict.fromkeys((*USERS.values(), *GROUPS.values()), USER_ID)
    made = st.builds(Credentials, **ids, **{f"{word}_name": USER_NAME for word in (*USERS, *GROUPS)}, groups_truncated=st.booleans())
    return st.builds(with_groups, made, st.none() | GROUP_LIST, st.booleans())


def with_groups(credentials: Credentials, groups: list[tuple[int, str]] | None, named: bool) -> Credentials:
    if groups is None:
        return replace(credentials, groups=None)
    names = tuple(name for _, name in groups) if named and any(name for _, name in groups) else ()
    return replace(credentials, groups=tuple(number for number, _ in groups), group_names=names)


def task_strategy(number: int) -> st.SearchStrategy[Task]:
    return st.builds(with_ancestors, plain_task_strategy(number), st.lists(ABOVE, max_size=2), st.booleans())


ABOVE: Final = st.builds(
    Task, st.just(0), U32, U32, st.just(b"sh") | BYTES, st.just(b"sh"), st.just(b"/bin/sh") | BYTES,
    args=st.none() | st.lists(BYTES, max_size=2).map(tuple), args_late=st.booleans(), adopted=st.booleans(), ancestor=st.just(True),
)  # fmt: skip


def with_ancestors(task: Task, above: list[Task], cut: bool) -> Task:
    """Ids are each one's own."""
    ids = [task.id * 1000 + at for at in range(1, len(above) + 2)]
    if not cut:
        ids[-1] = 0
    rows = tuple(replace(one, id=ids[at], parent=ids[at + 1]) for at, one in enumerate(above))
    return replace(task, parent=ids[0], ancestors=rows)


def plain_task_strategy(number: int) -> st.SearchStrategy[Task]:
    return st.builds(
        Task, st.just(number), U32, U32, st.just(b"cat") | BYTES, st.just(b"cat") | BYTES, BYTES, ppid=U32,
        credentials=credentials_strategy(), cgroup=st.just(0) | U64, cgroup_path=BYTES, root=st.just(b"/") | PATHS,
        args=st.none() | st.lists(BYTES, max_size=3).map(tuple), args_truncated=st.booleans(),
        args_late=st.booleans(), adopted=st.booleans(),
    )  # fmt: skip


EVENTS: Final = st.fixed_dictionaries(
    {
        "time": st.integers(0, 2**60),
        "offset": U64 | st.sampled_from([0, 0o100, 0o2000000, os.O_TMPFILE | 2, os.O_SYNC | os.O_CREAT | 1]),
        "size": U64 | st.just(0o644),
        "result": st.integers(-4095, 200000) | st.sampled_from([0, -1, -2, -95, -512, -516, -(2**31), -(2**63), 2**63 - 1]),
        "duration": U32 | st.sampled_from([0, 812]),
        "task": st.integers(0, 3),
        "file": st.integers(0, 3),
        "tid": U32,
        "fd": st.integers(-(2**31), 2**31 - 1) | st.sampled_from([-1, 0, 3]),
        "open": U32 | st.just(0),
        "call": st.integers(0, len(CALLS) - 1),
        "rule": st.integers(0, 2),
        "flags": st.integers(0, 511) | st.sampled_from([0, 8, 16, 24, 32, 56]),
    },
    optional={
        "target": st.integers(0, 3),
        "target_fd": st.integers(-1, 20),
        "target_offset": U64,
        "argument": U32 | st.integers(0, 64),
    },
)
# Of four ids 0 means none and 3 is one that nobody described.
BATCHES: Final = st.builds(
    lambda rows, files, tasks: batch_of(*rows, files=files, tasks=tasks),
    st.lists(EVENTS, max_size=12),
    st.tuples(file_strategy(1), file_strategy(2)),
    st.tuples(task_strategy(1), task_strategy(2)),
)
