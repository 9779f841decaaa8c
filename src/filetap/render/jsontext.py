"""Files, tasks and arguments as JSON: members with the names of ECS and OpenTelemetry (docs/events.md).

Separate from the sink, because these texts are made once per file or task and not per event, and all JSON output uses the same
ones.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, Final

import msgspec

from filetap.core import constants
from filetap.core.batch import GROUPS, USERS, Credentials, File, Task
from filetap.render import command_line

ENCODER: Final = msgspec.json.Encoder()
"""The standard library's encoder takes 2.5 ns a character, this one 0.3."""

HOSTILE: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""JSON allows these unescaped, but some act on a terminal that shows the line: delete, C1, line ends, changes of direction."""


def quote(text: str) -> str:
    """Return a JSON string that is harmless on a terminal too."""
    quoted = ENCODER.encode(text).decode()
    if text.isascii() and "\x7f" not in text:
        return quoted
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


@lru_cache(1024)
def kind_members(device: int, mode: int | None, filesystem: bytes) -> str:
    """Return the members that many files share: with a cache, a new file costs half."""
    kind = constants.file_type(mode) if mode is not None else None
    parts = [f'"device":"{constants.device(device)}"'] if device else []
    parts += [f'"type":"{kind}"'] if kind else []
    parts += [member("filesystem", filesystem)] if filesystem else []
    return ",".join(parts)


def file_members(file: File) -> str:
    """Return the members, never empty. Without a path there is an inode, of a file that could not be described, or a name
    that leads nowhere known."""
    mode = file.mode if file.resolved or file.mode else None  # Anonymous inodes have the mode 0, a name that led nowhere has none.
    parts = [member("path", file.path)] if file.path else []
    parts += [f'"inode":"{file.inode}"'] if file.inode else []
    parts += [kind] if (kind := kind_members(file.device, mode, file.filesystem)) else []
    parts += ['"resolved":false'] if not file.resolved else []
    parts += ['"resolved_later":true'] if file.later else []
    parts += [member("requested", file.requested)] if file.requested else []
    parts += ['"truncated":true'] if file.truncated else []
    parts += ['"deleted":true'] if file.deleted else []
    parts += ['"raced":true'] if file.raced else []
    parts += [member("host_path", file.host_path)] if file.host_path else []
    parts += [f'"real":{{"inode":"{file.real_inode}","device":"{constants.device(file.real_device)}"}}'] if file.real_inode else []
    return ",".join(parts)


def process_members(task: Task) -> str:
    parts = [f'"pid":{task.pid},{member("name", task.comm)}']
    parts += [f'"executable":{{{member("path", task.exe)}}}'] if task.exe else []
    parts.append(f'"parent":{{{parent_members(task)}}}')
    parts += [who] if (who := credential_members(task.credentials)) else []
    parts += [member("root", task.root)] if task.root != b"/" else []
    parts += [array("args", task.args), member("command_line", command_line.join(task.args))] if task.args is not None else []
    parts += ['"args_truncated":true'] if task.args_truncated else []
    parts += ['"args_late":true'] if task.args_late else []
    return ",".join(parts)


def parent_members(task: Task) -> str:
    return above_members(task.ancestors[0], task) if task.ancestors else f'"pid":{task.ppid}'


def above_members(process: Task, child: Task) -> str:
    """Return the members of an ancestor."""
    parts = [f'"pid":{process.pid},{member("name", process.comm)}']
    parts += [f'"executable":{{{member("path", process.exe)}}}'] if process.exe else []
    parts += [member("command_line", command_line.join(process.args))] if process.args is not None else []
    parts += ['"args_truncated":true'] if process.args_truncated else []
    parts += ['"args_late":true'] if process.args_late else []
    parts += ['"adopted":true'] if child.adopted else []
    return ",".join(parts)


def ancestor_members(task: Task) -> str:
    """Return the ancestors from the parent up; empty if none is known."""
    children = (task, *task.ancestors)
    listed = ",".join(f"{{{above_members(process, child)}}}" for process, child in zip(task.ancestors, children, strict=False))
    cut = ',"ancestors_truncated":true' if task.is_cut else ""
    return f',"ancestors":[{listed}]{cut}' if listed else ""


@lru_cache(1024)
def credential_members(credentials: Credentials) -> str:
    """Return the members of the users; most tasks share them. Saved ids and those of the file system only if they differ from
    the effective ones."""
    parts = []
    for word, name in (USERS | GROUPS).items():
        number, effective = (getattr(credentials, one) for one in (name, "egid" if word.endswith("group") else "euid"))
        if number is not None and not (word.startswith(("saved", "fs")) and number == effective):
            parts.append(f'"{word}":{{{identified(number, getattr(credentials, f"{word}_name"))}}}')
    names = credentials.group_names or repeat("")
    listed = ",".join(f"{{{identified(number, name)}}}" for number, name in zip(credentials.groups or (), names, strict=False))
    parts += [f'"supplemental_groups":[{listed}]'] if listed else []
    parts += ['"supplemental_groups_truncated":true'] if credentials.groups_truncated else []
    return ",".join(parts)


def identified(number: int, name: str) -> str:
    return f'"id":{number}' + (f',"name":{quote(name)}' if name else "")


def thread_members(task: Task) -> str:
    """Return the thread's name if it differs from the process's; its number is in the event."""
    return member("name", task.thread) + "," if task.thread not in (b"", task.comm) else ""


def cgroup_members(task: Task) -> str:
    path = "," + member("path", task.cgroup_path) if task.cgroup_path else ""
    return f'"id":"{task.cgroup}"{path}'


def members(values: Mapping[str, Any]) -> str:
    """Return the text inside the braces of an object."""
    return ENCODER.encode(values).decode()[1:-1]
