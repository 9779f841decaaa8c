"""Structures of an object's own BTF: member to offset and size.

Separate, because it parses a format (Documentation/bpf/btf.rst) and does not depend on the rest of filetap.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

STRUCT: Final = 4
UNION: Final = 5
TYPEDEF: Final = 8
VOLATILE: Final = 9
CONST: Final = 10
FUNC: Final = 12
_TAIL: Final = {1: 4, 3: 12, 14: 4, 17: 4}
"""Kind to the number of bytes after its btf_type that do not depend on vlen: INT, ARRAY, VAR, DECL_TAG."""
_ITEM: Final = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
"""Kind to the bytes of each of its vlen items: STRUCT, UNION, ENUM, FUNC_PROTO, DATASEC, ENUM64."""


def structures(raw: bytes) -> dict[str, dict[str, int]]:
    """Map a structure name to {member: offset in bytes} plus ``""``: its size. Anonymous ones are left out."""
    _, _, _, header, types, length, strings, _ = struct.unpack_from("<HBBIIIII", raw)
    table = raw[header + strings :]

    def text(offset: int) -> str:
        return table[offset : table.index(b"\0", offset)].decode()

    found: dict[str, dict[str, int]] = {}
    for name, kind, vlen, size, at in _types(raw[header + types : header + types + length]):
        if kind != STRUCT or not name:
            continue
        members = struct.iter_unpack("<III", raw[header + types + at : header + types + at + 12 * vlen])
        found[text(name)] = {text(member): (bits & 0xFFFFFF) // 8 for member, _, bits in members} | {"": size}
    return found


def _types(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield each type as (name offset, kind, vlen, size, offset of its items)."""
    at = 0
    while at < len(data):
        name, info, size = struct.unpack_from("<III", data, at)
        kind, vlen = info >> 24 & 0x1F, info & 0xFFFF
        yield name, kind, vlen, size, at + 12
        at += 12 + _TAIL.get(kind, 0) + _ITEM.get(kind, 0) * vlen
