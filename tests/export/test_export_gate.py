"""The gate's figures and limits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.gate import Judge, check_labelled
from reid_edge.datasets import Sample
from reid_edge.errors import DatasetError
from reid_edge.heads import ConcatMlpHead, CosineHead

HEAD = CosineHead(10.0, -5.0)
SAMPLES = [
    Sample(Path(f"{pid}_{camid}_{number}"), pid, camid)
    for pid in range(1, 9)
    for camid in (1, 2)
    for number in range(3)
]


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def people(noise=0.5):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, 16))[[sample.pid - 1 for sample in SAMPLES]]
    return unit(centres + noise * rng.normal(size=centres.shape))


def disturbed(rows, by):
    return unit(rows + by * np.random.default_rng(1).normal(size=rows.shape))


@pytest.mark.parametrize("labelled", [True, False])
def test_the_same_embeddings_pass(labelled):
    judge = Judge(HEAD, SAMPLES, labelled, people())
    figures = judge.figures(people())
    assert figures["flips"] == 0
    assert figures["cosine_min"] == pytest.approx(1, abs=1e-5)
    if labelled:
        assert figures["map_ratio"] == figures["auc_ratio"] == 1
    else:
        assert figures["first_agrees"] == figures["rank_correlation"] == 1
        assert figures["score_difference"] == 0
    assert judge.misses(figures) == []


@pytest.mark.parametrize("labelled", [True, False])
def test_other_embeddings_do_not_pass(labelled):
    judge = Judge(HEAD, SAMPLES, labelled, people())
    missed = " ".join(judge.misses(judge.figures(disturbed(people(), 1.0))))
    assert "flips" in missed
    assert ("map_ratio" if labelled else "rank_correlation") in missed


def test_labelled_figures_by_hand():
    # Two people; the candidate takes one picture of the first for the second.
    samples = [Sample(Path(str(n)), 1 + n // 4, 1 + n % 2) for n in range(8)]
    reference = np.repeat(np.eye(2, dtype=np.float32), 4, axis=0)
    found = reference.copy()
    found[3] = [0, 1]  # person 1, camera 2, in the gallery
    figures = Judge(HEAD, samples, True, reference).figures(found)
    # 4 queries ask 4 gallery pictures.  One-person pairs across cameras: 4, of which 1 flips;
    # two-person pairs: 8, of which 2 flip.
    assert figures["flips"] == pytest.approx((1 / 4 + 2 / 8) / 2)
    # One query finds its match behind the two of the other person and itself: see the ranking
    # [p, q, r] with ties broken by place; only that it has dropped is pinned down here.
    assert figures["map_ratio"] < 1
    assert figures["cosine_min"] == 0


def test_concat_head_has_no_cosine():
    rng = np.random.default_rng(0)
    head = ConcatMlpHead(rng.normal(size=32), rng.normal(size=32), 0.0)
    rows = rng.normal(size=(48, 64)).astype(np.float32)
    judge = Judge(head, SAMPLES, False, rows)
    figures = judge.figures(rows)
    assert set(figures) == {"flips", "first_agrees", "rank_correlation", "score_difference"}
    assert judge.misses(figures) == []
    assert judge.misses(judge.figures(-rows))


def test_a_shift_that_lets_nobody_be_recognised_misses():
    """Same-person pairs are 0.2 % of all pairs here; that all of them flip must be seen."""
    rng = np.random.default_rng(0)
    size = 16
    # Wb = -Wa: relu(x - y) + relu(y - x) is the distance of x and y.
    head = ConcatMlpHead(np.zeros(2 * size), np.full(2 * size, -0.8), 5.0)
    centres = np.repeat(rng.normal(0, 3, (256, size)), 2, axis=0)
    found = centres + rng.normal(0, 0.02, centres.shape)
    rows = np.hstack([found, -found, -found, found]).astype(np.float32)
    judge = Judge(head, [Sample(Path(str(n)), 0, 0) for n in range(512)], False, rows)
    figures = judge.figures(rows + np.float32(0.2))
    assert figures["flips"] > 0.4
    missed = " ".join(judge.misses(figures))
    assert "flips" in missed
    assert "score_difference" in missed
    assert judge.misses(judge.figures(rows)) == []


def test_low_scores_are_not_all_as_good_as_the_first():
    judge = Judge(CosineHead(10.0, -20.0), SAMPLES, False, people())
    assert judge.figures(disturbed(people(), 1.0))["first_agrees"] < 0.9


@pytest.mark.parametrize(
    ("people", "pictures", "enough"),
    [(8, 2, True), (7, 2, False), (1, 9, False), (16, 1, True), (15, 1, False)],
)
def test_labelled_pictures_must_be_enough(people, pictures, enough):
    samples = [
        Sample(Path(f"{pid}_{camid}_{number}"), pid, camid)
        for pid in range(1, people + 1)
        for camid in range(2)
        for number in range(pictures)
    ]
    if enough:
        return check_labelled(samples)
    with pytest.raises(DatasetError, match="too few to judge on"):
        check_labelled(samples)
    return None


def test_not_a_number_misses():
    judge = Judge(HEAD, SAMPLES, True, people())
    assert len(judge.misses({"map_ratio": float("nan"), "flips": float("nan")})) == 2
