"""Open-set figures against loops that know nothing of arrays."""

from __future__ import annotations

import _tiny
import numpy as np
import pytest

from reid_edge import Gallery, ReId
from reid_edge.bench import openset
from reid_edge.bench.tasks import RetrievalTask
from reid_edge.datasets import QueryGallery, Sample

FAR = {
    "far_1e-2": {"score": 0.9, "low": 0.85, "high": 0.95},
    "far_1e-3": {"score": 0.95, "low": 0.9, "high": 0.99},
}


def a_test(people=80, shots=3, cameras=3, seed=0):
    """People as random directions, pictures around them, and some distractors of pid 0."""
    rng = np.random.default_rng(seed)
    query, gallery, rows = [], [], {"query": [], "gallery": []}
    for pid in range(people + 1):
        middle = rng.normal(size=_tiny.SIZE)
        for camid in range(1, cameras + 1):
            for shot in range(shots):
                row = middle + rng.normal(size=_tiny.SIZE) * 0.35
                is_query = shot == 0 and pid > 0
                (query if is_query else gallery).append(Sample(None, pid, camid))
                rows["query" if is_query else "gallery"].append(row / np.linalg.norm(row))
    embeddings = np.array(rows["query"] + rows["gallery"], np.float32)
    return QueryGallery(query, gallery), embeddings


def by_loops(test, scores, enrolled, rate):
    """DIR as its definition says, one query after the other."""
    found, strangers = [], []
    for q, query in enumerate(test.query):
        best = {}
        for g, sample in enumerate(test.gallery):
            if sample.pid not in enrolled:
                continue
            if sample.pid == query.pid and sample.camid == query.camid:
                continue
            best[sample.pid] = max(best.get(sample.pid, -1), scores[q, g])
        if query.pid not in enrolled:
            strangers.append(max(best.values()))
        elif query.pid in best:
            first = max(best, key=lambda pid: best[pid])
            found.append(best[query.pid] if first == query.pid else -1)
    # The least threshold at which no more than this share of strangers is over it.
    allowed = int(rate * len(strangers) + 1e-9)
    least = sorted(strangers, reverse=True)[allowed]
    return sum(score > least for score in found) / len(found), len(strangers)


@pytest.fixture
def with_rates(tmp_path):
    with ReId(_tiny.write(tmp_path / "rates", thresholds=FAR), backend="openvino") as reid:
        yield reid


@pytest.mark.parametrize("seed", range(3))
def test_the_rates_are_those_of_the_definition(with_rates, seed):
    test, embeddings = a_test(seed=seed)
    count = len(test.query)
    scores = with_rates.score_grid(embeddings[:count], embeddings[count:])
    found = openset.figures(with_rates, test, embeddings, scores)
    pids = np.array([sample.pid for sample in test.query])
    enrolled = set(openset.enrolled_half(pids, pids).tolist())
    assert len(enrolled) == found["enrolled"] == 40
    for name, rate in openset.RATES.items():
        expected, strangers = by_loops(test, scores, enrolled, rate)
        assert found[f"dir_at_fpir_{name}"] == pytest.approx(expected)
        assert found["strangers"] == strangers == 120
    assert 0 < found["dir_at_fpir_1e-2"] < found["dir_at_fpir_1e-1"] < 1


def test_the_asked_rates_are_what_a_gallery_does(with_rates):
    test, embeddings = a_test()
    count = len(test.query)
    scores = with_rates.score_grid(embeddings[:count], embeddings[count:])
    found = openset.figures(with_rates, test, embeddings, scores)
    pids = np.array([sample.pid for sample in test.query])
    enrolled = set(openset.enrolled_half(pids, pids).tolist())
    with Gallery(model=with_rates) as gallery:
        for sample, row in zip(test.gallery, embeddings[count:], strict=True):
            if sample.pid in enrolled:
                gallery.add(str(sample.pid), row)
        strangers = embeddings[:count][[sample.pid not in enrolled for sample in test.query]]
        for name, rate in openset.RATES.items():
            known = [one.known for one in gallery.identify(strangers, fpir=rate)]
            assert found[f"fpir_asked_{name}"] == pytest.approx(np.mean(known))


def test_a_model_without_false_accept_rates_gets_no_asked_rate_of_few_people(tiny):
    test, embeddings = a_test(people=10)
    count = len(test.query)
    scores = tiny.score_grid(embeddings[:count], embeddings[count:])
    found = openset.figures(tiny, test, embeddings, scores)
    assert "dir_at_fpir_1e-1" in found
    assert "dir_at_fpir_1e-2" not in found  # of 15 strangers
    assert not any(name.startswith("fpir_asked") for name in found)


def test_an_asymmetric_head_has_rates_too(concat):
    rng = np.random.default_rng(1)
    test, _ = a_test(people=8)
    embeddings = rng.normal(size=(len(test.query) + len(test.gallery), 64)).astype(np.float32)
    count = len(test.query)
    scores = concat.score_grid(embeddings[:count], embeddings[count:])
    found = openset.figures(concat, test, embeddings, scores)
    assert set(found) == {"dir_at_fpir_1e-1", "enrolled", "strangers"}


def test_the_split_is_the_same_each_time_and_leaves_distractors_out():
    pids = np.repeat(np.arange(-1, 21), 4)
    first = openset.enrolled_half(pids, pids)
    assert first.tolist() == openset.enrolled_half(pids[::-1], pids).tolist()
    assert len(first) == 10
    assert first.min() > 0


def test_one_person_leaves_no_open_set(with_rates):
    test = QueryGallery([Sample(None, 1, 1)], [Sample(None, 1, 2), Sample(None, 2, 1)])
    embeddings = a_test()[1][:3]
    scores = with_rates.score_grid(embeddings[:1], embeddings[1:])
    assert openset.figures(with_rates, test, embeddings, scores) == {}


def test_they_are_among_the_figures_of_the_bench(with_rates):
    test, embeddings = a_test()
    values = RetrievalTask.of(test).figures(with_rates, embeddings).values
    assert {"mAP", "dir_at_fpir_1e-1", "fpir_asked_1e-2", "enrolled"} <= values.keys()
