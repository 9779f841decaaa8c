"""The BTF parser against data that the test lays out, kind by kind, after Documentation/bpf/btf.rst.

Separate from the loader's tests: here no object, no compiler and no kernel is needed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filetap.kernel import btf

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT = range(1, 17)
DECL_TAG, TYPE_TAG, ENUM64 = 17, 18, 19


class Blob:
    """BTF under construction."""

    def __init__(self, gap: int = 0) -> None:
        self.types, self.strings, self.gap = b"", b"\0", gap

    def name(self, text: str) -> int:
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text) - 1

    def add(self, kind: int, name: str, size: int, vlen: int, tail: bytes) -> None:
        self.types += struct.pack("<III", self.name(name), kind << 24 | vlen, size) + tail

    def add_struct(self, name: str, size: int, members: Sequence[tuple[str, int]], kind: int = STRUCT) -> None:
        """Add a structure whose members have their offset in bits."""
        tail = b"".join(struct.pack("<III", self.name(member), 1, bits) for member, bits in members)
        self.add(kind, name, size, len(members), tail)

    def raw(self) -> bytes:
        """Return the data: types first, ``gap`` bytes, then strings; the header has the positions."""
        at = len(self.types) + self.gap
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), at, len(self.strings))
        return header + self.types + b"\xee" * self.gap + self.strings


def test_a_struct() -> None:
    blob = Blob()
    blob.add_struct("event", 16, [("time", 0), ("result", 64), ("flags", 96)])
    assert btf.structures(blob.raw()) == {"event": {"time": 0, "result": 8, "flags": 12, "": 16}}


def test_an_empty_struct_and_no_types() -> None:
    blob = Blob()
    assert btf.structures(blob.raw()) == {}
    blob.add_struct("empty", 0, [])
    assert btf.structures(blob.raw()) == {"empty": {"": 0}}


def test_anonymous_structs_and_unions_are_left_out() -> None:
    blob = Blob(gap=8)
    blob.add_struct("", 8, [("a", 0)])
    blob.add_struct("u", 8, [("a", 0)], kind=UNION)
    blob.add_struct("s", 8, [("", 0), ("b", 32)])
    assert btf.structures(blob.raw()) == {"s": {"": 8, "b": 4}}


def test_bit_fields_have_their_offset_in_the_low_bits() -> None:
    """With kind_flag the high byte is the width (BTF_MEMBER_BIT_OFFSET)."""
    blob = Blob()
    blob.add_struct("s", 8, [("plain", 0), ("bits", 5 << 24 | 40)])
    assert btf.structures(blob.raw()) == {"s": {"plain": 0, "bits": 5, "": 8}}


KINDS: dict[str, tuple[int, int, bytes]] = {
    "int": (INT, 0, b"\x20\0\0\0"),
    "ptr": (PTR, 0, b""),
    "array": (ARRAY, 0, struct.pack("<III", 1, 1, 9)),
    "union": (UNION, 2, bytes(24)),
    "enum": (ENUM, 3, bytes(24)),
    "fwd": (FWD, 0, b""),
    "typedef": (TYPEDEF, 0, b""),
    "volatile": (VOLATILE, 0, b""),
    "const": (CONST, 0, b""),
    "restrict": (RESTRICT, 0, b""),
    "func": (FUNC, 1, b""),
    "func_proto": (FUNC_PROTO, 2, bytes(16)),
    "func_proto_of_nothing": (FUNC_PROTO, 0, b""),
    "var": (VAR, 0, bytes(4)),
    "datasec": (DATASEC, 2, bytes(24)),
    "float": (FLOAT, 0, b""),
    "decl_tag": (DECL_TAG, 0, bytes(4)),
    "type_tag": (TYPE_TAG, 0, b""),
    "enum64": (ENUM64, 2, bytes(24)),
}
"""Kind, vlen and the data after the fixed part (btf.rst, 2.2.1 to 2.2.19). A function's vlen is its linkage."""


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_stepped_over(kind: str) -> None:
    blob = Blob()
    number, vlen, tail = KINDS[kind]
    blob.add(number, "other", 4, vlen, tail)
    blob.add_struct("s", 8, [("a", 32)])
    assert btf.structures(blob.raw()) == {"s": {"a": 4, "": 8}}


NAME = st.from_regex(r"[a-z_]{1,9}", fullmatch=True)
MEMBERS = st.dictionaries(NAME, st.integers(0, 2000), max_size=6)


@given(st.dictionaries(NAME, MEMBERS, max_size=4), st.lists(st.sampled_from(list(KINDS)), max_size=10))
def test_any_mixture(structs: dict[str, dict[str, int]], others: list[str]) -> None:
    blob = Blob()
    for name, members in structs.items():
        for kind in others:
            number, vlen, tail = KINDS[kind]
            blob.add(number, "x", 4, vlen, tail)
        blob.add_struct(name, 4000, [(member, 8 * offset) for member, offset in members.items()])
    assert btf.structures(blob.raw()) == {name: members | {"": 4000} for name, members in structs.items()}
