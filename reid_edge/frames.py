"""A frame and its boxes in, crops out: checks, clipping, rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import images
from .errors import BoxError, ImageShapeError
from .images import Picture

_NAMED = 10  # indices in a message


def crops(frame: Any, boxes: Any, refuse: bool) -> list[Picture | None]:
    """Cut boxes out of a frame.

    A pixel belongs to a box if its centre does: x1 <= column + 0.5 < x2.  Whole-numbered boxes
    thus are the slices [y1:y2, x1:x2], and the right and lower edges are exclusive.

    Args:
        frame: one RGB picture (H, W, 3), as `images.check` takes them; views such as
            `bgr[:, :, ::-1]` are not copied.
        boxes: (n, 4), int or float: x1, y1, x2, y2 in pixels; what lies outside of the frame is
            cut off.
        refuse: raise if a box is unusable: NaN or infinity, x1 >= x2 or y1 >= y2, or fewer than
            two pixels each way inside the frame, the least that a picture has.

    Returns:
        For each box its crop, a view uint8 (h, w, 3), or None for an unusable box.

    Raises:
        InputError: the frame is no picture.
        BoxError: the boxes are not (n, 4) numbers, or are refused.
    """
    if isinstance(frame, (list, tuple)):
        raise ImageShapeError("frame: boxes go with one frame; call embed() once for each frame")
    picture = images.as_array(frame, "frame")
    images.check(picture, "frame")
    exact = _checked(boxes)
    height, width = picture.shape[:2]
    with np.errstate(invalid="ignore"):  # of NaN; infinities are clipped
        pixels = np.clip(np.ceil(exact - 0.5), 0, [width, height, width, height])
        good = np.isfinite(exact).all(axis=1)
        good &= (pixels[:, 2:] - pixels[:, :2] >= images.MIN_SIDE).all(axis=1)
    if refuse and not good.all():
        raise _refusal(exact, good)
    if picture.dtype != np.uint8:  # once, however much the boxes overlap
        picture = np.rint(picture).astype(np.uint8)
    pixels[~good] = 0
    return [
        picture[y1:y2, x1:x2] if usable else None
        for (x1, y1, x2, y2), usable in zip(pixels.astype(int).tolist(), good, strict=True)
    ]


def _checked(boxes: Any) -> NDArray[np.float64]:
    """The boxes as float64 (n, 4)."""
    try:
        found = np.asarray(boxes)
    except Exception as error:  # ragged lists, and objects whose own code raises
        raise BoxError(
            f"boxes: {type(boxes).__name__} does not turn into an array ({error}); "
            "pass (n, 4) numbers in this computer's memory"
        ) from error
    if found.shape == (0,):  # an empty list
        found = found.reshape(0, 4)
    if found.ndim != 2 or found.shape[1] != 4:
        advice = "x1, y1, x2, y2 a row"
        if found.ndim == 1:
            advice = "[box] for a single box"
        elif found.ndim == 2 and found.shape[1] > 4:
            advice = "boxes[:, :4] where confidence or class follow the corners"
        raise BoxError(f"boxes: shape {found.shape} is not (n, 4); pass {advice}")
    if found.dtype.kind not in "iuf":
        raise BoxError(f"boxes: dtype {found.dtype} is not supported; pass int or float pixels")
    with np.errstate(over="ignore"):  # of wider floats, to infinity
        return found.astype(np.float64)


def _refusal(boxes: NDArray[np.float64], good: NDArray[np.bool_]) -> BoxError:
    bad = np.flatnonzero(~good).tolist()
    named = "; ".join(
        f"{index}: [{', '.join(f'{value:g}' for value in boxes[index])}]" for index in bad[:_NAMED]
    )
    more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
    return BoxError(
        f"{len(bad)} of {len(boxes)} boxes hold no picture ({named}{more}): a box needs numbers "
        f"with x1 < x2, y1 < y2 and {images.MIN_SIDE} pixels each way inside the frame; drop these "
        "(the error's .indices), or pass on_bad_box='nan' for rows of NaN in their places",
        tuple(bad),
    )
