"""Plots as SVG text, without a plotting package: the page must stand alone.

Colours are CSS variables of the page, so that they follow its light or dark theme.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 46
COLOURS = 6  # --series-0 ... of the page


@dataclass(frozen=True)
class Series:
    """A named line of points (x, y)."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """One axis: its label, ends, and whether it is logarithmic."""

    label: str
    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, 0 at `low` and 1 at `high`; clipped."""
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = (math.log10(max(one, 1e-12)) for one in (value, low, high))
        return min(1.0, max(0.0, (value - low) / (high - low or 1.0)))

    def ticks(self) -> list[float]:
        """Round values to mark."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            return [10.0**power for power in range(first, last + 1)]
        step = _round_step((self.high - self.low) / 5)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [count * step for count in range(first, last + 1)]


def lines(
    title: str,
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    *,
    dots: bool = False,
    diagonal: bool = False,
) -> str:
    """Lines over two axes; `dots` marks the points, `diagonal` draws y = x for comparison."""
    parts = [_frame(x, y)]
    if diagonal:
        ends = [(x.low, y.low), (x.high, y.high)]
        parts.append(f'<polyline class="guide" points="{_points(ends, x, y)}"/>')
    for number, one in enumerate(series):
        colour = f"var(--series-{number % COLOURS})"
        parts.append(
            f'<polyline class="line" stroke="{colour}" points="{_points(one.points, x, y)}"/>'
        )
        for across, up in one.points if dots else ():
            parts.append(
                f'<circle r="3.5" fill="{colour}" cx="{_x(x, across):.1f}" cy="{_y(y, up):.1f}">'
                f"<title>{escape(one.name)}: {across:.4g}, {up:.4g}</title></circle>"
            )
    return _figure(title, "".join(parts), [one.name for one in series])


def histogram(
    title: str, label: str, found: Sequence[tuple[str, Sequence[float], Sequence[int]]]
) -> str:
    """Outlines of histograms: name, edges, counts; heights are shares of each one's total."""
    shares = [[count / max(1, sum(counts)) for count in counts] for _, _, counts in found]
    x = Axis(label, 0.0, max(edges[-1] for _, edges, _ in found))
    y = Axis("share of calls", 0.0, 1.05 * max(max(part) for part in shares))
    series = []
    for (name, edges, _), part in zip(found, shares, strict=True):
        points = [(edges[0], 0.0)]
        for left, right, share in zip(edges, edges[1:], part, strict=False):
            points += [(left, share), (right, share)]
        series.append(Series(name, [*points, (edges[-1], 0.0)]))
    return lines(title, series, x, y)


def bars(title: str, label: str, rows: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> str:
    """Stacked bars, one a row: name and its parts (name, value), all rows with the same parts."""
    longest = max(sum(value for _, value in parts) for _, parts in rows) or 1.0
    high, left = 44, 120
    found = []
    for number, (name, parts) in enumerate(rows):
        top, across = number * high + 6, float(left)
        found.append(f'<text x="{left - 8}" y="{top + 20}" text-anchor="end">{escape(name)}</text>')
        for colour, (part, value) in enumerate(parts):
            width = (_WIDTH - left - 90) * value / longest
            found.append(
                f'<rect x="{across:.1f}" y="{top}" width="{width:.1f}" height="30" '
                f'fill="var(--series-{colour % COLOURS})">'
                f"<title>{escape(part)}: {value:.4g} {escape(label)}</title></rect>"
            )
            across += width
        total = sum(value for _, value in parts)
        found.append(f'<text x="{across + 6:.1f}" y="{top + 20}">{total:.3g}</text>')
    return _figure(
        f"{title} ({label})", "".join(found), [part for part, _ in rows[0][1]], len(rows) * high + 4
    )


def _figure(title: str, inner: str, names: Sequence[str], height: int = _HEIGHT) -> str:
    keys = "".join(
        f'<li><i style="background:var(--series-{number % COLOURS})"></i>{escape(name)}</li>'
        for number, name in enumerate(names)
    )
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><ul class="keys">{keys}</ul>'
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f"{inner}</svg></figure>"
    )


def _frame(x: Axis, y: Axis) -> str:
    parts = []
    bottom = _HEIGHT - _BOTTOM
    for value in x.ticks():
        across = _x(x, value)
        parts.append(
            f'<line class="grid" x1="{across:.1f}" x2="{across:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        )
        parts.append(
            f'<text x="{across:.1f}" y="{bottom + 18}" text-anchor="middle">{value:.4g}</text>'
        )
    for value in y.ticks():
        up = _y(y, value)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up:.1f}" y2="{up:.1f}"/>'
        )
        parts.append(f'<text x="{_LEFT - 8}" y="{up + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    middle, centre = (_LEFT + _WIDTH - _RIGHT) / 2, (_TOP + bottom) / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x.label)}</text>'
    )
    parts.append(
        f'<text transform="translate(14 {centre}) rotate(-90)" text-anchor="middle">'
        f"{escape(y.label)}</text>"
    )
    return "".join(parts)


def _points(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    return " ".join(f"{_x(x, across):.1f},{_y(y, up):.1f}" for across, up in points)


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.place(value) * (_HEIGHT - _TOP - _BOTTOM)


def _round_step(least: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    steps = (factor * power for factor in (1.0, 2.0, 5.0))
    return next((step for step in steps if step >= least * (1 - 1e-9)), 10.0 * power)
