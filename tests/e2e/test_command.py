"""A launched command: held, run, waited for; its exit status becomes filetap's.

Separate from test_options_events.py, as these tests are about processes, not events. The oracle is what the command
reports about itself.
"""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import ENVIRONMENT, WAIT, cpu_of, parse, path_of, wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap

NONE = ("-f", "none")
NOBODY = pwd.getpwnam("nobody")


def cgroup_mount() -> Path:
    return next(Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line)


STATUSES = {"exit 0": 0, "exit 3": 3, "exit 255": 255, "kill -9 $$": 137, "kill -TERM $$": 143, "nosuchcommand": 127}


@pytest.mark.parametrize("script", STATUSES)
def test_exit_status_is_the_commands(ft: Filetap, script: str) -> None:
    assert ft.trace(*NONE, "--", "sh", "-c", script).status == STATUSES[script]


def test_not_found_is_127(ft: Filetap) -> None:
    done = ft.trace(*NONE, "--", "no-such-command")
    assert (done.status, done.out, done.err) == (127, b"", b"filetap: no-such-command: No such file or directory\n")


@pytest.mark.parametrize("kind", ["plain", "directory", "garbage"])
def test_not_executable_is_126(ft: Filetap, tmp_path: Path, kind: str) -> None:
    file = tmp_path / kind
    file.mkdir() if kind == "directory" else file.write_bytes(b"\x7fELF garbage")
    file.chmod(0o755 if kind == "garbage" else 0o644)
    done = ft.trace(*NONE, "--", file)
    assert done.status == 126
    assert re.fullmatch(rf"filetap: {file}: (Permission denied|Exec format error)\n", done.messages.decode())


def test_missing_interpreter_is_127_as_in_a_shell(ft: Filetap, tmp_path: Path) -> None:
    file = tmp_path / "script"
    file.write_text("#!/no/such/interpreter\n")
    file.chmod(0o755)
    shell = subprocess.run(["bash", "-c", f"exec {file}"], check=False, capture_output=True).returncode
    assert ft.trace(*NONE, "--", file).status == shell


def test_arguments_environment_and_directory_are_kept(ft: Filetap, tmp_path: Path) -> None:
    done = ft.trace(
        *NONE, "--", "sh", "-c", 'printf "%s|" "$@" "$HERE" "$PWD"', "x", "a b", "", "--", "-p", env={"HERE": "yes"}, cwd=tmp_path
    )
    assert done.out.decode() == f"a b||--|-p|yes|{tmp_path}|"


def test_standard_input_is_the_commands(ft: Filetap) -> None:
    assert ft.shell("echo from-here | filetap trace -f none -- cat").out == b"from-here\n"


PROBE = """
import os, re
print(sorted(os.listdir("/proc/self/fd")), re.findall(r"(?:Sig[^Q]|Cap|Shd)\\w+:\\t\\w+", open("/proc/self/status").read()))
"""


def test_ignored_signals_stay_ignored_and_no_others_are(ft: Filetap) -> None:
    """As SIGINT is ignored for background commands of a script; Python ignores two signals itself."""
    ignored = "grep SigIgn /proc/self/status"
    for script in ("", "trap '' INT TERM; "):
        alone, traced = ft.shell(f"{script}{ignored}; filetap trace -f none -- {ignored}").out.splitlines()
        assert alone == traced


def test_the_command_inherits_nothing_from_filetap(ft: Filetap) -> None:
    """Descriptors, signal dispositions and masks are the same as without filetap."""
    probe = [
        sys.executable,
        "-S",
        "-E",
        "-c",
        PROBE,
    ]
    alone = subprocess.run(probe, check=True, capture_output=True, stdin=subprocess.DEVNULL).stdout
    assert (
        ft.shell('filetap trace -f none -- "$0" "$@" </dev/null'.replace('"$0" "$@"', f'{probe[0]} -S -E -c "$CODE"'), CODE=probe[-1]).out
        == alone
    )


def test_stays_in_the_foreground_process_group(ft: Filetap) -> None:
    done = ft.shell("filetap trace -f none -- sh -c 'ps -o pgid= -p $$'; ps -o pgid= -p $$")
    inside, outside = done.out.split()
    assert inside == outside


@pytest.mark.parametrize("name", ["nobody", str(NOBODY.pw_uid)])
def test_user(ft: Filetap, name: str) -> None:
    done = ft.trace("-f", "json", "-e", "exec", "--user", name, "--", "id")
    expected = subprocess.run(
        ["setpriv", "--reuid=nobody", f"--regid={NOBODY.pw_gid}", "--init-groups", "id"], check=True, capture_output=True
    )
    assert done.out == expected.stdout
    assert {e["process"]["user"]["id"] for e in done.events} == {NOBODY.pw_uid}


def test_under_sudo_the_command_runs_as_the_caller(ft: Filetap) -> None:
    sudo = {"SUDO_UID": str(NOBODY.pw_uid), "SUDO_GID": str(NOBODY.pw_gid), "SUDO_USER": "nobody"}
    assert ft.trace(*NONE, "--", "id", "-un", env=sudo).out == b"nobody\n"
    assert ft.trace(*NONE, "--user", "root", "--", "id", "-un", env=sudo).out == b"root\n"
    assert ft.trace(*NONE, "--", "id", "-un").out == b"root\n"


def test_a_user_cannot_execute_without_permission(ft: Filetap, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("#!/bin/sh\necho run\n")
    file.chmod(0o700)
    done = ft.trace(*NONE, "--user", "nobody", "--", file)
    assert (done.status, done.out) == (126, b"")
    assert done.messages == f"filetap: {file}: Permission denied\n".encode()


def test_descendants_are_awaited(ft: Filetap, tree: Path) -> None:
    done = ft.trace("-f", "json", "-e", "open", tree / "a", "--", "sh", "-c", f"(sleep 0.5; cat {tree}/a) & exit 3")
    assert done.paths == {str(tree / "a")}
    assert done.status == 3


def test_waiting_for_descendants_costs_no_cpu(ft: Filetap, tmp_path: Path) -> None:
    """Two seconds of waiting; the CPU time of the start is not counted."""
    go = tmp_path / "go"
    os.mkfifo(go)
    with ft.started("trace", *NONE, "--", "sh", "-c", f": <{go} & exit 0") as run:
        run.wait_ready()
        wait_until(lambda: not Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text())
        before = cpu_of(run.pid)
        time.sleep(2)
        used = cpu_of(run.pid) - before
        go.open("w").close()
        assert run.end().status == 0
    assert used < 0.5


def test_no_numpy_threads(ft: Filetap) -> None:
    """OpenBLAS starts one for each further CPU when numpy is loaded. Arrow's allocator has one, which has a name and sleeps."""
    with ft.started("trace", *NONE, "--", "sleep", "60") as run:
        run.wait_ready()
        names = [(task / "comm").read_text().strip() for task in Path(f"/proc/{run.pid}/task").iterdir()]
        run.end(signal.SIGINT)
    assert names.count("filetap") == 1


@pytest.mark.parametrize("recorded", [False, True])
def test_environment_is_as_given(ft: Filetap, tmp_path: Path, recorded: bool) -> None:
    output = ("-o", tmp_path / "out.tap") if recorded else NONE
    reported = tmp_path / "reported"
    done = ft.trace(*output, "--", "sh", "-c", f"exec cat /proc/self/environ >{reported}", env={"GIVEN": "a b\tc"})
    assert done.status == 0
    assert dict(one.split("=", 1) for one in reported.read_text().split("\0")[:-1]) == ENVIRONMENT | {"GIVEN": "a b\tc"}


def test_no_wait_ends_with_the_command(ft: Filetap, tree: Path) -> None:
    later = '(until [ -e "$T/go" ]; do sleep 0.1; done; cat "$T/a"; echo >"$T/done") >&- 2>&- & exit 5'
    done = ft.shell(f"filetap trace -f json -e open --no-wait \"$T/a\" -- sh -c '{later}'", T=tree)
    assert (done.status, done.paths) == (5, set())
    (tree / "go").touch()
    wait_until((tree / "done").exists)


def test_duration_ends_the_tracing_never_the_command(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    script = f"cat {tree}/a; until [ -e {tmp_path}/go ]; do sleep 0.1; done; cat {tree}/sub/b; exit 6"
    with ft.started("trace", "-f", "json", "-e", "open", "--duration", "3", tree, "--", "sh", "-c", script) as run:
        text = run.read_until(b"waiting for the command")
        (tmp_path / "go").touch()
        done = run.end()
    assert [path_of(event) for event in parse(text)] == [str(tree / "a")]
    assert done.out == b"hello world\nbytes"
    assert (done.status, done.err) == (6, b"")


def test_duration_longer_than_the_command(ft: Filetap) -> None:
    """It is not waited for: that would exceed the time limit of a run."""
    assert ft.trace(*NONE, "--duration", str(2 * WAIT), "--", "sh", "-c", "exit 4").status == 4


def test_sandbox_is_a_cgroup_of_its_own(ft: Filetap) -> None:
    done = ft.trace("-f", "json", "--sandbox", "-e", "open", "--", "cat", "/proc/self/cgroup")
    path = next(line.split(":", 2)[2] for line in done.out.decode().splitlines() if line.startswith("0::"))
    assert re.fullmatch(r"/.*filetap-\d+", path)
    assert {e["cgroup"]["path"] for e in done.events} == {path}
    assert not Path(f"{cgroup_mount()}{path}").exists()


def test_sandbox_counts_a_daemon_left_behind(ft: Filetap, tree: Path) -> None:
    """setsid and double fork: it descends from no running process."""
    daemon = f"setsid sh -c '(sleep 0.6; cat {tree}/a) & exit 0'"
    done = ft.trace("-f", "json", "-e", "open", "--sandbox", tree, "--", "sh", "-c", f"{daemon}; exit 3")
    assert (done.paths, done.status) == ({str(tree / "a")}, 3)
    assert not (cgroup_mount() / done.events[0]["cgroup"]["path"].lstrip("/")).exists()


def test_a_sandbox_still_in_use_is_reported(ft: Filetap, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    done = ft.trace(*NONE, "--sandbox", "--no-wait", "--", "sh", "-c", f"sleep 30 >/dev/null 2>&1 & echo $! >{pid}")
    try:
        (line,) = done.errors
        place = Path(next(word for word in line.split() if word.startswith(str(cgroup_mount()))))
        assert (place / "cgroup.procs").read_text().split() == pid.read_text().split()
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)
    wait_until(lambda: "populated 0" in (place / "cgroup.events").read_text())
    place.rmdir()


@pytest.mark.parametrize("words", [["-e", "bogus"], ["-o", "/etc/hostname"], ["/no/such/path"], ["--ring-size", "1"]], ids=lambda w: w[0])
def test_a_sandbox_does_not_outlive_a_mistake(ft: Filetap, tmp_path: Path, words: list[str]) -> None:
    with ft.started("trace", "--sandbox", *words, "--", "touch", tmp_path / "ran") as run:
        done = run.end()
    assert (done.status, len(done.err.splitlines()), len(done.errors)) == (2, 1, 1)
    assert not (tmp_path / "ran").exists()
    assert not (cgroup_mount() / f"filetap-{run.pid}").exists()


def test_a_mistake_does_not_run_the_command(ft: Filetap, tmp_path: Path) -> None:
    for words in (["-e", "bogus"], ["--cgroup", "none"], ["/no/such/path"], ["-o", str(tmp_path)], ["-p", "99999999"]):
        assert ft.trace(*words, "--", "touch", tmp_path / "ran").status == 2
    assert not (tmp_path / "ran").exists()
