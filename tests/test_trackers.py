"""The adapters by themselves; `test_trackers_hosts.py` has the packages that call them."""

from __future__ import annotations

import dataclasses

import _tiny
import numpy as np
import pytest

from reid_edge import errors
from reid_edge.trackers import BoxMotEmbedder, DeepSortEmbedder, cosine_distance, embed_detections

RGB = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
BGR = np.ascontiguousarray(RGB[:, :, ::-1])
BOXES = np.array([[3, 4, 40, 100], [0, 0, 160, 120], [100, 20, 116, 52]], np.float32)
BAD = np.array([[np.nan, 4, 40, 100], [3, 4, 40, 100], [10, 4, 10, 100], [500, 0, 600, 9]])


@dataclasses.dataclass
class Detections:
    xyxy: np.ndarray
    data: dict = dataclasses.field(default_factory=dict)


def tlwh(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def crops(boxes):
    return [BGR[y1:y2, x1:x2] for x1, y1, x2, y2 in boxes.astype(int)]


WAYS = {
    "boxmot": lambda reid, boxes: BoxMotEmbedder(reid).get_features(boxes, BGR),
    "encoder": lambda reid, boxes: DeepSortEmbedder(reid)(BGR, tlwh(boxes)),
    "predict": lambda reid, boxes: DeepSortEmbedder(reid).predict(crops(boxes)),
    "supervision": lambda reid, boxes: embed_detections(reid, BGR, Detections(boxes)).data[
        "embedding"
    ],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_bgr_frames_are_embedded_as_their_rgb_pictures_are(tiny, way):
    found = np.array(way(tiny, BOXES))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, tiny.embed(RGB, boxes=BOXES))
    assert np.abs(found - tiny.embed(BGR, boxes=BOXES)).max() > 0.01  # the order matters


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_frame_without_people_gives_no_rows(tiny, way):
    found = way(tiny, BOXES[:0])
    assert len(found) == 0
    assert isinstance(found, list) or found.shape == (0, _tiny.SIZE)


def _predict_around(embedder):
    return embedder.predict([BGR[:0], *crops(BOXES[:1]), BGR[:, :1], BGR[4:, 4:4]])


@pytest.mark.parametrize(
    ("kind", "embed"),
    [
        (BoxMotEmbedder, lambda embedder: embedder.get_features(BAD, BGR)),
        (DeepSortEmbedder, lambda embedder: embedder(BGR, tlwh(BAD))),
        (DeepSortEmbedder, _predict_around),
    ],
    ids=["boxmot", "encoder", "predict"],
)
def test_boxes_that_hold_nothing_get_unit_vectors_of_their_own(tiny, kind, embed):
    embedder = kind(tiny)
    found = np.concatenate([embed(embedder), embed(embedder)])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    expected = tiny.embed(RGB, boxes=BOXES[:1])
    np.testing.assert_allclose(found[[1, 5]], np.repeat(expected, 2, 0), atol=1e-6)
    strangers = found[[0, 2, 3, 4, 6, 7]]
    assert len(np.unique(strangers, axis=0)) == 6
    np.testing.assert_array_equal(embed(kind(tiny)), found[:4])  # the same in every run
    assert not np.array_equal(embed(kind(tiny, seed=1))[0], found[0])


def test_strangers_are_like_nobody(tiny):
    embedder = BoxMotEmbedder(tiny)
    found = embedder._with_strangers(np.full((500, 256), np.nan, np.float32))
    cosines = (found @ found.T)[np.triu_indices(500, 1)]
    assert np.abs(cosines).max() < 0.4
    assert cosines.std() == pytest.approx(1 / 16, rel=0.05)


@pytest.mark.parametrize("columns", [4, 6, 8])
def test_boxmot_rows_may_go_on_after_the_corners(tiny, columns):
    rows = np.concatenate([BOXES, np.ones((3, columns - 4), np.float32)], axis=1)
    embedder = BoxMotEmbedder(tiny)
    expected = tiny.embed(RGB, boxes=BOXES)
    np.testing.assert_array_equal(embedder.get_features(rows, BGR), expected)
    np.testing.assert_allclose(embedder.get_features(rows[0], BGR), expected[:1], atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 5), (2, 7), (2, 9), (2, 3), (1, 2, 4)])
def test_boxmot_rows_of_another_kind_are_refused(tiny, shape):
    with pytest.raises(errors.BoxError, match=r"oriented boxes .* use is_obb=False"):
        BoxMotEmbedder(tiny).get_features(np.ones(shape), BGR)


@pytest.mark.parametrize("nothing", [[], np.empty((0, 6)), np.empty((0, 5)), np.empty(0)])
def test_boxmot_hands_over_no_boxes_in_many_shapes(tiny, nothing):
    assert BoxMotEmbedder(tiny).get_features(nothing, BGR).shape == (0, _tiny.SIZE)


@pytest.mark.parametrize("boxes", [np.ones((2, 5)), [1, 2, 3, 4], [["a"] * 4]])
def test_the_encoder_refuses_what_is_no_boxes(tiny, boxes):
    with pytest.raises(errors.BoxError):
        DeepSortEmbedder(tiny)(BGR, boxes)


def test_the_encoder_takes_whole_numbers(tiny):
    boxes = tlwh(BOXES).astype(np.uint8)  # right and lower edges may not fit into the type
    boxes[0] = [3, 4, 255, 255]
    found = DeepSortEmbedder(tiny)(BGR, boxes)
    np.testing.assert_allclose(found[0], tiny.embed(RGB[4:, 3:])[0], atol=1e-6)


@pytest.mark.parametrize("frame", [BGR[:, :, 0], None, BGR.astype(int), BGR[:, :, [0, 1, 2, 2]]])
def test_a_frame_that_is_no_picture_is_refused(tiny, frame):
    for call in (
        lambda: BoxMotEmbedder(tiny).get_features(BOXES, frame),
        lambda: DeepSortEmbedder(tiny)(frame, BOXES),
        lambda: DeepSortEmbedder(tiny).predict([frame]),
        lambda: embed_detections(tiny, frame, Detections(BOXES)),
    ):
        with pytest.raises(errors.InputError):
            call()


def test_detections_are_returned_anew_with_all_that_they_had(tiny):
    given = Detections(BOXES, {"class_name": np.array(["person"] * 3)})
    found = embed_detections(tiny, BGR, given, key="appearance")
    assert list(given.data) == ["class_name"]
    assert list(found.data) == ["class_name", "appearance"]
    np.testing.assert_array_equal(found.xyxy, BOXES)


def test_detections_that_hold_nothing_are_refused_or_nan(tiny):
    with pytest.raises(errors.BoxError) as raised:
        embed_detections(tiny, BGR, Detections(BAD))
    assert raised.value.indices == (0, 2, 3)
    found = embed_detections(tiny, BGR, Detections(BAD), on_bad_box="nan").data["embedding"]
    assert np.isnan(found).all(axis=1).tolist() == [True, False, True, True]


@pytest.mark.parametrize("value", [BOXES, None, {"xyxy": BOXES}, Detections])
def test_what_is_no_detections_is_refused(tiny, value):
    with pytest.raises(errors.BoxError, match=r"make one of boxes with sv\.Detections"):
        embed_detections(tiny, BGR, value)


@pytest.mark.parametrize("score", [0.1, 0.5, 0.9])
def test_a_distance_is_where_people_get_the_score(tiny, score):
    cosine = 1 - cosine_distance(tiny, score)
    a = np.eye(_tiny.SIZE, dtype=np.float32)[:2]
    b = (cosine * a[0] + np.sqrt(1 - cosine**2) * a[1]).astype(np.float32)
    assert tiny.score(a[0], b)[0] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("score", [0, 1, -1, 2, float("nan"), 0.96, 1e-5, "far_1e-2"])
def test_a_score_that_no_distance_has_is_refused(tiny, score):
    with pytest.raises(errors.OptionError, match=r"take 0\.5, or one of"):
        cosine_distance(tiny, score)


@pytest.mark.parametrize("use", [BoxMotEmbedder, DeepSortEmbedder, cosine_distance])
def test_models_that_are_not_compared_by_cosine_are_refused(concat, use):
    with pytest.raises(errors.OptionError, match=r"compare them by cosine.*take another model"):
        use(concat)


def test_detections_take_any_model(concat):
    found = embed_detections(concat, BGR, Detections(BOXES)).data["embedding"]
    np.testing.assert_array_equal(found, concat.embed(RGB, boxes=BOXES))
