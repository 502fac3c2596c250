"""Making scores mean something: the cosine head and its thresholds, fitted on labelled people.

A score is to be the probability that a pair shows one person, if one-person and two-person
pairs are equally likely.  Pairs are taken across cameras only, as they occur in use.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import metrics
from .bundle import Threshold
from .errors import InputError
from .heads import CosineHead

Ints = NDArray[np.integer]
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Calibration:
    """What `fit` found.

    Attributes:
        head: scale and bias.
        thresholds: by the names of the rates.
        error: expected calibration error on people other than those fitted on (two folds).
        same, different: how many pairs of each kind there were.
    """

    head: CosineHead
    thresholds: dict[str, Threshold]
    error: float
    same: int
    different: int


def fit(
    embeddings: NDArray[np.float32], pids: Ints, camids: Ints, rates: dict[str, float]
) -> Calibration:
    """Fit head and thresholds on all pairs of labelled pictures from different cameras.

    Args:
        embeddings: float32 (n, d), of unit length.  Memory grows with n * n.
        pids, camids: (n,) identities and cameras.
        rates: as in `thresholds`.

    Raises:
        InputError: as `fit_cosine_head`, and where half of the people cannot be fitted, so that
            nothing could be said about the other half.
    """
    a, b = cross_camera_pairs(pids, camids)
    if not len(a):
        raise InputError("calibration needs pictures from two cameras or more")
    cosines, same = (embeddings @ embeddings.T)[a, b], pids[a] == pids[b]
    head = fit_cosine_head(cosines, same)
    found = thresholds(_probabilities(head, cosines), pids[a], pids[b], rates)
    error = cross_fitted_error(cosines, same, pids[a], pids[b])
    return Calibration(head, found, error, int(same.sum()), int((~same).sum()))


def cross_fitted_error(
    cosines: Floats, same: NDArray[np.bool_], a_pids: Ints, b_pids: Ints
) -> float:
    """Expected calibration error on people other than those that the head was fitted on.

    The people are halved; each half is measured with the head of the other.
    """
    identities = np.unique(np.concatenate([a_pids, b_pids]))
    half = identities[::2]
    in_a, in_b = np.isin(a_pids, half), np.isin(b_pids, half)
    folds = (in_a & in_b, ~in_a & ~in_b)
    errors = []
    for fitted, measured in (folds, folds[::-1]):
        if not fitted.any() or not measured.any():
            raise InputError("calibration needs pairs among each half of the people; add people")
        found = _probabilities(fit_cosine_head(cosines[fitted], same[fitted]), cosines[measured])
        kind = same[measured]
        errors.append(metrics.calibration_error(found[kind], found[~kind]))
    return float(np.mean(errors))


def _probabilities(head: CosineHead, cosines: Floats) -> Floats:
    with np.errstate(over="ignore"):  # to 0, as it should
        return np.asarray(1 / (1 + np.exp(-(head.scale * cosines + head.bias))))


def cross_camera_pairs(pids: Ints, camids: Ints) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row indices a < b, each (p,), of all pairs of pictures from different cameras."""
    a, b = np.triu_indices(len(pids), 1)
    apart = camids[a] != camids[b]
    return a[apart], b[apart]


def fit_cosine_head(cosines: Floats, same: NDArray[np.bool_]) -> CosineHead:
    """Fit scale and bias by balanced logistic regression (Platt, 1999), with Newton's method.

    Args:
        cosines: (p,) of pairs of embeddings.
        same: (p,) whether a pair shows one person.

    Raises:
        InputError: only one kind of pair; kinds that a threshold separates without an error,
            for which no finite scale is best; or one-person pairs that are no more alike.
    """
    share = same.mean()
    if share in (0, 1):
        raise InputError("calibration needs pairs that show one person and pairs that show two")
    if cosines[same].mean() <= cosines[~same].mean():
        raise InputError(
            "pairs that show one person are no more alike than others; check the labels"
        )
    if cosines[same].min() >= cosines[~same].max():
        raise InputError(
            "the pairs separate perfectly, so no scale fits best; add harder ones: other cameras "
            "and light, people in similar clothes, worse crops"
        )
    weights = np.where(same, 0.5 / share, 0.5 / (1 - share)) / len(same)
    # Standardised, so that Newton's method starts well from zero.
    mean, spread = float(cosines.mean()), float(cosines.std())
    inputs = np.stack([(cosines - mean) / spread, np.ones(len(cosines))], 1)
    solution = np.zeros(2)
    for _ in range(100):
        logits = inputs @ solution
        probabilities = 1 / (1 + np.exp(-logits))
        gradient = inputs.T @ (weights * (probabilities - same))
        curvature = (inputs.T * (weights * probabilities * (1 - probabilities))) @ inputs
        step = np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient)
        # A Newton step on nearly separated pairs can overshoot: bound it.
        solution -= step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    scale = solution[0] / spread
    return CosineHead(float(scale), float(solution[1] - scale * mean))


def thresholds(
    scores: Floats,
    a_pids: Ints,
    b_pids: Ints,
    rates: dict[str, float],
    samples: int = 200,
    seed: int = 0,
) -> dict[str, Threshold]:
    """Scores above which only a given share of two-person pairs lies, with 95 % intervals.

    The intervals come from a bootstrap over identities: pairs that share a person are not
    independent, so drawing pairs would make them far too narrow.

    Args:
        scores: (p,) in 0...1.
        a_pids, b_pids: (p,) the identities of each pair.
        rates: name -> false accept rate, such as `{"far_1e-2": 0.01}`.
        samples: bootstrap samples.
        seed: of the bootstrap.
    """
    different = a_pids != b_pids
    if not different.any():
        raise InputError("thresholds need pairs that show two people")
    order = np.argsort(-scores[different], kind="stable")
    ordered = scores[different][order]
    identities, places = np.unique(np.concatenate([a_pids, b_pids]), return_inverse=True)
    first = places[: len(a_pids)][different][order]
    second = places[len(a_pids) :][different][order]
    rng = np.random.default_rng(seed)

    def at(weights: NDArray[np.floating], rate: float) -> float:
        accepted = np.cumsum(weights)
        place = int(np.searchsorted(accepted, rate * accepted[-1], side="right"))
        return float(ordered[min(place, len(ordered) - 1)])

    drawn = []
    for _ in range(samples):
        counts = np.bincount(
            rng.integers(0, len(identities), len(identities)), minlength=len(identities)
        )
        drawn.append([at(counts[first] * counts[second], rate) for rate in rates.values()])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    every = np.ones(len(ordered))
    return {
        name: Threshold(at(every, rate), float(low[index]), float(high[index]))
        for index, (name, rate) in enumerate(rates.items())
    }
