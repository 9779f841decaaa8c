"""The statistics of a run as text for a person and as JSON for a program.

Separate, because a report never computes: statistics.py does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from filetap.core.calls import OPS
from filetap.core.statistics import OutputStatistics, Statistics
from filetap.core.units import counted

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_WIDTH = max(map(len, OPS)) + 1


def as_json(stats: Statistics) -> str:
    """Return one object, indented."""
    return json.dumps(stats.as_json(), indent=2) + "\n"


def as_text(stats: Statistics) -> str:
    """Return a line per op, then the totals and the verdict."""
    columns = ("seen", "delivered", "aggregated", "lost")
    lines = [f"{'op':<{_WIDTH}}" + "".join(f"{name:>12}" for name in columns) + f"{'errors':>10}{'bytes':>12}"]
    rows = sorted(stats.ops.items(), key=lambda item: -item[1].seen)
    for name, op in rows:
        counts = "".join(f"{getattr(op, column):>12}" for column in columns)
        lines.append(f"{name:<{_WIDTH}}{counts}{op.errors:>10}{human(op.bytes) if op.bytes else '':>12}")
    total = stats.total
    lines.append(
        f"{counted(total.seen, 'event')}, {counted(stats.files, 'file')}, {counted(stats.processes, 'process', 'processes')} "
        f"in {stats.elapsed:.2f} s; "
        f"filetap used {stats.cpu:.2f} s of CPU, attached in {stats.attached:.2f} s"
    )
    lines.append(verdict(stats))
    lines += map(output, stats.outputs)
    if stats.pending:
        lines.append(under_way(stats.pending))
    return "\n".join(lines + [f"perhaps: {reason}" for reason in stats.reasons] + [f"note: {note}" for note in stats.notes])


def output(one: OutputStatistics) -> str:
    """Return what one of several outputs has got."""
    parts = [f"{counted(one.written, 'event')} written"]
    parts += [f"{one.spilled} in {one.spill} instead"] * bool(one.spilled)
    parts += [f"{one.dropped} dropped"] * bool(one.dropped)
    return f"{one.name}: {', '.join(parts)}"


def under_way(pending: Mapping[str, int]) -> str:
    """Return how many calls had not returned."""
    total, ops = sum(pending.values()), ", ".join(f"{count} {op}" for op, count in pending.items())
    calls = "1 call was" if total == 1 else f"{total} calls were"
    return f"{calls} pending at the end: {ops}"


def verdict(stats: Statistics) -> str:
    """Return the verdict in a sentence; and what it cannot know, in another."""
    if not stats.missed:
        return balanced(stats)
    skipped = f"events may be missing: the kernel skipped a BPF program {stats.missed} times because it was already running on that CPU"
    return f"{skipped}; of the events seen, {balanced(stats)}" if stats.total.seen else f"{skipped}; {nothing(stats)}"


def balanced(stats: Statistics) -> str:
    total = stats.total
    if not total.seen:
        return nothing(stats)
    if stats.aggregated:
        parts = {"delivered": total.delivered, "aggregated in the kernel": total.aggregated, "lost": total.lost}
        lost = f"{total.lost} lost, because the aggregation table was full" if total.lost else "nothing lost"
        return f"{lost}: {total.seen} seen = " + " + ".join(f"{number} {name}" for name, number in parts.items() if number)
    if not total.aggregated and not total.lost:
        return f"nothing lost: {total.seen} seen = {total.delivered} delivered"
    text = f"{total.seen} seen = {total.delivered} delivered + {total.aggregated} aggregated + {total.lost} lost"
    if total.aggregated:
        text += "; aggregated events are counted per task, file and op instead of listed; a larger --ring-size avoids this"
    return text


def nothing(stats: Statistics) -> str:
    """Return the verdict on a run without events: pending calls are none yet."""
    return "no call returned" if stats.pending else "nothing was seen"


def human(count: int) -> str:
    """Return bytes with a binary unit."""
    size = float(count)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
