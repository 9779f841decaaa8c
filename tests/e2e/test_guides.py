"""The README and the guides are true: their commands run as written, and print the lines that the page shows.

What a page says that happens meanwhile, the test does. Each number may differ, and what is behind "..." is not shown.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import shlex
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.error import HTTPError

import pytest

from tests.e2e.conftest import ENVIRONMENT, WAIT, blocked_in, wait_until

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap

ROOT: Final = Path(__file__).parents[2]
DEMO: Final = "/tmp/demo"
"""The folder of all examples; a test has its own instead."""
PIDS: Final = re.compile(r"(?<=-p )\d+")
VARYING: Final = re.compile(r"\d|^[KMG]i?B$|^B$")
"""Words that differ from run to run: numbers, times, names with a pid, units."""
ANY: Final = r"\S*"
ATTACHED: Final = r"^filetap: tracing .*; attached in"
FLOCK: Final = "73"
"""The number of flock(2) on x86-64, as in /proc/PID/syscall (proc(5))."""
OPENAT: Final = "257"
Action = Callable[[], object]


def nothing() -> None:
    """Do nothing while an example runs."""


@dataclass(frozen=True)
class Example:
    """A command of a page, and the lines that it prints according to the page."""

    command: str
    lines: list[str]


def blocks(page: str) -> Iterator[list[str]]:
    """Yield the code blocks of a page: those that are indented, and those between ```; of a script only its commands of filetap."""
    for block in re.findall(r"(?:^    .+\n)+|^```\w*\n(?:.+\n)+?```$", (ROOT / page).read_text() + "\n", re.MULTILINE):
        lines = [line.removeprefix("    ") for line in block.splitlines() if not line.startswith("```")]
        yield [line for line in lines if line.startswith("filetap")] if block.startswith("```sh") else lines


def examples(page: str) -> Iterator[Example]:
    """Yield the examples of a page: a block without a command shows what the command before it prints."""
    last: Example | None = None
    for line in itertools.chain.from_iterable(blocks(page)):
        if found := re.match(r"(?:# )?(filetap .*)", line):
            if last:
                yield last
            last = Example(found[1], [])
        elif last and line != "...":
            last.lines.append(line)
    if last:
        yield last


class Runner:
    """Runs the examples of a page in their order, in a folder that stands for /tmp/demo."""

    def __init__(self, page: str, ft: Filetap, demo: Path) -> None:
        self.left = list(examples(page))
        self.demo = demo
        self.pid = 0
        """What stands for the pid of the page."""
        self.words = {DEMO: str(demo)}
        """What stands for other words of the page."""
        bin_folder = demo.parent / "bin"
        bin_folder.mkdir()
        (bin_folder / "filetap").write_text(f'#!/bin/sh\nexec {shlex.join(ft.command)} "$@"\n')
        (bin_folder / "filetap").chmod(0o755)
        self.path = f"{bin_folder}:{os.environ['PATH']}"

    def here(self, text: str) -> str:
        for word, other in self.words.items():
            text = text.replace(word, other)
        return text

    def run(self, start: str, meanwhile: Action = nothing, *, at: str = ATTACHED, end: bool = False) -> str:
        """Run the next example, which starts with these words, and return what it prints. Each line that the page shows must be there.

        ``meanwhile`` is called after the line that matches ``at``, and then Ctrl-C is pressed if ``end`` says so.
        """
        example = self.left.pop(0)
        assert example.command.startswith(start), example.command
        command = PIDS.sub(str(self.pid), self.here(example.command))
        printed = self.printed_by(command, meanwhile, at, end=end)
        for line in example.lines:
            words = [ANY if VARYING.search(word) else re.escape(self.here(word)) for word in line.split()]
            pattern = r"\s+".join(words).replace(re.escape("..."), ".*")
            assert re.search(rf"^\s*{pattern}$", printed, re.MULTILINE), f"{line}\nis not in\n{printed}"
        return printed

    def printed_by(self, command: str, meanwhile: Action, at: str, *, end: bool) -> str:
        """Return standard error and output together."""
        text, done = "", False
        with self.shell(f"exec {command}" if end else command) as process:
            assert process.stdout
            for line in process.stdout:
                text += line
                if not done and re.search(at, line):
                    done = True
                    meanwhile()
                    if end:
                        process.send_signal(signal.SIGINT)
        assert process.returncode == 0, text
        assert done or meanwhile is nothing, text
        return text

    @contextmanager
    def shell(self, script: str) -> Iterator[subprocess.Popen[str]]:
        command, environment = ["bash", "-c", script], ENVIRONMENT | {"PATH": self.path}
        out, err = subprocess.PIPE, subprocess.STDOUT
        with subprocess.Popen(
            command, stdout=out, stderr=err, env=environment, cwd=self.demo, start_new_session=True, text=True
        ) as process:
            try:
                yield process
                process.wait(WAIT)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture
def page(request: pytest.FixtureRequest, ft: Filetap, tmp_path: Path) -> Iterator[Runner]:
    demo = tmp_path / "demo"
    demo.mkdir()
    runner = Runner(request.param, ft, demo)
    yield runner
    assert not runner.left


def of(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", [name], indirect=True, ids=[Path(name).stem])


@contextmanager
def hanging(call: str, *command: str | Path) -> Iterator[int]:
    """Run a command that hangs in a call, and return its pid."""
    with subprocess.Popen(command) as process:
        try:
            wait_until(lambda: blocked_in(process.pid, call))
            yield process.pid
        finally:
            process.kill()


@contextmanager
def locked(path: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock of a file, and return the function that releases it."""
    path.touch()
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield lambda: fcntl.flock(file, fcntl.LOCK_UN)


@contextmanager
def web_server(site: Path, cgroup: Path) -> Iterator[None]:
    """Serve a folder on port 8731, from a cgroup."""
    command = f"echo $$ >{cgroup}/cgroup.procs; exec python3 -m http.server 8731 --bind 127.0.0.1 --directory {site}"
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: answers(8731))
            yield
        finally:
            server.kill()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@of("README.md")
def test_readme(page: Runner) -> None:
    index, etc = page.demo / "index.db", page.demo / "etc"
    index.touch()
    etc.mkdir()
    (page.demo / "app.conf").write_text("level = info\n")
    (page.demo / "Makefile").write_text("all:\n\tcat app.conf\n")
    page.words |= {"/srv/index.db": str(index), " /etc": f" {etc}"}
    page.run("filetap trace /tmp/demo -- sed")
    printed = page.run("filetap watch --ancestors", lambda: subprocess.run(["rm", index], check=True), end=True)
    assert re.search(rf"unlink.* rm\(\d+\) {index}$", printed, re.MULTILINE)
    assert re.search(rf" {page.demo}/app.conf$", page.run("filetap trace --summary"), re.MULTILINE)
    assert " ENOENT " in page.run("filetap trace -e open --failed")
    with locked(index), hanging(FLOCK, "flock", index, "true") as page.pid:
        assert re.search(rf" pending .* {index}$", page.run("filetap trace -p 1234 --pending"), re.MULTILINE)
    page.run("filetap record --all", (etc / "new").touch, end=True)
    assert f"{etc}/new" in page.printed_by("filetap replay etc.tap", nothing, ATTACHED, end=False)


@of("docs/guide/who-deletes-this-file.md")
def test_who_deletes_this_file(page: Runner) -> None:
    index, script = page.demo / "db" / "index.db", page.demo / "cleanup.sh"
    index.parent.mkdir()
    script.write_text(page.here("#!/bin/sh\nrm -f /tmp/demo/db/index.db\n"))
    script.chmod(0o755)

    def clean() -> None:
        subprocess.run(["bash", "-c", f"{script}; true"], check=True)

    for start in ("filetap watch --ancestors", "filetap watch -r"):
        index.touch()
        page.run(start, clean)
    page.run("filetap query")


@of("docs/guide/why-is-my-program-slow.md")
def test_why_is_my_program_slow(page: Runner) -> None:
    (page.demo / "slow.py").write_text(
        page.here("""
import os
with open("/tmp/demo/data.bin", "wb", buffering=0) as file:
    for _ in range(300):
        file.write(bytes(4096))
        os.fsync(file.fileno())
with open("/tmp/demo/data.bin", "rb", buffering=0) as file:
    while file.read(64):
        pass
""")
    )
    page.run("filetap trace --summary")
    page.run("filetap record")
    page.run("filetap summary")
    page.run("filetap query")
    page.words["20ms"] = "1us"  # this disk may be faster
    page.run("filetap trace -e sync")


@of("docs/guide/what-hangs.md")
def test_what_hangs(page: Runner) -> None:
    lock, lock2, pipe = page.demo / "lock", page.demo / "lock2", page.demo / "pipe"
    os.mkfifo(pipe)
    with locked(lock), hanging(FLOCK, "flock", lock, "true") as page.pid:
        page.run("filetap trace -p")
    with hanging(OPENAT, "cat", pipe) as page.pid:
        page.run("filetap trace -p")
    with locked(lock2) as release, hanging(FLOCK, "flock", lock2, "true") as page.pid:
        page.run("filetap trace --all")
        page.run("filetap trace -p", release, at=" pending ")
    with locked(lock2), hanging(FLOCK, "flock", lock2, "true") as page.pid:
        page.run("filetap record -p")
        page.run("filetap query")


@of("docs/guide/what-does-this-service-read.md")
def test_what_does_this_service_read(page: Runner, cgroup: Path) -> None:
    site = page.demo / "site"
    site.mkdir()
    for name in ("index.html", "style.css"):
        (site / name).write_text("text\n")
    page.words["/demo.service"] = "/" + cgroup.name

    def ask() -> None:
        for name in ("index.html", "style.css", "missing"):
            with suppress(HTTPError):
                urllib.request.urlopen(f"http://127.0.0.1:8731/{name}", timeout=WAIT).read()

    with web_server(site, cgroup):
        page.run("filetap trace -p", ask)
        page.run("filetap trace --cgroup", ask)
        page.run("filetap record --cgroup", ask)
    page.run("filetap query")


@of("docs/guide/watch-a-directory-for-a-week.md")
def test_watch_a_directory_for_a_week(page: Runner) -> None:
    etc = page.demo / "etc"
    etc.mkdir()
    (etc / "app.conf").write_text("a=1\n")
    script = f"cat {etc}/app.conf; sed -i s/1/2/ {etc}/app.conf; echo b >{etc}/new.conf"
    page.run("filetap watch -r", lambda: subprocess.run(["bash", "-c", script], check=True, stdout=subprocess.DEVNULL))
    page.run("filetap summary")
    page.run("filetap query")
    page.run("filetap summary")
    page.run("filetap replay")
