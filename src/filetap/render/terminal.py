"""Names on a terminal: they cannot move the cursor, and their width is known.

Separate from sinks/table.py, because reports need it without the sink and its imports.
"""

from __future__ import annotations

import unicodedata


def escape(character: str) -> str:
    """Escape as in C and Python. Two digits only below 0x80, so that an invalid byte 9B and U+009B differ."""
    code = ord(character)
    if code < 0x80:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def printable(value: bytes) -> str:
    """Return a name that can neither move the cursor nor change the writing direction, and still shows every byte.

    Python counts as not printable all control, format, private and unassigned characters, and every space but one.
    """
    text = value.replace(b"\\", b"\\\\").decode(errors="backslashreplace")
    return text if text.isprintable() else "".join([c if c.isprintable() else escape(c) for c in text])


def one_line(text: str) -> str:
    """Make a message with names in it safe in the same way, except that a backslash may be the message's own."""
    readable = text.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return "".join([c if c.isprintable() else escape(c) for c in readable])


def columns_of(character: str) -> int:
    """Return how many columns a terminal uses for it."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, width: int) -> str:
    """Pad the text, or cut it with a plus, as ps does."""
    widths = [columns_of(character) for character in text]
    if sum(widths) > width:
        while sum(widths) > width - 1:
            widths.pop()
        text = text[: len(widths)] + "+"
        widths.append(1)
    return text + " " * (width - sum(widths))
