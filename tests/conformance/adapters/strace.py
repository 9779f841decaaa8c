"""Debian's strace: -f, every descriptor with its path (-y), nothing abbreviated (-v).

Separate, like each tracer. Its output is read literally: a relative name without the path of a descriptor is no path,
and there is no position of a plain read.
"""

from __future__ import annotations

import codecs
import errno
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from tests.conformance.adapters.arguments import SHAPES, Shape
from tests.conformance.compare import Event, Manner
from tests.conformance.runner import Tracer

LINE: Final = re.compile(r"^(?P<tid>\d+) +(?P<seconds>\d+)\.(?P<micro>\d{6}) (?P<rest>.*)", re.MULTILINE)
RESUMED: Final = re.compile(r"<\.\.\. \w+ resumed>(.*)")
UNFINISHED: Final = " <unfinished ...>"
TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(?<=[\dD])<[^<>]*>|[\[{(]|[\]})]|,')
"""The tokens for splitting: a string, a descriptor's path, brackets, a comma."""
DESCRIPTOR: Final = re.compile(r"(?P<fd>-?\d+|AT_FDCWD)(?:<(?P<path>[^<>]*)>(?P<deleted>\(deleted\))?)?")


def _command(folder: Path, driver: list[str], ops: set[str]) -> list[str]:
    return ["strace", "-f", "-y", "-v", "-ttt", "-s", "64", "-o", str(folder / "strace"), *driver]


def _read(folder: Path) -> list[Event]:
    return list(parse((folder / "strace").read_text(errors="surrogateescape")))


def parse(text: str) -> Iterator[Event]:
    for tid, time, call in _whole(text):
        yield from _events(call, {"tid": tid, "time": time})


def _whole(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield thread, time and text of each call; a call interrupted by another thread's lines is joined."""
    begun: dict[str, tuple[int, str]] = {}
    for line in LINE.finditer(text):
        time, rest = int(line["seconds"]) * 1_000_000_000 + int(line["micro"]) * 1000, line["rest"]
        if resumed := RESUMED.match(rest):
            time, start = begun.pop(line["tid"], (time, ""))
            rest = start + resumed[1]
        if rest.endswith(UNFINISHED):
            begun[line["tid"]] = time, rest.removesuffix(UNFINISHED)
        else:
            yield int(line["tid"]), time, rest


def _events(text: str, head: Event) -> Iterator[Event]:
    """Yield the events of one call: none if it is not selected, several for io_submit."""
    name, _, rest = text.partition("(")
    shape = SHAPES.get(name)
    if not shape:
        return
    arguments, outcome = split(rest)
    reported = head | {"op": shape.op, "call": name, **_result(outcome.partition("= ")[2])}
    if name == "io_submit":
        yield from (reported | request for request in _requests(arguments[2]))
    elif event := _event(reported, shape, arguments, outcome):
        yield event


def _event(reported: Event, shape: Shape, arguments: list[str], outcome: str) -> Event | None:
    """Return the event with all members from the arguments; None for other commands of fcntl or ioctl, and for memory without a file."""
    source: dict[str, Any] = {}
    target: dict[str, Any] = {}
    for word, text in zip(shape.words, arguments, strict=False):
        into = target if word.startswith("to_") else source
        _members_of(into, word.removeprefix("to_"), text)
    _place(source)
    _place(target)
    if reported["op"] in ("read", "write") and source.get("offset", 0) < 0:
        del source["offset"]  # -1 means the position, which is not printed
    reported |= source | {f"target_{name}": target.pop(name) for name in ("fd", "offset") if name in target}
    if target:
        reported["target"] = target
    return _FINISH.get(reported["op"], _as_it_is)(reported, arguments, outcome)


def split(text: str) -> tuple[list[str], str]:
    """Return the arguments up to the closing bracket, and the rest of the line."""
    arguments, depth, start = [], 0, 0
    for token in TOKEN.finditer(text):
        closing = token[0] in ")]}" and depth == 0
        depth += (token[0] in "([{") - (token[0] in ")]}")
        if closing or (token[0] == "," and not depth):
            arguments.append(text[start : token.start()].strip())
            start = token.end()
        if closing:
            break
    return arguments, text[start:]


def string(text: str) -> str | None:
    """Return the characters of a quoted string; invalid UTF-8 becomes U+FFFD. None: a null or bad pointer."""
    if not text.startswith('"'):
        return None
    decoded, _ = codecs.escape_decode(text[1 : text.rindex('"')].encode("utf-8", "surrogateescape"))
    return bytes(decoded).decode(errors="replace")


def descriptor(text: str) -> dict[str, Any]:
    """Return number, path, and whether the file is deleted."""
    found = DESCRIPTOR.match(text)
    if not found:
        return {}
    reported: dict[str, Any] = {} if found["fd"] == "AT_FDCWD" else {"fd": int(found["fd"])}
    if found["path"]:
        reported["path"] = string(f'"{found["path"]}"')
    if anonymous := re.match(r"(?:pipe|socket):\[(\d+)\]", found["path"] or ""):
        reported["inode"] = anonymous[1]
    return reported | ({"deleted": True} if found["deleted"] else {})


def _members_of(into: dict[str, Any], word: str, text: str) -> None:
    """Return the members from one argument."""
    if word == "fd":
        into |= descriptor(text)
    elif word == "dir":
        into["dir"] = descriptor(text)
    elif word in ("name", "text"):
        into[word] = string(text)
    elif word in ("uid", "gid"):
        into.setdefault("owner", {})[word] = number(text)
    elif word == "how":
        into |= {key: _VALUES[key](value) for key, value in re.findall(r"(flags|mode)=([^,}]+)", text)}
    elif word in _VALUES and (value := _VALUES[word](text)) is not None:
        into["size" if word == "vector" else word] = value


def number(text: str) -> int | None:
    """Parse a plain number, or one behind a pointer: [5], [5 => 9]."""
    found = re.match(r"\[?(0x[0-9a-f]+|-?\d+)", text)
    return int(found[1], 0) if found else None


def _mode(text: str) -> str | None:
    """Return S_IFREG|0644 as one octal number."""
    parts = text.split("|")
    if not all(part.startswith("S_I") or part.isdigit() for part in parts):
        return None
    return f"0{sum(getattr(stat, part) if part.startswith('S_I') else int(part, 8) for part in parts):o}"


def _names(text: str) -> list[str]:
    return [] if text == "0" else text.split("|")


def _same(text: str) -> str:
    return text


def _vector(text: str) -> int:
    return sum(int(length) for length in re.findall(r"iov_len=(\d+)", text))


_VALUES: Final[dict[str, Callable[[str], Any]]] = {
    "size": number,
    "offset": number,
    "vector": _vector,
    "flags": _names,
    "protection": _names,
    "mode": _mode,
    "whence": _same,
    "advice": _same,
    "operation": _same,
    "address": _same,
}


def _place(file: dict[str, Any]) -> None:
    """Return the path of a name and its directory, if both together make one; an empty name is the directory itself."""
    if "name" not in file:
        return
    start, name = file.pop("dir", {}), file.pop("name")
    if not name and "fd" in start:
        file |= start
    elif name and (name.startswith("/") or "path" in start):
        file["path"] = os.path.normpath(os.path.join(start.get("path", "/"), name))


def _result(text: str) -> dict[str, Any]:
    """Return the negative number of ``-1 ENOENT (...)``, the number of ``0x7f..`` and ``3</path>``."""
    failed = re.match(r"-1 (E\w+)|\? (E\w+)", text)
    if failed:
        code = failed[1] or failed[2]
        return {"result": -getattr(errno, code)} if hasattr(errno, code) else {}
    found = re.match(r"0x[0-9a-f]+|-?\d+", text)
    return {"result": int(found[0], 0)} if found else {}


def _as_it_is(reported: Event, arguments: list[str], outcome: str) -> Event | None:
    return reported


def _opened(reported: Event, arguments: list[str], outcome: str) -> Event:
    return reported | descriptor(outcome.partition("= ")[2]) if reported.get("result", -1) >= 0 else reported


def _statted(reported: Event, arguments: list[str], outcome: str) -> Event:
    """Add the members that stat(2) of an open file returned."""
    found = re.search(r"st_dev=makedev\((\w+), (\w+)\), st_ino=(\d+)", " ".join(arguments)) if "fd" in reported else None
    identity = {"inode": found[3], "device": f"{int(found[1], 0)}:{int(found[2], 0)}"} if found else {}
    return reported | identity


def _mapped(reported: Event, arguments: list[str], outcome: str) -> Event | None:
    address = re.search(r"= (0x[0-9a-f]+)", outcome)
    return None if reported.get("fd") == -1 else reported | ({"address": address[1]} if address else {})


def _removed(reported: Event, arguments: list[str], outcome: str) -> Event:
    return reported | {"op": "rmdir"} if arguments[-1] == "AT_REMOVEDIR" else reported


def _linked(reported: Event, arguments: list[str], outcome: str) -> Event:
    """Return a symbolic link's text, relative to the link's directory."""
    text, link = reported.pop("text", None) or "", reported.get("target", {}).get("path", "")
    if text.startswith("/") or link:
        reported["path"] = os.path.normpath(os.path.join(os.path.dirname(link), text))
    return reported


def _commanded(reported: Event, arguments: list[str], outcome: str) -> Event | None:
    """fcntl(2): a duplicate or a lock."""
    if reported["call"] != "fcntl" or arguments[1].startswith("F_DUPFD"):
        return reported
    return reported | {"op": "lock", "operation": arguments[1]} if "SETLK" in arguments[1] else None


def _cloned(reported: Event, arguments: list[str], outcome: str) -> Event | None:
    """ioctl(2): the destination is the descriptor of the call; the source is an argument, or inside one."""
    here, command, what = descriptor(arguments[0]), arguments[1], arguments[2]
    if command.endswith(("FICLONE", "BTRFS_IOC_CLONE")):
        other = descriptor(what)
    elif command.endswith(("FICLONERANGE", "BTRFS_IOC_CLONE_RANGE")):
        other = descriptor(what.partition("src_fd=")[2])
    elif command.endswith(("FIDEDUPERANGE", "BTRFS_IOC_FILE_EXTENT_SAME")):
        reported["op"], other, here = "dedupe", here, descriptor(what.partition("dest_fd=")[2])
    else:
        return None
    fields = {name: int(value) for name, value in re.findall(r"(src_offset|src_length|dest_offset)=(\d+)", what)}
    named = {"src_offset": "offset", "src_length": "size", "dest_offset": "target_offset"}
    base = {name: reported[name] for name in ("op", "call", "tid", "time", "result") if name in reported}
    return base | other | {"target_fd": here.pop("fd"), "target": here} | {named[name]: value for name, value in fields.items()}


def _requests(text: str) -> Iterator[dict[str, Any]]:
    """Return the requests of io_submit(2); their results are in another call."""
    for command, fd, rest in re.findall(r"aio_lio_opcode=IOCB_CMD_(\w+), aio_fildes=(\d+(?:<[^<>]*>)?)(.*?)\}(?=[,\]])", text):
        if command in ("PREAD", "PREADV", "PWRITE", "PWRITEV"):
            size, offset = re.search(r"aio_nbytes=(\d+)", rest), re.search(r"aio_offset=(\d+)", rest)
            request = {"size": size and int(size[1]), "offset": offset and int(offset[1]), "result": None}
            yield descriptor(fd) | request | {"op": "read" if "READ" in command else "write"}


_FINISH: Final[dict[str, Callable[[Event, list[str], str], Event | None]]] = {
    "open": _opened,
    "stat": _statted,
    "mmap": _mapped,
    "unlink": _removed,
    "symlink": _linked,
    "dup": _commanded,
    "reflink": _cloned,
}
"""Functions for members that the arguments' words alone do not give."""

TRACER: Final = Tracer("strace", _command, _read, "real", Manner(frozenset({"resolved", "real"}), names_files=False))
