"""Another evaluation by the Market-1501 protocol, which shares no code with the package.

Retrieval follows the steps of the protocol's first code (Zheng et al., ICCV 2015): for each query
the ranked list is walked, junk is stepped over, and the walk ends at the last true match.
Verification counts pairs over sorted scores.  All in float64, from the embeddings on.
"""

from __future__ import annotations

import bisect
import math
from pathlib import Path

import numpy as np


def listed(folder):
    """Pictures of a folder of Market-1501 but for junk: path, identity, camera."""
    found = []
    for path in sorted(Path(folder).glob("*.[jp][pn]g")):
        person, place = path.name.split("_")[:2]  # 0002_c1s1_000451_03.jpg
        if person != "-1":
            found.append((path, int(person), int(place[1 : place.index("s")])))
    return found


def walk(ranked, good, junk):
    """One query: the rank of the first true match, average precision in two ways, and INP.

    Args:
        ranked: numbers of gallery pictures, the most alike first.
        good, junk: those that are true matches, and those that do not count.
    """
    seen = hits = 0
    first = last = 0
    mean_of_precisions = trapezoids = 0.0
    old_recall, old_precision = 0.0, 1.0
    for number in ranked:
        if number in junk:
            continue
        seen += 1
        if number in good:
            hits += 1
            first, last = first or seen, seen
            mean_of_precisions += hits / seen / len(good)
        recall, precision = hits / len(good), hits / seen
        trapezoids += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
        if hits == len(good):
            break
    return first, mean_of_precisions, trapezoids, len(good) / last


def evaluate(query, gallery, query_rows, gallery_rows, scale, bias):
    """All figures of the report, and `mAP of trapezoids`, as the protocol's first code had it.

    Args:
        query, gallery: as `listed` gives them.
        query_rows, gallery_rows: their embeddings.
        scale, bias: of the head.
    """
    gallery_rows = np.asarray(gallery_rows, np.float64)
    walks, same, different = [], [], []
    for (_, person, camera), row in zip(query, np.asarray(query_rows, np.float64), strict=True):
        scores = 1 / (1 + np.exp(-(scale * (gallery_rows @ row) + bias)))
        good, junk = set(), set()
        for number, (_, other, place) in enumerate(gallery):
            if other == person:
                (junk if place == camera else good).add(number)
        same += [scores[number] for number in good]
        different.append(np.delete(scores, list(good | junk)))
        if good:
            walks.append(walk(np.argsort(-scores, kind="stable").tolist(), good, junk))
    count = len(walks)
    return {
        **{f"rank{k}": sum(first <= k for first, *_ in walks) / count for k in (1, 5, 10)},
        "mAP": sum(one[1] for one in walks) / count,
        "mAP of trapezoids": sum(one[2] for one in walks) / count,
        "mINP": sum(one[3] for one in walks) / count,
        **verify(sorted(same), np.sort(np.concatenate(different))),
        "queries": count,
        "gallery": len(gallery),
    }


def verify(same, different):
    """Verification figures of scores, both in ascending order."""
    n, m = len(same), len(different)
    won = sum(bisect.bisect_left(different, s) + bisect.bisect_right(different, s) for s in same)
    # At each threshold: refused pairs of one person, accepted pairs of two.
    errors = [
        (bisect.bisect_left(same, s) / n, (m - bisect.bisect_left(different, s)) / m) for s in same
    ]
    nearest = min(errors, key=lambda pair: abs(pair[0] - pair[1]))

    def true_positive_rate(far):
        refused = different[m - 1 - math.floor(far * m + 1e-9)]  # the highest that must be
        return (n - bisect.bisect_right(same, refused)) / n

    error = 0.0
    for number in range(15):
        low, high = number / 15, (number + 1) / 15 if number < 14 else 2.0
        ours, theirs = (
            part[bisect.bisect_left(part, low) : bisect.bisect_left(part, high)]
            for part in (same, different)
        )
        mass = len(ours) / n / 2 + len(theirs) / m / 2
        if mass:
            confidence = (sum(ours) / n / 2 + float(np.sum(theirs)) / m / 2) / mass
            error += mass * abs(confidence - len(ours) / n / 2 / mass)
    return {
        "auc": won / 2 / n / m,
        "eer": sum(nearest) / 2,
        "tpr_at_far_1e-2": true_positive_rate(0.01),
        "tpr_at_far_1e-3": true_positive_rate(0.001),
        "accuracy_at_0.5": (
            (n - bisect.bisect_right(same, 0.5)) / n + bisect.bisect_right(different, 0.5) / m
        )
        / 2,
        "calibration_error": error,
    }
