import numpy as np
import pytest

from reid_edge import calibration
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
    with pytest.raises(InputError, match="separate perfectly"):
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
