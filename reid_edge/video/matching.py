"""Boxes and pairs: overlaps, and who goes with whom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def overlaps(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """How far boxes overlap, each of a with each of b.

    Args:
        a: float32 (n, 4), x1, y1, x2, y2.
        b: float32 (m, 4).

    Returns:
        float32 (n, m), intersection over union, in 0...1; and (n, m), the share of each of a that
        lies in each of b.
    """
    corner = np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.prod(np.maximum(corner, 0), axis=2)
    area_a, area_b = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b))
    union = area_a[:, None] + area_b[None] - shared
    return shared / np.maximum(union, 1e-9), shared / np.maximum(area_a[:, None], 1e-9)


def greedy(affinity: Floats) -> list[tuple[int, int]]:
    """Pairs, the strongest first, each row and each column at most once.

    Not the largest sum, which the Hungarian method finds; `python -m benchmarks.tracking
    --optimal` sets the two side by side.

    Args:
        affinity: (n, m); -inf where two must not be paired.

    Returns:
        (row, column) pairs.
    """
    rows, columns = np.nonzero(affinity > -np.inf)
    order = np.argsort(-affinity[rows, columns], kind="stable")
    taken_rows: set[int] = set()
    taken_columns: set[int] = set()
    pairs = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            pairs.append((row, column))
    return pairs
