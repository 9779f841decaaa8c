"""The terminal of filetap top: writes lines, reads keys, and restores the terminal at any exit.

Separate, because only this module handles escape sequences and termios.
"""

from __future__ import annotations

import os
import select
import sys
import termios
from collections.abc import Iterator
from typing import Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from filetap.report.top import Line

SEQUENCES: Final = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[5~": "pageup",
    b"\x1b[6~": "pagedown",
    b"\x1b[H": "home",
    b"\x1b[1~": "home",
    b"\x1bOH": "home",
}
SINGLE: Final = {"\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace", "\b": "backspace", "\x1b": "escape"}


def keys(pressed: bytes) -> Iterator[str]:
    """Yield the keys that have sent these bytes. Unknown sequences are ignored."""
    while pressed:
        if pressed.startswith((b"\x1b[", b"\x1bO")):
            end = 2
            while end < len(pressed) and not 0x40 <= pressed[end] <= 0x7E:
                end += 1
            if name := SEQUENCES.get(pressed[: end + 1]):
                yield name
            pressed = pressed[end + 1 :]
        else:
            character = pressed.decode(errors="surrogateescape")[0]
            yield SINGLE.get(character, character)
            pressed = pressed[len(character.encode(errors="surrogateescape")) :]


class Terminal:
    """In a ``with`` block: the alternate screen, and keys read at once without echo."""

    def __init__(self) -> None:
        self.fd = sys.stdin.fileno()
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self.fd)
        settings = termios.tcgetattr(self.fd)
        settings[3] &= ~(termios.ICANON | termios.ECHO)
        for stop in (termios.VSUSP, termios.VQUIT):
            settings[6][stop] = b"\0"  # a stopped program cannot restore the screen
        termios.tcsetattr(self.fd, termios.TCSADRAIN, settings)
        try:
            self._live.start()
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._live.stop()
        finally:
            self._restore()

    def _restore(self) -> None:
        termios.tcsetattr(self.fd, termios.TCSAFLUSH, self._before)

    @property
    def size(self) -> tuple[int, int]:
        """Return columns and lines; read each time, because the size may change at any moment."""
        size = os.get_terminal_size(sys.stdout.fileno())
        return size.columns or 80, size.lines or 24

    def draw(self, lines: list[Line]) -> None:
        self._console.size = self.size
        self._live.update(Group(*(Text.assemble(*line, no_wrap=True, overflow="crop") for line in lines)), refresh=True)

    def pressed(self) -> Iterator[str]:
        """Yield the keys since the last call. The end of input is the key to quit."""
        waiting = select.poll()  # select(2) takes no descriptor above 1023
        waiting.register(self.fd, select.POLLIN)
        while waiting.poll(0):
            read = os.read(self.fd, 1024)
            yield from keys(read) if read else ["q"]
            if not read:
                return
