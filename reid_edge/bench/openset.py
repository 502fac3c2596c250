"""Open-set identification: half of the people are enrolled, the others are strangers.

Detection and identification rate (DIR; Phillips, Grother and Micheals, Handbook of Face
Recognition, 2011; ISO/IEC 19795-1 calls it true-positive identification rate): the share of
queries of enrolled people whose first candidate is right *and* over the threshold that at most a
given share of strangers reaches (the false-positive identification rate, FPIR).  A candidate is an
identity, by its most similar picture.  As in retrieval, pictures of a query's identity from the
query's own camera do not count; strangers are held against all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .. import metrics
from ..datasets import QueryGallery
from ..errors import OptionError
from ..evaluation import labels
from ..gallery.rows import Rows
from ..gallery.search import Index
from ..gallery.threshold import cosine_at
from ..heads import CosineHead
from ..reid import ReId

RATES = {"1e-1": 0.1, "1e-2": 0.01}  # FPIR
_SEED = 0

Ints = NDArray[np.integer]
Floats = NDArray[np.floating]


def figures(
    reid: ReId, test: QueryGallery, embeddings: NDArray[np.float32], scores: NDArray[np.float32]
) -> dict[str, float]:
    """Measure a model on a retrieval test.

    Args:
        reid: the model.
        test: query and gallery.
        embeddings: (queries + gallery, d).
        scores: (queries, gallery).

    Returns:
        dir_at_fpir_1e-1 and dir_at_fpir_1e-2 with thresholds set on the strangers themselves;
        fpir_asked_1e-1 and fpir_asked_1e-2, the shares of strangers over the thresholds that a
        `Gallery` of these people sets without knowing the strangers, where it can; and the counts
        enrolled (identities) and strangers (queries).  A rate needs 1 / rate strangers: 1 % of
        fewer than 100 is nobody.  Nothing, where there are too few for 10 %, or no queries of
        enrolled people.
    """
    queries, (pids, camids) = labels(test.query), labels(test.gallery)
    enrolled = enrolled_half(queries[0], pids)
    kept = np.isin(pids, enrolled)
    if not kept.any():
        return {}
    own, other = best_scores(scores[:, kept], *queries, pids[kept], camids[kept])
    is_enrolled = np.isin(queries[0], enrolled)
    mated, strangers = is_enrolled & np.isfinite(own), ~is_enrolled
    rates = {name: rate for name, rate in RATES.items() if strangers.sum() * rate >= 1}
    if not mated.any() or not rates:
        return {}
    # Who is not the first candidate is not found at any threshold.
    found = np.where(own > other, own, -np.inf)[mated]
    values: dict[str, float] = {
        f"dir_at_fpir_{name}": metrics.tpr_at_far(found, other[strangers], rate)[0]
        for name, rate in rates.items()
    }
    rows = embeddings[: len(test.query)][strangers], embeddings[len(test.query) :][kept]
    values.update(_asked(reid, *rows, pids[kept], rates))
    return {**values, "enrolled": len(enrolled), "strangers": int(strangers.sum())}


def enrolled_half(query_pids: Ints, gallery_pids: Ints) -> Ints:
    """The identities that are enrolled: half, by chance, of those in query and gallery."""
    both = np.intersect1d(query_pids, gallery_pids)
    both = both[both > 0]  # the others are distractors and junk
    return np.sort(np.random.default_rng(_SEED).permutation(both)[: len(both) // 2])


def best_scores(
    scores: Floats, query_pids: Ints, query_camids: Ints, pids: Ints, camids: Ints
) -> tuple[Floats, Floats]:
    """Of each query the best score with its own identity, and with any other, each (q,).

    Pictures of the own identity from the query's own camera are left out; -inf where nothing is.
    """
    same = query_pids[:, None] == pids
    apart = query_camids[:, None] != camids
    own = np.where(same & apart, scores, -np.inf).max(1)
    return own, np.where(same, -np.inf, scores).max(1)


def _asked(
    reid: ReId,
    strangers: NDArray[np.float32],
    enrolled: NDArray[np.float32],
    pids: Ints,
    rates: dict[str, float],
) -> Iterator[tuple[str, float]]:
    """What the threshold of a Gallery does; it sees the enrolled only."""
    if not isinstance(reid.bundle.head, CosineHead):
        return
    index = Index(enrolled.shape[1])
    count = len(enrolled)
    index.append(
        Rows(np.arange(count), pids.astype(np.int64), enrolled, [None] * count, np.zeros(count))
    )
    groups = index.groups
    highest = index.search(strangers, 1).cosines[:, 0]
    among = index.strangers() if len(groups.owners) > 1 else np.empty(0, np.float32)
    for name, rate in rates.items():
        try:
            least = cosine_at(
                rate,
                among,
                groups.ends - groups.starts,
                reid.bundle.head,
                reid.bundle.thresholds,
            )
        except OptionError:  # few people, and a model without false accept rates
            return
        yield f"fpir_asked_{name}", float((highest > least).mean())
