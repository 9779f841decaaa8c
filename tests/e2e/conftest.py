"""The installed command as a subprocess: runs, their results, small things to trace.

The tests are a few lines on top of these.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pytest

PYTHON: Final = str(Path(sys.executable).resolve())
"""The executed file itself: neither a shim nor a virtual environment's link."""
ENVIRONMENT: Final = {k: v for k, v in os.environ.items() if not k.startswith("SUDO_") and k != "NO_COLOR"} | {
    "LC_ALL": "C",
    "TERM": "xterm",
}
READY: Final = re.compile(rb"^filetap: tracing (.+); attached in \d+\.\d s\n", re.MULTILINE)
"""The line that reports that tracing has begun."""
WAIT: Final = 120.0
"""Seconds until a test fails; what it waits for takes a few, ten times as long on a busy machine."""
for ignored in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    if signal.getsignal(ignored) == signal.SIG_IGN:
        signal.signal(ignored, lambda *_: None)  # as behind nohup or a script's &: pytest keeps ignoring it, its children do not


@contextmanager
def disk_of(size: str, folder: Path) -> Iterator[Path]:
    """Mount a tmpfs of this size (see mount(8)); it is unmounted at the end."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


def possible_cpus() -> int:
    """Return the number of possible CPUs, present or not: each has a CPU ring."""
    return int(Path("/sys/devices/system/cpu/possible").read_text().strip().rpartition("-")[2]) + 1


def smallest_ring(kib: int) -> int:
    """Return this size in KiB, or the smallest that the machine's CPUs allow."""
    return max(kib, 4 * possible_cpus())


@dataclass(frozen=True)
class Result:
    """A run that has ended."""

    status: int
    out: bytes
    err: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the NDJSON events of a launched command: on standard error, before the statistics. Each line must be UTF-8 and JSON."""
        return parse(self.err)

    @property
    def messages(self) -> bytes:
        """Return standard error without the line that tracing has begun, which occurs at most once."""
        text, found = READY.subn(b"", self.err)
        assert found <= 1
        return text

    @property
    def errors(self) -> list[str]:
        """Return filetap's own lines, except that one."""
        return [line for line in self.messages.decode().splitlines() if line.startswith(("filetap:", "Error:"))]

    def called(self, *ops: str) -> list[tuple[str, str]]:
        """Return op and path of each event, of these ops or of all, in order."""
        return [(e["event"]["action"], path_of(e)) for e in self.events if not ops or e["event"]["action"] in ops]

    @property
    def paths(self) -> set[str]:
        return {path_of(e) for e in self.events} - {""}


def parse(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(line.decode()) for line in text.split(b"\n") if line.startswith(b"{")]


def path_of(event: dict[str, Any]) -> str:
    return str(event.get("file", {}).get("path", ""))


class Filetap:
    """Runs ``filetap``."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self.command = command

    def __call__(
        self, *words: str | Path | int, before: tuple[str, ...] = (), env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> Result:
        """Run it to its end. ``before``: a command in front, such as setpriv. ``env``: variables to add."""
        given = [*before, *self.command, *map(str, words)]
        done = subprocess.run(given, capture_output=True, check=False, timeout=WAIT, env=ENVIRONMENT | (env or {}), cwd=cwd)
        return Result(done.returncode, done.stdout, done.stderr)

    def trace(self, *words: str | Path | int, **rest: Any) -> Result:
        return self("trace", *words, **rest)

    def shell(self, script: str, **names: str | Path) -> Result:
        """Run a bash script in which ``$filetap`` is the command."""
        return self.run_shell(["bash", "-c", script], names)

    def private(self, script: str, **names: str | Path) -> Result:
        """Run such a script in a mount namespace of its own."""
        return self.run_shell(["unshare", "-m", "bash", "-c", script], names)

    def run_shell(self, shell: list[str], names: dict[str, str | Path]) -> Result:
        command = "filetap() { " + shlex.join(self.command) + ' "$@"; }\n'
        environment = ENVIRONMENT | {name: str(value) for name, value in names.items()}
        done = subprocess.run([*shell[:-1], command + shell[-1]], capture_output=True, check=False, timeout=WAIT, env=environment)
        return Result(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def started(
        self, *words: str | Path | int, env: dict[str, str] | None = None, pass_fds: Sequence[int] = (), stdin: int | None = None
    ) -> Iterator[Running]:
        """Start it in the background, without the terminal that pytest may have; it is killed at the end if necessary. ``env``:
        variables to add."""
        given = [*self.command, *map(str, words)]
        pipe, environment = subprocess.PIPE, ENVIRONMENT | (env or {})
        with subprocess.Popen(
            given, stdin=stdin, stdout=pipe, stderr=pipe, env=environment, pass_fds=pass_fds, start_new_session=True
        ) as process:
            try:
                yield Running(process)
            finally:
                process.kill()
                with suppress(subprocess.TimeoutExpired):
                    process.communicate(timeout=5)


def unread(pipe: IO[bytes]) -> int:
    """Return the number of bytes that wait in the pipe."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0])


class Running:
    """A run under way. Lines can be read from ``out`` and ``err`` before it ends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid
        assert process.stdout
        assert process.stderr
        self.out: IO[bytes] = process.stdout
        self.err: IO[bytes] = process.stderr

    def end(self, number: int | None = None) -> Result:
        """Return its result; ``number``: a signal to send first."""
        if number is not None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=WAIT)
        return Result(self.process.returncode, out, err)

    def wait_ready(self) -> None:
        """Wait until it is attached: it holds BPF links and sleeps in its loop's poll(2)."""
        wait_until(lambda: attached(self.pid) or self.process.poll() is not None)
        assert self.process.returncode is None, self.end().err

    def read_until(self, words: bytes) -> bytes:
        """Return its standard error up to the line that contains these words."""
        text = b""
        while words not in text:
            line = self.err.readline()
            assert line, "filetap has ended"
            text += line
        return text

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop filetap; the traced processes go on."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


POLL = "7"
"""The number of poll(2) on x86-64, as in /proc/PID/syscall (proc(5))."""


def attached(pid: int) -> bool:
    return any("bpf_link" in name for name in descriptors(pid)) and blocked_in(pid, POLL)


def blocked_in(pid: int, call: str) -> bool:
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == call


def waiting(pid: int) -> float:
    """Return the seconds that its threads waited for a CPU (Documentation/scheduler/sched-stats.rst)."""
    return sum(int(path.read_text().split()[1]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def cpu_of(pid: int) -> float:
    """Return its CPU seconds, user and system (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def has_ended(pid: int) -> bool:
    """Return whether it has ended or is a zombie: nothing may reap orphans here."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def descriptors(pid: int) -> Iterator[str]:
    """Yield the targets of its descriptors, without those that are closed meanwhile."""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield os.readlink(fd)


def wait_until(condition: Callable[[], object], seconds: float = WAIT) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def ft(filetap: tuple[str, ...]) -> Filetap:
    return Filetap(filetap)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Create a directory: ``a`` with 12 bytes, ``sub/b`` with 5, ``sub/deep/c`` with 3."""
    root = tmp_path / "tree"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a").write_bytes(b"hello world\n")
    (root / "sub" / "b").write_bytes(b"bytes")
    (root / "sub" / "deep" / "c").write_bytes(b"abc")
    return root


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], tuple[str, ...]]:
    """Return a function that makes a command of a Python program."""

    def write(text: str) -> tuple[str, ...]:
        file = tmp_path / "program.py"
        file.write_text("import os, sys, time\n" + text)
        return PYTHON, "-S", "-E", str(file)

    return write


class Puppet:
    """A Python process that runs lines of code on command."""

    CODE: Final = "import os,sys,threading\nfor line in sys.stdin:\n exec(line)\n print(flush=True)"

    def __init__(self) -> None:
        command = [PYTHON, "-S", "-E", "-c", self.CODE]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        self.pid = self.process.pid
        self.do("pass")

    def do(self, code: str) -> None:
        """Run a line of code, to its end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(code.encode() + b"\n")
        self.process.stdin.flush()
        self.process.stdout.readline()

    def touch(self, path: Path) -> None:
        self.do(f"os.close(os.open({str(path)!r}, os.O_RDONLY))")

    def end(self) -> None:
        """Let it end; whatever has not ended by then is killed, with all its children."""
        try:
            self.process.communicate(timeout=5)
        except (subprocess.TimeoutExpired, ValueError):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.communicate()


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    made = Puppet()
    yield made
    made.end()


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """Create a cgroup2 directory."""
    mount = next(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if " - cgroup2 " in line)
    path = Path(tempfile.mkdtemp(prefix="filetap-test-", dir=mount))
    yield path
    wait_until(lambda: "populated 0" in (path / "cgroup.events").read_text())
    for directory in sorted(path.rglob("*/"), reverse=True):
        directory.rmdir()
    path.rmdir()
