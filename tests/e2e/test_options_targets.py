"""Each option of ``filetap trace`` that selects processes does what its help says, one small trace each.

Separate from test_command.py, which is about a launched command. The oracle is the traced program, which is part of the
test.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import parse, path_of

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Puppet
from tests.e2e.commands import JSON, lines


def test_pid_and_its_end(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    with ft.started("trace", *JSON, "-e", "open", "-p", puppet.pid, tree) as run:
        run.wait_ready()
        puppet.touch(tree / "a")
        puppet.end()
        done = run.end()
    assert [(e["file"]["path"], e["process"]["pid"]) for e in lines(done.out)] == [(str(tree / "a"), puppet.pid)]
    assert done.status == 0


FORK = "pid = os.fork() or (os.close(os.open({path!r}, os.O_RDONLY)), os._exit(0)); os.waitpid(pid, 0)"


@pytest.mark.parametrize("follow", [True, False], ids=["follow", "no-follow"])
def test_children_of_pid(ft: Filetap, tree: Path, puppet: Puppet, follow: bool) -> None:
    with ft.started("trace", *JSON, "-e", "open", "-p", puppet.pid, *([] if follow else ["--no-children"]), tree) as run:
        run.wait_ready()
        puppet.do(FORK.format(path=str(tree / "a")))
        puppet.touch(tree / "sub" / "b")
        puppet.end()
        done = run.end()
    found = [e["file"]["path"] for e in lines(done.out)]
    assert found == [str(tree / "a")] * follow + [str(tree / "sub" / "b")]


def test_existing_children_and_threads_of_pid(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    puppet.do("r, w = os.pipe(); r2, w2 = os.pipe()")
    puppet.do("def later(fd, path): os.read(fd, 1); os.close(os.open(path, os.O_RDONLY))")
    puppet.do(f"pid = os.fork() or (os.close(w), later(r, {str(tree / 'a')!r}), os._exit(0))")
    puppet.do(f"t = threading.Thread(target=later, args=(r2, {str(tree / 'sub' / 'b')!r})); t.start()")
    with ft.started("trace", *JSON, "-e", "open", "-p", puppet.pid, tree) as run:
        run.wait_ready()
        puppet.do("os.write(w, b'x'); os.waitpid(pid, 0); os.write(w2, b'x'); t.join()")
        puppet.end()
        done = run.end()
    assert [e["file"]["path"] for e in lines(done.out)] == [str(tree / "a"), str(tree / "sub" / "b")]


def test_a_thread_id_means_its_process(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    puppet.do("r, w = os.pipe(); t = threading.Thread(target=os.read, args=(r, 1)); t.start()")
    tid = next(int(name) for name in os.listdir(f"/proc/{puppet.pid}/task") if int(name) != puppet.pid)
    with ft.started("trace", *JSON, "-e", "open", "-p", tid, tree) as run:
        run.wait_ready()
        puppet.touch(tree / "a")
        puppet.do("os.write(w, b'x')")
        puppet.end()
        done = run.end()
    assert [e["process"]["pid"] for e in lines(done.out)] == [puppet.pid]


def test_others_are_not_traced(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    with ft.started("trace", *JSON, "-p", puppet.pid, tree) as run:
        run.wait_ready()
        subprocess.run(["cat", tree / "a"], check=True, capture_output=True)
        (tree / "a").read_bytes()
        puppet.end()
        done = run.end()
    assert done.out == b""


def test_command_name(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    """A running process, a later one, and their children; 15 bytes of the name are compared."""
    shell = tmp_path / "filetap-test-shell"
    shell.write_bytes(Path("/bin/sh").read_bytes())
    shell.chmod(0o755)
    body = 'read x; : <"$0"; sh -c ": <$1"'
    a, b, c = (str(tree / name) for name in ("a", "sub/b", "sub/deep/c"))
    with (
        subprocess.Popen([shell, "-c", body, a, b], stdin=subprocess.PIPE) as running,
        ft.started("trace", *JSON, "-e", "open", "-c", shell.name, tree) as run,
    ):
        run.wait_ready()
        running.communicate(b"\n")
        subprocess.run([shell, "-c", ': <"$0"', c], check=True)
        subprocess.run(["sh", "-c", ': <"$0"', c], check=True)
        done = run.end(signal.SIGINT)
    found = [(e["file"]["path"], e["process"]["name"]) for e in lines(done.out)]
    assert found == [(a, shell.name[:15]), (b, "sh"), (c, shell.name[:15])]


@pytest.mark.parametrize("form", ["id", "path", "relative"])
def test_cgroup_and_its_subtree(ft: Filetap, tree: Path, cgroup: Path, form: str) -> None:
    (cgroup / "below").mkdir()
    name = {"id": str(cgroup.stat().st_ino), "path": str(cgroup), "relative": cgroup.name}[form]
    enter = 'echo $$ >"$0/cgroup.procs"; exec cat "$1"'
    with ft.started("trace", *JSON, "-e", "open", "--cgroup", name, tree) as run:
        run.wait_ready()
        subprocess.run(["sh", "-c", enter, cgroup, tree / "a"], check=True, capture_output=True)
        subprocess.run(["sh", "-c", enter, cgroup / "below", tree / "sub" / "b"], check=True, capture_output=True)
        subprocess.run(["cat", tree / "a"], check=True, capture_output=True)
        done = run.end(signal.SIGINT)
    events = lines(done.out)
    assert [e["file"]["path"] for e in events] == [str(tree / "a"), str(tree / "sub" / "b")]
    assert [e["cgroup"]["id"] for e in events] == [str(cgroup.stat().st_ino), str((cgroup / "below").stat().st_ino)]


def test_cgroup_with_command_means_both(ft: Filetap, tree: Path, cgroup: Path) -> None:
    enter = 'echo $$ >"$0/cgroup.procs"; exec "$@"'
    with ft.started("trace", *JSON, "-e", "open", "--cgroup", cgroup, "-c", "head", tree) as run:
        run.wait_ready()
        subprocess.run(["sh", "-c", enter, cgroup, "head", tree / "a"], check=True, capture_output=True)
        subprocess.run(["sh", "-c", enter, cgroup, "cat", tree / "a"], check=True, capture_output=True)
        subprocess.run(["head", tree / "a"], check=True, capture_output=True)
        done = run.end(signal.SIGINT)
    assert [(e["process"]["name"], e["cgroup"]["id"]) for e in lines(done.out)] == [("head", str(cgroup.stat().st_ino))]


def test_all_means_all_processes_but_filetap(ft: Filetap, tree: Path) -> None:
    output = tree / "events.json"
    with ft.started("trace", "--all", *JSON, "-o", output, tree) as run:
        run.wait_ready()
        subprocess.run(["cat", tree / "a"], check=True, capture_output=True)
        subprocess.run(["head", tree / "a"], check=True, capture_output=True)
        run.end(signal.SIGINT)
    events = lines(output.read_bytes())
    assert {e["process"]["name"] for e in events} >= {"cat", "head"}
    assert {e["process"]["pid"] for e in events}.isdisjoint({run.pid})


def test_targets_are_a_union(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    with ft.started("trace", *JSON, "-e", "open", "-p", puppet.pid, tree, "--", "cat", tree / "sub" / "b") as run:
        run.wait_ready()
        puppet.touch(tree / "a")
        puppet.end()
        done = run.end()
    assert done.paths == {str(tree / "a"), str(tree / "sub" / "b")}


def test_two_pids(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    with (
        subprocess.Popen(["sh", "-c", 'read x; : <"$0"', tree / "sub" / "b"], stdin=subprocess.PIPE) as other,
        ft.started("trace", *JSON, "-e", "open", "-p", puppet.pid, "-p", other.pid, tree) as run,
    ):
        run.wait_ready()
        other.communicate(b"\n")
        puppet.touch(tree / "a")
        puppet.end()
        done = run.end()
    assert [e["process"]["pid"] for e in lines(done.out)] == [other.pid, puppet.pid]


def test_duration_ends_the_tracing_of_a_process(ft: Filetap, tmp_path: Path, puppet: Puppet) -> None:
    stats = tmp_path / "account.json"
    done = ft.trace("-f", "none", "-p", puppet.pid, "--duration", "0.5", "--stats", stats)
    assert json.loads(stats.read_text())["elapsed"] >= 0.5
    assert done.status == 0
    assert puppet.process.poll() is None


def test_a_cgroup_removed_and_created_again_is_reported_at_once(ft: Filetap, cgroup: Path, tree: Path) -> None:
    """On standard error, during the trace; and the run ends on the signal, not before."""
    place = cgroup / "service"
    place.mkdir()
    number = place.stat().st_ino
    named = f"/{place.relative_to(cgroup.parent)}"
    with ft.started("trace", "-f", "json", "-e", "open", "--cgroup", named, "--cgroup", number) as run:
        run.read_until(b"attached in")
        place.rmdir()
        text = run.err.readline() + run.err.readline()
        assert f"cgroup {named} was removed: it is traced again".encode() in text
        assert f"cgroup {number} was removed: no more events".encode() in text
        place.mkdir()
        subprocess.run(["sh", "-c", f"echo $$ >{place}/cgroup.procs; : <{tree}/a"], check=True)
        assert f"cgroup {named} has been created again".encode() in run.err.readline()
        done = run.end(signal.SIGINT)
    assert [path_of(event) for event in parse(done.out)].count(str(tree / "a")) == 1
    assert f"note: cgroup {number} was removed at ".encode() in done.err
