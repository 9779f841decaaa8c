"""A command on a terminal of its own, which a terminal emulator (pyte) reads at the other end.

Apart from the tests of what is drawn there: test_top.py, test_progress.py.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from typing import Any

import pyte

from tests.e2e.conftest import ENVIRONMENT, WAIT

ALTERNATE, BACK = b"\x1b[?1049h", b"\x1b[?1049l"
HIDDEN, VISIBLE = b"\x1b[?25l", b"\x1b[?25h"


class Screen:
    """A command on a terminal of its own."""

    def __init__(self, command: list[str], columns: int = 200, lines: int = 30) -> None:
        self._ours, theirs = os.openpty()
        self._sent = select.poll()  # select(2) takes no descriptor above 1023
        self._sent.register(self._ours, select.POLLIN)
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.sent = b""
        self.resize(columns, lines)
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        words = ["setsid", "--ctty", *command]  # so that Ctrl-C is a signal
        self.process = subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, env=ENVIRONMENT)

    def resize(self, columns: int, lines: int) -> None:
        """As a window does; the terminal tells its foreground processes by SIGWINCH."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def read(self) -> None:
        """What it has sent by now."""
        while self._sent.poll(50):
            try:
                data = os.read(self._ours, 1 << 16)
            except OSError:
                return
            self.sent += data
            self._stream.feed(data)

    def text(self) -> str:
        self.read()
        return "\n".join(line.rstrip() for line in self.screen.display)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait_for(self, condition: Callable[[str], Any]) -> str:
        """The text once it is so."""
        end = time.monotonic() + WAIT
        while True:
            ended = self.process.poll() is not None  # before its last words are read
            if condition(text := self.text()):
                return text
            assert time.monotonic() < end, f"waited in vain; the screen:\n{text}"
            assert not ended, f"it has ended; the screen:\n{text}"

    def wait_for_words(self, *words: str) -> str:
        return self.wait_for(lambda text: all(word in text for word in words))

    def end(self) -> int:
        """Its exit status; the terminal must be as before."""
        end = time.monotonic() + WAIT
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < end, "it does not end"
        self.read()
        assert termios.tcgetattr(self._theirs) == self.before
        if ALTERNATE in self.sent:
            assert self.sent.rindex(BACK) > self.sent.rindex(ALTERNATE)
            assert self.sent.rindex(VISIBLE) > self.sent.rindex(HIDDEN)
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)
