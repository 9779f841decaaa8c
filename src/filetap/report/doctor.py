"""The result of ``filetap doctor`` as text of at most 100 columns.

Separate, because capture/features.py tests and never prints, and this prints and never tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from textwrap import wrap
from typing import Final

from filetap.capture.features import NOT_TRIED, Features, HookSet, Requirement, Way

COLUMNS: Final = 100


def as_json(features: Features) -> str:
    """Return one object on one line. ``tracing`` tells whether a trace works here."""
    return json.dumps({"tracing": features.tracing} | asdict(features))


def as_text(features: Features) -> str:
    """Return the verdict, the requirements, then each hook set with its attach types."""
    return "\n".join(_lines(features))


def _lines(features: Features) -> Iterator[str]:
    yield f"Tracing {'works' if features.tracing else 'does not work'} here."
    yield f"Linux {features.kernel}, {features.architecture}, libbpf {features.libbpf or 'not found'}"
    yield from ("", "Requirements")
    width = max(len(row.name) for row in features.requirements)
    for row in features.requirements:
        yield from _hang(f"  {_mark(row):4}{row.name:{width}}  ", row.detail)
    for hook_set in features.hook_sets:
        yield ""
        yield from _hook_set(hook_set)


def _mark(row: Requirement) -> str:
    return "yes" if row.met else "NO" if row.needed else "no"


def _hook_set(hook_set: HookSet) -> Iterator[str]:
    yield from _hang(f"{hook_set.name}: ", hook_set.sees)
    width = max(len(way.name) for way in hook_set.ways)
    for way in hook_set.ways:
        yield from _hang(f"  {_answer(way):4}{way.name:{width}}  ", _outcome(way, hook_set))
    if hook_set.missed:
        yield from _hang("  not seen:  ", hook_set.missed)
    yield from _hang("  to do:     ", hook_set.advice)


def _answer(way: Way) -> str:
    return "yes" if way.works else "?" if way.reason == NOT_TRIED else "no"


def _outcome(way: Way, hook_set: HookSet) -> str:
    if not way.works:
        return way.reason
    return "attaches; chosen" if way.name == hook_set.chosen else "attaches"


def _hang(head: str, text: str) -> list[str]:
    """Return ``text`` after ``head``, with its further lines below its first."""
    return wrap(text, COLUMNS, initial_indent=head, subsequent_indent=" " * len(head)) or [head.rstrip()]
