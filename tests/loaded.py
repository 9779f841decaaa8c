"""The programs, maps and links that the kernel has, by bpf(2) itself.

Not by bpftool, which opens each map that it lists. A map of programs that is opened and closed while the kernel empties it, after
its last descriptor was closed, stays for ever: prog_array_map_clear (kernel/bpf/arraymap.c, v6.18) takes a reference each time, and
the work that drops it is queued only once.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

BPF: Final = 321
"""The number of bpf(2) on x86-64."""
NEXT_ID: Final = {"prog": 11, "map": 12, "link": 31}
PROGRAM_BY_ID, INFO_BY_FD = 13, 15
CGROUP_TYPES: Final = {8, 9, 15, 18, 23, 25}
"""enum bpf_prog_type: programs that cgroups hold."""
SIZE: Final = 256
_libc: Final = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attributes: bytes) -> tuple[int, bytes]:
    buffer = ctypes.create_string_buffer(attributes, SIZE)
    result = _libc.syscall(BPF, command, buffer, SIZE)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result, buffer.raw


def ids(kind: str) -> set[int]:
    """Return the ids of all objects of a kind ("prog", "map", "link"), which are not opened."""
    found, last = set(), 0
    with suppress(FileNotFoundError):  # ENOENT: there are no more
        while True:
            _, out = _bpf(NEXT_ID[kind], struct.pack("=II", last, 0))
            last = struct.unpack_from("=I", out, 4)[0]
            found.add(last)
    return found


def program(number: int) -> tuple[int, str, set[int]]:
    """Return the type and name of a program, and the ids of its maps. Raise OSError if it is gone."""
    fd, _ = _bpf(PROGRAM_BY_ID, struct.pack("=I", number))
    try:
        maps, info = (ctypes.c_uint32 * 256)(), ctypes.create_string_buffer(SIZE)
        struct.pack_into("=IQ", info, 52, len(maps), ctypes.addressof(maps))
        _bpf(INFO_BY_FD, struct.pack("=IIQ", fd, SIZE, ctypes.addressof(info)))
    finally:
        os.close(fd)
    kind, count, name = struct.unpack_from("=I48xI8x16s", info)
    return kind, name.rstrip(b"\0").decode(), set(maps[:count])


def programs() -> Iterator[tuple[int, tuple[int, str, set[int]]]]:
    """Yield all programs: their ids, and what ``program`` returns."""
    for number in ids("prog"):
        with suppress(FileNotFoundError):
            yield number, program(number)


def held(kind: str, pids: Iterable[str | int] = ()) -> set[int]:
    """Return the ids of objects that processes, all or these, hold by descriptor (/proc/PID/fdinfo)."""
    found: set[int] = set()
    for process in pids or (name for name in os.listdir("/proc") if name.isdigit()):
        with suppress(OSError):
            for fd in os.listdir(f"/proc/{process}/fdinfo"):
                with suppress(OSError):
                    text = Path(f"/proc/{process}/fdinfo/{fd}").read_text()
                    found.update(int(number) for number in re.findall(rf"^{kind}_id:\s*(\d+)", text, re.MULTILINE))
    return found


def orphans() -> tuple[set[int], set[int]]:
    """Return programs and maps that no process holds. Those of other runs are held by their processes, those of service managers and
    containers by cgroups, to which filetap never attaches."""
    listed, maps = dict(programs()), ids("map")
    programs_held, maps_held = held("prog"), held("map")
    programs_held |= {number for number, (kind, _, _) in listed.items() if kind in CGROUP_TYPES}
    for number in programs_held & listed.keys():
        maps_held |= listed[number][2]
    return listed.keys() - programs_held, maps - maps_held
