from __future__ import annotations

import _tiny
import cv2
import numpy as np
import pytest

from reid_edge import errors, images


def add(value, argument="a"):
    collector = images.Collector()
    places, bare = collector.add(value, argument)
    return collector.unique, places, bare


def resized(picture, resize="area", height=32, width=16):
    batch = np.full((1, height, width, 3), 77, np.uint8)
    images.fill(batch, [picture], resize)
    return batch[0]


@pytest.mark.parametrize(
    ("value", "error", "advice"),
    [
        ([], errors.EmptyInputError, "pass at least one picture"),
        ((), errors.EmptyInputError, "pass at least one picture"),
        (np.zeros((0, 8, 8, 3), np.uint8), errors.EmptyInputError, "pass at least one picture"),
        (np.zeros((8, 8), np.uint8), errors.ImageShapeError, "repeat it to three channels"),
        (np.zeros((8, 8, 1), np.uint8), errors.ImageShapeError, "repeat it to three channels"),
        (np.zeros((8, 8, 4), np.uint8), errors.ImageShapeError, r"drop alpha: picture\[:, :, :3\]"),
        (np.zeros((3, 8, 8), np.uint8), errors.ImageShapeError, r"picture.transpose\(1, 2, 0\)"),
        (np.zeros((8, 8, 5), np.uint8), errors.ImageShapeError, "pass H x W x 3"),
        (np.zeros((1, 1, 8, 8, 3), np.uint8), errors.ImageShapeError, "pass H x W x 3"),
        (np.array(5), errors.ImageShapeError, r"\(scalar\).*pass H x W x 3"),
        (np.zeros((0, 8, 3), np.uint8), errors.ImageSizeError, "check the crop's box"),
        (np.zeros((8, 0, 3), np.uint8), errors.ImageSizeError, "check the crop's box"),
        (np.zeros((1, 1, 3), np.uint8), errors.ImageSizeError, "check the crop's box"),
        (np.zeros((8, 1, 3), np.uint8), errors.ImageSizeError, "check the crop's box"),
        (np.zeros((8, 8, 3), np.int64), errors.ImageDtypeError, r"pass uint8.*astype\('uint8'\)"),
        (np.zeros((8, 8, 3), bool), errors.ImageDtypeError, "pass uint8"),
        (np.zeros((8, 8, 3), complex), errors.ImageDtypeError, "pass uint8"),
        (np.zeros((8, 8, 3), object), errors.ImageDtypeError, "pass uint8"),
        (np.zeros((8, 8, 3), "u1,u1"), errors.ImageDtypeError, "pass uint8"),
        (np.full((8, 8, 3), np.nan), errors.ImageValueError, "NaN or infinity; .*pass"),
        (np.full((8, 8, 3), np.inf, np.float16), errors.ImageValueError, "NaN or infinity; .*pass"),
        (np.full((8, 8, 3), -0.5), errors.ImageValueError, "before any mean/std normalisation"),
        (np.full((8, 8, 3), 255.5), errors.ImageValueError, "before any mean/std normalisation"),
        (np.full((8, 8, 3), 1.0), errors.ImageValueError, "multiply it by 255"),
        (np.full((8, 8, 3), 0.3, np.float16), errors.ImageValueError, "multiply it by 255"),
        ("a.jpg", errors.ImageShapeError, r"decode it with reid_edge.read_image\('a.jpg'\)"),
        (None, errors.ImageShapeError, "NoneType is no picture; pass a numpy array"),
        ([[1, 2], [3, 4]], errors.ImageShapeError, "list is no picture; pass a numpy array"),
    ],
)
def test_a_bad_picture_gets_its_own_error_with_the_fix(value, error, advice):
    with pytest.raises(error, match=advice) as raised:
        add(value)
    assert type(raised.value) is error
    assert str(raised.value).startswith(("a: ", "a[0]: ", "a is empty"))


def test_the_message_names_the_argument_and_the_item():
    with pytest.raises(errors.ImageShapeError, match=r"^b\[1\]: greyscale"):
        add([_tiny.picture(0), np.zeros((8, 8), np.uint8)], "b")


def test_one_nan_among_good_values_is_found():
    picture = _tiny.picture(0).astype(np.float32)
    picture[-1, -1, -1] = np.nan
    with pytest.raises(errors.ImageValueError, match="NaN"):
        add(picture)


def test_a_hundred_megapixels_are_refused_but_fifty_pass():
    pixel = np.zeros((1, 1, 3), np.uint8)
    with pytest.raises(errors.ImageTooLargeError, match="50 megapixels; crop the person or shrink"):
        add(np.broadcast_to(pixel, (10_000, 10_000, 3)))
    with pytest.raises(errors.ImageTooLargeError):
        add(np.broadcast_to(pixel, (10_001, 5_000, 3)))
    add(np.broadcast_to(pixel, (10_000, 5_000, 3)))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", ">f8", np.longdouble])
def test_float_pictures_of_any_float_type_are_rounded_to_the_nearest_integer(dtype):
    picture = _tiny.picture(3, 32, 16)
    floats = picture.astype(np.float32)
    floats[picture < 255] += 0.25
    floats[0, 0] = (0.5, 1.5, 254.6)
    expected = picture.copy()
    expected[0, 0] = (0, 2, 255)
    (unique,), *_ = add(floats.astype(dtype))
    assert np.array_equal(resized(unique), expected)


def test_black_and_white_float_pictures_are_fine():
    for value in (0.0, 1.5, 255.0):
        add(np.full((8, 8, 3), value))


def test_a_dark_uint8_picture_is_no_zero_to_one_picture():
    add(np.ones((8, 8, 3), np.uint8))


def test_a_longdouble_beyond_every_float64_is_refused():
    with pytest.raises(errors.ImageValueError):
        add(np.full((8, 8, 3), np.finfo(np.longdouble).max))


def test_one_bare_picture_is_told_from_a_list_of_one():
    picture = _tiny.picture(0)
    assert add(picture)[1:] == ([0], True)
    assert add([picture])[1:] == ([0], False)
    assert add((picture,))[1:] == ([0], False)
    assert add(picture[None])[1:] == ([0], False)


def test_the_same_object_and_the_same_memory_count_once_but_equal_pixels_do_not():
    picture = _tiny.picture(0)
    unique, places, _ = add([picture, picture.copy(), picture, picture[:], picture[:, ::-1]])
    assert places == [0, 1, 0, 0, 2]
    assert len(unique) == 3


def test_views_of_one_memory_that_differ_in_any_way_are_different_pictures():
    memory = np.zeros((16, 16, 3), np.uint8)
    views = [memory, memory[:8], memory[:, :8], memory[::2], memory[::-1], memory[1:]]
    assert add(views)[1] == list(range(len(views)))


def test_the_same_memory_with_another_byte_order_is_another_picture():
    picture = np.full((8, 8, 3), 9.0, "<f4")
    with pytest.raises(errors.ImageValueError):
        add([picture, picture.view(">f4")])


def test_items_of_a_repeated_batch_count_once():
    batch = np.broadcast_to(_tiny.picture(0), (1000, 48, 24, 3))
    unique, places, _ = add(batch)
    assert len(unique) == 1
    assert places == [0] * 1000


def test_temporary_items_never_pass_for_one_another():
    # CPython gives new objects the addresses of freed ones.
    class Lazy:
        def __init__(self, value):
            self.value = value

        def __array__(self, dtype=None, copy=None):
            return np.full((8, 8, 3), self.value, np.uint8)

    unique, places, _ = add([Lazy(value) for value in range(50)])
    assert places == list(range(50))
    assert [int(picture[0, 0, 0]) for picture in unique] == list(range(50))


def test_a_picture_object_counts_once_though_it_makes_a_new_array_each_time():
    class Made:
        calls = 0

        def __array__(self, dtype=None, copy=None):
            Made.calls += 1
            return _tiny.picture(0)

    made, collector = Made(), images.Collector()
    assert collector.add(made, "a") == ([0], True)
    assert collector.add([made, made], "b") == ([0, 0], False)
    assert collector.add(made, "c") == ([0], True)
    assert Made.calls == 1


def test_an_array_method_that_raises_becomes_an_input_error():
    class Broken:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("still on the GPU")

    with pytest.raises(errors.ImageShapeError, match=r"a\[0\]: Broken .*still on the GPU.*memory"):
        add([Broken()])


def test_a_mask_hides_no_bad_values():
    picture = np.ma.masked_invalid(np.full((8, 8, 3), np.nan))
    with pytest.raises(errors.ImageValueError, match="NaN"):
        add(picture)


def test_subclasses_of_arrays_are_stripped():
    unique, *_ = add(np.ma.masked_equal(_tiny.picture(0), 0))
    assert type(unique[0]) is np.ndarray


@pytest.mark.parametrize(
    "strided",
    [
        lambda picture: picture[::-1],
        lambda picture: picture[:, :, ::-1],
        lambda picture: picture[::2, ::3],
        lambda picture: picture.transpose(1, 0, 2),
        lambda picture: np.asfortranarray(picture),
        lambda picture: np.broadcast_to(picture[:1], picture.shape),
        lambda picture: np.broadcast_to(picture[:1, :1, :1], picture.shape),
    ],
)
@pytest.mark.parametrize("size", [(48, 24), (32, 16)])
def test_strides_of_any_kind_give_what_a_plain_copy_gives(strided, size):
    picture = strided(_tiny.picture(1, *size))
    (unique,), *_ = add(picture)
    assert np.array_equal(resized(unique), resized(np.array(picture, order="C")))


def test_read_only_pictures_are_fine_and_no_picture_is_changed():
    for dtype in (np.uint8, np.float32):
        picture = _tiny.picture(1).astype(dtype)
        picture.flags.writeable = False
        before = picture.copy()
        resized(add(picture)[0][0])
        assert np.array_equal(picture, before)


def test_area_shrinks_by_averaging_and_linear_does_not():
    stripes = np.zeros((64, 32, 3), np.uint8)
    stripes[::2] = 200
    assert (resized(stripes) == 100).all()
    fine = np.zeros((32 * 5, 16, 3), np.uint8)
    fine[2::5] = 250  # bilinear samples fall exactly on these rows
    assert (resized(fine, "area") == 50).all()
    assert (resized(fine, "linear") == 250).all()


def test_enlarging_is_linear_for_both():
    picture = _tiny.picture(2, 8, 8)
    expected = cv2.resize(picture, (16, 32), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(resized(picture, "area"), expected)
    assert np.array_equal(resized(picture, "linear"), expected)


def test_a_picture_that_fits_is_copied_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (32, 16, 3), np.uint8)
    assert np.array_equal(resized(picture), picture)


def test_rows_of_a_batch_keep_their_order():
    batch = np.zeros((3, 32, 16, 3), np.uint8)
    pictures = [_tiny.picture(seed, 40 + seed, 20) for seed in range(3)]
    images.fill(batch, pictures, "area")
    for row, picture in zip(batch, pictures, strict=True):
        assert np.array_equal(row, resized(picture))


@pytest.mark.parametrize("shape", [(2, 70_000, 3), (70_000, 2, 3), (2, 2, 3)])
@pytest.mark.parametrize("resize", ["area", "linear"])
def test_extreme_shapes_are_resized(shape, resize):
    assert (resized(np.full(shape, 9, np.uint8), resize) == 9).all()
