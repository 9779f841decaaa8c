"""Readable names of recordings: label, host, beginning and command, in addition to the uuid.

Separate from sql.py and aggregate.py, which both show them.
"""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from filetap.recording.reader import Trace

SUFFIX: Final = ".tap"


class Named(NamedTuple):
    """One recording. Times in µs since 1970."""

    trace: str
    """Its uuid."""
    label: str
    """The name of its folder, or its path if another recording has that name."""
    command: str
    """The launched command, or else the command line of filetap."""
    host: str
    boot: str
    began: int
    ended: int | None
    folder: str


def named(traces: Sequence[Trace]) -> list[Named]:
    """Return the names of recordings. No two have the same label."""
    folders = [os.fspath(trace.folder).encode(errors="surrogateescape").decode(errors="replace") for trace in traces]
    short = [os.path.basename(os.path.abspath(folder)).removesuffix(SUFFIX) for folder in folders]
    count = Counter(short)
    labels = [name if count[name] == 1 else folder for name, folder in zip(short, folders, strict=True)]
    return [one(*what) for what in zip(traces, labels, folders, strict=True)]


def one(trace: Trace, label: str, folder: str) -> Named:
    found = trace.metadata
    ended = micros(found.ended) if found.ended else None
    return Named(found.uuid, label, command_of(trace), found.node, found.boot, micros(found.began), ended, folder)


def command_of(trace: Trace) -> str:
    """Return the traced command, or the command line of filetap where a running process was traced."""
    launched = trace.metadata.options.get("command")
    if launched:
        return shlex.join(map(str, launched))
    first, *rest = trace.metadata.command or [""]
    return shlex.join([os.path.basename(first), *rest]) if first else ""


def micros(text: str) -> int:
    """Return µs since 1970 of a time as ISO 8601."""
    return round(datetime.fromisoformat(text).timestamp() * 10**6)
