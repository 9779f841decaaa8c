"""The end of a run: clean after signals; nothing left in the kernel after kill -9 at any moment.

Separate from test_command.py, which is about the command's end. The oracles: the kernel's lists against what living
processes hold, and files that a command which must not run would create.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import ENVIRONMENT, WAIT, Filetap, has_ended, wait_until
from tests.e2e.screen import Screen
from tests.loaded import held, ids, orphans

if TYPE_CHECKING:
    from tests.e2e.conftest import Puppet, Running


def new_orphans(before: tuple[set[int], set[int]]) -> tuple[set[int], set[int]]:
    """Return new orphans that stay: the kernel frees programs after a grace period, and other runs begin and end."""
    programs, maps = orphans()
    programs, maps = programs - before[0], maps - before[1]
    end = time.monotonic() + WAIT
    while (programs or maps) and time.monotonic() < end:
        time.sleep(0.1)
        now = orphans()
        programs, maps = programs & now[0], maps & now[1]
    return programs, maps


def objects_of(run: Running) -> tuple[set[int], set[int]]:
    return held("prog", [run.pid]), held("map", [run.pid])


def still_there(programs: set[int], maps: set[int]) -> tuple[set[int], set[int]]:
    """Return which of them the kernel still has after enough time to free them."""
    end = time.monotonic() + WAIT
    while any(left := (programs & ids("prog"), maps & ids("map"))) and time.monotonic() < end:
        time.sleep(0.1)
    return left


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_signal_ends_it_cleanly(ft: Filetap, tree: Path, tmp_path: Path, puppet: Puppet, number: int) -> None:
    stats = tmp_path / "account.json"
    with ft.started("trace", "-f", "json", "-p", puppet.pid, "--stats", stats, tree) as run:
        run.wait_ready()
        puppet.touch(tree / "a")
        done = run.end(number)
    assert done.status == 0
    assert [json.loads(line)["event"]["action"] for line in done.out.splitlines()] == ["open", "close"]
    assert b"nothing lost: 2 seen = 2 delivered" in done.err
    assert {op: row["delivered"] for op, row in json.loads(stats.read_text())["ops"].items()} == {"open": 1, "close": 1}


def test_earlier_statistics_are_emptied_before_a_run_that_is_killed(ft: Filetap, tmp_path: Path, puppet: Puppet) -> None:
    stats = tmp_path / "account.json"
    stats.write_text("of before")
    with ft.started("trace", "-f", "none", "-p", puppet.pid, "--stats", stats) as run:
        run.wait_ready()
        run.end(signal.SIGKILL)
    assert stats.read_text() == ""


def test_a_signal_ends_it_cleanly_when_python_calls_main(puppet: Puppet) -> None:
    """From Python code, not by the installed script."""
    ft = Filetap((sys.executable, "-c", "from filetap.cli.main import main; main()"))
    with ft.started("trace", "-f", "none", "-p", puppet.pid) as run:
        run.wait_ready()
        assert run.end(signal.SIGINT).status == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_signal_reaches_the_command(ft: Filetap, number: int) -> None:
    with ft.started("trace", "-f", "none", "--", "sleep", "60") as run:
        run.wait_ready()
        done = run.end(number)
    assert done.status == 128 + number
    assert b"nothing lost" in done.err
    assert b"Traceback" not in done.err


HANDLER = "trap 'trap \"\" INT; echo cleaned; exit 7' INT; echo ready; while :; do sleep 0.1; done"
"""A signal for the whole group may arrive twice, from its sender and from filetap, and a shell would start its trap again inside the
trap."""


def test_a_command_that_handles_the_signal_has_its_own_status(ft: Filetap) -> None:
    with ft.started("trace", "-f", "none", "--", "sh", "-c", HANDLER) as run:
        run.out.readline()
        done = run.end(signal.SIGINT)
    assert (done.status, done.out) == (7, b"cleaned\n")


def test_a_status_of_125_is_the_commands_own(ft: Filetap) -> None:
    """A child that was never released also exits with 125: the two must be distinguished."""
    with ft.started("trace", "-f", "none", "--", "sh", "-c", HANDLER.replace("exit 7", "exit 125")) as run:
        run.out.readline()
        done = run.end(signal.SIGINT)
    assert (done.status, done.out) == (125, b"cleaned\n")


def test_interrupt_from_the_terminal(ft: Filetap) -> None:
    """It goes to the whole foreground group; once handled, the command does not get a second signal after its end."""
    with ft.started("trace", "-f", "none", "--", "sh", "-c", HANDLER) as run:
        run.out.readline()
        os.killpg(run.pid, signal.SIGINT)
        done = run.end()
    assert (done.status, done.out) == (7, b"cleaned\n")
    assert b"nothing lost" in done.err


COUNTED = """
import signal, time
got = []
signal.signal(signal.SIGINT, lambda *_: got.append(1))
print("ready", flush=True)
while not got:
    time.sleep(0.01)
time.sleep(0.5)
print("interrupted", len(got), "times", flush=True)
"""


def test_an_interrupt_from_the_terminal_reaches_the_command_once(ft: Filetap) -> None:
    """The terminal sends it to both processes."""
    screen = Screen([*ft.command, "trace", "-f", "none", "--", sys.executable, "-c", COUNTED])
    try:
        screen.wait_for_words("ready")
        screen.type("\x03")
        screen.wait_for_words("interrupted 1 times", "nothing lost")
        assert screen.end() == 0
    finally:
        screen.close()


def held_child(run: Running) -> int:
    """Return the pid of the command, as soon as it is forked."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    end = time.monotonic() + WAIT
    while not (pids := children.read_text().split()):
        assert time.monotonic() < end
        time.sleep(0.001)
    (pid,) = pids
    return int(pid)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_signal_before_it_is_attached(ft: Filetap, tmp_path: Path, number: int) -> None:
    """At any moment from the fork on: no traceback, no command run untraced, nothing left."""
    before = orphans()
    for delay in (0.0, 0.05, 0.12, 0.2, 0.3):
        ran = tmp_path / f"ran-{delay}"
        with ft.started("trace", "-f", "none", "--", "sh", "-c", f"echo >{ran}; sleep 20") as run:
            held_child(run)
            time.sleep(delay)
            done = run.end(number)
        assert b"Traceback" not in done.err
        assert done.status == 128 + number
        assert not ran.exists() or b"nothing lost" in done.err
    assert new_orphans(before) == (set(), set())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_a_signal_while_the_interpreter_starts(ft: Filetap, tmp_path: Path, number: int) -> None:
    """Before filetap's first line the interpreter handles the signal, with its own message and status; but no command runs.  The
    interpreter may lose a SIGINT in a callback of its import system: then the second one counts."""
    for delay in (0.01, 0.03, 0.06):
        with ft.started("trace", "-f", "none", "--", "sh", "-c", f"echo >{tmp_path}/ran; sleep 20") as run:
            time.sleep(delay)
            run.process.send_signal(number)
            wait_until(lambda: run.process.poll() is not None or (tmp_path / "ran").exists())
            unheard = run.process.poll() is None
            done = run.end(number if unheard else None)
        assert done.status in (128 + number, -number, 1)  # 1: "Fatal Python error: Failed to import the site module"
        assert (tmp_path / "ran").exists() == unheard
        (tmp_path / "ran").unlink(missing_ok=True)


def test_hangup_leaves_nothing(ft: Filetap, puppet: Puppet) -> None:
    with ft.started("trace", "-f", "none", "-p", puppet.pid) as run:
        run.wait_ready()
        programs, maps = objects_of(run)
        run.end(signal.SIGHUP)
    assert len(programs) > 2
    assert still_there(programs, maps) == (set(), set())


@pytest.mark.parametrize("words", [["-e", "open"], ["-e", "io"], ["-e", "io", "--no-latency"], ["--sandbox"]], ids=" ".join)
def test_kill_9_while_attached_leaves_no_programs_and_maps(ft: Filetap, words: list[str]) -> None:
    with ft.started("trace", "-f", "none", *words, "--", "sleep", "60") as run:
        run.wait_ready()
        programs, maps = objects_of(run)
        children = [int(pid) for pid in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()]
        groups = [line for line in Path(f"/proc/{children[0]}/cgroup").read_text().splitlines() if "filetap-" in line]
        run.process.kill()
        run.process.wait()
        for pid in children:
            os.kill(pid, signal.SIGKILL)
    assert len(programs) > 2 < len(maps)
    assert still_there(programs, maps) == (set(), set())
    for group in groups:
        remove_sandbox(group.rpartition("/")[2])


def remove_sandbox(name: str) -> None:
    """Remove the cgroup, which a killed filetap cannot do."""
    mount = next(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line)
    for _ in range(100):
        try:
            (Path(mount) / name).rmdir()
        except OSError:
            time.sleep(0.05)
        else:
            break


def test_kill_9_at_random_moments(ft: Filetap, tmp_path: Path) -> None:
    """Nothing stays in the kernel, and the held command runs only after filetap has released it."""
    before = orphans()
    seed = random.randrange(1 << 32)
    moments = random.Random(seed)
    for turn in range(8):
        ran = tmp_path / f"ran-{turn}"
        script = f": >{ran}; sleep 20 & echo $!; wait"
        with ft.started("trace", "-f", "json", "-o", tmp_path / f"{turn}.json", "-e", "open", "--", "sh", "-c", script) as run:
            time.sleep(moments.uniform(0.0, 0.8))
            run.process.kill()
            run.process.wait()
            ready = (tmp_path / f"{turn}.json").exists()
            child = run.out.readline()  # until it prints its child's pid, or has ended without
            assert bool(child) == ran.exists()
            assert ready or not child, f"the command began before there was an output (seed {seed}, turn {turn})"
            if child:
                os.kill(int(child), signal.SIGKILL)
    assert new_orphans(before) == (set(), set()), f"seed {seed}"


def test_a_held_command_ends_with_filetap(ft: Filetap, tmp_path: Path) -> None:
    """Filetap is killed while it loads: the child must neither run nor stay."""
    ran = tmp_path / "ran"
    with ft.started("trace", "-f", "none", "--", "touch", ran) as run:
        pid = held_child(run)
        run.process.kill()
        run.process.wait()
    wait_until(lambda: has_ended(pid))
    assert not ran.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["KILL", "TERM"])
def test_a_held_command_that_is_killed(ft: Filetap, tmp_path: Path, number: int) -> None:
    """Another process kills the child while it is held: its status is reported, and nothing hangs."""
    ran = tmp_path / "ran"
    with ft.started("trace", "-f", "none", "--", "touch", ran) as run:
        os.kill(held_child(run), number)
        done = run.end()
    assert done.status == 128 + number
    assert b"Traceback" not in done.err
    assert not ran.exists()


def test_ends_and_failures_leave_nothing(ft: Filetap, tmp_path: Path) -> None:
    before = orphans()
    assert ft.trace("-f", "none", "--", "true").status == 0
    assert ft.trace("-f", "none", "--", "no-such-command").status == 127
    assert ft.trace("-f", "json", "-o", "/dev/full", "--force", "--", "true").status == 1
    assert ft("doctor").status == 0
    assert new_orphans(before) == (set(), set())


def test_two_at_once_see_only_their_own(ft: Filetap, tree: Path) -> None:
    """Sessions share nothing: each traces exactly its own target."""
    loop = 'for i in $(seq 200); do : <"$0"; done'
    runs = []
    for name in ("a", "sub/b"):
        command = [*ft.command, "trace", "-f", "json", "-e", "open", str(tree), "--", "bash", "-c", loop, str(tree / name)]
        runs.append((name, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)))
    for name, process in runs:
        _, err = process.communicate(timeout=WAIT)
        events = [json.loads(line) for line in err.splitlines() if line.startswith(b"{")]
        assert [e["file"]["path"] for e in events] == [str(tree / name)] * 200
