from __future__ import annotations

import numpy as np
import pytest

from reid_edge import metrics
from reid_edge.errors import InputError


def reference_retrieval(scores, query_pids, query_camids, gallery_pids, gallery_camids, ranks):
    """The Market-1501 protocol in words of one syllable; ties keep the gallery's order."""
    first_hits, precisions, penalties = [], [], []
    for q in range(len(query_pids)):
        order = sorted(range(len(gallery_pids)), key=lambda g: -scores[q][g])
        matches = []
        for g in order:
            if gallery_pids[g] == -1:
                continue
            if gallery_pids[g] == query_pids[q] and gallery_camids[g] == query_camids[q]:
                continue
            matches.append(gallery_pids[g] == query_pids[q])
        if not any(matches):
            continue
        hits, precision = 0, []
        for rank, match in enumerate(matches, 1):
            if match:
                hits += 1
                precision.append(hits / rank)
                last = rank
        first_hits.append(matches.index(True) + 1)
        precisions.append(sum(precision) / len(precision))
        penalties.append(hits / last)
    count = len(first_hits)
    cmc = [
        sum(first <= rank for first in first_hits) / count
        for rank in range(1, min(ranks, len(gallery_pids)) + 1)
    ]
    return cmc, sum(precisions) / count, sum(penalties) / count, count


def market(seed, queries=30, gallery=200, ties=False):
    rng = np.random.default_rng(seed)
    scores = rng.random((queries, gallery)).astype(np.float32)
    if ties:
        scores = np.round(scores, 1)
    return (
        scores,
        rng.integers(1, 12, queries),
        rng.integers(0, 3, queries),
        rng.integers(-1, 12, gallery),
        rng.integers(0, 3, gallery),
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("ranks", [3, 50, 500])
def test_retrieval_equals_the_slow_reference(seed, ties, ranks):
    case = market(seed, ties=ties)
    found = metrics.retrieval(*case, ranks=ranks)
    cmc, mean_ap, mean_inp, count = reference_retrieval(*case, ranks)
    np.testing.assert_allclose(found.cmc, cmc)
    assert found.mean_ap == pytest.approx(mean_ap)
    assert found.mean_inp == pytest.approx(mean_inp)
    assert found.queries == count
    assert found.rank1 == found.cmc[0]


def test_a_query_worked_out_by_hand():
    # Ranked: right (same camera: left out), wrong, right, junk (left out), wrong, right.
    found = metrics.retrieval(
        np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]]),
        np.array([1]),
        np.array([1]),
        np.array([1, 2, 1, -1, 3, 1]),
        np.array([1, 1, 2, 2, 1, 3]),
    )
    assert found.cmc.tolist() == [0, 1, 1, 1, 1, 1]
    assert found.mean_ap == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert found.mean_inp == pytest.approx(2 / 4)
    assert found.queries == 1


def test_distractors_count_as_wrong_and_queries_without_a_match_do_not_count():
    found = metrics.retrieval(
        np.array([[0.9, 0.1, 0.2], [0.5, 0.6, 0.7]]),
        np.array([1, 9]),
        np.array([1, 1]),
        np.array([0, 1, 9]),
        np.array([2, 2, 1]),
    )
    assert found.queries == 1
    assert found.cmc.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        (lambda case: (case[0][:, 1:], *case[1:]), "the labels ask for"),
        (lambda case: (*case[:2], case[2][1:], *case[3:]), "the labels ask for"),
        (lambda case: (*case[:4], case[4][1:]), "the labels ask for"),
        (lambda case: (np.where(case[0] > 0.5, np.nan, case[0]), *case[1:]), "contain NaN"),
        (lambda case: (*case[:3], case[3] + 100, case[4]), "nothing can be measured"),
        (lambda case: (case[0][:, :0], *case[1:3], case[3][:0], case[4][:0]), "nothing can be"),
    ],
)
def test_retrieval_refuses_what_cannot_be_measured(change, advice):
    with pytest.raises(InputError, match=advice):
        metrics.retrieval(*change(market(0)))


def verification(seed, ties=False, same=150, different=230):
    rng = np.random.default_rng(seed)
    scores = [rng.beta(4, 2, same).astype(np.float32), rng.beta(2, 4, different).astype(np.float32)]
    return [np.round(part, 2) for part in scores] if ties else scores


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
def test_auc_is_the_share_of_pairs_in_the_right_order(seed, ties):
    same, different = verification(seed, ties)
    won = sum((s > d) + (s == d) / 2 for s in same for d in different)
    assert metrics.auc(same, different) == pytest.approx(won / len(same) / len(different))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("far", [0.0, 0.001, 0.01, 0.05, 0.1, 0.5, 1.0])
def test_the_true_positive_rate_is_the_best_that_the_false_accept_rate_allows(seed, ties, far):
    same, different = verification(seed, ties)
    candidates = [*same, *different, 2.0]
    best = max(
        sum(s >= t for s in same) / len(same)
        for t in candidates
        if sum(d >= t for d in different) <= far * len(different)
    )
    rate, threshold = metrics.tpr_at_far(same, different, far)
    assert rate == pytest.approx(best)
    assert (different >= np.float32(threshold)).mean() <= far
    assert (same >= np.float32(threshold)).mean() == pytest.approx(rate)


def test_a_false_accept_rate_is_not_lost_to_rounding():
    # 0.29 * 100 is 28.999999999999996.
    different = np.arange(100) / 100
    _, threshold = metrics.tpr_at_far(np.array([0.5]), different, 0.29)
    assert (different >= threshold).sum() == 29


def test_the_equal_error_rate_of_cases_worked_out_by_hand():
    low, high = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.6, 0.7, 0.8, 0.9])
    assert metrics.equal_error_rate(high, low) == 0
    assert metrics.equal_error_rate(low, high) == 1
    assert metrics.equal_error_rate(low, low) == 0.5
    # One of four on the wrong side each.
    assert metrics.equal_error_rate(
        np.array([0.35, 0.7, 0.8, 0.9]), np.array([0.1, 0.2, 0.3, 0.65])
    ) == pytest.approx(0.25)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("many", "more"), [(150, 230), (1, 9), (9, 1), (1, 1)])
def test_the_equal_error_rate_is_found_among_all_thresholds(seed, ties, many, more):
    same, different = verification(seed, ties, many, more)
    errors = [
        (sum(s < t for s in same) / many, sum(d >= t for d in different) / more)
        for t in (*same, *different)
    ]
    gap = min(abs(rejected - accepted) for rejected, accepted in errors)
    best = [sum(pair) / 2 for pair in errors if abs(pair[0] - pair[1]) <= gap + 1e-12]
    found = metrics.equal_error_rate(same, different)
    assert min(abs(found - one) for one in best) < 1e-9


def reference_calibration_error(same, different, bins):
    total = 0.0
    for index in range(bins):
        members = []  # of this bin: weight, confidence, truth
        for scores, truth in ((same, 1), (different, 0)):
            for score in scores:
                if min(int(float(score) * bins), bins - 1) == index:
                    members.append((0.5 / len(scores), float(score), truth))
        mass = sum(weight for weight, _, _ in members)
        if mass:
            confidence = sum(weight * score for weight, score, _ in members) / mass
            accuracy = sum(weight * truth for weight, _, truth in members) / mass
            total += mass * abs(confidence - accuracy)
    return total


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bins", [1, 10, 15])
def test_the_calibration_error_equals_the_slow_reference(seed, bins, monkeypatch):
    monkeypatch.setattr(metrics, "_PART", 64)  # so that there are several parts
    same, different = verification(seed)
    found = metrics.calibration_error(same, different, bins)
    assert found == pytest.approx(reference_calibration_error(same, different, bins), abs=1e-6)


def test_calibration_at_the_ends_of_the_scale():
    sure, never = np.ones(5, np.float32), np.zeros(7, np.float32)
    assert metrics.calibration_error(sure, never) == 0
    assert metrics.calibration_error(never, sure) == 1
    assert metrics.calibration_error(np.full(9, 0.5), np.full(2, 0.5)) == 0


def test_balanced_accuracy_weighs_both_kinds_the_same_and_half_is_not_the_same_person():
    same, different = np.array([0.9, 0.5]), np.array([0.5] * 8 + [0.6] * 2)
    assert metrics.balanced_accuracy(same, different) == pytest.approx((0.5 + 0.8) / 2)


@pytest.mark.parametrize(
    "measure",
    [
        metrics.auc,
        metrics.equal_error_rate,
        metrics.calibration_error,
        metrics.balanced_accuracy,
        lambda same, different: metrics.tpr_at_far(same, different, 0.1),
    ],
)
def test_verification_needs_both_kinds_of_pairs(measure):
    some, none = np.array([0.5]), np.array([])
    for pair in ((some, none), (none, some)):
        with pytest.raises(InputError, match="needs pairs that show one person and pairs"):
            measure(*pair)


@pytest.mark.parametrize("ties", [False, True])
def test_points_of_the_roc_curve_are_those_of_single_rates(ties):
    same, different = verification(3, ties)
    rates = np.array([0.0, 0.001, 0.01, 0.1, 0.5, 1.0])
    found, scores = metrics.roc(same, different, rates)
    expected = [metrics.tpr_at_far(same, different, rate) for rate in rates]
    np.testing.assert_allclose(found, [rate for rate, _ in expected])
    np.testing.assert_array_equal(scores, [score for _, score in expected])


def test_reliability_of_a_case_worked_out_by_hand():
    # Two bins; each of two one-person pairs weighs 1/4, each of four two-person pairs 1/8.
    found = metrics.reliability(np.array([0.6, 1.0]), np.array([0.1, 0.2, 0.3, 0.8]), bins=2)
    np.testing.assert_allclose(found.mass, [3 / 8, 5 / 8])
    np.testing.assert_allclose(found.confidence, [0.2, (0.6 / 4 + 1 / 4 + 0.8 / 8) / (5 / 8)])
    np.testing.assert_allclose(found.share, [0, 0.8])


def test_an_empty_bin_has_no_confidence_and_counts_for_nothing():
    same, different = np.array([0.9, 0.95]), np.array([0.05, 0.0])
    found = metrics.reliability(same, different, bins=4)
    assert np.isnan(found.confidence).tolist() == [False, True, True, False]
    assert metrics.calibration_error(same, different, 4) == pytest.approx((0.075 + 0.025) / 2)
