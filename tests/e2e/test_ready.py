"""The start of tracing: a line on standard error, a line on --ready-fd, READY=1 to the service manager; what a command inherits.

Separate from test_end.py. What the line promises is tested: an access right after it must be reported.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import READY, WAIT
from tests.e2e.screen import Screen

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Puppet


VERBS: dict[str, list[str | Path | int]] = {
    "trace": ["--all", "-f", "json"],
    "watch": ["-f", "json"],
    "top": ["--all", "--batch", "-n", "1", "--interval", "2"],
}
"""Formats, with the text that each shows for a touched file."""


def subject(text: bytes) -> str:
    """Return what is traced according to the line."""
    (found,) = READY.findall(text)
    return str(found.decode())


@contextmanager
def manager(name: str) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """Create a service manager's socket, and the environment that names it; @: an abstract one."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        heard.settimeout(WAIT)
        yield heard, {"NOTIFY_SOCKET": name}


@contextmanager
def ready_pipe() -> Iterator[tuple[int, int]]:
    """Return its two ends; the test closes its own copy of the second one."""
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)


def read_to_end(fd: int) -> bytes:
    with os.fdopen(os.dup(fd), "rb") as stream:
        return stream.read()


def test_one_line_reports_the_start_before_the_command_runs(ft: Filetap, tree: Path) -> None:
    done = ft.trace("-f", "json", tree, "--", "sh", "-c", f"echo begun >&2; : <{tree / 'a'}")
    lines = done.err.splitlines()
    assert READY.match(done.err), done.err.decode()
    assert lines.index(b"begun") > 0
    assert subject(done.err) == "1 path of command sh"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--", "true"], "all files of command true"),
        (["/etc", "/usr/bin", "--", "true"], "2 paths of command true"),
        (["-c", "no-such-name"], "all files of processes named no-such-name"),
        (["-c", "no-such-name", "-c", "nor this", "/etc"], "1 path of processes named no-such-name or nor this"),
        (["--cgroup", "/"], "all files of 1 cgroup"),
        (["-c", "no-such-name", "--cgroup", "/"], "all files of processes named no-such-name in 1 cgroup"),
        (["--all", "/etc/hostname"], "1 path of all processes"),
    ],
)
def test_the_line_names_what_is_traced(ft: Filetap, words: list[str], message: str) -> None:
    done = ft.trace("-f", "none", "-e", "mkdir", "--duration", "0.1", *words)
    assert subject(done.err) == message


def test_processes_are_counted(ft: Filetap, puppet: Puppet) -> None:
    done = ft.trace("-f", "none", "--duration", "0.1", "-p", puppet.pid, "-p", os.getpid())
    assert subject(done.err) == "all files of 2 processes"


def test_watch_prints_it_too_and_sees_later_accesses(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    with ft.started("watch", "-f", "json", tree / "a", tree / "sub") as run:
        message = run.read_until(b"attached in")
        puppet.touch(tree / "a")
        done = run.end(signal.SIGINT)
    assert subject(message) == "2 paths of all processes"
    assert str(tree / "a").encode() in done.out


@pytest.mark.parametrize("verb", VERBS)
def test_ready_fd_gets_a_line_and_is_closed(ft: Filetap, tree: Path, puppet: Puppet, verb: str) -> None:
    words = [verb, *VERBS[verb], tree]
    with ready_pipe() as (reading, writing), ft.started(*words, "--ready-fd", writing, pass_fds=[writing]) as run:
        os.close(writing)
        assert read_to_end(reading) == b"ready\n"
        puppet.touch(tree / "a")
        done = run.end(None if verb == "top" else signal.SIGINT)
    assert (done.status, str(tree / "a").encode() in done.out) == (0, True)


def test_ready_fd_comes_before_the_command_and_is_not_inherited(ft: Filetap, tmp_path: Path) -> None:
    """Neither it nor NOTIFY_SOCKET: messages of the command would be mistaken for filetap's."""
    with ready_pipe() as (reading, writing), manager(str(tmp_path / "socket")) as (heard, environment):
        script = f"test -e /proc/self/fd/{writing} && echo inherited; echo ${{NOTIFY_SOCKET-none}}; head -n 1 </proc/self/fd/{reading}"
        with ft.started(
            "trace", "-f", "none", "--ready-fd", writing, "--", "sh", "-c", script, env=environment, pass_fds=[reading, writing]
        ) as run:
            os.close(writing)
            done = run.end()
        assert heard.recv(100) == b"READY=1"
    assert (done.status, done.out) == (0, b"none\nready\n")


def test_a_ready_fd_that_is_not_read(ft: Filetap) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with ft.started("trace", "-f", "none", "--ready-fd", writing, "--", "true", pass_fds=[writing]) as run:
        os.close(writing)
        done = run.end()
    assert done.status == 0
    assert b"Traceback" not in done.err


BAD = {
    "closed": ("200", ["--ready-fd 200", "not open"]),
    "the first that is free": ("3", ["--ready-fd 3", "not open"]),
    "standard output": ("1", ["--ready-fd 1", "3"]),
    "negative": ("-1", ["--ready-fd -1"]),
    "huge": ("99999999999", ["--ready-fd 99999999999"]),
    "word": ("three", ["three"]),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("verb", VERBS)
def test_a_bad_ready_fd(ft: Filetap, tmp_path: Path, verb: str, case: str) -> None:
    number, needed = BAD[case]
    command: list[str | Path] = ["--", "touch", tmp_path / "ran"] if verb != "watch" else ["/etc"]
    done = ft(verb, "--ready-fd", number, *command)
    line = done.err.decode().splitlines()[-1]
    assert (done.status, done.out) == (2, b"")
    assert [word for word in needed if word not in line] == []
    assert not (tmp_path / "ran").exists()


def test_a_ready_fd_that_is_for_reading(ft: Filetap, tmp_path: Path) -> None:
    with open(os.devnull, "rb") as null:
        fd = null.fileno()
        with ft.started("trace", "--ready-fd", fd, "--", "touch", tmp_path / "ran", pass_fds=[fd]) as run:
            done = run.end()
    assert (done.status, len(done.err.splitlines())) == (2, 1)
    assert b"reading" in done.err
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("abstract", [False, True])
@pytest.mark.parametrize("verb", VERBS)
def test_the_service_manager_is_notified(ft: Filetap, tree: Path, puppet: Puppet, verb: str, abstract: bool) -> None:
    name = f"@filetap-test-{os.getpid()}" if abstract else str(tree / "notify")
    words = [verb, *VERBS[verb], tree]
    with manager(name) as (heard, environment), ft.started(*words, env=environment) as run:
        assert heard.recv(100) == b"READY=1"
        puppet.touch(tree / "a")
        run.process.send_signal(signal.SIGTERM)
        assert heard.recv(100) == b"STOPPING=1"
        done = run.end()
    assert done.status == 0
    assert str(tree / "a").encode() in done.out


def test_a_command_that_ends_is_a_stop(ft: Filetap, tmp_path: Path) -> None:
    with manager(str(tmp_path / "notify")) as (heard, environment):
        assert ft.trace("-f", "none", "--", "true", env=environment).status == 0
        assert [heard.recv(100), heard.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_nothing_is_ready_when_the_start_fails(ft: Filetap, tmp_path: Path) -> None:
    with manager(str(tmp_path / "notify")) as (heard, environment), ready_pipe() as (reading, writing):
        with ft.started("trace", "--ready-fd", writing, "/no/such/path", "--", "true", env=environment, pass_fds=[writing]) as run:
            os.close(writing)
            assert run.end().status == 2
        assert read_to_end(reading) == b""
        heard.settimeout(0)
        with pytest.raises(BlockingIOError):
            heard.recv(100)


@pytest.mark.parametrize("name", ["/no/such/socket", "nonsense", "@" + "x" * 200, "/etc/hostname"])
def test_a_service_manager_that_cannot_be_reached(ft: Filetap, name: str) -> None:
    """One line reports it; the run goes on."""
    done = ft.trace("-f", "none", "--", "sh", "-c", "exit 3", env={"NOTIFY_SOCKET": name})
    assert done.status == 3
    (line,) = [line for line in done.err.decode().splitlines() if "NOTIFY_SOCKET" in line]
    assert line.startswith("filetap: ")
    assert b"Traceback" not in done.err


def test_top_on_a_terminal_keeps_its_screen_clear(ft: Filetap, tree: Path, puppet: Puppet) -> None:
    screen = Screen([*ft.command, "top", "-p", str(puppet.pid)])
    try:
        screen.wait_for_words("nothing lost")
        assert b"attached in" not in screen.sent
        screen.type("q")
        assert screen.end() == 0
    finally:
        screen.close()
