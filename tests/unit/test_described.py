"""Stages that describe files and tasks: paths on the host, names of users, and names that come late.

The oracle is what the test's own mounts and database answer.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from filetap.core.batch import Batch, Credentials, File, Task
from filetap.enrich.described import Described
from filetap.enrich.host_paths import HostPaths, Mounts
from filetap.enrich.users import Accounts, Names, UserNames
from filetap.sinks.ndjson import NdjsonSink
from tests.timeouts import wait_for
from tests.unit.batches import batch_of

OURS = Task(1, 7, 7, b"t", b"t", credentials=Credentials(euid=7, uid=8, groups=(4,)), has_host_root=True)


class OneMount(Mounts):
    """Shows everything of one device below a directory."""

    def __init__(self) -> None:
        """Read no mountinfo."""

    def path(self, device: int, inside: bytes) -> bytes:
        return b"/host" + inside if device == 5 else b""


def batch(*tasks: Task, files: tuple[File, ...] = (File(1, b"/a"),)) -> Batch:
    return batch_of(*({"task": task.id} for task in tasks), files=files, tasks=tasks)


def accounts(users: Callable[[int], str], patience: float = 60) -> Accounts:
    return Accounts(Names(users, patience=patience), Names(lambda number: f"group{number}"))


def test_host_paths_come_from_the_mounts() -> None:
    """A name that led nowhere has none."""
    files = (File(1, b"/a", device=5, inner_path=b"/x"), File(2, b"/b", device=6, inner_path=b"/y"), File(3, b"/c", resolved=False))
    (made,) = HostPaths(OneMount()).take(batch(OURS, files=files))
    assert [made.files[number].host_path for number in (1, 2, 3)] == [b"/host/x", b"", b""]
    assert replace(made.files[1], host_path=b"") == files[0]


def test_names_of_tasks_and_of_their_ancestors() -> None:
    """Only of those that have the host's root directory: elsewhere the ids may belong to other users."""
    parent, other = replace(OURS, id=2), replace(OURS, id=3, has_host_root=False)
    given = batch(replace(OURS, ancestors=(parent, other)), other)
    (made,) = UserNames(accounts(lambda number: {7: "alice"}.get(number, ""))).take(given)
    ours, above, elsewhere = made.tasks[1], made.tasks[1].ancestors, made.tasks[3]
    assert (ours.credentials.user_name, ours.credentials.real_user_name) == ("alice", "")
    assert (ours.credentials.group_name, ours.credentials.group_names) == ("group0", ("group4",))
    assert above == (replace(parent, credentials=ours.credentials), other)
    assert elsewhere == other
    assert made.renewed == frozenset()


def test_a_name_that_comes_late_is_in_later_events() -> None:
    """The text of the task was made before: it is made again, once."""
    answer = threading.Event()

    def slow(number: int) -> str:
        answer.wait()
        return f"user{number}"

    names = accounts(slow, patience=0.01)
    stage, raw = UserNames(names), io.BytesIO()
    sink, renewed = NdjsonSink(raw), []

    def deliver() -> None:
        (made,) = stage.take(batch(OURS))
        renewed.append(made.renewed)
        sink.write(made)
        sink.flush()

    deliver()
    deliver()
    answer.set()
    wait_for(lambda: not names.is_late)
    deliver()
    deliver()
    users: list[Any] = [json.loads(line)["process"]["user"] for line in raw.getvalue().splitlines()]
    assert users == [{"id": 7}, {"id": 7}, {"id": 7, "name": "user7"}, {"id": 7, "name": "user7"}]
    assert renewed == [frozenset(), frozenset(), frozenset((1,)), frozenset()]


def test_each_is_described_once() -> None:
    """An item that has changed is described again: ids of single events come again."""
    seen = []

    def describe(file: File) -> File:
        seen.append(file.path)
        return replace(file, host_path=b"/host" + file.path)

    described = Described(describe)
    files = {1: File(1, b"/a"), 2: File(2, b"/b")}
    for _ in range(3):
        assert described.of(files)[1].host_path == b"/host/a"
    assert described.of({1: File(1, b"/c")})[1].host_path == b"/host/c"
    assert seen == [b"/a", b"/c"]
    assert list(described.of(files)) == [1, 2]
    assert 3 not in described
