"""Accuracy of one running model on a task, and how far it drifts from FP32."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from .._files import read_regular
from ..evaluation import Embedded, embed_readable
from ..image_files import MAX_FILE_BYTES
from ..reid import ReId
from .cache import Cache
from .tasks import Embeddings, Task

# False accept rates of the ROC curve: 0.01 % to 100 %, ten points a decade.
_RATES = np.logspace(-4, 0, 41)


@dataclass(frozen=True)
class Measured:
    """A section of the report, and what it was made from."""

    section: dict[str, Any]
    task: Task
    embeddings: Embeddings


def measure(
    reid: ReId, spec: str, task: Task, cache: Cache, advance: Callable[[int], None]
) -> Measured:
    """Measure a model.

    Args:
        reid: the model.
        spec: how the task was asked for.
        task: what to measure on.
        cache: embeddings of earlier runs.
        advance: called with the number of pictures just embedded.

    Raises:
        DatasetError: nothing is left to measure without the pictures that cannot be read.
    """
    embedded = embed(reid, task.paths, cache, advance)
    if embedded.skipped:
        task = embedded.left_of(task.only)
    found = task.figures(reid, embedded.rows)
    section = {
        "dataset": spec,
        "figures": found.values,
        "pictures": len(embedded.kept),
        "pairs_same": len(found.same),
        "pairs_different": len(found.different),
        **embedded.left_out,
        "embeddings_from_cache": cache.hits,
        "curves": _curves(found.cmc, found.same, found.different),
        "drift": None,
    }
    return Measured(section, task, embedded.rows)


def embed(
    reid: ReId, paths: Sequence[Path], cache: Cache, advance: Callable[[int], None]
) -> Embedded:
    """`embed_readable`, through the cache: an entry is what is embedded at a time."""

    def embedded(group: Sequence[Path]) -> Embeddings:
        hashes = _hashes(group)
        rows = cache.find(hashes) if hashes else None
        if rows is None:
            rows = reid.embed_files(group)
            if hashes:
                cache.keep(hashes, rows)
        return rows

    return embed_readable(embedded, paths, advance)


def drift(reid: ReId, measured: Measured, reference: Measured) -> dict[str, float]:
    """How far a model's scores lie from those of a reference, of the same bundle.

    Returns:
        mAP (its change; absent where nothing is ranked), auc (its change), flips (share of the
        counted pairs decided otherwise at 0.5), max_abs_score and mean_abs_score (differences).
    """
    flips = count = 0
    total = highest = 0.0
    for ours, theirs in zip(
        measured.task.scores(reid, measured.embeddings),
        measured.task.scores(reid, reference.embeddings),
        strict=True,
    ):
        change = np.abs(ours - theirs)
        flips += int(((ours > 0.5) != (theirs > 0.5)).sum())
        count += len(ours)
        total += float(change.sum(dtype=np.float64))
        highest = max(highest, float(change.max(initial=0)))
    ours_figures, theirs_figures = measured.section["figures"], reference.section["figures"]
    changes = {
        name: ours_figures[name] - theirs_figures[name]
        for name in ("mAP", "auc")
        if name in ours_figures
    }
    return {
        **changes,
        "flips": flips / count,
        "max_abs_score": highest,
        "mean_abs_score": total / count,
    }


def _curves(
    cmc: NDArray[np.float64], same: NDArray[np.floating], different: NDArray[np.floating]
) -> dict[str, Any]:
    rates, _ = metrics.roc(same, different, _RATES)
    curve = metrics.reliability(same, different)
    filled = curve.mass > 0
    return {
        "cmc": cmc.round(6).tolist(),
        "roc": {"far": _RATES.round(8).tolist(), "tpr": rates.round(6).tolist()},
        "calibration": {
            "mass": curve.mass[filled].round(6).tolist(),
            "confidence": curve.confidence[filled].round(6).tolist(),
            "share": curve.share[filled].round(6).tolist(),
        },
    }


def _hashes(paths: Sequence[Path]) -> list[bytes]:
    """SHA-256 of each file's content; empty if one cannot be read."""
    try:
        return [hashlib.sha256(read_regular(path, MAX_FILE_BYTES)).digest() for path in paths]
    except OSError:
        return []
