"""Debian's bpftrace: a script with the tracepoints of each call, sys_enter_X and sys_exit_X, that prints arguments.

Separate, like each tracer. It reports what such a script can: numbers and the passed strings, but no file behind a
descriptor. tracefs is mounted for it in a mount namespace of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.conformance.adapters.arguments import SHAPES
from tests.conformance.compare import Event, Manner
from tests.conformance.runner import Tracer, TracerError

TRACEFS: Final = "/sys/kernel/tracing"
PRIVATE: Final = ["unshare", "-m", "--propagation", "private", "sh", "-c", f'mount -t tracefs none {TRACEFS} && exec "$@"', "private"]
ALIASES: Final = {"stat": "newstat", "lstat": "newlstat", "fstat": "newfstat", "sendfile": "sendfile64", "umount2": "umount"}
"""Tracepoints that are called as the function, not as the call."""
NUMBERS: Final = {"fd", "dir", "offset", "size", "mode", "uid", "gid", "command", "removal", "address"}
STRINGS: Final = {"name", "text"}
STRING_BYTES: Final = 128
"""Two of them fit on the stack of a BPF program; longer ones are truncated."""
OPS: Final = {
    ("fcntl", 0): "dup",  # F_DUPFD
    ("fcntl", 1030): "dup",  # F_DUPFD_CLOEXEC
    ("fcntl", 6): "lock",  # F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW
    ("fcntl", 7): "lock",
    ("fcntl", 37): "lock",
    ("fcntl", 38): "lock",
    ("ioctl", 0x40049409): "reflink",  # FICLONE, FICLONERANGE
    ("ioctl", 0x4020940D): "reflink",
    ("ioctl", 0xC0189436): "dedupe",  # FIDEDUPERANGE
}
"""Commands that distinguish the operations of a call."""
AT_REMOVEDIR: Final = 0x200
TREE: Final = """
BEGIN { @tree[cpid] = 1; }
tracepoint:sched:sched_process_fork /@tree[args->parent_pid]/ { @tree[args->child_pid] = 1; }
END { clear(@tree); }
"""
"""The condition for the command and its descendants, by thread."""
LINE: Final = re.compile(r"^(?P<kind>[EX]) (?P<tid>\d+) (?P<time>\d+) (?P<call>\w+) ?(?P<rest>.*)$", re.MULTILINE)


def _command(folder: Path, driver: list[str], ops: set[str]) -> list[str]:
    (folder / "script").write_text(script(_formats(), ops))
    environment = [f"BPFTRACE_STRLEN={STRING_BYTES}", "BPFTRACE_PERF_RB_PAGES=1024"]
    return [*PRIVATE, "env", *environment, "bpftrace", "-o", str(folder / "bpftrace"), "-c", " ".join(driver), str(folder / "script")]


@cache
def _formats() -> str:
    """Return the formats of the calls' arguments, from tracefs."""
    every = f"cat {TRACEFS}/events/syscalls/sys_enter_*/format"
    return subprocess.run([*PRIVATE, "sh", "-c", every], check=True, capture_output=True, text=True).stdout


def script(formats: str, ops: set[str]) -> str:
    """Return a script for all calls of these operations that this kernel has. Each tracepoint takes a tenth of a second."""
    described = {}
    for name, text in re.findall(r"name: sys_enter_(\w+)\n(.*?)print fmt", formats, re.DOTALL):
        described[name] = re.findall(r"field:(.*?)(\w+);\toffset", text)[5:]
    known = {call: ALIASES.get(call, call) for call, shape in SHAPES.items() if shape.op in ops}
    return TREE + "".join(_probes(call, point, described[point]) for call, point in known.items() if point in described)


def _probes(call: str, point: str, fields: list[tuple[str, str]]) -> str:
    """Return the probes: an E line with the arguments as word=value, the strings last; an X line with the result."""
    words = [(word, word.removeprefix("to_"), kind, field) for word, (kind, field) in zip(SHAPES[call].words, fields, strict=False)]
    numbers = [(word, f"(int64)args->{field}") for word, plain, kind, field in words if plain in NUMBERS and "*" not in kind]
    strings = [(word, f"str(args->{field})") for word, plain, _, field in words if plain in STRINGS]
    form = "".join([f" {word}=%ld" for word, _ in numbers] + [f"\\t{word}=%s" for word, _ in strings])
    values = "".join(f", {value}" for _, value in numbers + strings)
    return (
        f'tracepoint:syscalls:sys_enter_{point} /@tree[tid]/ {{ printf("E %d %llu {call}{form}\\n", tid, nsecs{values}); }}\n'
        f'tracepoint:syscalls:sys_exit_{point} /@tree[tid]/ {{ printf("X %d %llu {call} %ld\\n", tid, nsecs, args->ret); }}\n'
    )


def _read(folder: Path) -> list[Event]:
    text = (folder / "bpftrace").read_text(errors="replace")
    if lost := re.search(r"^Lost \d+ events", text, re.MULTILINE):
        raise TracerError(f"bpftrace: {lost[0]}")
    return list(_events(text))


def _events(text: str) -> Iterator[Event]:
    """Combine enters and exits by thread, in order of time: the CPUs' buffers are not in order."""
    entered: dict[str, dict[str, str]] = {}
    for line in sorted(LINE.finditer(text), key=lambda line: int(line["time"])):
        if line["kind"] == "E":
            numbers, *strings = line["rest"].split("\t")
            entered[line["tid"]] = dict(pair.split("=", 1) for pair in [*numbers.split(), *strings])
        elif line["tid"] in entered:
            head = {"op": SHAPES[line["call"]].op, "call": line["call"], "time": int(line["time"]), "tid": int(line["tid"])}
            if event := _event(head | {"result": int(line["rest"])}, entered.pop(line["tid"])):
                yield event


def _event(reported: Event, words: dict[str, str]) -> Event | None:
    """Return the event, or None for other commands of fcntl or ioctl and for memory without a file."""
    source = _file({word: value for word, value in words.items() if not word.startswith("to_")})
    target = _file({word.removeprefix("to_"): value for word, value in words.items() if word.startswith("to_")})
    reported |= source | {f"target_{name}": target.pop(name) for name in ("fd", "offset") if name in target}
    if target:
        reported["target"] = target
    if "command" in reported and (reported["call"], reported["command"]) not in OPS:
        return None
    reported["op"] = OPS.get((reported["call"], reported.pop("command", 0)), reported["op"])
    if reported.pop("removal", 0) & AT_REMOVEDIR:
        reported["op"] = "rmdir"
    return _finish(reported)


def _finish(reported: Event) -> Event | None:
    """Add members that follow from the result."""
    if reported["op"] == "mmap" and reported["result"] >= 0:
        reported["address"] = hex(reported["result"])
    if reported["op"] == "open" and reported["result"] >= 0:
        reported["fd"] = reported["result"]
    if reported["op"] in ("read", "write") and reported.get("offset", 0) < 0:
        del reported["offset"]  # -1 means the position, which is not printed
    if reported["op"] == "reflink":
        reported["target_fd"] = reported.pop("fd")
    if reported["call"] == "io_submit":
        del reported["result"]  # the number of requests
    return None if reported["op"] == "mmap" and reported.get("fd") == -1 else reported


def _file(words: dict[str, str]) -> dict[str, Any]:
    """Return members from words; a relative name is no path, an empty one is the directory's descriptor."""
    numbers = {word: int(value) for word, value in words.items() if word in NUMBERS}
    for word in {"fd", "dir"} & numbers.keys():
        numbers[word] -= (numbers[word] & 1 << 31) << 1 if numbers[word] > 0 else 0
    reported: dict[str, Any] = {word: numbers[word] for word in ("fd", "offset", "size", "command", "removal") if word in numbers}
    if "mode" in numbers:
        reported["mode"] = f"0{numbers['mode'] & 0o177777:o}"
    if "address" in numbers:
        reported["address"] = hex(numbers["address"])
    if "uid" in numbers:
        reported["owner"] = {"uid": numbers["uid"], "gid": numbers["gid"]}
    if words.get("name", "").startswith("/"):
        reported["path"] = os.path.normpath(words["name"])
    elif words.get("name") == "" and numbers.get("dir", -1) >= 0:
        reported["fd"] = numbers["dir"]
    return reported


TRACER: Final = Tracer("bpftrace", _command, _read, "boot", Manner(frozenset({"resolved", "real"}), names_files=False))
