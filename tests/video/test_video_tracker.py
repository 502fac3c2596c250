"""The tracker on boxes and embeddings made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from reid_edge.errors import BoxError, EmbeddingError, OptionError
from reid_edge.heads import CosineHead
from reid_edge.video import Settings, Tracker
from reid_edge.video.matching import greedy, overlaps

LOOKS = np.eye(4, dtype=np.float32)  # four people, as unlike as can be
GRID = CosineHead(20.0, -10.0).grid  # 1 -> 0.99995, 0 -> 0.00005


def box(x, y=100.0, width=20.0, height=50.0):
    return [x, y, x + width, y + height]


def update(tracker, frame, boxes, people, fps=10.0):
    found = np.array(boxes, np.float32).reshape(-1, 4)
    looks = LOOKS[people] if len(people) else np.empty((0, 4), np.float32)
    return [track.id for track in tracker.update(frame, (frame - 1) / fps, found, looks)]


def tracker(association="both", **settings):
    return Tracker(GRID, Settings(association, **settings))


def test_overlaps_are_those_of_the_definition():
    a = np.array([[0, 0, 10, 10]], np.float32)
    b = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [2, 2, 4, 4]], np.float32)
    union, share = overlaps(a, b)
    np.testing.assert_allclose(union, [[50 / 150, 0, 4 / 100]], rtol=1e-6)
    np.testing.assert_allclose(share, [[0.5, 0, 0.04]], rtol=1e-6)


def test_greedy_takes_the_strongest_first_and_each_once():
    affinity = np.array([[0.9, 0.8, -np.inf], [0.85, -np.inf, -np.inf]], np.float32)
    assert greedy(affinity) == [(0, 0)]
    assert greedy(np.array([[0.1, 0.9], [0.8, 0.7]], np.float32)) == [(0, 1), (1, 0)]
    assert greedy(np.empty((0, 3), np.float32)) == []


@pytest.mark.parametrize("association", ["iou", "appearance", "both"])
def test_slow_people_keep_their_numbers(association):
    tracking = tracker(association)
    for frame in range(1, 20):
        ids = update(tracking, frame, [box(10 + frame), box(200 - frame)], [0, 1])
        assert ids == [1, 2]


def test_overlap_alone_swaps_two_who_change_places_and_looks_do_not():
    steps = [([box(10), box(100)], [0, 1]), ([box(100), box(10)], [0, 1])]
    for association, expected in (("iou", [2, 1]), ("both", [1, 2]), ("appearance", [1, 2])):
        tracking = tracker(association)
        assert update(tracking, 1, *steps[0], fps=1) == [1, 2]
        assert update(tracking, 2, *steps[1], fps=1) == expected


def test_a_lost_person_is_found_again_by_looks_only():
    for association, expected in (("iou", 2), ("both", 1), ("appearance", 1)):
        tracking = tracker(association)
        update(tracking, 1, [box(10)], [0])
        for frame in range(2, 41):
            update(tracking, frame, [], [])
        assert update(tracking, 41, [box(150)], [0]) == [expected]


def test_somebody_else_in_the_same_place_is_somebody_else():
    for association, expected in (("iou", 1), ("both", 2)):
        tracking = tracker(association)
        update(tracking, 1, [box(10)], [0])
        assert update(tracking, 2, [box(10)], [1]) == [expected]


def test_nobody_flies_across_the_picture_but_looks_alone_allow_it():
    for association, expected in (("both", 2), ("appearance", 1)):
        tracking = tracker(association)
        update(tracking, 1, [box(10)], [0])
        assert update(tracking, 2, [box(600)], [0]) == [expected]


def test_a_velocity_carries_over_short_gaps():
    tracking = tracker("iou")
    for frame in range(1, 6):
        assert update(tracking, frame, [box(8 * frame)], [0]) == [1]
    for frame in range(6, 10):
        update(tracking, frame, [], [])
    assert update(tracking, 10, [box(80)], [0]) == [1]  # 40 pixels on: no overlap without it


def test_each_frame_is_a_frame_even_if_they_are_seconds_apart():
    tracking = tracker("iou")
    for frame in range(1, 6):
        assert update(tracking, frame, [box(10)], [0], fps=0.2) == [1]


def test_memory_is_bounded_in_time_and_number():
    tracking = tracker(memory=2.0, max_lost=3)
    for frame in range(1, 11):
        update(tracking, frame, [box(2000 * frame)], [frame % 4], fps=10)
        assert len(tracking._tracks) <= 4
    update(tracking, 200, [], [])
    assert tracking._tracks == []


def test_the_mean_is_of_unit_length_and_leaves_out_covered_views():
    tracking = Tracker(GRID, Settings())
    tilted = np.array([[0.9, np.sqrt(1 - 0.81), 0, 0]], np.float32)
    (track,) = tracking.update(1, 0.0, np.array([box(10)], np.float32), LOOKS[:1])
    tracking.update(2, 0.1, np.array([box(10)], np.float32), tilted)
    expected = (LOOKS[0] + tilted[0]) / np.linalg.norm(LOOKS[0] + tilted[0])
    np.testing.assert_allclose(track.embedding, expected, rtol=1e-5)
    assert track.score == pytest.approx(GRID(LOOKS[:1], tilted)[0, 0])
    before = track.embedding.copy()
    both = np.array([box(10), box(12)], np.float32)  # somebody stands before it
    found = tracking.update(3, 0.2, both, np.concatenate([LOOKS[:1], LOOKS[2:3]]))
    assert found[0] is track
    np.testing.assert_array_equal(track.embedding, before)


def test_a_covered_box_is_judged_by_its_place():
    tracking = tracker()
    assert update(tracking, 1, [box(10), box(60)], [0, 1]) == [1, 2]
    assert update(tracking, 2, [box(20), box(45)], [0, 1]) == [1, 2]
    # The second person now stands behind the first, and the crop shows the first.
    assert update(tracking, 3, [box(28), box(34)], [0, 0]) == [1, 2]


def test_given_ids_are_followed():
    tracking = Tracker(GRID)
    boxes = np.array([box(10), box(100)], np.float32)
    first = tracking.follow(1, 0.0, boxes, LOOKS[:2], np.array([7, 3]))
    second = tracking.follow(2, 0.1, boxes[::-1], LOOKS[1::-1], np.array([3, 7]))
    assert [track.id for track in first] == [7, 3]
    assert second == first[::-1]
    assert [track.views for track in second] == [2, 2]


def test_an_id_that_comes_back_is_the_same_if_memory_has_no_end():
    tracking = Tracker(GRID, Settings(memory=float("inf")))
    here = np.array([box(10)], np.float32)
    (first,) = tracking.follow(1, 0.0, here, LOOKS[:1], np.array([7]))
    (again,) = tracking.follow(2, 1e4, here, LOOKS[:1], np.array([7]))
    assert again is first
    assert again.score is None


BOX = np.array([box(10)], np.float32)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ((2, 1.0, BOX * np.nan, LOOKS[:1]), BoxError),
        ((2, 1.0, BOX[0], LOOKS[:1]), BoxError),
        ((2, 1.0, BOX, None), EmbeddingError),
        ((2, 1.0, BOX, LOOKS[:2]), EmbeddingError),
        ((2, 1.0, BOX, LOOKS[0]), EmbeddingError),
        ((2, 1.0, BOX, LOOKS[:1] * np.nan), EmbeddingError),
        ((1, 1.0, BOX, LOOKS[:1]), OptionError),
        ((2, -1.0, BOX, LOOKS[:1]), OptionError),
        ((2, float("nan"), BOX, LOOKS[:1]), OptionError),
    ],
)
def test_what_is_no_next_frame_is_refused_and_changes_nothing(given, error):
    tracking = tracker()
    assert update(tracking, 1, [box(10)], [0]) == [1]
    with pytest.raises(error):
        tracking.update(*given)
    assert update(tracking, 2, [box(10)], [0]) == [1]


def test_ids_that_do_not_fit_the_boxes_are_refused():
    tracking = Tracker(settings=Settings("iou"))
    two = np.array([box(10), box(100)], np.float32)
    for ids in ([7], [7, 7]):
        with pytest.raises(OptionError, match="no two alike"):
            tracking.follow(1, 0.0, two, None, np.array(ids))


def test_no_boxes_at_all():
    tracking = Tracker(settings=Settings("iou"))
    assert tracking.update(1, 0.0, np.empty((0, 4), np.float32)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"association": "luck"},
        {"accept": 1.0},
        {"accept": 0.1},
        {"memory": -1},
        {"max_lost": -1},
        {"memory": float("nan")},
    ],
)
def test_settings_that_do_not_exist(wrong):
    with pytest.raises(OptionError):
        Settings(**wrong)


def test_looks_need_a_model():
    with pytest.raises(OptionError, match="needs a model"):
        Tracker()
