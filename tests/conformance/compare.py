"""Comparison of the events that a case expects with those of a tracer, and the verdict.

Separate, because it knows neither how cases are run nor what a tracer's output looks like: events are flat mappings
with the names of docs/events.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Event = dict[str, Any]
"""``op``, ``call``, the members of ``file`` and of ``io``, and ``target`` with the members of a second file."""
Verdict = Literal["exact", "seen", "wrong", "missed", "cannot", "broken"]
VERDICTS: Final[tuple[Verdict, ...]] = ("exact", "seen", "wrong", "missed", "cannot", "broken")
"""All reported with every member; reported, but incomplete; reported with wrong values, or too many; an event not reported. The case
found that the kernel lacks a facility; the case itself failed."""

NOT_OF_AN_EVENT: Final = {"op", "call", "none", "target"}


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of one expected event: ``got`` is the event it was paired with."""

    verdict: Verdict
    expected: Event | None
    got: Event | None
    members: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = f" ({', '.join(self.members)})" if self.members else ""
        return f"{self.verdict}{named}\n    expected {_text(self.expected)}\n    got      {_text(self.got)}"


@dataclass(frozen=True, slots=True)
class Score:
    """The result of one tracer in one case."""

    verdict: Verdict
    differences: list[Difference] = field(default_factory=list)
    note: str = ""
    """The case's standard error."""

    def __str__(self) -> str:
        return "\n".join([f"{self.verdict} {self.note}".rstrip(), *map(str, self.differences)])


@dataclass(frozen=True, slots=True)
class Manner:
    """What can be expected of a tracer."""

    ignored: frozenset[str] = frozenset()
    """Members that another tracer does not have."""
    names_files: bool = True
    """It reports the file of every event. Otherwise an unexpected event without a file is ignored."""


def judge(lines: Sequence[Event], events: Sequence[Event], directory: str, manner: Manner) -> Score:
    """Compare ``lines`` of the case with ``events`` of the tracer while it ran, in order."""
    files = Files(lines, directory)
    differences: list[Difference] = []
    for op in dict.fromkeys(line["op"] for line in lines):
        expected = [line for line in lines if line["op"] == op and not line.get("none")]
        reported = [
            event for event in events if event["op"] == op and (files.has(event) or not names_file(event) or not manner.names_files)
        ]
        differences += _pair(expected, reported, manner, files)
    return Score(_worst(differences), differences)


class Files:
    """The files that a case is about: below its directory, and those it has named."""

    def __init__(self, lines: Sequence[Event], directory: str) -> None:
        self.directory = directory
        named = [file for line in lines for file in (line, line.get("target") or {})]
        self.paths = {file["path"] for file in named if "path" in file}
        self.identities = {(file["inode"], file.get("device")) for file in named if "inode" in file}

    def has(self, event: Event) -> bool:
        """Return whether the event's file or target is one of them."""
        return self._has(event) or self._has(event.get("target") or {})

    def _has(self, file: Event) -> bool:
        path = file.get("path", "")
        if path in self.paths or f"{path}/".startswith(f"{self.directory}/"):
            return True
        inode, device = file.get("inode"), file.get("device")
        return any(inode == named and (device == other or None in (device, other)) for named, other in self.identities)


def names_file(event: Event) -> bool:
    return any(name in file for file in (event, event.get("target") or {}) for name in ("path", "inode"))


def _pair(expected: list[Event], reported: list[Event], manner: Manner, files: Files) -> Iterator[Difference]:
    """Pair each expected event with the most similar one of the next events; the rest is too many.  At most as many events are skipped
    as there are too many."""
    at = 0
    for turn, line in enumerate(expected):
        likes = [index for index in range(at, len(reported)) if _may_be(line, reported[index], files)]
        if not likes:
            yield Difference("missed", line, None)
            continue
        owed = sum(other["call"] == line["call"] for other in expected[turn:])
        likes = likes[: max(len(likes) - owed, 0) + 1]
        best = min(
            likes, key=lambda index: (len(_contradicted(line, reported[index], manner)), len(_absent(line, reported[index], manner)))
        )
        yield from _surplus(reported[at:best], manner, files)
        yield from _differences(line, reported[best], manner)
        at = best + 1
    yield from _surplus(reported[at:], manner, files)


def _may_be(line: Event, event: Event, files: Files) -> bool:
    """Return whether it is the same call; for another file it must also have the same result."""
    same_call = bool(event["call"] == line["call"])
    return same_call and (files.has(event) or not names_file(event) or event.get("result") == line.get("result"))


def _differences(line: Event, event: Event, manner: Manner) -> Iterator[Difference]:
    contradicted, absent = _contradicted(line, event, manner), _absent(line, event, manner)
    if contradicted:
        yield Difference("wrong", line, event, tuple(contradicted))
    elif absent:
        yield Difference("seen", line, event, tuple(absent))


def _surplus(events: list[Event], manner: Manner, files: Files) -> Iterator[Difference]:
    for event in events:
        if files.has(event) or manner.names_files:
            yield Difference("wrong", None, event)


def _contradicted(line: Event, event: Event, manner: Manner) -> list[str]:
    return [name for name, value, reported in _members(line, event, manner) if reported is not None and reported != value]


def _absent(line: Event, event: Event, manner: Manner) -> list[str]:
    return [name for name, value, reported in _members(line, event, manner) if reported is None and value is not None]


def _members(line: Event, event: Event, manner: Manner) -> Iterator[tuple[str, Any, Any]]:
    """Yield each member that the case gives: its name, its value, and the tracer's value. None: must be absent, or is."""
    for name, value in line.items():
        if name not in NOT_OF_AN_EVENT and name not in manner.ignored:
            yield name, value, event.get(name)
    for name, value in (line.get("target") or {}).items():
        if name not in manner.ignored:
            yield f"target.{name}", value, (event.get("target") or {}).get(name)


def _worst(differences: Sequence[Difference]) -> Verdict:
    found = {difference.verdict for difference in differences}
    order: tuple[Verdict, ...] = ("missed", "wrong", "seen")
    return next((verdict for verdict in order if verdict in found), "exact")


def _text(event: Event | None) -> str:
    shown = {name: value for name, value in (event or {}).items() if name != "time"}
    return " ".join(f"{name}={value}" for name, value in shown.items()) or "nothing"
