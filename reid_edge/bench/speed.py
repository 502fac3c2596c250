"""The scenarios: single stream, multi stream, offline throughput, and the stages of a pass.

They follow MLPerf Inference's (Reddi et al., ISCA 2020), brought to re-identification.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..images import Picture
from ..reid import ReId
from .pictures import generate, save
from .stages import Passes, TimedReId
from .timing import measure

CROPS = 8  # people in one frame of the multi-stream scenario
_STOCK = 64  # different pictures in turn, so that no cache holds the one answer
_BINS = 40  # of the histogram, at most
_STAGE_PICTURES = 16


def single_stream(reid: ReId, duration: float) -> dict[str, Any]:
    """One pair after another through `ReId.predict`, from decoded pictures."""
    turn = _turns(generate(_STOCK), 2)
    timing = measure(lambda: reid.predict(*next(turn)), duration)
    return {**timing.described(), "histogram": _histogram(timing.seconds)}


def multi_stream(reid: ReId, duration: float) -> dict[str, Any]:
    """Frames of `CROPS` people: each embedded, and scored against those of the frame before."""
    turn = _turns(generate(_STOCK), CROPS)
    before = reid.embed(next(turn))

    def frame() -> None:
        nonlocal before
        now = reid.embed(next(turn))
        reid.score_grid(now, before)
        before = now

    timing = measure(frame, duration)
    return {"crops": CROPS, **timing.described(), "histogram": _histogram(timing.seconds)}


def throughput(reid: TimedReId, batch: int, duration: float) -> dict[str, Any]:
    """`ReId.embed` on `batch` decoded pictures a call."""
    turn = _turns(generate(max(_STOCK, batch)), batch)
    engine: list[float] = []

    def embed() -> None:
        reid.embed(next(turn))
        engine.append(reid.take()[0])

    reid.take()
    timing = measure(embed, duration)
    counted = zip(engine[-len(timing.seconds) :], timing.seconds, strict=True)
    share = statistics.median(within / whole for within, whole in counted)
    return {
        "batch": batch,
        "images_per_second": batch / timing.median,
        "images_per_second_rounds": [batch / seconds for seconds in timing.rounds],
        "engine_images_per_second": batch / timing.median / share,
        "calls": len(timing.seconds),
        "spread": timing.spread,
        "stable": timing.stable,
    }


def stages(reid: TimedReId, duration: float) -> dict[str, Any]:
    """Files to scores, stage by stage, on JPEG files of generated pictures."""
    with tempfile.TemporaryDirectory() as name:
        passes = Passes(reid, save(generate(_STAGE_PICTURES), Path(name)))
        timing = measure(passes.run, duration)
    described = passes.described(len(timing.seconds))
    return {**described, "spread": timing.spread, "stable": timing.stable}


def _turns(pictures: Sequence[Picture], size: int) -> Iterator[list[Picture]]:
    """Groups of `size` pictures, round and round."""
    starts = range(0, len(pictures) - size + 1, size)
    return itertools.cycle([list(pictures[start : start + size]) for start in starts])


def _histogram(seconds: list[float]) -> dict[str, Any]:
    """Counts by milliseconds up to the 99.5th percentile; the last bin also takes what is over."""
    low, high = float(np.min(seconds)), float(np.percentile(seconds, 99.5))
    bins = max(5, min(_BINS, len(seconds) // 5))
    edges = np.linspace(low, max(high, low * 1.001 + 1e-9), bins + 1)
    counts, _ = np.histogram(np.minimum(seconds, edges[-1]), edges)
    return {"edges_ms": [round(1000 * edge, 4) for edge in edges], "counts": counts.tolist()}
