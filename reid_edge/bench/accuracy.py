"""Accuracy of one running model on a task, and how far it drifts from FP32."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import images, metrics
from .._files import read_regular
from ..errors import DatasetError, InputError
from ..image_files import MAX_FILE_BYTES, read_image
from ..reid import ReId
from .cache import Cache
from .tasks import Embeddings, Task

_GROUP = 256  # pictures of one cache entry
_NAMED = 20  # skipped pictures that the report names
# False accept rates of the ROC curve: 0.01 % to 100 %, ten points a decade.
_RATES = np.logspace(-4, 0, 41)


@dataclass(frozen=True)
class Embedded:
    """Embeddings of the pictures that could be read.

    Attributes:
        rows: float32 (n, d).
        kept: bool (pictures,), whether a picture is among them.
        skipped: what was wrong with each of the others; the message names the file.
    """

    rows: Embeddings
    kept: NDArray[np.bool_]
    skipped: list[str]


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
        try:
            task = task.only(embedded.kept)
        except DatasetError as error:
            raise DatasetError(
                f"{error}; {len(embedded.skipped)} pictures cannot be read, "
                f"the first: {embedded.skipped[0]}"
            ) from None
    found = task.figures(reid, embedded.rows)
    section = {
        "dataset": spec,
        "figures": found.values,
        "pictures": len(embedded.kept),
        "pairs_same": len(found.same),
        "pairs_different": len(found.different),
        "skipped": len(embedded.skipped),
        "skipped_first": embedded.skipped[:_NAMED],
        "embeddings_from_cache": cache.hits,
        "curves": _curves(found.cmc, found.same, found.different),
        "drift": None,
    }
    return Measured(section, task, embedded.rows)


def embed(
    reid: ReId, paths: Sequence[Path], cache: Cache, advance: Callable[[int], None]
) -> Embedded:
    """Embed picture files; those that cannot be read are left out and named."""
    parts, kept, skipped = [], np.ones(len(paths), bool), []
    for start in range(0, len(paths), _GROUP):
        group = paths[start : start + _GROUP]
        hashes = _hashes(group)
        rows = cache.find(hashes) if hashes else None
        if rows is None:
            try:
                rows = reid.embed_files(list(group))
            except InputError:  # one of them; which, and are there others?
                reasons = [_problem(path) for path in group]
                skipped += [reason for reason in reasons if reason]
                kept[start : start + len(group)] = [not reason for reason in reasons]
                good = [path for path, bad in zip(group, reasons, strict=True) if not bad]
                rows = reid.embed_files(good) if good else np.empty((0, 0), np.float32)
            else:
                if hashes:
                    cache.keep(hashes, rows)
        if len(rows):
            parts.append(rows)
        advance(len(group))
    if not parts:
        raise DatasetError(f"no picture can be read, the first: {skipped[0]}")
    return Embedded(np.concatenate(parts), kept, skipped)


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


def _problem(path: Path) -> str | None:
    try:
        images.check(read_image(path), str(path))
    except InputError as error:
        return str(error)
    return None
