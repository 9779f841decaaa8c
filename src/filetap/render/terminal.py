"""Names on a terminal: nothing in them can move the cursor, and how many columns they take.

Apart from sinks/table.py, because reports want it without the sink and what that imports.
"""

from __future__ import annotations

import unicodedata


def escape(character: str) -> str:
    """As in C and Python. Two digits only below 0x80, so that an invalid byte 9B and U+009B differ."""
    code = ord(character)
    if code < 0x80:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(value: bytes) -> str:
    """A name that can neither move the cursor nor turn the writing direction, and still tells every byte.

    Python counts as not printable all control, format, private and unassigned characters, and every space but one.
    """
    text = value.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
    return text if text.isprintable() else "".join([c if c.isprintable() else escape(c) for c in text])


def one_line(text: str) -> str:
    """Words of ours with names and the like in them, of which the same is true but that a backslash may be ours."""
    readable = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join([c if c.isprintable() else escape(c) for c in readable])


def columns_of(character: str) -> int:
    """How many columns a terminal gives it."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, width: int) -> str:
    """Padded, or cut with a plus, as ps does."""
    widths = [columns_of(character) for character in text]
    if sum(widths) > width:
        while sum(widths) > width - 1:
            widths.pop()
        text = text[: len(widths)] + "+"
        widths.append(1)
    return text + " " * (width - sum(widths))
