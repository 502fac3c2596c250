"""Pictures in, one uint8 NHWC RGB batch out: checks, limits, resize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._threads import share_out, threads
from .errors import (
    EmptyInputError,
    ImageDtypeError,
    ImageShapeError,
    ImageSizeError,
    ImageTooLargeError,
    ImageValueError,
)

Picture = NDArray[np.uint8]

MIN_SIDE = 2
MAX_PIXELS = 50_000_000

_PICTURES_A_THREAD = 8  # fewer small ones are done sooner than another thread wakes up


class Collector:
    """Gathers the pictures of one call and finds those that are the same object.

    Two items are the same picture if they are one Python object or views of the very same
    memory.  Pixels are never compared.
    """

    def __init__(self) -> None:
        self.unique: list[NDArray[Any]] = []
        self._seen: dict[Any, int] = {}
        self._alive: list[Any] = []  # ids and addresses stay unique only while the objects live

    def add(self, value: Any, argument: str) -> tuple[list[int], bool]:
        """Take in one argument of a call.

        Args:
            value: one picture H x W x 3, a list or tuple of them, or a 4-D array.
            argument: its name, for messages.

        Returns:
            For each picture its index in `unique`, and whether it was one bare picture.

        Raises:
            InputError: whatever is wrong with the first picture that can't be scored.
        """
        if isinstance(value, (list, tuple)):
            return self._add_list(value, argument), False
        place = self._seen.get(id(value))
        if place is not None:
            return [place], True
        array = as_array(value, argument)
        if array.ndim == 4:
            return self._add_list(list(array), argument), False
        return [self._add_one(value, array, argument)], True

    def _add_list(self, values: Sequence[Any], argument: str) -> list[int]:
        if len(values) == 0:
            raise EmptyInputError(f"{argument} is empty; pass at least one picture")
        places = []
        for index, value in enumerate(values):
            place = self._seen.get(id(value))
            if place is None:
                where = f"{argument}[{index}]"
                place = self._add_one(value, as_array(value, where), where)
            places.append(place)
        return places

    def _add_one(self, value: Any, array: NDArray[Any], where: str) -> int:
        memory = (
            array.__array_interface__["data"][0],
            array.shape,
            array.strides,
            array.dtype.str,
        )
        place = self._seen.get(memory)
        if place is None:
            check(array, where)
            place = len(self.unique)
            self.unique.append(array)
            self._seen[memory] = place
        self._seen[id(value)] = place
        self._alive.append((value, array))
        return place


def check(array: NDArray[Any], where: str = "picture") -> None:
    """Refuse an array that is no RGB picture.

    Raises:
        ImageShapeError: not H x W x 3.
        ImageSizeError: a side under 2 pixels; ImageTooLargeError: over 50 megapixels.
        ImageDtypeError: neither uint8 nor a float type.
        ImageValueError: NaN, infinite or outside 0...255, or a 0...1 picture.
    """
    if array.ndim != 3 or array.shape[2] != 3:
        raise ImageShapeError(f"{where}: {_shape_advice(array)}")
    height, width = array.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise ImageSizeError(
            f"{where}: {height}x{width} pixels is no picture; check the crop's box"
        )
    if height * width > MAX_PIXELS:
        raise ImageTooLargeError(
            f"{where}: {height}x{width} is over the limit of {MAX_PIXELS // 10**6} megapixels; "
            "crop the person or shrink the picture first"
        )
    if array.dtype == np.uint8:
        return
    if not np.issubdtype(array.dtype, np.floating):
        raise ImageDtypeError(
            f"{where}: dtype {array.dtype} is not supported; "
            "pass uint8, or floats in 0...255 (picture.astype('uint8') if the values are 0...255)"
        )
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):  # min and max of a NaN are NaN
        raise ImageValueError(
            f"{where}: pixel values contain NaN or infinity; find out where they come from, "
            "and pass values in 0...255"
        )
    if low < 0 or high > 255:
        raise ImageValueError(
            f"{where}: float pixel values lie in {low:g}...{high:g}; they must lie in 0...255 "
            "(pass the picture before any mean/std normalisation)"
        )
    if 0 < high <= 1:
        raise ImageValueError(
            f"{where}: float pixel values never exceed 1, so this looks like a 0...1 picture and "
            "would be scored as black; multiply it by 255"
        )


def fill(batch: NDArray[np.uint8], pictures: Sequence[NDArray[Any]], resize: str) -> None:
    """Resize checked pictures into the rows of a batch, over threads where there are many.

    Args:
        batch: uint8 (n, height, width, 3), C-contiguous, written in place.
        pictures: n checked pictures, which may be views such as the crops of a frame or BGR seen
            as RGB; floats are rounded to the nearest integer.
        resize: `area` or `linear`, see `Bundle.resize`.
    """
    shares = max(1, min(threads(), len(batch) // _PICTURES_A_THREAD))

    def share(first: int) -> None:
        # Every so many: large pictures, often neighbours, are spread over the threads.
        for row, picture in zip(batch[first::shares], pictures[first::shares], strict=True):
            _fill_row(row, picture, resize)

    share_out(share, shares)


def _fill_row(row: NDArray[np.uint8], picture: NDArray[Any], resize: str) -> None:
    import cv2

    height, width = row.shape[:2]
    if picture.dtype != np.uint8:
        picture = np.rint(picture).astype(np.uint8)
    if picture.shape[:2] == (height, width):
        row[...] = picture
        return
    shrinks = picture.shape[0] > height or picture.shape[1] > width
    method = cv2.INTER_AREA if resize == "area" and shrinks else cv2.INTER_LINEAR
    # OpenCV reads a crop of a frame where it lies, and copies itself what it can't read so.
    # BGR seen as RGB would be such a copy, a slow one: swapping after the resize costs less.
    if picture.strides[2] == -1:
        picture = cv2.resize(picture[:, :, ::-1], (width, height), interpolation=method)
        cv2.cvtColor(picture, cv2.COLOR_BGR2RGB, dst=row)
    else:
        cv2.resize(picture, (width, height), dst=row, interpolation=method)


def as_array(value: Any, where: str) -> NDArray[Any]:
    """The array that a picture is; its shape and values are for `check`.

    Raises:
        ImageShapeError: no array.
    """
    if isinstance(value, np.ndarray):
        return value.view(np.ndarray)  # without the habits of subclasses, such as masks
    if hasattr(value, "__array__"):  # PIL pictures, torch tensors on the CPU
        try:
            return np.asarray(value)
        except Exception as error:  # its own code may raise anything
            raise ImageShapeError(
                f"{where}: {type(value).__name__} does not turn into an array ({error}); "
                "pass a numpy array H x W x 3 (RGB) in this computer's memory"
            ) from error
    if isinstance(value, (str, bytes)) or hasattr(value, "__fspath__"):
        raise ImageShapeError(
            f"{where}: a path is no picture; decode it with reid_edge.read_image({value!r})"
        )
    raise ImageShapeError(
        f"{where}: {type(value).__name__} is no picture; pass a numpy array H x W x 3 (RGB), "
        "or a list of them"
    )


def _shape_advice(array: NDArray[Any]) -> str:
    shape = "x".join(map(str, array.shape)) or "scalar"
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 1):
        return f"greyscale picture ({shape}); repeat it to three channels (cv2.COLOR_GRAY2RGB)"
    if array.ndim == 3 and array.shape[2] == 4:
        return f"four channels ({shape}); drop alpha: picture[:, :, :3]"
    if array.ndim == 3 and array.shape[0] == 3:
        return f"channels come first ({shape}); pass H x W x 3: picture.transpose(1, 2, 0)"
    return f"shape ({shape}) is no picture; pass H x W x 3"
