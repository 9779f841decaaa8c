"""filetap top on a real terminal: its figures match the workload, and the terminal is restored however it ends.

Separate from tests/unit/test_screen.py, where screens need no kernel. A terminal emulator (pyte) reads the other end of
a pty. The oracle is the workload's own count.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.conftest import PYTHON
from tests.e2e.screen import Screen

if TYPE_CHECKING:
    from tests.e2e.conftest import Filetap, Puppet

Opened = Callable[..., Screen]


@pytest.fixture
def opened(ft: Filetap) -> Iterator[Opened]:
    """Start ``filetap top`` with these words; ``columns`` and ``lines`` of the terminal."""
    screens = []

    def start(*words: str | Path | int, **size: int) -> Screen:
        screens.append(Screen([*ft.command, "top", *map(str, words)], **size))
        return screens[-1]

    yield start
    for screen in screens:
        screen.close()


def row(text: str, name: str) -> list[str]:
    """Return the cells of the row that ends with this name."""
    return next((line.split() for line in text.splitlines() if line.endswith(name)), [])


def rows(text: str) -> list[str]:
    """Return the names in the order of the screen."""
    return [line.split()[-1] for line in text.splitlines()[3:-1] if line.strip()]


def reading(puppet: Puppet, path: Path, times: int) -> None:
    puppet.do(f"f = os.open({str(path)!r}, 0); [os.pread(f, 3, 0) for _ in range({times})]; os.close(f)")


def test_totals_are_the_workloads(opened: Opened, puppet: Puppet, tree: Path) -> None:
    """Two files, read a known number of times; each view has the same events."""
    screen = opened("--interval", 0.3, "--sort", "count", "-e", "read", "-p", puppet.pid, tree)
    screen.wait_for_words("files by COUNT", "0 seen, nothing lost")
    reading(puppet, tree / "a", 120)
    reading(puppet, tree / "sub" / "b", 40)
    screen.wait_for_words("160 seen, nothing lost", "tree/a", "sub/b")
    screen.wait_for(lambda text: "120" in row(text, "tree/a") and "40" in row(text, "sub/b"))
    screen.wait_for(lambda text: rows(text) == [str(tree / "a"), str(tree / "sub" / "b")])
    screen.type("d")
    screen.wait_for(lambda text: "160" not in row(text, "tree") and "120" in row(text, "/tree") and "40" in row(text, "/sub"))
    screen.type("p")
    screen.wait_for_words("processes by COUNT")
    screen.wait_for(lambda text: any({"160", str(puppet.pid)} <= set(line.split()) for line in text.splitlines()))
    screen.type("o")
    screen.wait_for_words("operations by COUNT")
    screen.wait_for(lambda text: row(text, " read")[-4:-1] == ["160", "480", "B"])
    screen.type("q")
    assert screen.end() == 0
    assert "160 seen = 160 aggregated in the kernel" in screen.text()


def test_rates_are_of_the_interval(opened: Opened, puppet: Puppet, tree: Path) -> None:
    """filetap is stopped meanwhile, so that all events are of one interval."""
    screen = opened("--interval", 1, "-e", "read", "-p", puppet.pid, tree)
    screen.wait_for_words("0 seen")
    os.kill(screen.process.pid, signal.SIGSTOP)
    reading(puppet, tree / "a", 1000)
    os.kill(screen.process.pid, signal.SIGCONT)
    text = screen.wait_for(lambda text: row(text, "tree/a")[:1] not in ([], ["0"]))
    assert 200 <= float(row(text, "tree/a")[0]) <= 2500
    assert re.search(r"\d events/s", text)
    screen.wait_for(lambda text: row(text, "tree/a")[:1] == ["0"])
    assert "1000" in row(screen.text(), "tree/a")


def test_sort_reverse_filter_and_pause(opened: Opened, puppet: Puppet, tree: Path) -> None:
    screen = opened("--interval", 0.3, "--sort", "count", "-e", "read", "-p", puppet.pid, tree)
    screen.wait_for_words("0 seen")
    for name, times in (("a", 30), ("sub/b", 20), ("sub/deep/c", 10)):
        reading(puppet, tree / name, times)
    ordered = [str(tree / name) for name in ("a", "sub/b", "sub/deep/c")]
    screen.wait_for(lambda text: rows(text) == ordered)
    screen.type("r")
    screen.wait_for(lambda text: rows(text) == ordered[::-1])
    screen.type("/DEEP")
    screen.wait_for(lambda text: rows(text) == ordered[2:] and "/DEEP_" in text)
    screen.type("\r")
    screen.wait_for_words('1 file with "DEEP"')
    screen.type("\x1b")
    screen.wait_for(lambda text: rows(text) == ordered[::-1])
    screen.type(" ")
    screen.wait_for_words("PAUSED")
    reading(puppet, tree / "a", 5)
    time.sleep(1)
    assert "30" in row(screen.text(), "tree/a")
    screen.type(" ")
    screen.wait_for(lambda text: "35" in row(text, "tree/a"))
    screen.type(">")
    screen.wait_for_words("files by ERRORS reversed")
    screen.type("?")
    screen.wait_for_words("this page, any key leaves it")
    screen.type("x")
    screen.wait_for_words("files by ERRORS")


def test_a_resize_is_followed(opened: Opened, puppet: Puppet, tree: Path) -> None:
    screen = opened("--interval", 5, "-p", puppet.pid, columns=120, lines=30)
    screen.wait_for_words("files by RATE/s", "h: help  q: quit")
    for columns, lines in ((50, 10), (20, 4), (10, 1), (200, 50)):
        screen.resize(columns, lines)
        shown = "RATE/s" if columns > 15 else "PATH"
        screen.wait_for_words(shown)
        assert len(screen.text().splitlines()) <= lines
    screen.wait_for_words("h: help  q: quit", "ERRORS")
    screen.type("q")
    assert screen.end() == 0


def test_odd_names_do_not_move_the_cursor(opened: Opened, puppet: Puppet, tree: Path) -> None:
    evil = tree / "evil\x1b[2J\x1b]0;title\x07\n\x9b31m\r"
    evil.write_bytes(b"x" * 9)
    long = tree / ("x" * 250)
    long.write_bytes(b"x" * 9)
    screen = opened("--interval", 0.3, "-e", "read", "-p", puppet.pid, tree)
    screen.wait_for_words("0 seen")
    for path in (evil, long):
        reading(puppet, path, 5)
    text = screen.wait_for_words("10 seen", "evil", "xxxx")
    assert "evil\\x1b[2J\\x1b]0;title\\x07\\n\\x9b31m\\r" in text.replace("\\u009b", "\\x9b")
    assert text.startswith("filetap top")
    assert b"\x1b]0;" not in screen.sent


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_restores_the_terminal(opened: Opened, puppet: Puppet, number: int) -> None:
    screen = opened("-p", puppet.pid)
    screen.wait_for_words("files by RATE/s")
    screen.process.send_signal(number)
    assert screen.end() == 0


def test_ctrl_c_is_a_key(opened: Opened, puppet: Puppet) -> None:
    screen = opened("-p", puppet.pid)
    screen.wait_for_words("files by RATE/s")
    screen.type("\x03")
    assert screen.end() == 0


def test_ctrl_z_leaves_no_half_screen(opened: Opened, puppet: Puppet) -> None:
    screen = opened("-p", puppet.pid, "--interval", 0.3)
    screen.wait_for_words("files by RATE/s")
    screen.type("\x1a")
    screen.type("h")
    screen.wait_for_words("any key leaves it")
    screen.type("qq")
    assert screen.end() == 0


def test_ends_with_its_target_and_prints_the_totals(opened: Opened, puppet: Puppet) -> None:
    screen = opened("-p", puppet.pid)
    screen.wait_for_words("files by RATE/s")
    puppet.end()
    assert screen.end() == 0
    assert "perhaps: the processes of -p have ended" in screen.text()


def test_a_command_does_not_write_to_the_screen(opened: Opened, tree: Path, tmp_path: Path) -> None:
    noise = "[os.write(fd, b'NOISE') for fd in (1, 2)]; open(sys.argv[1]).close(); time.sleep(.1)"
    noise = f"import os, sys, time\nwhile not os.path.exists(sys.argv[2]):\n  {noise}"
    screen = opened("--interval", 0.3, tree, "--", PYTHON, "-S", "-E", "-c", noise, tree / "a", tmp_path / "enough")
    screen.wait_for(lambda text: row(text, "tree/a"))
    (tmp_path / "enough").touch()
    assert screen.end() == 0
    assert b"NOISE" not in screen.sent


def test_an_error_restores_the_terminal(opened: Opened) -> None:
    screen = opened("-p", 4194304)
    assert screen.end() in (1, 2)
    assert "4194304" in screen.text()


def test_the_iterations_and_the_duration_end_it(opened: Opened, puppet: Puppet) -> None:
    assert opened("-p", puppet.pid, "-n", 2, "--interval", 0.2).end() == 0
    assert opened("-p", puppet.pid, "--duration", 0.5).end() == 0


def test_without_a_terminal(ft: Filetap) -> None:
    result = ft("top", "--all")
    assert (result.status, result.out) == (1, b"")
    assert result.errors == ["filetap: standard input is not a terminal: give --batch for plain text"]


def test_batch(ft: Filetap, tree: Path, tmp_path: Path) -> None:
    """For a command that is still running after three tables."""
    code = "import os, sys, time\nf = os.open(sys.argv[1], 0)\nfor _ in range(77): os.pread(f, 3, 0)"
    command = (PYTHON, "-S", "-E", "-c", f"{code}\nwhile not os.path.exists(sys.argv[2]): time.sleep(.1)", tree / "a", tmp_path / "enough")
    words = ("top", "--batch", "-n", 3, "--interval", "0.5", "--sort", "count", "-e", "read", tree, "--", *command)
    with ft.started(*words) as run:
        text = run.read_until(b"waiting for the command")
        (tmp_path / "enough").touch()
        result = run.end()
    assert result.status == 0
    pictures = result.out.decode().split("\n\n")
    assert len(pictures) == 3
    assert "77" in row(pictures[-1].strip(), "tree/a")
    assert "\x1b" not in result.out.decode()
    assert b"77 seen = 77 aggregated in the kernel" in text


def test_batch_into_a_pipe_that_closes(ft: Filetap, puppet: Puppet) -> None:
    result = ft.shell('filetap top --batch --interval 0.1 -p "$pid" | head -n 2', pid=str(puppet.pid))
    assert len(result.out.splitlines()) == 2
    assert b"Traceback" not in result.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--interval", "0"), "--interval 0: give a time above 0"),
        (("-n", "0"), "--iterations 0: give a number above 0"),
        (("--interval", "99ms"), "--interval 99ms: give at least 100ms"),
        (("--limit", "-1"), "--limit -1: give a number above 0"),
    ],
)
def test_mistakes(ft: Filetap, words: tuple[str, ...], line: str) -> None:
    result = ft("top", "--batch", *words)
    assert (result.status, result.errors) == (2, [f"filetap: {line}"])
