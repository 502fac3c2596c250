"""The accuracy gate: what a graph answers, held against what the FP32 graph answers.

Labelled pictures say whether people are still told apart (mAP and verification AUC, and
decisions at 0.5 that flip); without labels, the embeddings and the ranking must stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_edge import datasets, metrics
from reid_edge.datasets import Sample
from reid_edge.errors import DatasetError
from reid_edge.evaluation import labels
from reid_edge.heads import CosineHead, Head

Floats = NDArray[np.float32]
Figures = dict[str, float]

MOST_PICTURES = 2048
MOST_UNLABELLED = 512  # each is compared with each
FEWEST = 16
FEWEST_QUERIES = 16  # labelled, with a match: below, one ranking is more than the limits

_LABELLED_AT_LEAST = {"map_ratio": 0.99, "auc_ratio": 0.99}
_UNLABELLED_AT_LEAST = {
    "cosine_mean": 0.99,
    "cosine_min": 0.95,
    "first_agrees": 0.95,
    "rank_correlation": 0.98,
}
# In scores, and as a share of low ones, which are all within 0.01 of one another.
_AS_GOOD, _AS_GOOD_SHARE = 0.01, 0.1
_AT_MOST = {"flips": 0.01, "score_difference": 0.02}


def check_labelled(samples: Sequence[Sample]) -> None:
    """Whether labelled pictures are enough to rank.

    Raises:
        DatasetError: they are not.
    """
    test = datasets.one_query_per_camera(list(samples))
    cameras: dict[int, set[int]] = {}
    for sample in test.gallery:
        cameras.setdefault(sample.pid, set()).add(sample.camid)
    matched = sum(bool(cameras.get(each.pid, set()) - {each.camid}) for each in test.query)
    people = len({sample.pid for sample in samples})
    if len(samples) < FEWEST or people < 2 or matched < FEWEST_QUERIES:
        raise DatasetError(
            f"{len(samples)} labelled pictures of {people} people, and {matched} queries that have "
            f"a match, are too few to judge on; give at least {FEWEST} pictures, 2 people and "
            f"{FEWEST_QUERIES} queries (each identity's first picture from each camera asks; "
            "of one with a single picture a camera, only the first)"
        )


@dataclass(frozen=True)
class Judge:
    """Pictures with the FP32 graph's embeddings of them, to hold other graphs' against.

    Attributes:
        head: makes scores of embeddings.
        samples: the pictures, in the order of the embeddings.
        labelled: whether their labels mean something.
        reference: (n, d), of the FP32 graph.
    """

    head: Head
    samples: Sequence[Sample]
    labelled: bool
    reference: Floats

    def figures(self, embeddings: Floats) -> Figures:
        """Compare embeddings (n, d) of the same pictures with the reference."""
        found = self._labelled(embeddings) if self.labelled else self._unlabelled(embeddings)
        found |= self._cosines(embeddings)
        return {name: round(value, 5) for name, value in found.items()}

    def misses(self, figures: Figures) -> list[str]:
        """The figures that are beyond their limits, each as a phrase for people."""
        at_least = _LABELLED_AT_LEAST if self.labelled else _UNLABELLED_AT_LEAST
        # Written so that NaN misses, too.
        low = [
            f"{name} {figures[name]:.4g} (at least {limit})"
            for name, limit in at_least.items()
            if name in figures and not figures[name] >= limit
        ]
        high = [
            f"{name} {figures[name]:.4g} (at most {limit})"
            for name, limit in _AT_MOST.items()
            if name in figures and not figures[name] <= limit
        ]
        return low + high

    def _labelled(self, embeddings: Floats) -> Figures:
        """Relative to FP32's; in flips, one- and two-person pairs weigh the same."""
        test = datasets.one_query_per_camera(list(self.samples))
        places = {sample.path: place for place, sample in enumerate(self.samples)}
        query, gallery = (
            np.array([places[sample.path] for sample in part])
            for part in (test.query, test.gallery)
        )
        pids, camids = labels(self.samples)
        same = pids[query][:, None] == pids[gallery]
        apart = camids[query][:, None] != camids[gallery]
        grids = [
            self.head.grid(each[query], each[gallery]) for each in (self.reference, embeddings)
        ]
        mean_aps = [
            metrics.retrieval(
                grid, pids[query], camids[query], pids[gallery], camids[gallery]
            ).mean_ap
            for grid in grids
        ]
        aucs = [metrics.auc(grid[same & apart], grid[~same]) for grid in grids]
        flipped = (grids[0] > 0.5) != (grids[1] > 0.5)
        return {
            "map_ratio": mean_aps[1] / mean_aps[0],
            "auc_ratio": aucs[1] / aucs[0],
            "flips": float(flipped[same & apart].mean() + flipped[~same].mean()) / 2,
        }

    def _unlabelled(self, embeddings: Floats) -> Figures:
        """Of all pairs of two pictures: scores, decisions, and each picture's ranking.

        Nearly all pairs are of two people, and easy: those that FP32 accepts weigh as much as
        those that it rejects.
        """
        apart = ~np.eye(len(embeddings), dtype=bool)
        grids = [
            self.head.grid(each, each)[apart].reshape(len(each), -1)
            for each in (self.reference, embeddings)
        ]
        # Places in each row's ranking; the correlation of places is Spearman's.
        ranks = [np.argsort(np.argsort(grid, axis=1, kind="stable"), axis=1) for grid in grids]
        middle = (ranks[0].shape[1] - 1) / 2
        products = [((a - middle) * (b - middle)).sum() for a, b in (ranks, (ranks[0], ranks[0]))]
        # Which of two pictures of one moment comes first says nothing: as good counts, too.
        first = np.take_along_axis(grids[0], grids[1].argmax(axis=1)[:, None], axis=1)[:, 0]
        best = grids[0].max(axis=1)
        as_good = np.minimum(_AS_GOOD, _AS_GOOD_SHARE * best)
        accepted = grids[0] > 0.5
        return {
            "flips": _balanced(accepted != (grids[1] > 0.5), accepted),
            "first_agrees": float((first >= best - as_good).mean()),
            "rank_correlation": float(products[0] / products[1]),
            "score_difference": _balanced(np.abs(grids[0] - grids[1]), accepted),
        }

    def _cosines(self, embeddings: Floats) -> Figures:
        """Only where an embedding is a direction."""
        if not isinstance(self.head, CosineHead):
            return {}
        cosines = np.einsum("ij,ij->i", self.reference, embeddings)
        cosines /= np.linalg.norm(self.reference, axis=1) * np.linalg.norm(embeddings, axis=1)
        return {"cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min())}


def _balanced(values: NDArray[Any], accepted: NDArray[np.bool_]) -> float:
    """The mean of the means among accepted and among rejected pairs; without any it is 0."""
    return sum(float(values[each].mean()) for each in (accepted, ~accepted) if each.any()) / 2
