"""Accuracy of a ReId on a dataset: retrieval and verification in one pass.

Pictures are embedded once; retrieval ranks by the scores that `score_grid` gives, and
verification uses the very query-gallery pairs that the protocol counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .datasets import QueryGallery, Sample
from .reid import ReId

_CHUNK = 256


def evaluate(
    reid: ReId, test: QueryGallery, advance: Callable[[int], None] = lambda done: None
) -> dict[str, float]:
    """Measure a model on a retrieval test.

    Args:
        reid: the model.
        test: query and gallery.
        advance: called with the number of pictures just embedded, for a progress bar.

    Returns:
        Shares in 0...1: rank1, rank5, rank10, mAP, mINP; auc, eer, tpr_at_far_1e-2,
        tpr_at_far_1e-3, accuracy_at_0.5 (balanced), calibration_error (balanced); and the
        counts queries and gallery.

    Raises:
        ImageFileError: a picture that can't be read; it is named.
        InputError: no query has a match from another camera.
    """
    query = embed_files(reid, test.query, advance)
    gallery = embed_files(reid, test.gallery, advance)
    return figures(test, reid.score_grid(query, gallery)).values


@dataclass(frozen=True)
class Figures:
    """What was measured, and what it was measured from.

    Attributes:
        values: the figures that `evaluate` returns.
        cmc: float64 (ranks,), the CMC curve.
        same, different: the scores of the pairs that the protocol counts, by kind.
    """

    values: dict[str, float]
    cmc: NDArray[np.float64]
    same: NDArray[np.floating]
    different: NDArray[np.floating]


def figures(test: QueryGallery, scores: NDArray[np.floating]) -> Figures:
    """Retrieval and verification figures from a grid of scores.

    Args:
        test: query and gallery.
        scores: (queries, gallery).

    Raises:
        InputError: no query has a match from another camera, or all show one person.
    """
    query_pids, query_camids = labels(test.query)
    gallery_pids, gallery_camids = labels(test.gallery)
    ranking = metrics.retrieval(scores, query_pids, query_camids, gallery_pids, gallery_camids)
    same_person = query_pids[:, None] == gallery_pids
    apart = query_camids[:, None] != gallery_camids
    counted = gallery_pids != -1  # junk
    same, different = scores[same_person & apart & counted], scores[~same_person & counted]
    values = {
        "rank1": ranking.rank1,
        "rank5": float(ranking.cmc[min(4, len(ranking.cmc) - 1)]),
        "rank10": float(ranking.cmc[min(9, len(ranking.cmc) - 1)]),
        "mAP": ranking.mean_ap,
        "mINP": ranking.mean_inp,
        **verification(same, different),
        "queries": ranking.queries,
        "gallery": len(test.gallery),
    }
    return Figures(values, ranking.cmc, same, different)


def verification(same: NDArray[np.floating], different: NDArray[np.floating]) -> dict[str, float]:
    """The figures of pairs, by the names that `evaluate` gives them."""
    return {
        "auc": metrics.auc(same, different),
        "eer": metrics.equal_error_rate(same, different),
        "tpr_at_far_1e-2": metrics.tpr_at_far(same, different, 1e-2)[0],
        "tpr_at_far_1e-3": metrics.tpr_at_far(same, different, 1e-3)[0],
        "accuracy_at_0.5": metrics.balanced_accuracy(same, different),
        "calibration_error": metrics.calibration_error(same, different),
    }


def embed_files(
    reid: ReId, samples: Sequence[Sample], advance: Callable[[int], None] = lambda done: None
) -> NDArray[np.float32]:
    """Decode and embed picture files, a few at a time: float32 (n, d)."""
    found = []
    for start in range(0, len(samples), _CHUNK):
        part = samples[start : start + _CHUNK]
        found.append(reid.embed_files([sample.path for sample in part]))
        advance(len(part))
    return np.concatenate(found)


def labels(samples: Sequence[Sample]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Identities and cameras of samples, each (n,)."""
    return (
        np.array([sample.pid for sample in samples]),
        np.array([sample.camid for sample in samples]),
    )
