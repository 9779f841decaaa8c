"""The held command, with real forks: nothing runs before release, and its end is reported as by a shell.

Separate from tests/e2e/test_command.py, where tracing goes on meanwhile. The oracles: files that the command creates,
and bash.
"""

from __future__ import annotations

import errno
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from filetap.capture import launch
from filetap.capture.launch import Command, CommandError
from filetap.core.errors import UsageError
from tests.timeouts import wait_for

Start = Callable[..., Command]


def forget(command: Command) -> None:
    """Close it; a caller that has seen the end may have closed it."""
    if command.pidfd >= 0:
        os.close(command.pidfd)


@pytest.fixture
def start() -> Iterator[Start]:
    made: list[Command] = []

    def launch_it(*arguments: str) -> Command:
        made.append(Command(list(arguments)))
        return made[-1]

    yield launch_it
    for command in made:
        if not command.poll():
            os.kill(command.pid, signal.SIGKILL)
            command.wait()
        forget(command)


def test_held_until_released(start: Start, tmp_path: Path) -> None:
    command = start("touch", str(tmp_path / "ran"))
    wait_for(lambda: Path(f"/proc/{command.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S")
    assert not command.poll()
    assert not (tmp_path / "ran").exists()
    command.release()
    assert command.wait() == 0
    assert (tmp_path / "ran").exists()


def test_released_means_executed(start: Start) -> None:
    """release returns after the exec: from then on /proc/PID/exe is the command's."""
    command = start("sleep", "30")
    command.release()
    assert os.readlink(f"/proc/{command.pid}/exe") == os.path.realpath(shutil.which("sleep") or "")


def test_abandoned_never_runs(start: Start, tmp_path: Path) -> None:
    command = start("touch", str(tmp_path / "ran"))
    command.abandon()
    assert command.poll()
    assert not (tmp_path / "ran").exists()
    command.abandon()


def test_it_ends_when_its_parent_does(tmp_path: Path) -> None:
    """As after kill -9 of filetap."""
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        os.write(write, str(Command(["touch", str(tmp_path / "ran")]).pid).encode())
        os._exit(0)
    os.waitpid(parent, 0)
    held = int(os.read(read, 20))
    os.close(read)
    os.close(write)
    wait_for(lambda: not os.path.exists(f"/proc/{held}/exe"))  # a zombie has none: not every init waits for its orphans
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("script", ["exit 0", "exit 1", "exit 255", "kill -9 $$", "kill -TERM $$", "kill -HUP $$", "exit 130"])
def test_statuses_are_those_of_a_shell(start: Start, script: str) -> None:
    shell = subprocess.run(["bash", "-c", f"(sh -c {script!r}); exit $?"], check=False, capture_output=True).returncode
    command = start("sh", "-c", script)
    command.release()
    assert command.wait() == shell
    assert command.wait() == shell


def test_poll(start: Start) -> None:
    command = start("sh", "-c", "read x; exit 3")
    command.release()
    command.wait()
    assert command.poll()
    assert command.wait() == 3


def test_pidfd_becomes_readable_at_the_end(start: Start) -> None:
    command = start("sleep", "0.1")
    poll = select.poll()
    poll.register(command.pidfd, select.POLLIN)
    assert poll.poll(0) == []
    command.release()
    assert poll.poll(20_000)
    assert command.poll()


def attempt(arguments: list[str]) -> None:
    """Run it; the failure may be known at once or at its release."""
    command = Command(arguments)
    try:
        command.release()
    finally:
        assert command.poll()
        forget(command)


def failure(arguments: list[str]) -> CommandError:
    with pytest.raises(CommandError) as error:
        attempt(arguments)
    return error.value


def test_not_found(tmp_path: Path) -> None:
    for name in ("no-such-command", str(tmp_path / "none"), "./none", ""):
        error = failure([name])
        assert (error.status, str(error)) == (127, f"{name}: No such file or directory")


@pytest.mark.parametrize("kind", ["plain", "directory", "garbage"])
def test_not_executable(tmp_path: Path, kind: str) -> None:
    file = tmp_path / kind
    file.mkdir() if kind == "directory" else file.write_bytes(b"\x7fELF but no more")
    file.chmod(0o755 if kind == "garbage" else 0o644)
    error = failure([str(file)])
    assert error.status == 126
    assert str(error) == f"{file}: {os.strerror(errno.ENOEXEC if kind == 'garbage' else errno.EACCES)}"


def test_a_relative_name_is_not_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``cat`` is looked up in PATH, ``./cat`` is not; and PATH is the caller's."""
    (tmp_path / "mine").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "mine").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert failure(["mine"]).status == 127
    for path, name in (("/usr/bin:/bin", "./mine"), (f"{tmp_path}:/usr/bin:/bin", "mine")):
        monkeypatch.setenv("PATH", path)
        command = Command([name])
        command.release()
        assert command.wait() == 9
        forget(command)


def descriptors() -> set[str]:
    """Return this process's descriptors, without the one that lists them."""
    names = os.listdir("/proc/self/fd")
    return {name for name in names if os.path.exists(f"/proc/self/fd/{name}")}


def test_no_descriptors_leak(start: Start) -> None:
    before = descriptors()
    command = start("true")
    command.release()
    command.wait()
    assert descriptors() - before <= {str(command.pidfd)}
    abandoned = start("true")
    abandoned.abandon()
    assert descriptors() - before <= {str(command.pidfd), str(abandoned.pidfd)}


def test_killed_while_held(start: Start) -> None:
    command = start("true")
    os.kill(command.pid, signal.SIGKILL)
    command.release()
    assert command.wait() == 137


def test_a_signal_is_handed_on(start: Start) -> None:
    command = start("sleep", "30")
    command.release()
    command.signal(signal.SIGTERM)
    assert command.wait() == 143
    command.signal(signal.SIGTERM)


def test_the_command_dies_of_a_closed_pipe() -> None:
    """Python ignores SIGPIPE; its children must not."""
    script = '"$0" -c "$1" | :; exit ${PIPESTATUS[0]}'
    done = subprocess.run(["bash", "-c", script, sys.executable, PIPE], check=False, capture_output=True)
    assert done.returncode == 128 + signal.SIGPIPE


PIPE = """
import sys, time
sys.path[:0] = %r
from filetap.capture.launch import Command
command = Command(["sh", "-c", "sleep 0.3; while :; do echo x; done"])
command.release()
sys.exit(command.wait())
""" % [str(Path(launch.__file__).parents[1]), *sys.path]


def test_the_user_it_runs_as(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUDO_UID", "SUDO_GID", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    root, nobody = pwd.getpwuid(0), pwd.getpwnam("nobody")
    assert launch.find_user(None) is None
    assert launch.find_user("nobody") == nobody == launch.find_user(str(nobody.pw_uid))
    monkeypatch.setenv("SUDO_UID", str(nobody.pw_uid))
    assert launch.find_user(None) == nobody
    assert launch.find_user("root") == root


@pytest.mark.parametrize("name", ["no-such-user", "3999999999", "99999999999999999999", "-1", "²"])
def test_no_such_user(name: str) -> None:
    with pytest.raises(UsageError, match=f"no user {name}"):
        launch.find_user(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_it_becomes_the_user_with_the_users_groups(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    user = pwd.getpwnam("nobody")
    command = Command(["sh", "-c", f"id >{tmp_path}/id"], user)
    command.release()
    assert command.wait() == 0
    setpriv = ["setpriv", "--reuid=nobody", f"--regid={user.pw_gid}", "--init-groups"]
    expected = subprocess.run([*setpriv, "id"], check=True, capture_output=True)
    assert (tmp_path / "id").read_bytes() == expected.stdout
    forget(command)


GROUPS = """
import os, pwd, sys
sys.path[:0] = %r
from filetap.capture.launch import Command
os.setgroups([4, 27])
command = Command(["id", "-G"], pwd.getpwnam("nobody"))
command.release()
sys.exit(command.wait())
""" % [str(Path(launch.__file__).parents[1]), *sys.path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_our_own_supplementary_groups_are_not_kept() -> None:
    """Root's groups, such as adm and sudo, must not be kept for another user."""
    expected = subprocess.run(["id", "-G", "nobody"], check=True, capture_output=True).stdout
    done = subprocess.run([sys.executable, "-c", GROUPS], check=True, capture_output=True)
    assert done.stdout == expected


def test_a_signal_right_after_the_fork_is_not_swallowed() -> None:
    """The child begins with the parent's handlers: a signal that arrives before it resets them must still end it."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        for _ in range(100):
            command = Command(["true"])
            os.kill(command.pid, signal.SIGTERM)
            command.release()
            assert command.wait() == 128 + signal.SIGTERM
            forget(command)
    finally:
        signal.signal(signal.SIGTERM, before)
