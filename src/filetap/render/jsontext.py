"""Files, tasks and arguments as JSON: members with the names of ECS and OpenTelemetry (docs/events.md).

Separate from the sink, because these texts are made once per file or task and not per event, and all JSON output uses the same
ones.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final

import msgspec

from filetap.core import columns
from filetap.core.batch import Task
from filetap.core.columns import Column

ENCODER: Final = msgspec.json.Encoder()
"""The standard library's encoder takes 2.5 ns a character, this one 0.3."""

HOSTILE: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""JSON allows these unescaped, but some act on a terminal that shows the line: delete, C1, line ends, changes of direction."""


def quote(text: str) -> str:
    """Return a JSON string that is harmless on a terminal too."""
    quoted = ENCODER.encode(text).decode()
    return quoted if text.isascii() and "\x7f" not in text else harmless(quoted)


def harmless(quoted: str) -> str:
    """Escape the characters of JSON that are not harmless on a terminal."""
    return HOSTILE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def member(name: str, value: bytes) -> str:
    """Return a member for untrusted bytes: if they are not UTF-8, a second member has them exactly."""
    try:
        return f'"{name}":{quote(value.decode())}'
    except UnicodeDecodeError:
        return f'"{name}":{quote(value.decode(errors="replace"))},"{name}_b64":"{b64encode(value).decode()}"'


def array(name: str, values: Sequence[bytes]) -> str:
    """Do the same as member() for a list; one value that is not UTF-8 adds a second member with all of them."""
    texts = [value.decode(errors="replace") for value in values]
    quoted = f'"{name}":[{",".join(map(quote, texts))}]'
    if all(text.encode() == value for text, value in zip(texts, values, strict=True)):
        return quoted
    exact = ",".join([f'"{b64encode(value).decode()}"' for value in values])
    return f'{quoted},"{name}_b64":[{exact}]'


def field(name: str, value: Any) -> str:
    """Return a member for a value of any type that columns have."""
    if isinstance(value, bytes):
        return member(name, value)
    if isinstance(value, str):
        return f'"{name}":{quote(value)}'
    if isinstance(value, tuple) and all(isinstance(one, bytes) for one in value):
        return array(name, value)
    text = ENCODER.encode(value).decode()
    return f'"{name}":{text if text.isascii() else harmless(text)}'


Write = Callable[[Any], str]
"""Returns the members of a File, a Task or a part of it; empty: it has none."""


def writer(columns: Iterable[Column], below: str, special: Mapping[str, Write] = MappingProxyType({})) -> Write:
    """Return a function that writes the members of the object ``below``. ``special``: functions for objects in it, by name."""
    inside = [(column, column.json.removeprefix(f"{below}.").split(".")) for column in columns if column.json.startswith(f"{below}.")]
    groups = [(part, list(group)) for part, group in groupby(inside, lambda one: one[0].part)]
    return joined([_of_part(part, group) if part else _members(group, special) for part, group in groups])


def joined(writes: Sequence[Write]) -> Write:
    return writes[0] if len(writes) == 1 else lambda owner: ",".join([text for write in writes if (text := write(owner))])


def _of_part(part: str, group: Sequence[tuple[Column, list[str]]]) -> Write:
    """Write members of a part, once for each distinct one."""
    write = lru_cache(1024)(_members(group, {}))
    return lambda item: write(getattr(item, part))


def _members(group: Sequence[tuple[Column, list[str]]], special: Mapping[str, Write]) -> Write:
    """Write members in the order of the columns; an object is where its first member is."""
    objects: dict[str, list[tuple[Column, list[str]]]] = {}
    for column, path in group:
        objects.setdefault(path[0], []).append((column, path[1:]))
    return joined(
        [
            _object(name, special.get(name) or _members(inner, {})) if inner[0][1] else _value(name, inner[0][0])
            for name, inner in objects.items()
        ]
    )


def _object(name: str, write: Write) -> Write:
    return lambda owner: f'"{name}":{{{text}}}' if (text := write(owner)) else ""


def _value(name: str, column: Column) -> Write:
    get, write = column.getter, partial(_WRITES.get(column.type, field), name)
    if column.shown:
        return lambda owner: "" if (value := get(owner)) is None else field(name, value)
    return lambda owner: write(value) if (value := get(owner)) else ""


_WRITES: Final[dict[str, Callable[[str, Any], str]]] = {
    "exact": member,
    "bool": lambda name, _: f'"{name}":true',
    "name": lru_cache(1024)(field),
    "string": lru_cache(1024)(field),
}
"""By type; the others are written by the type of the value."""


_ABOVE: Final = writer([column for column in columns.of("task") if column.above], "process")


def parent_members(task: Task) -> str:
    return above_members(task.ancestors[0], task) if task.ancestors else f'"pid":{task.ppid}'


def above_members(process: Task, child: Task) -> str:
    """Return the members of an ancestor."""
    return f'{_ABOVE(process)},"adopted":true' if child.adopted else _ABOVE(process)


def ancestor_members(task: Task) -> str:
    """Return the ancestors from the parent up; empty if none is known."""
    children = (task, *task.ancestors)
    listed = ",".join(f"{{{above_members(process, child)}}}" for process, child in zip(task.ancestors, children, strict=False))
    cut = ',"ancestors_truncated":true' if task.is_cut else ""
    return f',"ancestors":[{listed}]{cut}' if listed else ""


file_members: Final = writer(columns.of("file"), "file")
"""Never empty: without a path there is an inode, of a file that could not be described, or a name that leads nowhere known."""
process_members: Final = writer(columns.of("task"), "process", {"parent": parent_members})
thread_members: Final = writer(columns.of("task"), "thread")
"""Its number is in the event."""


def _context() -> Write:
    """Return what writes the other objects of a task, whose names are in the registry: cgroup, ..."""
    names = dict.fromkeys(column.json.partition(".")[0] for column in columns.of("task") if column.json)
    return joined([_object(name, writer(columns.of("task"), name)) for name in names if name not in ("process", "thread")])


context_members: Final = _context()


def members(values: Mapping[str, Any]) -> str:
    """Return the text inside the braces of an object."""
    return ENCODER.encode(values).decode()[1:-1]
