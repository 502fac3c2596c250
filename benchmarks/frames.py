"""The people of a 1080p frame: in one go against crop by crop, and where the time goes."""

from __future__ import annotations

import functools
import statistics
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from reid_edge import images
from reid_edge.bench.stages import TimedReId

from ._measure import model_option, report, seconds, side_by_side

_BOXES = (1, 8, 32, 128)
_ROUNDS = 9


def run(model: str | None = None) -> dict[str, Any]:
    """For each number of boxes: both ratios, milliseconds of each stage; what threads are worth."""
    rng = np.random.default_rng(0)
    # As OpenCV gives it, seen as RGB: resizing has the channels to swap, too.
    frame = rng.integers(0, 256, (1080, 1920, 3), np.uint8)[:, :, ::-1]
    reid = TimedReId(model)
    figures: dict[str, Any] = {"precision": reid.info()["precision"]}
    for count in _BOXES:
        boxes = _people(rng, count)
        crops = [frame[y1:y2, x1:x2] for x1, y1, x2, y2 in boxes.tolist()]
        in_one_go = functools.partial(reid.embed, frame, boxes=boxes)

        def crop_by_crop(crops: list[NDArray[np.uint8]] = crops) -> Any:
            return [reid.embed(crop) for crop in crops]

        figures[f"{count} boxes"] = {
            "against_crop_by_crop": side_by_side(in_one_go, crop_by_crop, _ROUNDS),
            "against_a_list_of_crops": side_by_side(
                in_one_go, functools.partial(reid.embed, crops), _ROUNDS
            ),
            "milliseconds": _stages(reid, in_one_go),
            "resize_on_threads_against_one": _threads(crops, reid),
        }
    return figures


def _people(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Boxes of standing people, near and far: 60 to 500 pixels tall, 0.4 as wide."""
    tall = np.exp(rng.uniform(np.log(60), np.log(500), count)).astype(int)
    wide = (0.4 * tall).astype(int)
    left, top = rng.integers(0, 1920 - wide), rng.integers(0, 1080 - tall)
    return np.stack([left, top, left + wide, top + tall], axis=1)


def _stages(reid: TimedReId, run: Any) -> dict[str, float]:
    """Medians of one call: crops resized into the batch, the engine, all else."""
    found: list[tuple[float, float, float]] = []
    for _ in range(_ROUNDS):
        reid.take()
        whole = seconds(run)
        engine, resize = reid.take()
        found.append((resize, engine, whole - engine - resize))
    resize, engine, other = (1000 * statistics.median(each) for each in zip(*found, strict=True))
    total = resize + engine + other
    return {"resize": resize, "engine": engine, "other": other, "resize_share": resize / total}


def _threads(crops: list[NDArray[np.uint8]], reid: TimedReId) -> dict[str, float]:
    """Resizing the first batch of crops as `ReId` does, against one thread doing it."""
    crops = crops[:32]
    batch = np.empty((len(crops), reid.bundle.height, reid.bundle.width, 3), np.uint8)
    resize = functools.partial(images.fill, batch, crops, reid.bundle.resize)

    def by_one() -> None:
        with mock.patch.object(images, "threads", return_value=1):
            resize()

    return side_by_side(resize, by_one, _ROUNDS)


if __name__ == "__main__":
    report(__doc__, run, model_option)
