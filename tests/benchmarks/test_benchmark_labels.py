from __future__ import annotations

import itertools
import random

import pytest

from benchmarks._labels import Box, place

ROOM = Box(0, 0, 400, 300)
LABEL = (90.0, 12.0)
RADIUS = 5.0


def marks(points):
    return [Box(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in points]


@pytest.mark.parametrize(
    "points",
    [
        [(200.0, 150.0)] * 6,
        [(200.0 + 8 * step, 150.0 + 3 * step) for step in range(8)],
        [(2.0, 2.0), (398.0, 298.0), (2.0, 298.0), (398.0, 2.0)],
    ],
)
def test_labels_cover_neither_one_another_nor_a_point_and_stay_in_the_room(points):
    found = place(points, [LABEL] * len(points), ROOM, RADIUS)
    assert len(found) == len(points)
    for a, b in itertools.combinations([*found, *set(marks(points))], 2):
        if a in found or b in found:
            assert a.shared(b) < 1e-6
    for box in found:
        assert (box.right - box.left, box.top - box.bottom) == pytest.approx(LABEL)
        assert box.shared(ROOM) == pytest.approx(LABEL[0] * LABEL[1])


def test_a_label_that_is_alone_is_right_above_its_point():
    (box,) = place([(200.0, 150.0)], [LABEL], ROOM, RADIUS)
    assert 0 < box.left - 205 < 2
    assert 0 < box.bottom - 155 < 2


def ways(points, found, parts=100):
    """For each label, points on the straight way to it."""
    for point, box in zip(points, found, strict=True):
        end = box.nearest(*point)
        yield [
            tuple(a + (b - a) * part / parts for a, b in zip(point, end, strict=True))
            for part in range(parts)
        ]


@pytest.mark.parametrize("seed", range(20))
def test_nothing_lies_between_a_point_and_its_label(seed):
    """It would be read as the label of what lies there."""
    rng = random.Random(seed)
    points = [(200 + rng.uniform(-30, 30), 150 + rng.uniform(-15, 15)) for _ in range(5)]
    found = place(points, [LABEL] * 5, ROOM, RADIUS)
    for index, way in enumerate(ways(points, found)):
        start = points[index]
        others = [mark for mark in marks(points) if mark.nearest(*start) != start]
        others += [box for box in found if box is not found[index]]
        assert not any(other.nearest(*at) == at for other in others for at in way)


def test_where_nothing_is_free_the_least_is_covered():
    found = place([(50.0, 6.0)] * 3, [LABEL] * 3, Box(0, 0, 100, 12), RADIUS)
    assert len(found) == 3
