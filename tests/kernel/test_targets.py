"""Targets: commands, running processes, names of commands, cgroups, all processes, and their children.

Separate from test_filters.py, which selects among their events. The oracle is a shell that does one thing at a time:
what it does inside the target must be reported, what it does outside must not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from filetap.selection.targets import Targets, cgroup_root, find_cgroup, find_comm
from tests.kernel.harness import Shell, Watch, trace, wanted
from tests.timeouts import scaled, wait_for

IO = ("read", "open", "close")
Build = Callable[[str], str]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Return files to touch, by name."""
    paths = {name: tmp_path / name for name in ("before", "inside", "outside", "child", "grandchild", "after", "execed", "moved")}
    for path in paths.values():
        path.write_text("hello")
    return paths


def touched(watch: Watch, files: dict[str, Path]) -> set[str]:
    """Return the names of the files of the events."""
    names = {os.fsencode(path): name for name, path in files.items()}
    return {names[event.path] for event in watch.events if event.path in names}


def test_pid(files: dict[str, Path]) -> None:
    """A running process from now on, its future children and theirs; no other process."""
    with Shell() as shell, Shell() as other:
        shell.do(f": <{files['before']}")
        with Watch(Targets(pids=[shell.pid])) as watch:
            shell.do(f": <{files['inside']}; (: <{files['child']}; (: <{files['grandchild']}))")
            other.do(f": <{files['outside']}")
        shell.do(f": <{files['after']}")
    assert touched(watch, files) == {"inside", "child", "grandchild"}
    inside = [event for event in watch.events if event.path == os.fsencode(files["inside"])]
    assert [(event.call, event.pid, event.task.comm) for event in inside if event.op == "open"] == [("openat", shell.pid, b"sh")]


def test_pid_without_children(files: dict[str, Path]) -> None:
    with Shell() as shell:
        with Watch(Targets(pids=[shell.pid], follow=False)) as watch:
            shell.do(f": <{files['inside']}; (: <{files['child']}); cat {files['execed']}")
        assert touched(watch, files) == {"inside"}


def test_pid_with_running_children(files: dict[str, Path]) -> None:
    """Children, and grandchildren whose parent counts only by descent."""
    script = f"(while [ ! -e {files['inside']}.go ]; do sleep 0.01; done; : <{files['child']}; (: <{files['grandchild']})) & :"
    with Shell() as shell:
        shell.do(script)
        with Watch(Targets(pids=[shell.pid])) as watch:
            Path(f"{files['inside']}.go").touch()
            shell.do("wait")
        assert touched(watch, files) == {"child", "grandchild"}


def test_running_children_are_left_out_without_follow(files: dict[str, Path]) -> None:
    with Shell() as shell:
        shell.do(f"(while [ ! -e {files['inside']}.go ]; do sleep 0.01; done; : <{files['child']}) & :")
        with Watch(Targets(pids=[shell.pid], follow=False)) as watch:
            Path(f"{files['inside']}.go").touch()
            shell.do(f"wait; : <{files['inside']}")
        assert touched(watch, files) == {"inside"}


@pytest.mark.parametrize("follow", [True, False])
def test_pid_means_all_its_threads(program: Build, files: dict[str, Path], follow: bool) -> None:
    """Existing threads and future ones, with --no-children or not."""
    shell = Shell(program("threads"), "agent")
    with shell:
        shell.do("start")
        shell.do("start")
        with Watch(Targets(pids=[shell.pid], follow=follow)) as watch:
            tids = {int(shell.do(f"touch {n} {files['inside']}")[0]) for n in (0, 1)}
            shell.do("start")
            tids.add(int(shell.do(f"touch 2 {files['inside']}")[0]))
    opens = [event for event in watch.events if event.op == "open" and event.path == os.fsencode(files["inside"])]
    assert {event.tid for event in opens} == tids
    assert {event.pid for event in opens} == {shell.pid}
    assert len(opens) == len(tids) == 3


def test_thread_id_means_its_process(program: Build, files: dict[str, Path]) -> None:
    with Shell(program("threads"), "agent") as shell:
        (tid,) = (int(line) for line in shell.do("start"))
        named = Targets()
        named.name_process(tid)
        with Watch(named) as watch:
            shell.do(f"touch 0 {files['inside']}")
    assert touched(watch, files) == {"inside"}


def test_two_pids_are_a_union(files: dict[str, Path]) -> None:
    with Shell() as one, Shell() as two, Shell() as other:
        with Watch(Targets(pids=[one.pid, two.pid])) as watch:
            one.do(f": <{files['inside']}")
            two.do(f": <{files['moved']}")
            other.do(f": <{files['outside']}")
        assert touched(watch, files) == {"inside", "moved"}


@pytest.fixture
def namesake(tmp_path: Path) -> Path:
    """Start a shell whose name is longer than comm's 15 bytes."""
    path = tmp_path / "a-name-of-20-bytes!!"
    shutil.copy("/bin/sh", path)
    return path


def test_command_name(files: dict[str, Path], namesake: Path) -> None:
    """Running processes, later execs, and their children; 15 bytes are compared."""
    with Shell(str(namesake)) as running, Shell() as other:
        with Watch(Targets(comms=[find_comm(namesake.name)])) as watch:
            running.do(f": <{files['inside']}; (: <{files['child']}); cat {files['grandchild']}")
            other.do(f": <{files['outside']}; {namesake} -c ': <{files['execed']}'; : <{files['after']}")
        assert touched(watch, files) == {"inside", "child", "grandchild", "execed"}


def test_a_short_command_name_after_a_long_one(files: dict[str, Path], namesake: Path) -> None:
    """Linux 5.10 leaves the end of the long one behind it."""
    with Shell(str(namesake), "-c", "exec /bin/sh") as running, Watch(Targets(comms=[b"sh", b"cat"])) as watch:
        running.do(f": <{files['inside']}")
        subprocess.run([str(namesake), "-c", f"exec cat {files['execed']}"], check=True, stdout=subprocess.DEVNULL)
    assert touched(watch, files) == {"inside", "execed"}


def test_command_name_before_an_exec(files: dict[str, Path], namesake: Path) -> None:
    """Its children count, whatever they execute."""
    with Watch(Targets(comms=[find_comm(namesake.name)])) as watch:
        subprocess.run([str(namesake), "-c", f"exec cat {files['execed']}"], check=True, stdout=subprocess.DEVNULL)
    assert touched(watch, files) == {"execed"}


@pytest.mark.parametrize("by", ["id", "path", "below the root"])
def test_cgroup(files: dict[str, Path], cgroup: Path, by: str) -> None:
    """The whole subtree counts; a task counts while it is in it."""
    (cgroup / "deep" / "deeper").mkdir(parents=True)
    name = {"id": str(cgroup.stat().st_ino), "path": str(cgroup), "below the root": cgroup.name}[by]
    with Shell() as shell, Shell() as other:
        with Watch(Targets(cgroups=[find_cgroup(name)])) as watch:
            shell.do(f": <{files['before']}; echo $$ >{cgroup}/cgroup.procs; : <{files['inside']}; (: <{files['child']})")
            shell.do(f"echo $$ >{cgroup}/deep/deeper/cgroup.procs; : <{files['grandchild']}")
            other.do(f": <{files['outside']}")
            shell.do(f"echo $$ >{cgroup_root()}/cgroup.procs; : <{files['after']}")
        assert touched(watch, files) == {"inside", "child", "grandchild"}
    cgroups = {event.path: event.task.cgroup for event in watch.events}
    assert cgroups[os.fsencode(files["inside"])] == cgroup.stat().st_ino
    assert cgroups[os.fsencode(files["grandchild"])] == (cgroup / "deep/deeper").stat().st_ino
    paths = {event.path: event.task.cgroup_path for event in watch.events}
    assert paths[os.fsencode(files["grandchild"])] == b"/" + os.fsencode(cgroup.name) + b"/deep/deeper"


def test_sibling_cgroup_is_not_below(files: dict[str, Path], cgroup: Path) -> None:
    (cgroup / "one").mkdir()
    (cgroup / "two").mkdir()
    with Shell() as shell:
        with Watch(Targets(cgroups=[find_cgroup(str(cgroup / "one"))])) as watch:
            shell.do(f"echo $$ >{cgroup}/two/cgroup.procs; : <{files['outside']}; echo $$ >{cgroup}/cgroup.procs; : <{files['before']}")
            shell.do(f"echo $$ >{cgroup}/one/cgroup.procs; : <{files['inside']}")
        assert touched(watch, files) == {"inside"}


def test_cgroup_and_command_both(files: dict[str, Path], cgroup: Path, namesake: Path) -> None:
    """-c with --cgroup: both conditions must hold."""
    with Shell(str(namesake)) as both, Shell() as other:
        with Watch(Targets(cgroups=[find_cgroup(str(cgroup))], comms=[find_comm(namesake.name)])) as watch:
            both.do(f": <{files['outside']}; echo $$ >{cgroup}/cgroup.procs; : <{files['inside']}; (: <{files['child']})")
            other.do(f": <{files['before']}; echo $$ >{cgroup}/cgroup.procs; : <{files['moved']}")
            other.do(f"{namesake} -c ': <{files['execed']}'")
            both.do(f"echo $$ >{cgroup_root()}/cgroup.procs; : <{files['after']}")
        assert touched(watch, files) == {"inside", "child", "execed"}


def test_pid_and_cgroup_are_a_union(files: dict[str, Path], cgroup: Path) -> None:
    with Shell() as named, Shell() as member:
        with Watch(Targets(pids=[named.pid], cgroups=[find_cgroup(str(cgroup))])) as watch:
            member.do(f": <{files['outside']}; echo $$ >{cgroup}/cgroup.procs; : <{files['inside']}")
            named.do(f": <{files['child']}")
        assert touched(watch, files) == {"inside", "child"}


def test_all(files: dict[str, Path], tmp_path: Path) -> None:
    """Every process except filetap itself; here that is this process."""
    with Shell() as one:
        with Watch(Targets(all=True), wanted(*IO, paths=[str(tmp_path)])) as watch:
            one.do(f": <{files['inside']}; (: <{files['child']})")
            files["outside"].read_bytes()
        assert touched(watch, files) == {"inside", "child"}


def test_launched_command_begins_at_its_exec(files: dict[str, Path]) -> None:
    """No event of the process that held the command's place before, and every event after."""
    run = trace(["cat", str(files["inside"])], wanted("all"))
    first, last = run.events[0], run.events[-1]
    assert (first.op, first.path) == ("exec", os.fsencode(os.path.realpath("/bin/cat")))
    assert (last.op, last.result) == ("exit", 0)
    assert {event.pid for event in run.events} == {run.pid}
    assert run.output == b"hello"


def test_grandchildren_whose_parent_is_gone(files: dict[str, Path]) -> None:
    """A daemon is still a descendant, though its parent is init by then."""
    script = f"(setsid sh -c 'sleep 0.2; : <{files['grandchild']}' >/dev/null 2>&1 </dev/null &)"
    run = trace(["sh", "-c", script], wanted(*IO))
    assert any(event.path == os.fsencode(files["grandchild"]) for event in run.events)


def ndjson(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_sandbox_with_a_daemon(files: dict[str, Path], tmp_path: Path, filetap: tuple[str, ...]) -> None:
    """A daemon that has left parent and session still counts, and the end of the trace waits for it."""
    output = tmp_path / "events.json"
    script = (
        f"cat /proc/self/cgroup; (setsid sh -c 'sleep 0.5; : <{files['grandchild']}' >/dev/null 2>&1 </dev/null &); : <{files['inside']}"
    )
    began = time.monotonic()
    done = subprocess.run(
        [*filetap, "trace", "--sandbox", "-e", "io", "-e", "open", "-f", "json", "-o", str(output), "--", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        timeout=scaled(30),
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began > 0.5
    (sandbox,) = (line.removeprefix("0::/") for line in done.stdout.splitlines() if line.startswith("0::/filetap-"))
    assert not (cgroup_root() / sandbox).exists()
    text = output.read_text()
    assert str(files["grandchild"]) in text
    assert str(files["inside"]) in text


def test_sandbox_counts_a_process_that_was_moved_in(files: dict[str, Path], tmp_path: Path, filetap: tuple[str, ...]) -> None:
    output, go = tmp_path / "events.json", tmp_path / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.01; done"
    with Shell() as shell:
        sandboxed = subprocess.Popen(
            [*filetap, "trace", "--sandbox", "-e", "io", "-e", "open", "-f", "json", "-o", str(output), "--", "sh", "-c", script],
            stderr=subprocess.PIPE,
        )
        with sandboxed:
            wait_for(lambda: bool(list(cgroup_root().glob(f"filetap-{sandboxed.pid}"))))
            (cgroup,) = cgroup_root().glob(f"filetap-{sandboxed.pid}")
            wait_for(lambda: output.exists() and output.stat().st_size > 0)
            shell.do(f"echo $$ >{cgroup}/cgroup.procs; : <{files['inside']}; echo $$ >{cgroup_root()}/cgroup.procs; : <{files['after']}")
            go.touch()
            assert sandboxed.stderr
            errors = sandboxed.stderr.read()
    assert b"could not be removed" not in errors
    assert not cgroup.exists()
    text = output.read_text()
    assert str(files["inside"]) in text
    assert str(files["after"]) not in text
