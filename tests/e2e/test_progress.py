"""The progress bar on a terminal: a repair, checksums, a query, a replay, a seal; and no bar elsewhere.

Separate from the commands' own tests, because all draw the same bar. The data has real sizes: millions of events, or
one segment with a hundred names. The terminal is a pty.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pytest

from filetap.core import wire
from filetap.core.batch import Batch
from filetap.core.calls import CALL_NUMBER
from filetap.recording.format import TABLES, Segment, read_metadata, segment, write_metadata
from filetap.recording.retention import Limits
from filetap.recording.writer import TraceSink
from tests.e2e.conftest import Filetap, wait_until
from tests.e2e.screen import Screen
from tests.unit.batches import FILE, TASK
from tests.unit.traces import metadata

ROOT: Final = Path(__file__).parents[2]
EVENTS: Final = 3 << 20
AT_ONCE: Final = 1 << 18
LINKS: Final = 300
"""Names of a segment of 20 MB: six gigabytes are checked."""
BAR: Final = rb"\[[# ]{30}\] +(\d+%)? "
COUNT: Final = "SELECT count(*) AS n FROM events"
SLOW: Final = "SELECT i FROM range(3) s(i), range(70000000) r(j) WHERE hash(i + j) % 3 = 0 GROUP BY ALL ORDER BY ALL"
"""Seconds on a fast machine, by one thread."""

Shell = Callable[..., Screen]


def write(folder: Path, events: int, close: bool = True, failed: bool = True) -> None:
    """Write reads at random offsets into one segment. With ``failed`` the last one failed."""
    chance = np.random.default_rng(1)
    sink = TraceSink(folder, metadata(), Limits(rows=1 << 40))
    for begin in range(0, events, AT_ONCE):
        rows = np.zeros(AT_ONCE, wire.EVENT)
        rows["call"], rows["fd"], rows["task"], rows["file"], rows["tid"] = CALL_NUMBER["pread64"], 3, 1, 1, 77
        rows["time"] = np.arange(begin, begin + AT_ONCE)
        for name, bits in (("offset", 62), ("size", 62), ("result", 30)):
            rows[name] = chance.integers(0, 1 << bits, AT_ONCE)
        if failed and begin + AT_ONCE == events:
            rows["result"][-1] = -errno.ENOENT
        sink.write(Batch(rows, {1: FILE}, {1: TASK}, 0))
    if close:
        sink.close()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a recording whose recorder ended at once."""
    folder = tmp_path_factory.mktemp("progress") / "t.tap"
    code = f"import os, pathlib; from tests.e2e.test_progress import *; write(pathlib.Path({str(folder)!r}), EVENTS, False); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    return folder


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("progress") / "t.tap"
    write(folder, EVENTS)
    return folder


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a recording with the same segment many times."""
    folder = tmp_path_factory.mktemp("progress") / "t.tap"
    write(folder, 1 << 20)
    repeat(folder, folder, range(2, LINKS + 1))
    return folder


@pytest.fixture(scope="module")
def failing_late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 million events, which take seconds to search on a fast machine; only the last one failed."""
    folder, last = (tmp_path_factory.mktemp("progress") / "t.tap" for _ in range(2))
    write(folder, 1 << 20, failed=False)
    write(last, 1 << 20)
    repeat(folder, folder, range(2, 24))
    repeat(last, folder, [24])
    return folder


def repeat(source: Path, folder: Path, numbers: Sequence[int]) -> None:
    """Use the first segment of one trace as these segments of another, or of the same one."""
    found = read_metadata(folder)
    found.segments += [msgspec.structs.replace(found.segments[0], number=number) for number in numbers]
    for number in numbers:
        for name in TABLES:
            for suffix in ("parquet", "parquet.crc"):
                os.link(segment(source, name, 1, suffix), segment(folder, name, number, suffix))
    write_metadata(folder, found)


@pytest.fixture
def shell(ft: Filetap) -> Iterator[Shell]:
    """Start a script on a terminal, in which ``$filetap`` is the command."""
    screens = []

    def start(script: str, *words: str | Path, columns: int = 300) -> Screen:
        screens.append(Screen(["bash", "-c", f'filetap() {{ "{ft.command[0]}" "$@"; }}\n{script}', "bash", *map(str, words)], columns))
        return screens[-1]

    yield start
    for screen in screens:
        screen.close()


def bars(sent: bytes, what: str) -> list[int]:
    """Return the percentages that were shown for this, in order."""
    return [int(found[1]) for found in re.finditer(rb"\r\[[# ]{30}\] +(\d+)% " + what.encode(), sent)]


COMMANDS: Final = {"query": ("query", "", COUNT), "summary": ("summary", "", ""), "replay": ("replay", "-f none", "")}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_repair_shows_a_bar_and_a_message(shell: Shell, killed: Path, tmp_path: Path, command: str) -> None:
    folder = Path(shutil.copytree(killed, tmp_path / "t.tap"))
    name, options, question = COMMANDS[command]
    screen = shell(f'filetap {name} {options} "$@" >/dev/null', folder, *([question] if question else []))
    assert screen.end() == 0
    shown = bars(screen.sent, "repairing")
    assert len(set(shown)) > 2
    assert shown == sorted(shown)
    assert screen.text().splitlines()[0] == f"filetap: {folder} was not closed: repaired, {EVENTS} events can be read"


@pytest.mark.parametrize("command", COMMANDS)
def test_no_bar_without_a_terminal(ft: Filetap, killed: Path, tmp_path: Path, command: str) -> None:
    folder = Path(shutil.copytree(killed, tmp_path / "t.tap"))
    name, options, question = COMMANDS[command]
    done = ft(name, *options.split(), folder, *([question] if question else []))
    assert done.status == 0
    assert done.errors[0] == f"filetap: {folder} was not closed: repaired, {EVENTS} events can be read"
    assert b"\r" not in done.err + done.out
    assert b"[" not in done.err


def test_ctrl_c_ends_a_repair_and_the_next_one_does_it(ft: Filetap, shell: Shell, killed: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(killed, tmp_path / "t.tap"))
    screen = shell('filetap query "$@"; echo "status $?"', folder, COUNT)
    screen.wait_for_words("repairing")
    screen.type("\x03")
    screen.wait_for_words("status 130")
    assert "repairing" not in screen.text()
    assert "Traceback" not in screen.text()
    done = ft("query", folder, COUNT, "-f", "csv")
    assert done.out.split() == [b"n", b"%d" % EVENTS]
    assert not list(folder.rglob("*.new"))


def test_checksums_show_a_bar(shell: Shell, long: Path) -> None:
    screen = shell('filetap query "$@"', long, "SELECT count(*) AS n FROM files")
    assert screen.end() == 0
    shown = bars(screen.sent, "comparing checksums")
    assert len(set(shown)) > 2
    assert shown == sorted(shown)
    assert screen.text().split() == ["n", "1"]


def test_no_bar_for_checksums_without_a_terminal(ft: Filetap, long: Path) -> None:
    assert ft("query", long, "SELECT count(*) AS n FROM files").err == b""


def test_ctrl_c_ends_the_comparison(shell: Shell, long: Path) -> None:
    screen = shell('filetap query "$@"; echo "status $?"', long, "SELECT 1")
    screen.wait_for_words("comparing")
    screen.type("\x03")
    screen.wait_for_words("status 130")
    assert "comparing" not in screen.text()
    assert "Traceback" not in screen.text()


def test_a_query_to_the_terminal_has_a_bar_until_the_answer_comes(shell: Shell, sealed: Path) -> None:
    screen = shell('filetap query "$@"', sealed, SLOW)
    assert screen.end() == 0
    assert re.search(BAR + b"querying", screen.sent)
    assert screen.text().split() == ["i", "0", "1", "2"]


def test_a_replay_shows_a_bar(shell: Shell, sealed: Path) -> None:
    screen = shell('filetap replay -f json "$1" >/dev/null', sealed)
    assert screen.end() == 0
    shown = bars(screen.sent, "replaying")
    assert len(set(shown)) > 2
    assert shown == sorted(shown)
    assert screen.text().strip() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_half_a_replay_is_not_left_behind(ft: Filetap, sealed: Path, tmp_path: Path, number: int) -> None:
    file = tmp_path / "events.json"
    with ft.started("replay", sealed, "-f", "json", "-o", file) as run:
        wait_until(lambda: file.exists() and file.stat().st_size)
        assert run.end(number).status == 128 + number
    assert not file.exists()


def test_a_replay_to_the_terminal_has_a_bar_until_the_first_line(shell: Shell, failing_late: Path) -> None:
    """The replay has one line, the last event, which failed."""
    screen = shell('filetap replay --failed -f json "$1"', failing_late)
    assert screen.end() == 0
    assert bars(screen.sent, "replaying")
    assert screen.sent.rindex(b"replaying") < screen.sent.index(b'{"@timestamp"')
    assert screen.text().startswith('{"@timestamp"')
    assert screen.text().rstrip().endswith("}")


def test_no_bar_for_a_recording_in_progress(shell: Shell, killed: Path, tmp_path: Path) -> None:
    """Half of it is sealed, but that is not all of it."""
    folder = Path(shutil.copytree(killed, tmp_path / "t.tap"))
    found = read_metadata(folder)
    found.segments = [Segment(number=0, events=EVENTS // 2, began=0, ended=0, bytes=0)]
    write_metadata(folder, found)
    with open(folder / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        screen = shell('filetap replay -f json "$1" >/dev/null', folder)
        assert screen.end() == 0
    assert not bars(screen.sent, "replaying")
    assert re.search(BAR + b"replaying", screen.sent)


def test_no_bar_for_a_replay_without_a_terminal(ft: Filetap, sealed: Path) -> None:
    done = ft("replay", "-f", "none", sealed)
    assert done.err == f"filetap: {EVENTS} events\n".encode()


def test_a_bar_stays_one_line_on_a_narrow_terminal(shell: Shell, sealed: Path) -> None:
    screen = shell('filetap replay -f json "$1" >/dev/null', sealed, columns=20)
    assert screen.end() == 0
    assert re.search(rb"\[#{5}", screen.sent)
    assert screen.screen.cursor.y == 0
    assert screen.text().strip() == ""
