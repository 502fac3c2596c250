"""What `ReId.embed` leaves of the bare engine: from decoded crops against a ready uint8 batch.

The crops are 60 to 200 pixels high, as detectors cut them out; checking, resizing and
collecting is what comes on top of the engine.  `speedup` is the share of the engine's images/s.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from reid_edge import ReId, bundle, images

from ._crops import HEIGHTS, crops
from ._measure import model_option, offered, report, side_by_side

_TARGET = 0.9


def run(
    model: str | None = None, batch: int = 32, repeats: int = 4, rounds: int = 15
) -> dict[str, Any]:
    """For each precision that the model has on this CPU; `model` as `ReId` takes it."""
    given = crops(batch)
    figures: dict[str, Any] = {}
    for precision in offered(bundle.load(bundle.find(model))):
        with ReId(model, backend="openvino", precision=precision) as reid:
            engine = reid._running()  # the very graph that `embed` runs
            ready = np.empty((batch, reid.bundle.height, reid.bundle.width, 3), np.uint8)
            images.fill(ready, given, reid.bundle.resize)
            found = side_by_side(
                _repeat(partial(reid.embed, given), repeats),
                _repeat(partial(engine.run, ready), repeats),
                rounds,
                _TARGET,
            )
        figures[f"embed, {precision}, batch {batch}, share of the bare engine"] = {
            "crop_heights": list(HEIGHTS),
            "ours_images_per_second": batch * repeats / found["ours_seconds"],
            "theirs_images_per_second": batch * repeats / found["theirs_seconds"],
            **found,
        }
    return figures


def _repeat(run: Callable[[], object], times: int) -> Callable[[], None]:
    """A few calls are long enough to be timed well."""

    def repeated() -> None:
        for _ in range(times):
            run()

    return repeated


if __name__ == "__main__":
    report(__doc__, run, model_option)
