"""Where the time goes between a picture file and a score.

One pass does what a program does with a batch of files: decode, embed (which checks, resizes
and runs the engine), score.  A stopwatch sits between `ReId` and its backend, so that the parts
are those of this very pass and add up to it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends._protocol import Backend, Fill
from ..image_files import read_image
from ..reid import ReId

STAGES = ("decode", "resize", "engine", "head", "other")


class Stopwatch:
    """A backend around another one, which sums up its time and that of resizing.

    `engine` is all that the backend takes but for `fill`, which resizes pictures into its
    buffer.  TensorRT computes while the next batch is resized: what is hidden that way is
    nobody's waiting time, and is not counted as the engine's.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.engine = self.resize = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def embed(self, count: int, fill: Fill) -> NDArray[np.float32]:
        """See `Backend.embed`."""
        filling = 0.0

        def timed(rows: NDArray[np.uint8], place: slice) -> None:
            nonlocal filling
            start = time.perf_counter()
            fill(rows, place)
            filling += time.perf_counter() - start

        start = time.perf_counter()
        found = self.inner.embed(count, timed)
        self.engine += time.perf_counter() - start - filling
        self.resize += filling
        return found

    def take(self) -> tuple[float, float]:
        """Seconds of the engine and of resizing since the last time; starts again at zero."""
        taken = self.engine, self.resize
        self.engine = self.resize = 0.0
        return taken


def watch(reid: ReId) -> Stopwatch:
    """Put a stopwatch between a model and its backend; it stays there."""
    if not isinstance(reid._backend, Stopwatch):
        reid._backend = Stopwatch(reid._running())
    found = reid._backend
    assert isinstance(found, Stopwatch)
    return found


class Passes:
    """Passes from files to scores, and the seconds of each stage in each pass."""

    def __init__(self, reid: ReId, files: Sequence[Path]) -> None:
        self._reid, self._files = reid, files
        self._watch = watch(reid)
        self.seconds: list[dict[str, float]] = []

    def run(self) -> None:
        """One pass: decode the files, embed them, score the first against all."""
        self._watch.take()
        begun = time.perf_counter()
        pictures = [read_image(path) for path in self._files]
        decoded = time.perf_counter()
        embeddings = self._reid.embed(pictures)
        embedded = time.perf_counter()
        self._reid.score_grid(embeddings[:1], embeddings)
        scored = time.perf_counter()
        engine, resize = self._watch.take()
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
            "total_ms_per_picture": total,
            "share_outside_engine": 1 - each["engine"] / total,
            "share_outside_engine_decoded": 1 - each["engine"] / (total - each["decode"]),
        }
