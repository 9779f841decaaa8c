"""A command on its own terminal, which a terminal emulator (pyte) reads at the other end.

Separate from the tests of what is drawn there: test_top.py, test_progress.py.
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
        self._sent = select.poll()  # select(2) accepts no descriptor above 1023
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
        """Resize the terminal, which sends SIGWINCH to its foreground processes."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.screen.resize(lines, columns)

    def read(self) -> None:
        """Read the available output."""
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
        """Return the text as soon as it fulfils the condition."""
        end = time.monotonic() + WAIT
        while True:
            ended = self.process.poll() is not None  # before its last output is read
            if condition(text := self.text()):
                return text
            assert time.monotonic() < end, f"timeout; the screen:\n{text}"
            assert not ended, f"it has ended; the screen:\n{text}"

    def wait_for_words(self, *words: str) -> str:
        return self.wait_for(lambda text: all(word in text for word in words))

    def end(self) -> int:
        """Return its exit status; the terminal must have its former settings."""
        end = time.monotonic() + WAIT
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < end, "the command does not end"
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
