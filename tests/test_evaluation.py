from __future__ import annotations

import dataclasses

import _tiny
import numpy as np
import pytest

from reid_edge import datasets, evaluation, metrics, read_image
from reid_edge.errors import DatasetError, ImageFileError


@pytest.fixture
def people(picture_file):
    """Five people, two pictures from each of two cameras; half of each picture is chance."""
    for pid in range(1, 6):
        for camid in (1, 2):
            for shot in (1, 2):
                chance = _tiny.picture(100 * pid + 10 * camid + shot)
                picture = (_tiny.picture(pid) // 2 + chance // 2).astype(np.uint8)
                path = picture_file(f"{pid:04}_c{camid}s1_{shot:06}_00.png", picture)
    return datasets.open_test(f"folder:{path.parent}")


def test_the_figures_are_those_of_the_metrics_on_scores_of_single_predictions(tiny, people):
    found = evaluation.evaluate(tiny, people)
    rows = {sample: read_image(sample.path) for sample in people.query + people.gallery}
    scores = np.array(
        [[tiny.predict(rows[q], rows[g])[0] for g in people.gallery] for q in people.query]
    )
    query_pids, query_camids = evaluation.labels(people.query)
    pids, camids = evaluation.labels(people.gallery)
    ranking = metrics.retrieval(scores, query_pids, query_camids, pids, camids)
    same = np.array(
        [
            scores[i, j]
            for i, q in enumerate(people.query)
            for j, g in enumerate(people.gallery)
            if q.pid == g.pid and q.camid != g.camid
        ]
    )
    different = np.array(
        [
            scores[i, j]
            for i, q in enumerate(people.query)
            for j, g in enumerate(people.gallery)
            if q.pid != g.pid
        ]
    )
    assert found == pytest.approx(
        {
            "rank1": ranking.cmc[0],
            "rank5": ranking.cmc[4],
            "rank10": ranking.cmc[9],
            "mAP": ranking.mean_ap,
            "mINP": ranking.mean_inp,
            "auc": metrics.auc(same, different),
            "eer": metrics.equal_error_rate(same, different),
            "tpr_at_far_1e-2": metrics.tpr_at_far(same, different, 0.01)[0],
            "tpr_at_far_1e-3": metrics.tpr_at_far(same, different, 0.001)[0],
            "accuracy_at_0.5": metrics.balanced_accuracy(same, different),
            "calibration_error": metrics.calibration_error(same, different),
            "queries": 10,
            "gallery": 10,
        },
        abs=1e-4,
    )
    # Or the figures above would not tell one from another.
    assert 0 < ranking.cmc[0] < ranking.cmc[3] < ranking.cmc[4] < ranking.cmc[5]
    assert len({round(value, 4) for value in found.values()}) >= len(found) - 3


def test_junk_in_the_gallery_counts_nowhere(tiny, people):
    """`market1501_test` drops it, but a test may come from elsewhere."""
    scores = tiny.score_grid(
        *(evaluation.embed_files(tiny, part) for part in (people.query, people.gallery))
    )
    with_junk = datasets.QueryGallery(
        people.query,
        [*people.gallery, dataclasses.replace(people.gallery[0], pid=-1, camid=7)],
    )
    more = np.pad(scores, ((0, 0), (0, 1)), constant_values=0.75)
    found, clean = evaluation.figures(with_junk, more), evaluation.figures(people, scores)
    assert len(found.same) == len(clean.same)
    assert {**found.values, "gallery": 10} == {**clean.values, "gallery": 10}


def test_files_are_embedded_in_order_in_chunks_of_any_size(tiny, people, monkeypatch):
    expected = evaluation.embed_files(tiny, people.gallery)
    monkeypatch.setattr(evaluation, "_CHUNK", 3)
    steps = []
    found = evaluation.embed_files(tiny, people.gallery, steps.append)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert steps == [3, 3, 3, 1]


def test_progress_counts_every_picture(tiny, people):
    steps = []
    evaluation.evaluate(tiny, people, steps.append)
    assert sum(steps) == 20


def test_a_damaged_picture_is_named(tiny, people):
    victim = people.gallery[4].path
    victim.write_bytes(b"no picture")
    with pytest.raises(ImageFileError, match=victim.name):
        evaluation.evaluate(tiny, people)


def test_a_damaged_picture_is_left_out_where_that_is_asked_for(tiny, people, monkeypatch):
    monkeypatch.setattr(evaluation, "_CHUNK", 4)
    victims = [people.query[0], people.gallery[4], people.gallery[9]]
    for victim in victims:
        victim.path.write_bytes(b"no picture")
    steps = []
    found, embedded = evaluation.evaluate_readable(tiny, people, steps.append)
    left = datasets.QueryGallery(
        *([s for s in part if s not in victims] for part in (people.query, people.gallery))
    )
    assert found == pytest.approx(evaluation.evaluate(tiny, left), abs=1e-6)
    assert found["gallery"] == 8
    assert sum(steps) == 20
    assert len(embedded.rows) == embedded.kept.sum() == 17
    assert [v.path.name in told for v, told in zip(victims, embedded.skipped, strict=True)] == (
        [True] * 3
    )
    assert embedded.left_out == {"skipped": 3, "skipped_first": embedded.skipped}


def test_where_all_can_be_read_the_figures_are_the_same_either_way(tiny, people):
    found, embedded = evaluation.evaluate_readable(tiny, people)
    assert found == evaluation.evaluate(tiny, people)
    assert embedded.left_out == {"skipped": 0, "skipped_first": []}


def test_what_can_measure_nothing_is_refused_before_it_is_embedded(counting, people):
    reid, counter = counting
    with pytest.raises(DatasetError, match="no gallery"):
        evaluation.evaluate_readable(reid, datasets.QueryGallery(people.query, []))
    assert counter.passes == 0


def test_only_20_of_the_pictures_left_out_are_in_a_report():
    kept = np.zeros(25, bool)
    embedded = evaluation.Embedded(np.empty((0, 8), np.float32), kept, [str(n) for n in range(25)])
    assert embedded.left_out["skipped"] == 25
    assert embedded.left_out["skipped_first"] == [str(n) for n in range(20)]


def test_every_share_has_a_label(tiny, people):
    found = evaluation.evaluate(tiny, people)
    shares = [name for name, value in found.items() if isinstance(value, float)]
    assert list(evaluation.LABELS) == shares
