"""Which calls under way are listed: filters, targets, levels.

Separate from test_pending_calls.py, which lists all of them.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.selection.targets import Targets, find_cgroup
from tests.kernel.harness import Watch, at_level, wanted
from tests.kernel.waiting import listed, waiting, waits_in
from tests.timeouts import scaled, wait_for

BOTH: Final = """
os.mkdir(root + "/in"); os.mkdir(root + "/out")
for folder in ("in", "out"):
    path = f"{root}/{folder}/file"
    mine = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(mine, fcntl.LOCK_EX)
    begin("flock", lambda: fcntl.flock(os.open(path, os.O_RDWR), fcntl.LOCK_EX), path=path)
    os.mkfifo(f"{root}/{folder}/fifo")
    begin("openat", lambda: os.open(f"{root}/{folder}/fifo", os.O_RDONLY), path=f"{root}/{folder}/fifo")
out, into = os.pipe()
begin("read", lambda: os.read(out, 1), path=os.readlink(f"/proc/self/fd/{out}"))
"""


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["in/fifo", "in/file", "out/fifo", "out/file"]),
        ({"types": ["pipe"]}, ["in/fifo", "in/file", "out/fifo", "out/file", "pipe"]),
        ({"events": ["lock"]}, ["in/file", "out/file"]),
        ({"paths": ["in"]}, ["in/fifo", "in/file"]),
        ({"exclude": ["in"]}, ["out/fifo", "out/file"]),
        ({"paths": ["in/file"]}, ["in/file"]),
        ({"failed": True}, []),
        ({"min_latency": 10**7}, ["in/fifo", "in/file", "out/fifo", "out/file"]),
        ({"min_latency": 10**12}, []),
    ],
)
def test_filters(tmp_path: Path, filters: dict[str, Any], names: list[str]) -> None:
    """PATHs are relative to the test's own directory."""
    where = {name: [str(tmp_path / path) for path in filters[name]] for name in ("paths", "exclude") if name in filters}
    with waiting(BOTH, tmp_path) as program:
        program.begin()
        chosen = wanted(*filters.get("events", ()), **{k: v for k, v in filters.items() if k != "events"} | where)
        watch = Watch(Targets(pids=[program.pid]), chosen)
        with watch:
            began = time.monotonic()
            wait_for(lambda: time.monotonic() - began > 0.05)
        mine = {line["pid"] for line in program.lines}
        found = [event for listing in watch.listings for event in listing if event.pid in mine]
        paths = [os.fsdecode(event.path).removeprefix(f"{tmp_path}/").partition(":")[0] for event in found]
        assert sorted(paths) == names


def test_targets(tmp_path: Path, cgroup: Path) -> None:
    """By cgroup, by name, and all processes except filetap's own."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    thread = threading.Thread(target=lambda: os.close(os.open(fifo, os.O_RDONLY)), daemon=True)
    thread.start()
    inside, outside = (subprocess.Popen(["cat", fifo], stdin=subprocess.DEVNULL) for _ in range(2))
    try:
        (cgroup / "cgroup.procs").write_text(str(inside.pid))
        wait_for(lambda: all(waits_in(process.pid, "openat") for process in (inside, outside)))
        whose = {
            "cgroup": (Targets(cgroups=[find_cgroup(str(cgroup))]), {inside.pid}),
            "comm": (Targets(comms=[b"cat"]), {inside.pid, outside.pid}),
            "both": (Targets(cgroups=[find_cgroup(str(cgroup))], comms=[b"cat"]), {inside.pid}),
            "all": (Targets(all=True), {inside.pid, outside.pid}),
            "pid": (Targets(pids=[outside.pid]), {outside.pid}),
        }
        for name, (targets, pids) in whose.items():
            watch = Watch(targets, wanted("open", paths=[str(tmp_path)]))
            with watch:
                pass
            assert {event.pid for listing in watch.listings for event in listing} == pids, name
    finally:
        for process in (inside, outside):
            process.kill()
            process.wait()
        os.close(os.open(fifo, os.O_RDWR))
        thread.join(scaled(10))


@pytest.mark.hooks
def test_at_the_vfs_level_pending_hooks_are_listed(tmp_path: Path) -> None:
    """By the time that its open waits the kernel has resolved the FIFO; locks have no hook."""
    with waiting(BOTH, tmp_path) as program:
        chosen, options = at_level("vfs", types=["pipe"])
        found, _ = listed(program, chosen, **options)
        lines = {line["pid"]: line for line in program.lines if line["call"] != "flock"}
        mine = {event.pid: event for event in found if event.pid != program.pid}
        assert {pid: os.fsdecode(event.path) for pid, event in mine.items()} == {pid: line["path"] for pid, line in lines.items()}
        assert {event.call for event in mine.values()} == {"security_file_open", "security_file_permission"}
        assert all(event.file and event.file.resolved for event in mine.values())
        assert all(event.duration > 0 and not event.at_least for event in mine.values())
