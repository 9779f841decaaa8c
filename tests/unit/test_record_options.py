"""The options of a recording, and the progress bar on a terminal.

Separate from tests/e2e/test_record.py, which runs the command. The terminal is a real one (pty(7)).
"""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from typing import Any

import pytest

from filetap.cli.recorder import RecordingArguments
from filetap.core.errors import UsageError
from filetap.recording.retention import Keep
from tests.timeouts import scaled

INFINITE = float("inf")


def arguments(**given: Any) -> RecordingArguments:
    return RecordingArguments(**given)


@pytest.mark.parametrize(("text", "seconds"), [("60s", 60), ("1.5min", 90), ("6h", 21600), ("7d", 604800), ("2w", 1209600)])
def test_ages(text: str, seconds: float) -> None:
    assert arguments(keep=text).limits().keep == Keep(seconds=seconds)
    assert arguments(keep="99w", rotate_time=text).limits().seconds == seconds


@pytest.mark.parametrize("text", ["", "x", "7y", "1 s", "-1s"])
def test_neither_age_nor_size(text: str) -> None:
    with pytest.raises(UsageError, match=r"--keep \S+.*: give an age or a size"):
        arguments(keep=text or "x").limits()


def test_a_size_is_not_an_age() -> None:
    assert arguments(keep="20G").limits().keep == Keep(bytes=20 << 30)


def test_without_options_nothing_is_deleted() -> None:
    limits = arguments().limits()
    assert (limits.bytes, limits.seconds, limits.keep.everything) == (INFINITE, INFINITE, True)


def test_limited_recordings_have_ten_segments_by_default() -> None:
    assert arguments(keep="10d").limits().seconds == 86400
    assert arguments(keep="10G").limits().bytes == 1 << 30
    assert arguments(keep="10G", rotate_size="2M").limits().bytes == 2 << 20


def test_a_segment_is_no_larger_than_the_limit() -> None:
    assert arguments(keep="1G", rotate_size="1G").limits().bytes == 1 << 30
    with pytest.raises(UsageError, match="--rotate-size 2G is more than --keep 1G"):
        arguments(keep="1G", rotate_size="2G").limits()


def test_a_flight_recorder_has_256_megabytes() -> None:
    assert arguments(flight_recorder="60s").flight() == (60, 256 << 20)
    assert arguments(flight_recorder="2min", flight_memory="1G").flight() == (120, 1 << 30)


SHOWN = """
import itertools, select, time
from filetap.cli import progress as bars
from filetap.cli import recorder
bars.PATIENCE = bars.STEP = 0.02
def progress():
    for done in itertools.count():
        time.sleep(0.02)
        yield min(done, 10), 10
        if done >= 10 and select.select([0], [], [], 0)[0]:
            return
recorder.shown(progress())
"""


def test_a_bar_is_only_on_a_terminal() -> None:
    """Work goes on until the bar was seen; without a terminal for long enough to show one."""
    ours, theirs = pty.openpty()
    command, reported = [sys.executable, "-c", SHOWN], b""
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"}) as working:
            while b"sealing" not in reported:
                assert select.select([ours], [], [], scaled(20))[0]
                reported += os.read(ours, 65536)
            working.communicate(b"enough")
        assert working.returncode == 0
    finally:
        os.close(ours)
        os.close(theirs)
    assert not subprocess.run(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True).stderr
