"""Where labels go beside their points, so that none lies on another label or on a point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

_SIDES = ((1, 1), (1, 0), (1, -1), (-1, 1), (-1, 0), (-1, -1), (0, 1), (0, -1))  # best first
_STEP, _STEPS = 6.0, 30
_PARTS = 16
_NOTHING = 1e-6  # what rounding leaves of an area


class Box(NamedTuple):
    """A rectangle, in pixels; up is up."""

    left: float
    bottom: float
    right: float
    top: float

    def shared(self, other: Box) -> float:
        """The area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the box that is nearest to another."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)


def place(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    room: Box,
    radius: float,
) -> list[Box]:
    """A box for each label, in their order: the nearest place that is free and has a free way.

    Where there is none: one that is free, else the one that covers least.

    Args:
        points: what the labels are for.
        sizes: width and height of each label.
        room: where labels may be.
        radius: half a point's width.
    """
    taken = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in points]
    found: dict[int, Box] = {}
    # From the top down: labels go up where they can, and leave the places below to those below.
    for index in sorted(range(len(points)), key=lambda index: -points[index][1]):
        size = sizes[index]
        best, least = None, (0.0, False)
        for box in _around(points[index], size, radius):
            covered = size[0] * size[1] - box.shared(room)
            covered += sum(box.shared(other) for other in taken)
            # Behind another point, it would be read as that one's.
            cost = covered if covered > _NOTHING else 0.0, _crosses(points[index], box, taken)
            if best is None or cost < least:
                best, least = box, cost
            if cost == (0.0, False):
                break
        assert best is not None  # there are always places
        found[index] = best
        taken.append(best)
    return [found[index] for index in range(len(points))]


def _crosses(point: tuple[float, float], box: Box, taken: Sequence[Box]) -> bool:
    """Whether something lies between a point and its label."""
    others = [other for other in taken if other.nearest(*point) != point]
    end = box.nearest(*point)
    for part in range(1, _PARTS):
        on_line = tuple(a + (b - a) * part / _PARTS for a, b in zip(point, end, strict=True))
        if any(other.nearest(*on_line) == on_line for other in others):
            return True
    return False


def _around(point: tuple[float, float], size: tuple[float, float], radius: float) -> Iterator[Box]:
    """Places around a point, the nearest first."""
    for step in range(_STEPS):
        for side in _SIDES:
            # At a corner, the gap is there twice.
            away = radius + (1 if all(side) else 3) + step * _STEP
            left, bottom = (
                at + away if to > 0 else at - away - length if to < 0 else at - length / 2
                for at, length, to in zip(point, size, side, strict=True)
            )
            yield Box(left, bottom, left + size[0], bottom + size[1])
