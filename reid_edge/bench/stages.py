"""Where the time goes between a picture file and a score.

One pass does what a program does with a batch of files: decode, embed (which checks, resizes
and runs the engine), score.  `TimedReId` sees each call of the engine, so that the parts are those
of this very pass and add up to it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends import Fill
from ..backends.tensorrt import TensorRtBackend
from ..image_files import read_image
from ..reid import ReId

STAGES = ("decode", "resize", "engine", "head", "other")
GPU_STAGES = ("h2d", "compute", "d2h")
_GPU_WARM_UP, _GPU_BATCHES = 3, 15


class TimedReId(ReId):
    """A `ReId` that sums up the time of its engine and that of resizing.

    `engine` is all that the backend takes but for resizing pictures into its buffer.  TensorRT
    computes while the next batch is resized: what is hidden that way is nobody's waiting time,
    and is not counted as the engine's.
    """

    _engine = _resize = 0.0

    def _embed(self, count: int, fill: Fill) -> NDArray[np.float32]:
        filling = 0.0

        def timed(rows: NDArray[np.uint8], place: slice) -> None:
            nonlocal filling
            start = time.perf_counter()
            fill(rows, place)
            filling += time.perf_counter() - start

        start = time.perf_counter()
        found = super()._embed(count, timed)
        self._engine += time.perf_counter() - start - filling
        self._resize += filling
        return found

    def take(self) -> tuple[float, float]:
        """Seconds of the engine and of resizing since the last time; starts again at zero."""
        taken = self._engine, self._resize
        self._engine = self._resize = 0.0
        return taken

    def gpu_stages(self, count: int) -> dict[str, float] | None:
        """Milliseconds a picture of one batch's copy in, computation and copy back, by themselves.

        Args:
            count: pictures in the batch, at most the engine's largest.

        Returns:
            `GPU_STAGES`, each a median over batches, on the GPU's own clock; None where the backend
            cannot tell them apart, which TensorRT alone can.
        """
        backend = self._running()
        if not isinstance(backend, TensorRtBackend):
            return None
        found = [backend.stages(count) for _ in range(_GPU_WARM_UP + _GPU_BATCHES)][_GPU_WARM_UP:]
        return {name: statistics.median(one[name] for one in found) / count for name in GPU_STAGES}


class Passes:
    """Passes from files to scores, and the seconds of each stage in each pass."""

    def __init__(self, reid: TimedReId, files: Sequence[Path]) -> None:
        self._reid, self._files = reid, files
        self.seconds: list[dict[str, float]] = []

    def run(self) -> None:
        """One pass: decode the files, embed them, score the first against all."""
        self._reid.take()
        begun = time.perf_counter()
        pictures = [read_image(path) for path in self._files]
        decoded = time.perf_counter()
        embeddings = self._reid.embed(pictures)
        embedded = time.perf_counter()
        self._reid.score_grid(embeddings[:1], embeddings)
        scored = time.perf_counter()
        engine, resize = self._reid.take()
        self.seconds.append(
            {
                "decode": decoded - begun,
                "resize": resize,
                "engine": engine,
                "head": scored - embedded,
                "other": embedded - decoded - engine - resize,
            }
        )

    def described(self, last: int) -> dict[str, Any]:
        """The report's section, from the last passes: milliseconds a picture."""
        counted = self.seconds[-last:]
        each = {
            name: 1000 * statistics.median(one[name] for one in counted) / len(self._files)
            for name in STAGES
        }
        total = sum(each.values())
        return {
            "pictures": len(self._files),
            "ms_per_picture": each,
            "gpu_ms_per_picture": self._reid.gpu_stages(len(self._files)),
            "total_ms_per_picture": total,
            "share_outside_engine": 1 - each["engine"] / total,
            "share_outside_engine_decoded": 1 - each["engine"] / (total - each["decode"]),
        }
