import numpy as np
import pytest

from reid_edge import calibration, metrics
from reid_edge.errors import InputError


def drawn(count=20_000, scale=12.0, bias=-5.0, share=0.05, seed=0):
    """Cosines whose balanced log-odds are exactly scale * cosine + bias."""
    rng = np.random.default_rng(seed)
    # Two normal distributions of equal variance have linear log-odds.
    spread = 0.15
    middle, gap = -bias / scale, scale * spread**2
    same = rng.random(count) < share
    cosines = rng.normal(np.where(same, middle + gap / 2, middle - gap / 2), spread)
    return cosines.astype(np.float32), same


def test_the_fit_finds_the_true_scale_and_bias_from_unbalanced_pairs():
    cosines, same = drawn(200_000)
    head = calibration.fit_cosine_head(cosines, same)
    assert head.scale == pytest.approx(12.0, rel=0.03)
    assert head.bias == pytest.approx(-5.0, rel=0.03)


def test_the_fit_needs_both_kinds_of_pairs():
    with pytest.raises(InputError, match="pairs that show one person and pairs"):
        calibration.fit_cosine_head(np.array([0.1, 0.2]), np.array([True, True]))


def test_pairs_that_separate_perfectly_have_no_best_scale():
    with pytest.raises(InputError, match=r"separate perfectly.*add harder ones"):
        calibration.fit_cosine_head(np.array([0.1, 0.9]), np.array([False, True]))


def test_labels_the_wrong_way_round_are_refused():
    cosines, same = drawn()
    with pytest.raises(InputError, match="check the labels"):
        calibration.fit_cosine_head(cosines, ~same)


def test_cosines_that_are_all_equal_are_refused():
    with pytest.raises(InputError, match="no more alike"):
        calibration.fit_cosine_head(np.full(4, 0.5), np.array([True, False, True, False]))


def test_nearly_separated_pairs_still_converge():
    cosines = np.array([0.0, 0.1, 0.2, 0.8, 0.9, 0.15] * 50)
    same = np.array([False, False, False, True, True, True] * 50)
    head = calibration.fit_cosine_head(cosines, same)
    assert np.isfinite([head.scale, head.bias]).all()
    assert head.scale > 0


def test_thresholds_hold_their_rate_and_lie_in_their_interval():
    rng = np.random.default_rng(4)
    a_pids, b_pids = rng.integers(0, 60, (2, 30_000))
    scores = rng.random(30_000)
    found = calibration.thresholds(scores, a_pids, b_pids, {"far_1e-2": 0.01})["far_1e-2"]
    different = scores[a_pids != b_pids]
    assert np.mean(different > found.score) == pytest.approx(0.01, abs=2e-3)
    assert found.low < found.score < found.high


def test_an_identity_that_scores_high_widens_the_interval():
    """Pairs of one odd person come and go together in a bootstrap over identities."""
    rng = np.random.default_rng(4)
    a_pids, b_pids = rng.integers(0, 60, (2, 30_000))
    scores = rng.random(30_000) * 0.5
    plain = calibration.thresholds(scores, a_pids, b_pids, {"far": 0.01})["far"]
    scores[(a_pids == 7) | (b_pids == 7)] += 0.4
    odd = calibration.thresholds(scores, a_pids, b_pids, {"far": 0.01})["far"]
    assert odd.high - odd.low > 5 * (plain.high - plain.low)


def test_pairs_are_taken_across_cameras_only():
    a, b = calibration.cross_camera_pairs(np.array([1, 1, 2]), np.array([1, 2, 1]))
    assert list(zip(a.tolist(), b.tolist(), strict=True)) == [(0, 1), (1, 2)]


def crowd(people=24, shots=3, seed=2, noise=0.9):
    """Unit rows of people, each seen by two cameras."""
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(people), 2 * shots)
    camids = np.tile(np.repeat([1, 2], shots), people)
    rows = rng.normal(size=(people, 16))[pids] + noise * rng.normal(size=(len(pids), 16))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float32), pids, camids


def test_fit_takes_all_pairs_across_cameras():
    rows, pids, camids = crowd()
    found = calibration.fit(rows, pids, camids, {"far": 0.02})
    pairs = [
        (i, j) for i in range(len(rows)) for j in range(i + 1, len(rows)) if camids[i] != camids[j]
    ]
    a, b = np.array(pairs).T
    cosines, same = np.array([rows[i] @ rows[j] for i, j in pairs]), pids[a] == pids[b]
    head = calibration.fit_cosine_head(cosines, same)
    assert found.head.scale == pytest.approx(head.scale, rel=1e-4)
    assert found.head.bias == pytest.approx(head.bias, rel=1e-4)
    assert (found.same, found.different) == (same.sum(), (~same).sum())
    scores = head.pairs(rows[a], rows[b])
    threshold = found.thresholds["far"]
    assert np.mean(scores[~same] > threshold.score) == pytest.approx(0.02, abs=1e-3)
    assert threshold.low <= threshold.score <= threshold.high


def test_the_error_is_measured_on_people_that_were_not_fitted_on():
    rows, pids, camids = crowd()
    a, b = calibration.cross_camera_pairs(pids, camids)
    cosines, same = (rows @ rows.T)[a, b], pids[a] == pids[b]
    errors = []
    for fitted in (0, 1):  # people of even numbers, then of odd ones
        inside = (pids[a] % 2 == fitted) & (pids[b] % 2 == fitted)
        outside = (pids[a] % 2 != fitted) & (pids[b] % 2 != fitted)
        head = calibration.fit_cosine_head(cosines[inside], same[inside])
        scores = 1 / (1 + np.exp(-(head.scale * cosines[outside] + head.bias)))
        errors.append(metrics.calibration_error(scores[same[outside]], scores[~same[outside]]))
    found = calibration.cross_fitted_error(cosines, same, pids[a], pids[b])
    assert found == pytest.approx(np.mean(errors))
    assert found > 0


def test_fit_needs_two_cameras_and_pairs_in_each_half():
    rows, pids, camids = crowd()
    with pytest.raises(InputError, match="two cameras"):
        calibration.fit(rows, pids, np.ones_like(camids), {"far": 0.02})
    apart = np.array([0, 0, 0]), np.array([1, 1, 1])  # no pair within either half
    with pytest.raises(InputError, match="each half of the people"):
        calibration.cross_fitted_error(np.array([0.1, 0.2, 0.3]), np.zeros(3, bool), *apart)
