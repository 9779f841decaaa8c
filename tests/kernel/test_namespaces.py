"""filetap inside a pid, time or cgroup namespace, as in a container: it reports the same as outside.

Separate from test_targets.py, because here the command itself runs inside. The oracles: /proc of the host, which shows
the host's pids of processes inside, and the clock of the test, which is in no time namespace.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from filetap.kernel.types import KernelTypes
from tests.kernel.harness import Shell
from tests.timeouts import scaled, wait_for

Command = tuple[str, ...]


class Container(Shell):
    """A shell inside namespaces, from which filetap is run."""

    def __init__(self, filetap: Command, folder: Path, *unshare: str) -> None:
        super().__init__("unshare", *unshare, "/bin/sh")
        self._filetap, self._folder = shlex.join(filetap), folder
        os.mkfifo(folder / "ready")

    def run(self, words: str) -> list[dict[str, Any]]:
        """Return the events of a run to its end."""
        self.do(f"{self._filetap} {words.replace('OUT', self._out)} 2>{self._folder}/err; echo $? >{self._folder}/status")
        return self._events()

    def during(self, words: str, act: Callable[[], object]) -> list[dict[str, Any]]:
        """Return the events of a run that is stopped once ``act`` has returned."""
        line = f"{self._filetap} {words.replace('OUT', self._out)} --ready-fd 9 9>{self._folder}/ready 2>{self._folder}/err & T=$!"
        self.do(f"{line}; read -r line <{self._folder}/ready")
        act()
        self.do(f"kill -TERM $T; wait $T; echo $? >{self._folder}/status")
        return self._events()

    @property
    def stderr(self) -> str:
        return (self._folder / "err").read_text()

    @property
    def _out(self) -> str:
        return f"-f json -o {self._folder}/out --force --stats {self._folder}/account"

    def _events(self) -> list[dict[str, Any]]:
        assert (self._folder / "status").read_text() == "0\n", self.stderr
        return [json.loads(line) for line in (self._folder / "out").read_text().splitlines()]


@pytest.fixture(params=["own", "hosts"])
def container(request: pytest.FixtureRequest, filetap: Command, tmp_path: Path) -> Iterator[Container]:
    """Start a shell in a pid namespace of its own, with a /proc of that namespace or of the host."""
    (tmp_path / "run").mkdir()
    with Container(filetap, tmp_path / "run", "--pid", "--fork", *(["--mount-proc"] if request.param == "own" else [])) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("hello")
    return path


def touched(events: list[dict[str, Any]], file: Path) -> list[dict[str, Any]]:
    return [event for event in events if event["event"]["action"] == "open" and event["file"].get("path") == str(file)]


def hosts_pid(inside: int, within: int) -> int:
    """Return the host's pid of a process, given its pid inside, below the process ``within``."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
        except OSError:
            continue
        if fields["NSpid"].split()[1:] == [str(inside)] and within in ancestors(int(status.parent.name)):
            return int(status.parent.name)
    raise AssertionError(f"no process has the number {inside} inside")


def ancestors(pid: int) -> list[int]:
    found: list[int] = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def test_a_command(container: Container, file: Path) -> None:
    events = container.run(f"trace -e open OUT -- sh -c ': <{file}; (: <{file})'")
    assert len(touched(events, file)) == 2


def test_a_pid_is_given_by_its_number_inside(container: Container, file: Path) -> None:
    """Its events have the host's pid."""
    with Shell() as other:
        work = f"while [ ! -e {file}.go ]; do sleep 0.01; done; : <{file}; (: <{file}); : >{file}.gone; sleep 100"
        (pid,) = container.do(f"({work}) >/dev/null & echo $!")
        oracle = hosts_pid(int(pid), container.pid)

        def act() -> None:
            other.do(f": <{file}")
            container.do(f": <{file}")
            Path(f"{file}.go").touch()
            wait_for(lambda: Path(f"{file}.gone").exists())

        events = container.during(f"trace -e open OUT -p {pid}", act)
        container.do(f"kill {pid}; wait {pid}")
    found = touched(events, file)
    assert len(found) == 2
    assert found[0]["process"]["pid"] == oracle
    assert found[1]["process"]["parent"]["pid"] == oracle


def test_a_call_under_way(container: Container, tmp_path: Path) -> None:
    """The name is read from its memory, for which its pid in /proc is needed."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    (pid,) = container.do(f"cat {fifo} >/dev/null & echo $!")
    oracle = hosts_pid(int(pid), container.pid)
    wait_for(lambda: Path(f"/proc/{oracle}/syscall").read_text().startswith("257 "))  # openat(2) of x86-64
    (event,) = container.run(f"trace OUT -p {pid} --pending --duration 0.1")
    container.do(f"kill {pid}; wait {pid}")
    assert (event["event"]["kind"], event["file"]["path"], event["process"]["pid"]) == ("pending", str(fifo), oracle)
    assert "not listed" not in container.stderr


def test_a_call_under_way_outside(container: Container, tmp_path: Path) -> None:
    """It is not listed, and a note says so."""
    fifo, note = tmp_path / "fifo", "not listed: pending calls of processes outside this pid namespace"
    os.mkfifo(fifo)
    with subprocess.Popen(["cat", fifo], stdout=subprocess.DEVNULL) as outside:
        wait_for(lambda: Path(f"/proc/{outside.pid}/syscall").read_text().startswith("257 "))
        assert container.run(f"trace OUT --all --pending --duration 0.1 {tmp_path}") == []
        outside.kill()
    assert note in container.stderr


def test_a_watch_traces_processes_outside_and_inside(container: Container, file: Path) -> None:
    with Shell() as outside:
        events = container.during(f"watch -e open OUT {file}", lambda: [shell.do(f": <{file}") for shell in (outside, container)])
        assert [event["process"]["pid"] for event in touched(events, file)] == [outside.pid, hosts_pid(1, container.pid)]


def test_all_but_filetap_itself(container: Container, file: Path, tmp_path: Path) -> None:
    """Its output lies below the same directory."""
    with Shell() as outside:
        events = container.during(f"trace OUT --all {tmp_path}", lambda: outside.do(f": <{file}"))
    assert [event["process"]["pid"] for event in events] == [outside.pid] * len(events)
    assert len(touched(events, file)) == 1


def walks_tasks() -> bool:
    """Return whether processes outside can be found: a program may walk all tasks since v6.7."""
    with KernelTypes() as types:
        return types.has_kfunc("bpf_iter_task_new")


def test_running_commands_by_name(container: Container, file: Path, tmp_path: Path) -> None:
    """Processes outside count too; where they cannot be found, a note is printed, and later execs are still traced."""
    namesake = tmp_path / "namesake"
    shutil.copy("/bin/sh", namesake)
    with Shell(str(namesake)) as outside, Shell() as other:
        container.do(f"mkfifo {file}.in; {namesake} <{file}.in & exec 8>{file}.in")

        def act() -> None:
            outside.do(f": <{file}; (: <{file})")
            other.do(f": <{file}; {namesake} -c ': <{file}'")
            container.do(f"echo ': <{file}; : >{file}.gone' >&8; while [ ! -e {file}.gone ]; do sleep 0.01; done; : <{file}")

        events = container.during("trace -e open OUT -c namesake", act)
        container.do("exec 8>&-")
        found = [event["process"]["name"] for event in touched(events, file)]
    assert found == ["namesake"] * (4 if walks_tasks() else 2)
    assert ("not seen: processes of -c outside this pid namespace" in container.stderr) == (not walks_tasks())


def test_a_process_outside_the_namespace(container: Container) -> None:
    """The test's own process does not exist inside."""
    container.do(f"{container._filetap} trace -p 2000000 2>{container._folder}/err; echo $? >{container._folder}/status")
    assert "no process 2000000" in container.stderr
    assert (container._folder / "status").read_text() == "2\n"


def requirements(filetap: Command, *unshare: str) -> dict[str, dict[str, Any]]:
    done = subprocess.run([*unshare, *filetap, "doctor", "--json"], capture_output=True, check=True, timeout=scaled(60))
    found = json.loads(done.stdout)
    assert found["tracing"] is True
    return {row["name"]: row for row in found["requirements"]}


def test_the_doctor_knows_namespaces(filetap: Command) -> None:
    all_own = requirements(filetap, "unshare", "--pid", "--fork", "--mount-proc", "--time", "--boottime", "60", "--cgroup")
    for rows, inside in ((requirements(filetap), False), (all_own, True)):
        for kind in ("pid", "time", "cgroup"):
            assert (rows[f"{kind} namespace"]["detail"] == "initial") != inside
        assert rows["pid namespace"]["met"] == (walks_tasks() or not inside)
        for limit in ("-p takes pids of this namespace", "pending calls of processes outside are not listed"):
            assert (limit in rows["pid namespace"]["detail"]) == inside
        assert "/proc" not in rows
    assert not requirements(filetap, "unshare", "--pid", "--fork")["/proc"]["met"]


@pytest.fixture
def clocked(file: Path, filetap: Command, tmp_path: Path) -> Callable[..., tuple[list[dict[str, Any]], dict[str, Any], float, float]]:
    """Return a run in a time namespace: its events, its statistics, and when it began and ended by the test's own clock."""

    def run(offset: int, *words: str) -> tuple[list[dict[str, Any]], dict[str, Any], float, float]:
        command = ["unshare", "--time", "--fork", "--boottime", str(offset), "--monotonic", str(offset), *filetap, "trace", "-e", "open"]
        command += ["--stats", str(tmp_path / "account"), *words, str(file), "--", "/bin/sh", "-c", f": <{file}"]
        began = time.time()
        done = subprocess.run(command, capture_output=True, check=True, timeout=scaled(60))
        ended = time.time()
        events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith(b"{")]
        return events, json.loads((tmp_path / "account").read_text()), began, ended

    return run


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize("offset", ["later", "sooner"])
def test_times_are_the_hosts(clocked: Callable[..., Any], offset: str) -> None:
    """Times of events and of the statistics use a clock that no time namespace changes."""
    events, stats, began, ended = clocked(86400 if offset == "later" else -int(time.clock_gettime(time.CLOCK_BOOTTIME) / 2), "-f", "json")
    (event,) = events
    times = [began, seconds(stats["began"]), seconds(event["@timestamp"]), seconds(stats["ended"]), ended]
    assert times == sorted(times)


def test_times_in_a_recording_are_the_hosts(clocked: Callable[..., Any], tmp_path: Path, filetap: Command) -> None:
    trace = tmp_path / "trace.tap"
    _, _, began, ended = clocked(86400, "-o", str(trace))
    replayed = subprocess.run([*filetap, "replay", str(trace), "-f", "json"], capture_output=True, check=True).stdout
    assert began < seconds(json.loads(replayed)["@timestamp"]) < ended


REUSED = """
import ctypes, os, signal, struct, subprocess, sys
from filetap.core.errors import UsageError
from filetap.capture.kernel_source import KernelSource
from filetap.capture.outlet import Outlet
from filetap.capture.session import Session
from filetap.capture.options import Options
from filetap.selection.targets import Targets
from tests.kernel.harness import Nowhere

victim = subprocess.Popen(["sleep", "100"])
named = Targets()
named.name_process(victim.pid)
victim.kill()
victim.wait()
tid = ctypes.c_int(victim.pid)
arguments = ctypes.create_string_buffer(struct.pack("11Q", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, ctypes.addressof(tid), 1, 0))
other = ctypes.CDLL(None, use_errno=True).syscall(435, arguments, 88)  # clone3
if other == 0:
    signal.pause()
assert other == victim.pid, ctypes.get_errno()
try:
    Session(KernelSource(Options(named)), [Outlet(Nowhere())]).finish()
    print("traced")
except UsageError as error:
    print(error)
os.kill(other, signal.SIGKILL)
"""


def test_a_reused_pid() -> None:
    """In a pid namespace of its own, where clone3(2) gives a process the number of one that has ended."""
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", REUSED]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=scaled(60), env=environment)
    assert re.fullmatch(r"process \d+ has ended: nothing to trace\n", done.stdout), done.stderr + done.stdout
