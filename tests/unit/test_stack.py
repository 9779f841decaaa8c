"""The stack of each program, from the compiled objects: kernels refuse more than 512 bytes over a chain of 8 calls.

Separate, because only old kernels refuse what newer ones accept, and they are tested last, in machines. The verifier
counts each function by its lowest access, in steps of 32 (check_max_stack_depth, kernel/bpf/verifier.c).
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

OBJECTS: Final = Path(__file__).parents[2] / "src/filetap/bpf"
MOST_BYTES, MOST_CALLS = 512, 8
SYMBOLS, RELOCATIONS, FUNCTION, SECTION = 2, 9, 2, 3
FRAME: Final = 10
"""The register that points to the end of a function's stack."""


class Section(NamedTuple):
    """struct elf64_shdr."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry: int


class Symbol(NamedTuple):
    """The used part of struct elf64_sym."""

    name: str
    type: int
    section: int
    value: int
    size: int


class Function(NamedTuple):
    """The stack of one function, and its callees."""

    stack: int
    calls: frozenset[str]


@cache
def functions(path: Path) -> dict[str, Function]:
    data = path.read_bytes()
    start, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    sections = [Section(*struct.unpack_from("<IIQQQQIIQQ", data, start + 64 * at)) for at in range(count)]
    symbols = _symbols(data, sections)
    by_place = {(one.section, one.value): one for one in symbols if one.type == FUNCTION}
    targets = _relocations(data, sections, symbols)
    return {one.name: _function(data, sections[place[0]], one, targets, by_place) for place, one in by_place.items()}


def _symbols(data: bytes, sections: list[Section]) -> list[Symbol]:
    table = next(section for section in sections if section.type == SYMBOLS)
    names = sections[table.link].offset
    made = []
    for at in range(table.offset, table.offset + table.size, 24):
        name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", data, at)
        made.append(Symbol(data[names + name : data.index(0, names + name)].decode(), info & 15, section, value, size))
    return made


def _relocations(data: bytes, sections: list[Section], symbols: list[Symbol]) -> dict[tuple[int, int], Symbol]:
    """Return section and offset of an instruction to its relocation."""
    found = {}
    for section in sections:
        for at in range(section.offset, section.offset + section.size if section.type == RELOCATIONS else 0, 16):
            offset, info = struct.unpack_from("<QQ", data, at)
            found[section.info, offset] = symbols[info >> 32]
    return found


def _function(
    data: bytes, section: Section, symbol: Symbol, targets: dict[tuple[int, int], Symbol], by_place: dict[tuple[int, int], Symbol]
) -> Function:
    depth, calls, copies = 0, set(), set()
    for offset in range(symbol.value, symbol.value + symbol.size, 8):
        code, registers, distance, number = struct.unpack_from("<BBhi", data, section.offset + offset)
        to, source = registers & 15, registers >> 4
        loads, stores = code & 7 == 1 and source == FRAME, code & 7 in (2, 3) and to == FRAME
        if loads or stores:
            depth = max(depth, -distance)
        if code == 0xBF and source == FRAME:  # its address is taken, and then moved down
            copies.add(to)
        elif code == 0x07 and to in copies:
            copies.remove(to)
            depth = max(depth, -number)
        if code == 0x85 and source == 1:
            target = targets.get((symbol.section, offset))
            place = (symbol.section, offset + 8 + 8 * number)
            if target:
                place = (target.section, target.value + (8 * (number + 1) if target.type == SECTION else 0))
            if place[0]:  # otherwise it is one of the kernel's own functions
                calls.add(by_place[place].name)
    return Function(max(32, -(-depth // 32) * 32), frozenset(calls))


def deepest(known: dict[str, Function], name: str) -> tuple[int, list[str]]:
    """Return the chain of calls that needs most stack, and the longest of those."""
    below = [deepest(known, called) for called in sorted(known[name].calls)]
    stack, chain = max(below, key=lambda one: one[0], default=(0, []))
    return known[name].stack + stack, [f"{name} ({known[name].stack})", *chain]


def longest(known: dict[str, Function], name: str) -> int:
    return 1 + max((longest(known, called) for called in known[name].calls), default=0)


@pytest.mark.parametrize("name", sorted(path.name for path in OBJECTS.glob("*.bpf.o")))
def test_programs_fit_the_smallest_stack(name: str) -> None:
    known = functions(OBJECTS / name)
    too_deep = {function: chain for function in known if (chain := deepest(known, function))[0] > MOST_BYTES}
    assert too_deep == {}
    assert {function: longest(known, function) for function in known if longest(known, function) > MOST_CALLS} == {}


def test_all_objects_are_there() -> None:
    assert list(OBJECTS.glob("*.bpf.o")), "the objects are not built: make install"
