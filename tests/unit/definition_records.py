"""Definitions as the kernel writes them into its ring, from keyword arguments.

Separate from ring_writer.py, which writes the ring itself.
"""

from __future__ import annotations

import stat
from typing import Any

import numpy as np
from hypothesis import strategies as st

from filetap.core import wire

COMPONENT = (
    st.binary(min_size=1, max_size=20)
    .map(lambda name: name.replace(b"\0", b"x").replace(b"/", b"y"))
    .filter(lambda name: name not in (b".", b".."))
)
"""The name of a file. In a requested name "." and ".." are possible too."""
PATH = st.lists(COMPONENT, max_size=8)


def record(dtype: np.dtype[Any], kind: int, number: int, tail: bytes, **fields: Any) -> bytes:
    fixed = np.zeros(1, dtype)
    for name, value in ({"kind": kind, "id": number, "length": len(tail)} | fields).items():
        fixed[name] = value
    # The ring returns multiples of eight bytes, and the bytes after the length are arbitrary.
    return fixed.tobytes().ljust(wire.DEFINITION_FIXED, b"\xaa") + tail + b"\xbb" * (-len(tail) % 8)


def upwards(names: list[bytes]) -> bytes:
    """Return components from the leaf up, each ended by NUL."""
    return b"".join(name + b"\0" for name in reversed(names))


def file_record(number: int, names: list[bytes], **fields: Any) -> bytes:
    return record(wire.FILE_DEFINITION, wire.DEFINE_FILE, number, upwards(names), **({"mode": stat.S_IFREG | 0o644} | fields))


def name_record(number: int, requested: bytes, directory: int, **fields: Any) -> bytes:
    return record(wire.NAME_DEFINITION, wire.DEFINE_NAME, number, requested + b"\0", directory=directory, **fields)


def task_record(number: int, arguments: bytes = b"", **fields: Any) -> bytes:
    return record(wire.TASK_DEFINITION, wire.DEFINE_TASK, number, arguments, **fields)
