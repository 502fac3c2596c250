"""Search, and the threshold, against the plain definition."""

from __future__ import annotations

import numpy as np
import pytest
from gallery_files import rows

from reid_edge.bundle import Threshold
from reid_edge.errors import OptionError
from reid_edge.gallery import search
from reid_edge.gallery.rows import Rows
from reid_edge.gallery.search import Index
from reid_edge.gallery.threshold import LEAST_FPIR, MOST_FPIR, cosine_at
from reid_edge.heads import CosineHead

HEAD = CosineHead(20.0, -8.0)
RATES = {"far_1e-2": Threshold(0.8, 0.7, 0.9), "far_1e-3": Threshold(0.98, 0.97, 0.99)}


def filled(owners, seed=0, size=8, parts=3):
    owners = np.array(owners, np.int64)
    embeddings = rows(len(owners), seed, size)
    index = Index(size)
    for place in np.array_split(np.arange(len(owners)), parts):
        index.append(
            Rows(place + 1, owners[place], embeddings[place], ["c"] * len(place), place * 1.0)
        )
    return index, owners, embeddings


@pytest.mark.parametrize("tile", [1, 100, 1 << 22])
@pytest.mark.parametrize(("people", "top"), [(1, 1), (2, 5), (7, 3), (60, 5), (60, 60)])
def test_the_best_identities_are_those_of_sorting_everything(people, top, tile, monkeypatch):
    monkeypatch.setattr(search, "_TILE", tile)
    owners = 10 * np.random.default_rng(people).integers(0, people, 60) + 7
    index, owners, embeddings = filled(owners, seed=people)
    queries = rows(5, seed=99)
    found = index.search(queries, top)
    for number, query in enumerate(queries):
        best = {}
        for place, owner in enumerate(owners):
            cosine = float(embeddings[place] @ query)
            if cosine > best.get(owner, (-2, 0))[0]:
                best[owner] = cosine, place
        expected = sorted(best.items(), key=lambda item: -item[1][0])[:top]
        assert found.owners[number].tolist() == [owner for owner, _ in expected]
        assert found.places[number].tolist() == [place for _, (_, place) in expected]
        assert found.cosines[number] == pytest.approx(
            [cosine for _, (cosine, _) in expected], abs=1e-6
        )


def test_equals_come_in_the_order_of_enrolment():
    index = Index(2)
    same = np.tile(np.float32([1, 0]), (6, 1))
    index.append(Rows(np.arange(1, 7), np.array([3, 1, 2, 2, 1, 3]), same, [None] * 6, np.zeros(6)))
    found = index.search(np.float32([[1, 0]]), 2)
    assert found.owners.tolist() == [[1, 2]]
    assert found.places.tolist() == [[1, 2]]


def test_of_many_equals_the_first_are_taken():
    index = Index(2)
    index.append(
        Rows(
            np.arange(1, 1001),
            np.arange(1000),
            np.tile(np.float32([1, 0]), (1000, 1)),
            [None] * 1000,
            np.zeros(1000),
        )
    )
    assert index.search(np.float32([[1, 0]]), 5).owners.tolist() == [[0, 1, 2, 3, 4]]


def test_a_picture_keeps_its_id_camera_and_time():
    index = Index(8)
    index.append(
        Rows(np.array([4, 9]), np.array([1, 1]), rows(2), ["a", None], np.array([5, np.nan]))
    )
    assert index.picture(0) == (4, "a", 5.0)
    assert index.picture(1) == (9, None, None)
    assert (len(index), index.last) == (2, 9)


def test_strangers_are_held_against_everyone_but_themselves():
    index, owners, embeddings = filled(np.random.default_rng(1).integers(0, 9, 50))
    cosines = embeddings @ embeddings.T
    cosines[owners[:, None] == owners] = -2
    assert np.sort(index.strangers()) == pytest.approx(np.sort(cosines.max(1)), abs=1e-6)


def test_of_many_an_even_share_of_strangers_is_taken(monkeypatch):
    monkeypatch.setattr(search, "_MOST_PROBES", 10)
    index, owners, embeddings = filled(np.repeat(np.arange(10), 5))
    cosines = embeddings @ embeddings.T
    cosines[owners[:, None] == owners] = -2
    assert index.strangers() == pytest.approx(cosines.max(1)[::5], abs=1e-6)  # one of each


def test_neighbours_are_each_identity_s_nearest():
    index, owners, embeddings = filled(np.random.default_rng(2).integers(0, 9, 50))
    found = index.neighbours()
    assert [cosine for _, _, cosine in found] == sorted((c for *_, c in found), reverse=True)
    assert {one for one, _, _ in found} == set(owners.tolist())
    for one, other, cosine in found:
        mine, theirs = embeddings[owners == one], embeddings[owners == other]
        assert cosine == pytest.approx((mine @ theirs.T).max(), abs=1e-6)
        assert cosine == pytest.approx((mine @ embeddings[owners != one].T).max(), abs=1e-6)
    assert filled([1, 1, 1])[0].neighbours() == []


def test_of_many_each_is_near_to_those_of_the_share(monkeypatch):
    monkeypatch.setattr(search, "_COMPARISONS", 4)  # one picture of 40 is held against all
    index, _, embeddings = filled(np.arange(40))
    found = {one: (other, cosine) for one, other, cosine in index.neighbours()}
    alike = embeddings @ embeddings[0]
    assert found.pop(0) == (int(alike[1:].argmax()) + 1, pytest.approx(alike[1:].max(), abs=1e-6))
    assert found.keys() == set(range(1, 40))
    for one, (other, cosine) in found.items():
        assert other == 0
        assert cosine == pytest.approx(alike[one], abs=1e-6)


def world(people, pictures, seed, size=64):
    """People seen under varied conditions: how alike two of them are varies, too."""
    rng = np.random.default_rng(seed)
    middles = rng.normal(size=(people, 1, size)) * np.linspace(2, 0.5, size)
    found = middles + rng.normal(size=(people, pictures, size))
    return (found / np.linalg.norm(found, axis=2, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize(("fpir", "low", "high"), [(0.1, 0.07, 0.14), (0.01, 0.004, 0.02)])
def test_strangers_are_known_about_as_often_as_was_accepted(fpir, low, high):
    shares = []
    for seed in range(4):
        everyone = world(1400, 3, seed)
        enrolled, strangers = everyone[:400], everyone[400:]
        index = Index(64)
        owners = np.repeat(np.arange(400), 3)
        index.append(
            Rows(
                np.arange(1, 1201), owners, enrolled.reshape(-1, 64), [None] * 1200, np.zeros(1200)
            )
        )
        least = cosine_at(fpir, index.strangers(), np.full(400, 3), HEAD, {})
        highest = index.search(strangers.reshape(-1, 64), 1).cosines[:, 0]
        shares.append((highest > least).mean())
    assert low < np.mean(shares) < high


def test_few_people_take_the_model_s_rates():
    strangers = np.full(9, 0.9, np.float32)
    at = [cosine_at(f, strangers, np.ones(1), HEAD, RATES) for f in (0.01, 0.001)]
    logits = [HEAD.scale * cosine + HEAD.bias for cosine in at]
    # With one comparison the accepted rates are the model's own.
    assert 1 / (1 + np.exp(-np.array(logits))) == pytest.approx([0.8, 0.98], abs=1e-6)
    # A hundred comparisons at 10 % are one at 0.105 %.
    hundred = cosine_at(1 - 0.999**100, strangers, np.full(1, 100**2), HEAD, RATES)
    assert hundred == pytest.approx(at[1], abs=1e-6)


def test_many_people_take_their_own_estimate():
    rng = np.random.default_rng(0)
    strangers = (0.5 + rng.exponential(0.05, 2000)).astype(np.float32)
    exact = 0.5 + 0.05 * np.log(1 / 0.01)
    assert cosine_at(0.01, strangers, np.ones(10**6), HEAD, {}) == pytest.approx(exact, abs=0.01)
    both = cosine_at(0.01, strangers, np.ones(50), HEAD, RATES)
    own = cosine_at(0.01, strangers, np.ones(50), HEAD, {})
    model = cosine_at(0.01, strangers[:0], np.ones(9), HEAD, RATES)
    assert min(own, model) < both < max(own, model) + 0.05


def test_the_threshold_rises_with_the_gallery_and_falls_with_the_accepted_share():
    strangers = np.linspace(0.2, 0.5, 100).astype(np.float32)
    for count in (5, 50):
        found = [
            cosine_at(f, strangers, np.ones(count), HEAD, RATES) for f in (0.001, 0.01, 0.1, 0.5)
        ]
        assert found == sorted(found, reverse=True)
    few, many = (cosine_at(0.01, strangers, np.ones(n), HEAD, RATES) for n in (2, 9))
    assert few < many


def test_without_rates_and_people_there_is_no_threshold():
    for rates in ({}, {"far_1e-2": RATES["far_1e-2"]}, dict.fromkeys(RATES, RATES["far_1e-2"])):
        with pytest.raises(OptionError, match="enrol 20"):
            cosine_at(0.01, np.ones(3, np.float32), np.ones(19), HEAD, rates)
    assert cosine_at(0.01, np.full(30, 0.5, np.float32), np.ones(20), HEAD, {}) == pytest.approx(
        0.5
    )


@pytest.mark.parametrize("count", [1, 9, 10, 20, 10**5])
@pytest.mark.parametrize("rates", [RATES, {}])
def test_the_least_and_the_most_that_may_be_asked_for(count, rates):
    if count < 20 and not rates:
        return
    strangers = np.linspace(0.2, 0.5, 100).astype(np.float32)
    least, small, most = (
        cosine_at(f, strangers, np.full(count, 3), HEAD, rates)
        for f in (LEAST_FPIR, 1e-6, MOST_FPIR)
    )
    assert np.isfinite([least, small, most]).all()
    assert least > small > most


def test_rates_of_0_and_1_do_not_break_it():
    extreme = {"far_1e-2": Threshold(0.0, 0, 0), "far_1e-3": Threshold(1.0, 1, 1)}
    assert np.isfinite(cosine_at(1e-12, np.empty(0), np.ones(1), HEAD, extreme))
