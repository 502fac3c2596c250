"""Accuracy of re-identification: retrieval (CMC, mAP, mINP) and verification (ROC, calibration).

NumPy only.  Retrieval follows the Market-1501 protocol (Zheng et al., "Scalable person
re-identification: a benchmark", ICCV 2015): single query, gallery pictures of the query's
identity from the query's own camera left out.  Average precision is the mean of the precisions
at each true match, as most of the field computes it; the protocol's first code took trapezoids
under the curve, which gives a little less.  Verification functions take the scores of pairs that
show one person (`same`) and of pairs that show two (`different`) as two arrays.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import InputError

Scores = NDArray[np.floating]

_PART = 1 << 20  # pairs at a time, where each would take several temporary numbers


@dataclass(frozen=True)
class Retrieval:
    """Figures of a ranking, all in 0...1.

    Attributes:
        cmc: float64 (ranks,): share of queries with a true match among the first 1, 2, ... ranks.
        mean_ap: mean average precision (mAP).
        mean_inp: mean inverse negative penalty (mINP; Ye et al., TPAMI 2021).
        queries: how many queries had a true match and were counted.
    """

    cmc: NDArray[np.float64]
    mean_ap: float
    mean_inp: float
    queries: int

    @property
    def rank1(self) -> float:
        """The share of queries whose first candidate is right."""
        return float(self.cmc[0])


def retrieval(
    scores: NDArray[np.floating],
    query_pids: NDArray[np.integer],
    query_camids: NDArray[np.integer],
    gallery_pids: NDArray[np.integer],
    gallery_camids: NDArray[np.integer],
    ranks: int = 50,
) -> Retrieval:
    """Rank a gallery for each query and measure the ranking.

    Args:
        scores: (q, g), higher is more alike.
        query_pids, query_camids: (q,) identities and cameras of the queries.
        gallery_pids, gallery_camids: (g,) likewise for the gallery; pid -1 is left out as junk.
        ranks: the length of the CMC curve.

    Raises:
        InputError: shapes that do not fit, NaN scores, or no query with a true match.
    """
    shape = (len(query_pids), len(gallery_pids))
    if scores.shape != shape or len(query_camids) != shape[0] or len(gallery_camids) != shape[1]:
        raise InputError(f"scores have shape {scores.shape}; the labels ask for {shape}")
    if np.isnan(scores).any():
        raise InputError("scores contain NaN and cannot be ranked; check the model's output")
    hits = np.zeros(min(ranks, shape[1]), np.int64)
    precisions, penalties = [], []
    for row, pid, camid in zip(scores, query_pids, query_camids, strict=True):
        same = gallery_pids == pid
        counted = ~(same & (gallery_camids == camid)) & (gallery_pids != -1)
        order = np.argsort(-row[counted], kind="stable")
        found = np.flatnonzero(same[counted][order])  # ranks of the true matches, from 0
        if not len(found):
            continue
        hits[found[0] :] += 1
        precisions.append(np.mean(np.arange(1, len(found) + 1) / (found + 1)))
        penalties.append(len(found) / (found[-1] + 1))
    if not precisions:
        raise InputError("no query has a match from another camera; nothing can be measured")
    return Retrieval(
        hits / len(precisions),
        float(np.mean(precisions)),
        float(np.mean(penalties)),
        len(precisions),
    )


def auc(same: Scores, different: Scores) -> float:
    """Area under the ROC curve, 0...1: how often a one-person pair outscores a two-person pair.

    Ties count half (the Mann-Whitney statistic).
    """
    _need_both(same, different)
    ordered = np.sort(different)
    below = np.searchsorted(ordered, same, "left").mean()
    not_above = np.searchsorted(ordered, same, "right").mean()
    return float((below + not_above) / 2 / len(ordered))


def tpr_at_far(same: Scores, different: Scores, far: float) -> tuple[float, float]:
    """The true positive rate where at most a share `far` of two-person pairs is accepted.

    Returns:
        The rate, and the threshold: accept a pair whose score is at least that.
    """
    _need_both(same, different)
    threshold = _threshold(different, far, lambda place: np.partition(different, place)[place])
    return float((same >= threshold).mean()), float(threshold)


def _threshold(different: Scores, far: float, smallest: Callable[[int], Any]) -> Any:
    """The least threshold that accepts at most a share `far`; `smallest(k)` is the k-th score."""
    # How many false accepts there may be; 0.29 * 100 is 28.999999999999996.
    allowed = int(far * len(different) + 1e-9)
    if allowed >= len(different):
        return smallest(0)
    highest_refused = smallest(len(different) - 1 - allowed)
    return np.nextafter(highest_refused, np.inf, dtype=different.dtype)


def equal_error_rate(same: Scores, different: Scores) -> float:
    """The error rate where false accepts and false rejects are equally frequent."""
    _need_both(same, different)
    same, different = np.sort(same), np.sort(different)

    def rates(threshold: Any) -> tuple[float, float]:
        rejected = np.searchsorted(same, threshold, "left") / len(same)
        return rejected, 1 - np.searchsorted(different, threshold, "left") / len(different)

    def crossed(threshold: Any) -> bool:
        rejected, accepted = rates(threshold)
        return bool(rejected >= accepted)

    # One rate rises with the threshold and the other falls, so they are nearest where they cross.
    found: list[tuple[float, float]] = []
    for ordered in (same, different):
        place = bisect_left(ordered, True, key=crossed)
        found += [rates(threshold) for threshold in ordered[max(place - 1, 0) : place + 1]]
    rejected, accepted = min(found, key=lambda pair: abs(pair[0] - pair[1]))
    return float(rejected + accepted) / 2


@dataclass(frozen=True)
class Reliability:
    """Scores held against the truth, bin by bin of the score; each array float64 (bins,).

    Attributes:
        mass: share of all pairs that fall into the bin; they add up to 1.
        confidence: mean score in the bin; NaN where it is empty.
        share: share of one-person pairs in the bin; NaN where it is empty.
    """

    mass: NDArray[np.float64]
    confidence: NDArray[np.float64]
    share: NDArray[np.float64]


def reliability(same: Scores, different: Scores, bins: int = 15) -> Reliability:
    """The calibration curve of scores as probabilities.

    Both kinds of pairs have half of the mass, whatever their numbers; bins are of equal width.
    """
    _need_both(same, different)
    masses = []
    confidences = np.zeros(bins)
    for scores in (same, different):
        counts = np.zeros(bins)
        for start in range(0, len(scores), _PART):
            part = scores[start : start + _PART]
            place = np.clip((part * bins).astype(int), 0, bins - 1)
            counts += np.bincount(place, minlength=bins)
            confidences += np.bincount(place, part, minlength=bins) / (2 * len(scores))
        masses.append(counts / (2 * len(scores)))
    mass = masses[0] + masses[1]
    with np.errstate(invalid="ignore"):
        return Reliability(mass, confidences / mass, masses[0] / mass)


def calibration_error(same: Scores, different: Scores, bins: int = 15) -> float:
    """Expected calibration error (Guo et al., ICML 2017): |confidence - share|, by mass.

    Bins and weights are those of `reliability`.
    """
    found = reliability(same, different, bins)
    return float(np.nansum(found.mass * np.abs(found.confidence - found.share)))


def roc(
    same: Scores, different: Scores, rates: Scores
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of the ROC curve: at most a share `rates[i]` of two-person pairs is accepted.

    Args:
        same, different: scores.
        rates: (n,) false accept rates in 0...1.

    Returns:
        The true positive rates and the thresholds, each (n,), as those of `tpr_at_far`.
    """
    _need_both(same, different)
    same, different = np.sort(same), np.sort(different)
    found = [_threshold(different, float(rate), different.__getitem__) for rate in rates]
    refused = np.array([np.searchsorted(same, threshold, "left") for threshold in found])
    return 1 - refused / len(same), np.array(found, np.float64)


def balanced_accuracy(same: Scores, different: Scores, threshold: float = 0.5) -> float:
    """The share of right decisions at a threshold, both kinds of pairs weighing the same."""
    _need_both(same, different)
    return float(((same > threshold).mean() + (different <= threshold).mean()) / 2)


def _need_both(same: Scores, different: Scores) -> None:
    if not len(same) or not len(different):
        raise InputError("verification needs pairs that show one person and pairs that show two")
