"""Ancestors of a process: its parent, that process's parent, and so on up to the first, whichever of them are traced.

Separate from test_process.py, because ancestors need not be targets. Expected values come from /proc, which the program
walks at that moment, and from what the program knows of its forks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from filetap.core.wire import ANCESTRY_NONE, MAX_ANCESTORS, PROCESS_ENTRY, PROCESS_KEY
from filetap.kernel.maps import Map
from filetap.kernel.types import KernelTypes
from filetap.selection.targets import Targets
from tests.kernel.ancestry import BY_OPTION, agrees, run, same, script
from tests.kernel.harness import Shell, Watch, by_path, hold, release, trace, wanted
from tests.timeouts import scaled, wait_for


@BY_OPTION
def test_all_ancestors_up_to_the_first_process(tmp_path: Path, options: dict[str, Any]) -> None:
    """For the command itself, a child, and a grandchild; none of their ancestors is a target."""
    done = run("touch('a'); child(lambda: (touch('b'), child(lambda: touch('c'))))", tmp_path, **options)
    agrees(done, tmp_path)
    assert {line["file"] for line in done.lines} == {"a", "b", "c"}
    assert {line["above"][-1][0] for line in done.lines} == {1}
    assert done.stats.processes == 3


@BY_OPTION
def test_only_adopted_processes_are_marked_as_adopted(tmp_path: Path, options: dict[str, Any]) -> None:
    done = run("touch('a'); child(lambda: (touch('b'), child(lambda: touch('c'))))", tmp_path, **options)
    for event in done.events:
        ours = [event.task, *event.task.ancestors]
        assert not any(process.adopted for process in ours[: [process.pid for process in ours].index(os.getpid())])


def test_ancestors_are_the_same_rows_for_all(tmp_path: Path) -> None:
    """Each process is described once, not once per child."""
    done = run("for i in range(50): child(lambda: touch(str(i)))", tmp_path)
    agrees(done, tmp_path)
    rows = {process.pid: process.id for event in done.events for process in event.task.ancestors}
    assert {process.id for event in done.events for process in event.task.ancestors} == set(rows.values())
    assert len({event.task.id for event in done.events}) == 50


def test_untraced_parent_of_a_command_traced_by_name(tmp_path: Path) -> None:
    """The everyday case: rm is traced by name, and the script that called it is not."""
    job = tmp_path / "cleanup-job.sh"
    job.write_text(f"#!/bin/sh\ntouch {tmp_path}/made; :\n")
    job.chmod(0o755)
    held = hold(["/bin/sh", "-c", f"{job}; :"])
    with held, Watch(Targets(comms=[b"touch"]), wanted("open", paths=[str(tmp_path)])) as tracer:
        release(held)
        held.communicate(timeout=scaled(60))
    (event,) = by_path(tracer.events, tmp_path / "made")
    shell = os.fsencode(os.path.realpath("/bin/sh"))
    assert [(process.comm, process.exe) for process in event.task.ancestors[:2]] == [(b"cleanup-job.sh", shell), (b"sh", shell)]
    assert tracer.stats.processes == 1


def test_a_parent_that_execs_is_another_row(tmp_path: Path) -> None:
    """Before and after the exec it is two programs; each child is of one or the other."""
    text = f"""
child(lambda: touch("before"))
os.execv("/bin/sh", ["/bin/sh", "-c", "(: >{tmp_path}/after); :"])
"""
    done = run(text, tmp_path)
    (before,), (after,) = (by_path(done.events, tmp_path / name) for name in ("before", "after"))
    parents = [(event.task.ancestors[0].pid, event.task.ancestors[0].comm) for event in (before, after)]
    assert parents == [(done.pid, os.path.basename(sys.executable)[:15].encode()), (done.pid, b"sh")]
    assert before.task.ancestors[0].id != after.task.ancestors[0].id
    assert before.task.ancestors[1].id == after.task.ancestors[1].id


def test_a_parent_that_renames_itself_has_its_new_name(tmp_path: Path) -> None:
    text = "for name in (b'one', b'two'): libc.prctl(PR_SET_NAME, name); child(lambda: touch(name.decode()))"
    agrees(done := run(text, tmp_path), tmp_path)
    assert {event.path: event.task.ancestors[0].comm for event in done.events} == {
        os.fsencode(tmp_path / "one"): b"one",
        os.fsencode(tmp_path / "two"): b"two",
    }


def test_a_fork_by_another_thread_has_the_process_as_parent(tmp_path: Path) -> None:
    """In the kernel the parent is the thread that forked."""
    text = """
import threading
def fork(): child(lambda: touch("a"))
libc.prctl(PR_SET_NAME, b"leader")
t = threading.Thread(target=lambda: (libc.prctl(PR_SET_NAME, b"other"), fork())); t.start(); t.join()
"""
    done = run(text, tmp_path)
    agrees(done, tmp_path)
    assert done.events[0].task.ancestors[0].comm == b"leader"


ORPHAN: Final = """
if "reaper" in sys.argv: libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
libc.prctl(PR_SET_NAME, b"grandfather")
orphan(lambda forker: (touch("a", forker=forker)))
"""


@pytest.mark.parametrize("reaper", ["", "reaper"])
def test_an_orphan_has_the_parent_that_adopted_it(tmp_path: Path, reaper: str) -> None:
    """Its parent is a subreaper or the first process, and is marked as not having forked it."""
    done = trace(script(ORPHAN, tmp_path, reaper), wanted("open", paths=[str(tmp_path)]))
    agrees(done, tmp_path)
    (event,) = done.events
    assert event.task.adopted
    assert event.task.ancestors[0].pid == (done.pid if reaper else done.lines[0]["above"][0][0])
    assert event.task.ancestors[0].pid != done.lines[0]["forker"]


def test_an_orphan_forked_before_tracing_is_marked_too(tmp_path: Path) -> None:
    """It was forked before tracing began. Its original parent had made an exec that the adopting process has not made."""
    text = """
libc.prctl(PR_SET_NAME, b"grandfather")
def late(forker):
    print(json.dumps({"orphan": os.getpid()}), flush=True)
    sys.stdin.readline()
    touch("a", forker=forker)
orphan(late)
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(script(text, tmp_path), **pipes) as process:  # type: ignore[call-overload]
        pid = json.loads(process.stdout.readline())["orphan"]
        with Watch(Targets(pids=[pid]), wanted("open", paths=[str(tmp_path)])) as tracer:
            line = json.loads(process.communicate(b"go\n")[0])
            wait_for(lambda: tracer.source.live <= 0)
    (event,) = tracer.events
    assert same(event.task.ancestors, line["above"])
    assert event.task.adopted


@pytest.mark.parametrize("reaper", ["", "reaper"])
def test_with_ancestors_an_orphan_has_the_parent_that_forked_it(tmp_path: Path, reaper: str) -> None:
    """That parent has ended, and no event was about it."""
    options = {"ancestors": True, "arguments": True}
    done = trace(script(ORPHAN, tmp_path, reaper), wanted("open", paths=[str(tmp_path)]), options)
    (event,) = done.events
    (line,) = done.lines
    assert not event.task.adopted
    assert event.task.ppid == line["ppid"]
    python = os.path.realpath(sys.executable)
    ours = [os.getpid(), Path("/proc/self/comm").read_text().strip(), os.path.realpath("/proc/self/exe")]
    assert same(event.task.ancestors[:3], [[line["forker"], "grandfather", python], [done.pid, "grandfather", python], ours])
    forker = event.task.ancestors[0]
    assert forker.args
    assert (forker.args[0], forker.args[-1], forker.args_late) == (os.fsencode(sys.executable), reaper.encode(), False)


def test_with_ancestors_a_chain_of_ended_processes(tmp_path: Path) -> None:
    """Each process is forked by the one before, which ends at once: the first one is still known."""
    text = """
def hop(left, line):
    libc.prctl(PR_SET_NAME, f"hop{left}".encode())
    if left:
        me = os.getpid()
        if os.fork(): os._exit(0)
        while os.getppid() == me: time.sleep(0.001)
        hop(left - 1, [me, *line])
    touch("a", line=line)
    os.write(into, b".")
    os._exit(0)
out, into = os.pipe()
if not os.fork(): hop(20, [])
os.read(out, 1)
"""
    done = run(text, tmp_path, ancestors=True)
    (event,) = done.events
    names = [(process.pid, process.comm) for process in event.task.ancestors[:20]]
    assert names == [(pid, b"hop%d" % left) for left, pid in enumerate(done.lines[0]["line"], 1)]
    assert event.task.ancestors[20].pid == done.pid
    assert event.task.ancestors[-1].pid == 1


@pytest.mark.parametrize("options", [{}, {"ancestors": True}], ids=["", "ancestors"])
def test_clone_parent(tmp_path: Path, options: dict[str, Any]) -> None:
    """CLONE_PARENT: the child of one process belongs to another from its birth on."""
    text = """
CLONE_PARENT, SIGCHLD, clone = 0x8000, 17, 56
def middle():
    me = os.getpid()
    pid = libc.syscall(clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0)
    if not pid:
        libc.prctl(PR_SET_NAME, b"sibling")
        touch("a", forker=me)
        os._exit(0)
libc.prctl(PR_SET_NAME, b"parent")
child(lambda: (libc.prctl(PR_SET_NAME, b"forker"), middle(), time.sleep(0.01)))
os.wait()
"""
    done = run(text, tmp_path, **options)
    (event,) = done.events
    (line,) = done.lines
    assert event.task.ppid == line["ppid"] == done.pid
    if options:
        assert (event.task.ancestors[0].pid, event.task.ancestors[0].comm) == (line["forker"], b"forker")
        assert not event.task.adopted
    else:
        assert (event.task.ancestors[0].pid, event.task.ancestors[0].comm) == (done.pid, b"parent")
        assert event.task.adopted


DEEP: Final = MAX_ANCESTORS + 16


def test_too_many_ancestors_are_cut_and_marked(tmp_path: Path) -> None:
    """The nearest ancestors are kept."""
    text = f"""
def deeper(left):
    if left: child(lambda: deeper(left - 1))
    else: touch("a")
deeper({DEEP})
"""
    done = run(text, tmp_path)
    (event,) = done.events
    assert same(event.task.ancestors, done.lines[0]["above"][:MAX_ANCESTORS])
    assert event.task.is_cut
    done = run(text, tmp_path, ancestors=True)
    (event,) = done.events
    assert same(event.task.ancestors, done.lines[0]["above"][:MAX_ANCESTORS])
    assert event.task.is_cut


@BY_OPTION
def test_many_short_lived_processes(tmp_path: Path, options: dict[str, Any]) -> None:
    """Three hundred processes, each with a child that touches a file: every child has its own parent."""
    text = """
def one(i):
    def leaf(): os.close(os.open(f"{folder}/{i}", os.O_WRONLY | os.O_CREAT))
    print(json.dumps({"file": str(i), "parent": os.getpid(), "child": child(leaf)}), flush=True)
for first in range(0, 300, 20):
    for i in range(first, first + 20):
        if not os.fork(): one(i); os._exit(0)
    for i in range(20): os.wait()
"""
    done = run(text, tmp_path, **options)
    assert len(done.lines) == 300
    for line in done.lines:
        (event,) = by_path(done.events, tmp_path / line["file"])
        assert [process.pid for process in (event.task, *event.task.ancestors[:2])] == [line["child"], line["parent"], done.pid]
    assert done.stats.processes == 300


def test_arguments_of_parents_that_have_ended(tmp_path: Path) -> None:
    """The arguments are read at the fork: the script ends before anything could be read from /proc."""
    job = tmp_path / "job.sh"
    job.write_text('#!/bin/sh\n/usr/bin/touch "$1"\nexit 0\n')
    job.chmod(0o755)
    command = ["/bin/sh", "-c", 'for i in 1 2 3 4 5 6 7 8 9; do "$0" "$1/$i" "two words" ""; done', job, tmp_path]
    done = trace(command, wanted("open", paths=[str(tmp_path)]), {"arguments": True})
    made = [event for event in done.events if event.task.comm == b"touch"]
    assert len(made) == 9
    for number, event in enumerate(made, 1):
        assert event.task.args == (b"/usr/bin/touch", os.fsencode(tmp_path / str(number)))
        parent = event.task.ancestors[0]
        assert parent.args == (b"/bin/sh", os.fsencode(job), os.fsencode(tmp_path / str(number)), b"two words", b"")
        assert not parent.args_late


def test_arguments_of_earlier_parents_come_from_proc(tmp_path: Path) -> None:
    """They are marked as read late."""
    shell = Shell("/bin/sh", "-s", "long lived", "last")
    with shell, Watch(Targets(pids=[shell.pid]), wanted("open", paths=[str(tmp_path)]), arguments=True) as tracer:
        shell.do(f": >{tmp_path}/a")
    (event,) = by_path(tracer.events, tmp_path / "a")
    assert (event.task.args, event.task.args_late) == ((b"/bin/sh", b"-s", b"long lived", b"last"), False)
    mine = next(process for process in event.task.ancestors if process.pid == os.getpid())
    assert mine.args == tuple(Path("/proc/self/cmdline").read_bytes()[:4096].removesuffix(b"\0").split(b"\0"))
    assert mine.args_late


@pytest.mark.parametrize("options", [{"arguments": True}, {"ancestors": True}], ids=["args", "ancestors"])
def test_ended_processes_are_removed_from_the_table(tmp_path: Path, options: dict[str, Any]) -> None:
    """The kernel table contains running processes only."""
    held = hold(script("for i in range(200): child(lambda: child(lambda: touch(str(i))))", tmp_path))
    tracer = Watch(Targets(command=held.pid), wanted("open", paths=[str(tmp_path)]), **options)
    with held, tracer:
        release(held)
        held.communicate(timeout=scaled(60))
        wait_for(lambda: tracer.source.live <= 0)
        processes = Map(tracer.source.programs.map_fd("processes"), PROCESS_KEY, PROCESS_ENTRY)
        wait_for(lambda: all(Path(f"/proc/{pid}").exists() for pid in processes.items()[0]["pid"].tolist()))
        assert len(processes.items()[0])
    assert len(tracer.events) == 200


def test_sums_describe_no_ancestors(tmp_path: Path) -> None:
    tracer = Watch(Targets(all=True), aggregate=True, ancestors=True)
    assert tracer.options.ancestry == ANCESTRY_NONE


@pytest.mark.native("7.x is where these are used by themselves, and kernels before 6.12 do not let them call for a task")
def test_forks_by_classic_tracepoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KernelTypes, "preempts_tracepoints", lambda _: True)
    done = run(ORPHAN, tmp_path, ancestors=True)
    assert done.events[0].task.ancestors[0].pid == done.lines[0]["forker"]


@pytest.mark.hooks
def test_ancestors_with_vfs_hooks(tmp_path: Path) -> None:
    """Such kernels may preempt the programs, which use per-CPU memory."""
    done = trace(
        script("for i in range(100): child(lambda: touch(str(i)))", tmp_path), wanted("open", paths=[str(tmp_path)]), {"level": "auto"}
    )
    agrees(done, tmp_path)
    assert len(done.lines) == 100
