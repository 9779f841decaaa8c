"""Each option of ``filetap trace`` does what its help says, one small trace each.

Apart from test_output.py, where the events go, and test_command.py, how a launched command fares. The oracle is what
the traced program does: we wrote it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e.conftest import parse, path_of, smallest_ring

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Puppet, Result

Script = Callable[[str], tuple[str, ...]]
JSON = ("-f", "json")
READING = ("-e", "open", "-e", "read", "-e", "close")


def cat(*files: Path) -> tuple[str, ...]:
    return "--", "cat", *map(str, files)


def lines(out: bytes) -> list[dict[str, Any]]:
    """All that stands there, by time: across CPUs the order is not promised."""
    return sorted((json.loads(line) for line in out.splitlines()), key=lambda event: str(event["@timestamp"]))


def test_path_is_that_file_alone(ft: Filetap, tree: Path) -> None:
    done = ft.trace(*JSON, *READING, tree / "a", *cat(tree / "a", tree / "sub" / "b"))
    a = str(tree / "a")
    assert done.called() == [("open", a), ("read", a), ("read", a), ("close", a)]


def device_of(path: Path) -> str:
    """The super block's, of which stat(2) tells another on btrfs and overlayfs (proc(5), mountinfo)."""
    with path.open() as stream:
        fields = dict(line.split(maxsplit=1) for line in Path(f"/proc/self/fdinfo/{stream.fileno()}").read_text().splitlines())
    mounts = map(str.split, Path("/proc/self/mountinfo").read_text().splitlines())
    return next(mount[2] for mount in mounts if mount[0] == fields["mnt_id:"].strip())


def test_event_fields_agree_with_stat(ft: Filetap, tree: Path) -> None:
    status = (tree / "a").stat()
    done = ft.trace(*JSON, "-e", "read", tree / "a", *cat(tree / "a"))
    first, second = done.events
    assert first["file"]["inode"] == str(status.st_ino)
    assert first["file"]["device"] == device_of(tree / "a")
    assert first["process"]["executable"]["path"] == os.path.realpath(str(shutil.which("cat")))
    assert (first["io"]["offset"], first["io"]["result"]) == (0, status.st_size)
    assert (second["io"]["offset"], second["io"]["result"]) == (status.st_size, 0)
    assert first["io"]["size"] >= status.st_size


def test_path_is_all_below_a_directory(ft: Filetap, tree: Path) -> None:
    files = [tree / "a", tree / "sub" / "b", tree / "sub" / "deep" / "c"]
    assert ft.trace(*JSON, tree / "sub", *cat(*files)).paths == set(map(str, files[1:]))


def test_several_paths(ft: Filetap, tree: Path) -> None:
    files = [tree / "a", tree / "sub" / "b", tree / "sub" / "deep" / "c"]
    assert ft.trace(*JSON, tree / "a", tree / "sub" / "deep", *cat(*files)).paths == {str(files[0]), str(files[2])}


def test_path_is_an_identity_not_a_prefix(ft: Filetap, tree: Path) -> None:
    (tree / "submarine").write_bytes(b"x")
    (tree / "link").symlink_to("sub")
    done = ft.trace(*JSON, tree / "link", *cat(tree / "submarine", tree / "sub" / "b"))
    assert done.paths == {str(tree / "sub" / "b")}


def test_relative_path(ft: Filetap, tree: Path) -> None:
    assert ft.trace(*JSON, "sub", "--", "cat", "a", "sub/b", cwd=tree).paths == {str(tree / "sub" / "b")}


def test_no_recursive_is_direct_children(ft: Filetap, tree: Path) -> None:
    files = [tree / "a", tree / "sub" / "b", tree / "sub" / "deep" / "c"]
    assert ft.trace(*JSON, "--no-recursive", tree / "sub", *cat(*files)).paths == {str(files[1])}


def test_exclude_file_and_directory(ft: Filetap, tree: Path) -> None:
    files = [tree / "a", tree / "sub" / "b", tree / "sub" / "deep" / "c"]
    done = ft.trace(*JSON, tree, "--exclude", tree / "a", "--exclude", tree / "sub" / "deep", *cat(*files))
    assert done.paths == {str(files[1])}


@pytest.mark.parametrize("follow", [True, False], ids=["follow", "stay"])
def test_follow_a_file_that_is_moved(ft: Filetap, tree: Path, follow: bool) -> None:
    script = 'mv "$0/sub/b" "$0/b"; cat "$0/b" "$0/a"'
    done = ft.trace(*JSON, "-e", "open", *["--follow"] * follow, tree / "sub", "--", "sh", "-c", script, tree)
    assert done.paths == ({str(tree / "b")} if follow else set())


def test_host_paths(ft: Filetap, tree: Path) -> None:
    script = 'mount --bind "$0/sub" "$0/sub/deep"; cat "$0/sub/deep/b"'
    words = (*JSON, "-e", "open", tree, "--", "unshare", "--mount", "--propagation", "private", "sh", "-c", script, tree)
    (event,) = ft.trace("--host-paths", *words).events
    assert (event["file"]["path"], event["file"]["host_path"]) == (str(tree / "sub/deep/b"), str(tree / "sub/b"))
    (event,) = ft.trace(*words).events
    assert "host_path" not in event["file"]


def test_failed_names_are_filtered_as_asked_for(ft: Filetap, tree: Path) -> None:
    done = ft.trace(*JSON, tree / "sub", *cat(tree / "none", tree / "sub" / "none", tree / "sub" / ".." / "none2"))
    assert done.paths == {str(tree / "sub" / "none")}
    assert done.status == 1


EVENTS: list[tuple[list[str], list[str]]] = [
    (["-e", "open"], ["openat"]),
    (["-e", "io"], ["read", "read"]),
    (["-e", "read"], ["read", "read"]),
    (["-e", "pread64"], []),
    (["-e", "close", "-e", "openat"], ["openat", "close"]),
    (["-e", "descriptor"], ["openat", "close"]),
    ([], ["openat", "fadvise64", "read", "read", "close"]),
]


@pytest.mark.parametrize(("words", "calls"), EVENTS, ids=lambda value: "-".join(value).replace("-e-", "") or "none")
def test_event_chooses_calls(ft: Filetap, tree: Path, words: list[str], calls: list[str]) -> None:
    done = ft.trace(*JSON, *words, tree, *cat(tree / "a"))
    assert [e["event"]["call"] for e in done.events] == calls


EVERY = """
os.chdir(sys.argv[1])
fd = os.open("a", os.O_RDWR); os.lseek(fd, 1, 0); os.stat("a"); os.access("a", 4); os.truncate("a", 3)
os.rename("a", "a2"); os.mkdir("d"); os.rmdir("d"); os.symlink("x", "s"); os.readlink("s"); os.unlink("s"); os.chmod("a2", 0o600)
if not os.fork(): os._exit(0)
os.wait(); os.listdir("."); os.fsync(fd); os.close(fd)
"""
FREQUENT = {"stat", "fault", "seek", "fork", "exec", "exit"}
PLAIN = {"open", "close", "access", "truncate", "rename", "mkdir", "rmdir", "symlink", "readlink", "unlink", "setattr", "getdents", "sync"}


def test_event_all_has_everything(ft: Filetap, tree: Path, script: Script) -> None:
    done = ft.trace(*JSON, "-e", "all", "--type", "all", "--", *script(EVERY), tree)
    assert {action for action, _ in done.called()} >= FREQUENT | PLAIN | {"chdir", "read", "mmap", "munmap", "mprotect"}


def test_without_event_nothing_frequent_and_no_processes(ft: Filetap, tree: Path, script: Script) -> None:
    actions = {action for action, _ in ft.trace(*JSON, "--", *script(EVERY), tree).called()}
    assert actions >= PLAIN | {"chdir", "read", "mmap", "munmap", "mprotect"}
    assert actions.isdisjoint(FREQUENT | {"thread"})


def test_exact_sizes_offsets_and_results(ft: Filetap, tree: Path, script: Script) -> None:
    file = str(tree / "a")
    program = script(
        f"fd = os.open({file!r}, os.O_RDWR)\n"
        "os.read(fd, 5); os.pread(fd, 4, 8); os.readv(fd, [bytearray(2), bytearray(100)])\n"
        "os.pwrite(fd, b'xyz', 20); os.write(fd, b'12'); os.writev(fd, [b'a', b'bc'])\n"
        "other = os.dup(fd); os.close(other); os.close(fd)\n"
    )
    done = ft.trace(*JSON, file, "--", *program)
    seen = [(e["event"]["call"], e["io"].get("offset"), e["io"].get("size"), e["io"]["result"]) for e in done.events]
    fd = seen[0][3]
    assert seen[1:-3] == [
        ("read", 0, 5, 5),
        ("pread64", 8, 4, 4),
        ("readv", 5, 102, 7),
        ("pwrite64", 20, 3, 3),
        ("write", 12, 2, 2),
        ("writev", 14, 3, 3),
    ]
    assert [(call, result) for call, _, _, result in seen[-3:]] == [("fcntl", fd + 1), ("close", 0), ("close", 0)]
    assert done.events[0]["io"]["flags"] == ["O_RDWR", "O_CLOEXEC"]


TYPES = {
    "pipe": "r, w = os.pipe(); os.write(w, b'x'); os.read(r, 1)",
    "socket": "import socket; a, b = socket.socketpair(); os.write(a.fileno(), b'x'); os.read(b.fileno(), 1)",
    "char": "f = os.open('/dev/zero', os.O_RDONLY); os.read(f, 9)",
    "directory": "f = os.open('/', os.O_RDONLY); os.close(f)",
    "symlink": "f = os.open('/proc/self', os.O_PATH | os.O_NOFOLLOW); os.close(f)",
    "anon": "f = os.eventfd(1); os.read(f, 8)",
}


def types(done: Result) -> set[str]:
    """Anonymous inodes have no type: they are known by their path."""
    files = [e["file"] for e in done.events if e.get("file", {}).get("resolved", True)]
    return {file.get("type") or ("anon" if file["path"].startswith("anon_inode:") else "none") for file in files}


@pytest.mark.parametrize("kind", TYPES)
def test_type_adds_to_regular_files(ft: Filetap, script: Script, kind: str) -> None:
    program = script(TYPES[kind])
    done = ft.trace(*JSON, *READING, "--type", kind, "--", *program)
    assert types(done) == {"file", kind}


def test_type_all(ft: Filetap, script: Script) -> None:
    done = ft.trace(*JSON, "--type", "all", "--", *script("\n".join(TYPES.values())))
    assert types(done) >= {"file", *TYPES}


def test_without_type_regular_files_only(ft: Filetap, script: Script) -> None:
    done = ft.trace(*JSON, *READING, "--", *script("\n".join(TYPES.values())))
    assert types(done) == {"file"}


def test_failed_only(ft: Filetap, tree: Path) -> None:
    done = ft.trace(*JSON, "--failed", tree, *cat(tree / "a", tree / "none"))
    (event,) = done.events
    assert event["file"] == {"path": str(tree / "none"), "resolved": False}
    assert (event["io"]["result"], event["error"]["code"]) == (-2, "ENOENT")


def test_min_latency(ft: Filetap, tmp_path: Path, script: Script) -> None:
    os.mkfifo(tmp_path / "slow")
    program = script(
        f"f = os.open({str(tmp_path / 'slow')!r}, os.O_RDWR)\n"
        "os.write(f, b'x'); os.read(f, 1)\n"
        "if not os.fork():\n"
        " while not open(f'/proc/{os.getppid()}/syscall').read().startswith('0 '): pass\n"  # read(2) of x86-64
        " time.sleep(0.8); os.write(f, b'y'); os._exit(0)\n"
        "os.read(f, 1)"
    )
    done = ft.trace(*JSON, "--type", "pipe", "--min-latency", "500ms", tmp_path / "slow", "--", *program)
    (event,) = done.events
    assert event["event"]["action"] == "read"
    assert 0.8e9 <= event["event"]["duration"] < 10e9


def test_latency_is_measured_unless_turned_off(ft: Filetap, tree: Path) -> None:
    assert all(e["event"]["duration"] > 0 for e in ft.trace(*JSON, tree, *cat(tree / "a")).events)
    assert not any("duration" in e["event"] for e in ft.trace(*JSON, "--no-latency", tree, *cat(tree / "a")).events)


def test_arguments_only_when_asked_for(ft: Filetap) -> None:
    command = ("--", "sh", "-c", "exec /bin/echo 'two words' ''")
    asked = [e["process"].get("args") for e in ft.trace(*JSON, "-e", "exec", "--args", *command).events]
    assert asked == [["sh", "-c", command[-1]], ["/bin/echo", "two words", ""]]
    assert not any("args" in e["process"] for e in ft.trace(*JSON, "-e", "exec", *command).events)


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


def test_children_and_threads_that_pid_has_already(ft: Filetap, tree: Path, puppet: Puppet) -> None:
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
    """A running one, a later one, and their children; 15 bytes of the name are compared."""
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


def test_all_is_everybody_but_filetap(ft: Filetap, tree: Path) -> None:
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


def test_a_small_ring_folds_and_the_account_balances(ft: Filetap, tmp_path: Path) -> None:
    count = 200_000
    stats, output = tmp_path / "account.json", tmp_path / "events.json"
    words = ("--ring-size", f"{smallest_ring(16)}K", "--stats", stats, "-o", output, *JSON, "-e", "read", "/dev/zero", "--type", "char")
    ft.trace(*words, "--", "dd", "if=/dev/zero", "of=/dev/null", "bs=7", f"count={count}")
    read = json.loads(stats.read_text())["ops"]["read"]
    assert read["seen"] == count == read["delivered"] + read["aggregated"] + read["lost"]
    assert (read["lost"], read["bytes"]) == (0, 7 * count)
    events = lines(output.read_bytes())
    aggregated = [e for e in events if e["event"].get("kind") == "aggregated"]
    assert sum(e["event"]["count"] for e in aggregated) == read["aggregated"] > 0
    assert len(events) - len(aggregated) == read["delivered"]


@pytest.mark.parametrize("form", ["1M", "{bytes}", "{kib}k", "{kib}KiB"])
def test_ring_size_forms(ft: Filetap, tree: Path, form: str) -> None:
    kib = smallest_ring(64)
    size = form.format(kib=kib, bytes=kib << 10)
    assert len(ft.trace(*JSON, *READING, "--ring-size", size, tree, *cat(tree / "a")).events) == 4


def test_the_account_as_json(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    stats, started = tmp_path / "account.json", datetime.now(UTC)
    done = ft.trace("-f", "none", "--stats", stats, tree, *cat(tree / "a", tree / "none"))
    reported = json.loads(stats.read_text())
    names = ("seen", "delivered", "aggregated", "lost", "bytes")
    assert {op: [row[name] for name in names] for op, row in reported["ops"].items()} == {
        "open": [2, 2, 0, 0, 0],
        "read": [2, 2, 0, 0, 12],
        "close": [1, 1, 0, 0, 0],
        "advise": [1, 1, 0, 0, 0],
    }
    assert reported["ops"]["open"]["errors"] == 1
    assert (reported["processes"], reported["notes"]) == (1, [])
    began, ended = (datetime.fromisoformat(reported[name]) for name in ("began", "ended"))
    assert started <= began <= ended <= datetime.now(UTC)
    assert 0 < reported["elapsed"] < (datetime.now(UTC) - started).total_seconds()
    assert (ended - began).total_seconds() == pytest.approx(reported["elapsed"], abs=1), "two clocks, read one after the other"
    assert 0 < reported["cpu"] < 10
    assert b"6 events" in done.err
    assert b"nothing lost" in done.err


def test_a_cgroup_that_goes_and_comes_is_said_at_once(ft: Filetap, cgroup: Path, tree: Path) -> None:
    """On standard error, while it is traced; and the run ends when it is told to, not before."""
    place = cgroup / "service"
    place.mkdir()
    number = place.stat().st_ino
    named = f"/{place.relative_to(cgroup.parent)}"
    with ft.started("trace", "-f", "json", "-e", "open", "--cgroup", named, "--cgroup", number) as run:
        run.until_said(b"attached in")
        place.rmdir()
        said = run.err.readline() + run.err.readline()
        assert f"cgroup {named} was removed: it is traced again".encode() in said
        assert f"cgroup {number} was removed: no more events".encode() in said
        place.mkdir()
        subprocess.run(["sh", "-c", f"echo $$ >{place}/cgroup.procs; : <{tree}/a"], check=True)
        assert f"cgroup {named} has been created again".encode() in run.err.readline()
        done = run.end(signal.SIGINT)
    assert [path_of(event) for event in parse(done.out)].count(str(tree / "a")) == 1
    assert f"note: cgroup {number} was removed at ".encode() in done.err
