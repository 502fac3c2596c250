"""The adapters in the packages that call them: people who swap places unseen keep their numbers.

`pip install '.[test-trackers]'` installs the packages; without one, its tests are skipped.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from reid_edge import ReId, trackers

SAMPLES = Path(__file__).parent.parent / "samples"
HEIGHT, WIDTH = 150, 30
LEFT, RIGHT, TOP = 100, 130, 25
SWAP, FRAMES = 5, 8
OUTSIDE = np.array([[300, 25, 330, 175], [50, 25, 50.4, 175]], np.float32)


@pytest.fixture(scope="module")
def reid():
    with ReId(backend="openvino", precision="fp32") as model:
        yield model


def box(left):
    return [left, TOP, left + WIDTH, TOP + HEIGHT]


def scene():
    """BGR frames, and per frame the boxes of Anna and of Ben, who swap places with frame SWAP."""
    people = {
        path.stem: cv2.resize(cv2.imread(str(path)), (WIDTH, HEIGHT))
        for path in SAMPLES.glob("*.jpg")
    }
    for number in range(FRAMES):
        frame = np.full((200, 250, 3), 120, np.uint8)
        picture, lefts = ("1", (LEFT, RIGHT)) if number < SWAP else ("2", (RIGHT, LEFT))
        for name, left in zip(("anna", "ben"), lefts, strict=True):
            frame[TOP : TOP + HEIGHT, left : left + WIDTH] = people[f"{name}_{picture}"]
        yield frame, np.array([box(left) for left in lefts], np.float32)


class Blind:
    """Sees everybody alike: what a tracker makes of the places alone."""

    def get_features(self, xyxys, img):
        return np.ones((len(xyxys), 8), np.float32)

    def predict(self, np_images):
        return list(np.ones((len(np_images), 8), np.float32))

    def __call__(self, image, boxes):
        return np.ones((len(boxes), 8), np.float32)


def numbers_swap(number_of):
    """Whether Anna and Ben get each other's numbers when they swap places.

    `number_of` takes a frame and their boxes, and gives their numbers.
    """
    numbers = [number_of(frame, boxes) for frame, boxes in scene()]
    before, after = numbers[SWAP - 1], numbers[-1]
    assert None not in before
    assert before[0] != before[1]
    assert sorted(after) == sorted(before)
    return before != after


# --- BoxMOT -------------------------------------------------------------------------------------

BOXMOT = ("BoostTrack", "BotSort", "DeepOcSort", "HybridSort", "OccluBoost", "StrongSort")


def boxmot(name):
    return getattr(pytest.importorskip("boxmot", reason="boxmot is not installed"), name)


def in_boxmot(tracker):
    def number_of(frame, boxes):
        rows = np.concatenate([boxes, [[0.9, 0]] * len(boxes)], axis=1).astype(np.float32)
        found = np.asarray(tracker.update(rows, frame))
        near = {int(np.abs(boxes - row[:4]).sum(axis=1).argmin()): int(row[4]) for row in found}
        return [near.get(place) for place in range(len(boxes))]

    return number_of


def test_boxmot_keeps_people_apart_by_what_they_look_like(reid):
    make, far = boxmot("StrongSort"), trackers.cosine_distance(reid)
    embedder = trackers.BoxMotEmbedder(reid)
    assert not numbers_swap(in_boxmot(make(reid_model=embedder, max_cos_dist=far)))
    assert numbers_swap(in_boxmot(make(reid_model=Blind(), max_cos_dist=far)))


@pytest.mark.parametrize("name", BOXMOT)
def test_a_tracker_of_boxmot_survives_boxes_that_hold_nothing(reid, name):
    make = boxmot(name)
    number_of = in_boxmot(make(reid_model=trackers.BoxMotEmbedder(reid)))
    for frame, boxes in [*scene()][:SWAP]:
        numbers = number_of(frame, np.concatenate([boxes, OUTSIDE]))
    assert None not in numbers[:2]
    assert numbers[0] != numbers[1]


# --- DeepSORT -----------------------------------------------------------------------------------


def deep_sort(embedder, **options):
    module = pytest.importorskip(
        "deep_sort_realtime.deepsort_tracker", reason="deep-sort-realtime is not installed"
    )
    tracker = module.DeepSort(embedder=None, **options)
    tracker.embedder = embedder
    return tracker


def in_deep_sort(tracker, encoder=None):
    def number_of(frame, boxes):
        order = np.argsort(boxes[:, 0])  # from left to right: the order must not tell them apart
        tlwh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)[order]
        found = [(row.tolist(), 0.9, place) for place, row in zip(order, tlwh, strict=True)]
        embeds = None if encoder is None else encoder(frame, tlwh)
        tracks = tracker.update_tracks(found, embeds=embeds, frame=frame)
        seen = {t.det_class: t.track_id for t in tracks if t.time_since_update == 0}
        return [seen.get(place) for place in range(len(boxes))]

    return number_of


def test_deep_sort_keeps_people_apart_by_what_they_look_like(reid):
    far = trackers.cosine_distance(reid)

    def swap(embedder):
        return numbers_swap(in_deep_sort(deep_sort(embedder, max_cosine_distance=far)))

    assert not swap(trackers.DeepSortEmbedder(reid))
    assert swap(Blind())


def test_deep_sort_keeps_people_apart_with_an_encoder(reid):
    far = trackers.cosine_distance(reid)

    def swap(encoder):
        return numbers_swap(in_deep_sort(deep_sort(None, max_cosine_distance=far), encoder))

    assert not swap(trackers.DeepSortEmbedder(reid))
    assert swap(Blind())


@pytest.mark.parametrize("as_encoder", [False, True])
def test_deep_sort_survives_boxes_that_hold_nothing(reid, as_encoder):
    embedder = trackers.DeepSortEmbedder(reid)
    tracker = deep_sort(None if as_encoder else embedder)
    number_of = in_deep_sort(tracker, embedder if as_encoder else None)
    for frame, boxes in [*scene()][:SWAP]:
        numbers = number_of(frame, np.concatenate([boxes, OUTSIDE]))
    assert None not in numbers[:2]
    assert numbers[0] != numbers[1]


# --- supervision --------------------------------------------------------------------------------


def test_supervision_selects_and_merges_embeddings_with_their_detections(reid):
    sv = pytest.importorskip("supervision", reason="supervision is not installed")
    frame, boxes = next(scene())
    given = sv.Detections(
        xyxy=boxes,
        confidence=np.array([0.9, 0.8], np.float32),
        class_id=np.array([0, 0]),
        data={"class_name": np.array(["person", "person"])},
    )
    found = trackers.embed_detections(reid, frame, given)
    assert isinstance(found, sv.Detections)
    assert "embedding" not in given.data
    expected = reid.embed(frame[:, :, ::-1], boxes=boxes)
    np.testing.assert_array_equal(found.data["embedding"], expected)
    np.testing.assert_array_equal(found[found.confidence < 0.85]["embedding"], expected[1:])
    merged = sv.Detections.merge([found, found[0]])
    np.testing.assert_array_equal(merged.data["embedding"], expected[[0, 1, 0]])
    assert reid.score_grid(found["embedding"], merged["embedding"]).shape == (2, 3)


def test_supervision_without_people_stays_empty(reid):
    sv = pytest.importorskip("supervision", reason="supervision is not installed")
    frame, _ = next(scene())
    found = trackers.embed_detections(reid, frame, sv.Detections.empty())
    assert found.is_empty()
    assert found.data["embedding"].shape == (0, reid.bundle.embedding_size)
