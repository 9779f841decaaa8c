"""A curve as SVG: a recorder's memory over time.

Separate, because it draws lines from numbers and does not depend on recorders.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 300, 60, 40, 40
GRID: Final = "#ddd"


def svg(title: str, points: Sequence[tuple[float, float]], across: str, up: str) -> str:
    """Return the SVG. ``points``: from left to right; both axes begin at 0."""
    most_x, most_y = _round(max(x for x, _ in points)), _round(max(y for _, y in points) * 1.1)

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + x / most_x * (WIDTH - LEFT - 20), HEIGHT - BOTTOM - y / most_y * (HEIGHT - BOTTOM - TOP)

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/><text x="{LEFT}" y="22" font-size="14">{title}</text>',
    ]
    for step in range(6):
        x, y = place(most_x * step / 5, most_y * step / 5)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - 20}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{most_y * step / 5:g}</text>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{most_x * step / 5:g}</text>')
    parts.append(f'<polyline points="{line}" fill="none" stroke="#06c" stroke-width="1.5"/>')
    parts.append(f'<text x="{WIDTH - 20}" y="{HEIGHT - 6}" text-anchor="end">{across}</text>')
    parts.append(f'<text x="{LEFT - 50}" y="{TOP - 6}">{up}</text></svg>')
    return "\n".join(parts) + "\n"


def _round(most: float) -> float:
    """Round up to the next of 1, 2, 5, 10, 20, 50, ..."""
    step = 1.0
    while step * 10 < most:
        step *= 10
    return next(step * factor for factor in (1, 2, 2.5, 5, 10) if step * factor >= most)
