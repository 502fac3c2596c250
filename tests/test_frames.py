"""Boxes of a frame: which pixels they take, which are refused, and that no pixel differs."""

from __future__ import annotations

import itertools

import _tiny
import numpy as np
import pytest

from reid_edge import ReId, errors, frames

FRAME = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
BOXES = np.array(
    [[3, 4, 40, 100], [0, 0, 160, 120], [100, 20, 116, 52], [158, 118, 160, 120], [3, 4, 40, 100]]
)
CROPS = [FRAME[y1:y2, x1:x2] for x1, y1, x2, y2 in BOXES]
BAD = {
    "a NaN": [np.nan, 4, 40, 100],
    "an infinity": [3, 4, np.inf, 100],
    "a negative infinity": [-np.inf, -np.inf, np.inf, np.inf],
    "no width": [10, 4, 10, 100],
    "no height": [3, 50, 40, 50],
    "corners swapped": [40, 100, 3, 4],
    "right of the frame": [160, 0, 200, 120],
    "left of the frame": [-50, 0, 0, 120],
    "above the frame": [0, -50, 160, -10],
    "below the frame": [0, 120, 160, 300],
    "one pixel wide": [10, 4, 11, 100],
    "one pixel inside": [159, 0, 300, 120],
    "between pixels": [10.6, 4, 11.4, 100],
    "far away": [1e300, 1e300, 2e300, 2e300],
}


def cut(box, frame=FRAME):
    """First row, last row, first column and last column that a box takes."""
    ramp = np.zeros((*frame.shape[:2], 3), np.uint8)
    ramp[..., 0] = np.arange(ramp.shape[0])[:, None]
    ramp[..., 1] = np.arange(ramp.shape[1])
    (crop,) = frames.crops(ramp, [box], refuse=True)
    return [*crop[[0, -1], 0, 0].tolist(), *crop[0, [0, -1], 1].tolist()]


@pytest.mark.parametrize(
    "kind", [np.int64, np.uint8, np.float16, np.float32, np.float64, np.longdouble, list]
)
def test_boxes_are_embedded_as_their_crops_are_bit_for_bit(tiny, kind):
    boxes = BOXES.tolist() if kind is list else BOXES.astype(kind)
    found = tiny.embed(FRAME, boxes=boxes)
    assert (found.shape, found.dtype) == ((5, tiny.bundle.embedding_size), np.float32)
    np.testing.assert_array_equal(found, tiny.embed([crop.copy() for crop in CROPS]))
    for row, crop in zip(found, CROPS, strict=True):  # another batch may round otherwise
        np.testing.assert_allclose(row, tiny.embed([crop.copy()])[0], atol=1e-6)


def test_the_order_of_the_boxes_is_kept(tiny):
    order = [3, 0, 2, 1, 4]
    np.testing.assert_allclose(
        tiny.embed(FRAME, boxes=BOXES[order]), tiny.embed(FRAME, boxes=BOXES)[order], atol=1e-6
    )


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ([10, 20, 30, 40], [20, 39, 10, 29]),
        ([10.5, 20.5, 30.5, 40.5], [20, 39, 10, 29]),  # the centre of 10 lies on the left edge
        ([10.51, 20.51, 30.51, 40.51], [21, 40, 11, 30]),
        ([9.6, 19.6, 29.6, 39.6], [20, 39, 10, 29]),
        ([-7, -3.2, 30, 40], [0, 39, 0, 29]),
        ([-1e9, -1e300, 1e9, 1e300], [0, 119, 0, 159]),
        ([150, 110, 500, 500], [110, 119, 150, 159]),
    ],
)
def test_a_box_takes_the_pixels_whose_centres_it_holds(box, pixels):
    assert cut(box) == pixels


def test_boxes_side_by_side_share_no_pixel_and_leave_none_out():
    edges = np.linspace(0, 160, 24)
    taken = [cut([left, 0, right, 120])[2:] for left, right in itertools.pairwise(edges)]
    assert [column for first, last in taken for column in range(first, last + 1)] == [*range(160)]


@pytest.mark.parametrize("box", BAD.values(), ids=BAD.keys())
def test_a_box_that_holds_nothing_is_named(tiny, box):
    boxes = [[3, 4, 40, 100], box, [0, 0, 160, 120]]
    with pytest.raises(errors.BoxError, match=r"1 of 3 boxes hold no picture \(1: \[") as raised:
        tiny.embed(FRAME, boxes=boxes)
    assert raised.value.indices == (1,)
    assert "on_bad_box='nan'" in str(raised.value)


def test_all_bad_boxes_are_named_up_to_ten(counting):
    model, counter = counting
    with pytest.raises(errors.BoxError, match=r"20 of 22 .*; and 10 more") as raised:
        model.embed(FRAME, boxes=[[0, 0, 160, 120], *20 * [[5, 5, 5, 5]], [0, 0, 9, 9]])
    assert raised.value.indices == tuple(range(1, 21))
    assert counter.passes == 0


def test_bad_boxes_get_rows_of_nan_where_that_is_asked_for(tiny):
    boxes = [BAD["a NaN"], [3, 4, 40, 100], BAD["no width"], [0, 0, 160, 120]]
    found = tiny.embed(FRAME, boxes=boxes, on_bad_box="nan")
    np.testing.assert_array_equal(found[[1, 3]], tiny.embed(FRAME, boxes=[boxes[1], boxes[3]]))
    assert np.isnan(found[[0, 2]]).all()
    for score in (tiny.score, tiny.score_grid):
        with pytest.raises(errors.EmbeddingError, match="not finite"):
            score(found[1:2], found)


def test_nothing_but_bad_boxes_costs_no_pass(counting):
    model, counter = counting
    assert np.isnan(model.embed(FRAME, boxes=[*BAD.values()], on_bad_box="nan")).all()
    assert counter.passes == 0


@pytest.mark.parametrize("none", [[], (), np.zeros((0, 4)), np.zeros((0, 4), np.float32)])
def test_a_frame_without_people_gives_no_rows(tiny, none):
    for way in ("raise", "nan"):
        found = tiny.embed(FRAME, boxes=none, on_bad_box=way)
        assert (found.shape, found.dtype) == ((0, tiny.bundle.embedding_size), np.float32)


@pytest.mark.parametrize(
    ("boxes", "advice"),
    [
        ([3, 4, 40, 100], r"shape \(4,\).*pass \[box\] for a single box"),
        (np.zeros((2, 6)), r"shape \(2, 6\).*boxes\[:, :4\]"),
        (np.zeros((0, 6)), r"boxes\[:, :4\]"),
        (np.zeros((2, 3)), "x1, y1, x2, y2 a row"),
        (np.zeros((1, 2, 4)), "x1, y1, x2, y2 a row"),
        (np.float32(5), "x1, y1, x2, y2 a row"),
        ([[1, 2, 3, 4], [5, 6]], "does not turn into an array"),
        ([["1", "2", "3", "4"]], "dtype <U1 is not supported"),
        ([[True, True, False, False]], "dtype bool is not supported"),
        (np.zeros((1, 4), complex), "dtype complex128 is not supported"),
        ([[None] * 4], "dtype object is not supported"),
    ],
)
def test_what_is_no_boxes_is_refused_either_way(tiny, boxes, advice):
    for way in ("raise", "nan"):
        with pytest.raises(errors.BoxError, match=advice) as raised:
            tiny.embed(FRAME, boxes=boxes, on_bad_box=way)
        assert raised.value.indices == ()


@pytest.mark.parametrize(
    ("frame", "error", "advice"),
    [
        ([FRAME, FRAME], errors.ImageShapeError, "one frame; call embed"),
        (np.stack([FRAME, FRAME]), errors.ImageShapeError, "^frame: "),
        (FRAME[..., 0], errors.ImageShapeError, "^frame: greyscale"),
        ("frame.jpg", errors.ImageShapeError, "^frame: a path is no picture"),
        (FRAME.astype(np.int32), errors.ImageDtypeError, "^frame: "),
        (FRAME / 255, errors.ImageValueError, "^frame: .*multiply it by 255"),
    ],
)
def test_a_frame_is_checked_even_without_boxes(tiny, frame, error, advice):
    for boxes in (BOXES, []):
        with pytest.raises(error, match=advice):
            tiny.embed(frame, boxes=boxes)


def test_another_way_to_treat_bad_boxes_is_refused(tiny):
    with pytest.raises(errors.OptionError, match="take 'raise' or 'nan'"):
        tiny.embed(FRAME, boxes=BOXES, on_bad_box="skip")


def test_a_closed_model_refuses_frames_without_people_too(tiny_folder):
    model = ReId(tiny_folder, backend="openvino")
    model.close()
    with pytest.raises(errors.ClosedError):
        model.embed(FRAME, boxes=[])


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_a_float_frame_is_rounded_as_pictures_are(tiny, kind):
    frame = np.clip(FRAME - kind(0.3), 0, 255).astype(kind)
    crops = [frame[y1:y2, x1:x2] for x1, y1, x2, y2 in BOXES]
    np.testing.assert_array_equal(tiny.embed(frame, boxes=BOXES), tiny.embed(crops))


def test_a_dark_box_of_a_float_frame_is_fine(tiny):
    frame = FRAME.astype(np.float32)
    frame[:50, :50] = 0.7  # by itself it would look like a 0...1 picture
    assert np.isfinite(tiny.embed(frame, boxes=[[0, 0, 50, 50]])).all()


@pytest.mark.parametrize(
    "view",
    [
        lambda rgb: np.ascontiguousarray(rgb[:, :, ::-1])[:, :, ::-1],
        lambda rgb: np.ascontiguousarray(rgb[::-1])[::-1],
        lambda rgb: np.ascontiguousarray(rgb[:, ::-1])[:, ::-1],
        lambda rgb: np.ascontiguousarray(rgb[::-1, ::-1, ::-1])[::-1, ::-1, ::-1],
        lambda rgb: np.asfortranarray(rgb),
        lambda rgb: np.repeat(np.repeat(rgb, 2, 0), 2, 1)[::2, ::2],
        lambda rgb: np.pad(rgb, ((0, 0), (0, 0), (0, 1)))[:, :, :3],
        lambda rgb: np.ma.masked_array(rgb, rgb < 100),
    ],
    ids=["BGR", "upside down", "mirrored", "all", "Fortran", "every other", "RGBA", "masked"],
)
def test_views_are_embedded_as_their_copies_are(tiny, view):
    frame = view(FRAME)
    frame.flags.writeable = False
    np.testing.assert_array_equal(
        tiny.embed(frame, boxes=BOXES), tiny.embed([crop.copy() for crop in CROPS])
    )


def test_an_8k_frame_is_no_problem(tiny):
    frame = np.zeros((4320, 7680, 3), np.uint8)
    frame[4000:4300, 7500:7600] = _tiny.picture(0, 300, 100)
    np.testing.assert_array_equal(
        tiny.embed(frame, boxes=[[7500, 4000, 7600, 4300]]), tiny.embed(_tiny.picture(0, 300, 100))
    )
    with pytest.raises(errors.ImageTooLargeError, match=r"^frame: "):
        tiny.embed(np.broadcast_to(frame[:1, :1], (9000, 9000, 3)), boxes=[])
