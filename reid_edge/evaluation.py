"""Accuracy of a ReId on a dataset: retrieval and verification in one pass.

Pictures are embedded once; retrieval ranks by the scores that `score_grid` gives, and
verification uses the very query-gallery pairs that the protocol counts.

A picture that cannot be read is an error (`evaluate`, `embed_files`), for figures that are recorded
as those of a dataset are of all of it; or it is left out and told (`evaluate_readable`,
`embed_readable`), so that a user's folder with one damaged file can be measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import metrics
from ._unreadable import problem
from .datasets import QueryGallery, Sample
from .errors import DatasetError, InputError
from .reid import ReId

LABELS = {
    "rank1": "rank-1",
    "rank5": "rank-5",
    "rank10": "rank-10",
    "mAP": "mAP",
    "mINP": "mINP",
    "auc": "AUC",
    "eer": "EER",
    "tpr_at_far_1e-2": "TPR at FAR 1 %",
    "tpr_at_far_1e-3": "TPR at FAR 0.1 %",
    "accuracy_at_0.5": "accuracy at 0.5",
    "calibration_error": "calibration error",
}
"""What tables call the shares that `evaluate` returns."""

_CHUNK = 256
_NAMED = 20  # pictures left out that a report names

Part = TypeVar("Part")


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
        InputError: a picture too small, or no query has a match from another camera.
    """
    query = embed_files(reid, test.query, advance)
    gallery = embed_files(reid, test.gallery, advance)
    return figures(test, reid.score_grid(query, gallery)).values


def evaluate_readable(
    reid: ReId, test: QueryGallery, advance: Callable[[int], None] = lambda done: None
) -> tuple[dict[str, float], Embedded]:
    """As `evaluate`, without the pictures that cannot be read.

    Args:
        reid: the model.
        test: query and gallery.
        advance: called with the number of pictures just embedded or left out.

    Returns:
        The figures of what is left, its counts among them; and what was embedded and left out.

    Raises:
        DatasetError: nothing can be measured, be it for the pictures that cannot be read.
    """
    test.check()
    embedded = embed_readable(reid.embed_files, test.paths, advance)
    test = embedded.left_of(test.only)
    query, gallery = np.split(embedded.rows, [len(test.query)])
    return figures(test, reid.score_grid(query, gallery)).values, embedded


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


@dataclass(frozen=True)
class Embedded:
    """Embeddings of the pictures that could be read.

    Attributes:
        rows: float32 (n, d).
        kept: bool (pictures,), whether a picture is among them.
        skipped: what was wrong with each of the others; the message names the file.
    """

    rows: NDArray[np.float32]
    kept: NDArray[np.bool_]
    skipped: list[str]

    @property
    def left_out(self) -> dict[str, Any]:
        """For a report: how many pictures were `skipped`, and what was wrong with the first 20."""
        return {"skipped": len(self.skipped), "skipped_first": self.skipped[:_NAMED]}

    def left_of(self, only: Callable[[NDArray[np.bool_]], Part]) -> Part:
        """The readable part of a test.

        Args:
            only: makes the part of the test whose pictures are `kept`.

        Raises:
            DatasetError: `only`'s, which then names a picture that cannot be read.
        """
        try:
            return only(self.kept)
        except DatasetError as error:
            if not self.skipped:
                raise
            raise DatasetError(
                f"{error}; {len(self.skipped)} pictures cannot be read, "
                f"the first: {self.skipped[0]}"
            ) from None


def embed_readable(
    embed: Callable[[Sequence[Path]], NDArray[np.float32]],
    paths: Sequence[Path],
    advance: Callable[[int], None],
) -> Embedded:
    """Embed picture files, a few at a time; those that cannot be read are left out and named.

    Args:
        embed: `ReId.embed_files`, or what stands before it.
        paths: the files.
        advance: called with the number of pictures just embedded or left out.

    Raises:
        DatasetError: none of them can be read; the first is named.
    """
    parts, kept, skipped = [], np.ones(len(paths), bool), []
    for start in range(0, len(paths), _CHUNK):
        group = paths[start : start + _CHUNK]
        try:
            parts.append(embed(group))
        except InputError:  # one of them; which, and are there others?
            reasons = [problem(path) for path in group]
            skipped += [reason for reason in reasons if reason]
            kept[start : start + len(group)] = [not reason for reason in reasons]
            good = [path for path, bad in zip(group, reasons, strict=True) if not bad]
            if good:
                parts.append(embed(good))
        advance(len(group))
    if not parts:
        raise DatasetError(f"no picture can be read, the first: {skipped[0]}")
    return Embedded(np.concatenate(parts), kept, skipped)


def labels(samples: Sequence[Sample]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Identities and cameras of samples, each (n,)."""
    return (
        np.array([sample.pid for sample in samples]),
        np.array([sample.camid for sample in samples]),
    )
