from __future__ import annotations

import numpy as np
import pytest

from reid_edge import ReId, evaluation, read_image
from reid_edge.bench import accuracy, galleries
from reid_edge.bench.cache import Cache, folder
from reid_edge.bench.tasks import PairsTask, RetrievalTask, open_task
from reid_edge.datasets import LabelledPair, QueryGallery, Sample, open_test
from reid_edge.errors import DatasetError


def nothing(done):
    pass


def measured(reid, spec, root=None):
    return accuracy.measure(reid, spec, open_task(spec), Cache(reid, root), nothing)


def test_the_figures_are_those_of_the_runtime_s_evaluation(tiny, people):
    spec = f"folder:{people}"
    found = measured(tiny, spec)
    expected = evaluation.evaluate(tiny, open_test(spec))
    assert {name: found.section["figures"][name] for name in expected} == pytest.approx(expected)
    assert 0 < found.section["figures"]["mAP"] < 1
    assert found.section["skipped"] == 0
    assert found.section["pictures"] == 24
    # Each of 12 queries: 12 pictures of others... and 1 of its own from the other camera.
    assert found.section["pairs_same"] == 12
    assert found.section["pairs_different"] == 12 * 10


def test_the_curves_pass_through_the_figures(tiny, people):
    section = measured(tiny, f"folder:{people}").section
    curves, figures = section["curves"], section["figures"]
    assert curves["cmc"][0] == pytest.approx(figures["rank1"], abs=1e-6)
    far, tpr = curves["roc"]["far"], curves["roc"]["tpr"]
    assert tpr[far.index(0.01)] == pytest.approx(figures["tpr_at_far_1e-2"], abs=1e-6)
    assert tpr == sorted(tpr)
    assert tpr[-1] == 1
    curve = curves["calibration"]
    error = sum(
        mass * abs(confidence - share)
        for mass, confidence, share in zip(
            curve["mass"], curve["confidence"], curve["share"], strict=True
        )
    )
    assert error == pytest.approx(figures["calibration_error"], abs=1e-4)


def test_a_second_run_takes_the_embeddings_from_the_cache(counting, people, private_cache):
    reid, counter = counting
    first = measured(reid, f"folder:{people}", folder())
    passes = counter.passes
    assert passes == 24
    second = measured(reid, f"folder:{people}", folder())
    assert counter.passes == passes
    assert second.section["embeddings_from_cache"] == 24
    assert second.section["figures"] == first.section["figures"]
    # Another picture under the old name is another picture.
    next(people.iterdir()).write_bytes(next(people.glob("0006*")).read_bytes())
    measured(reid, f"folder:{people}", folder())
    assert counter.passes > passes


def test_pictures_that_cannot_be_read_are_named_and_left_out(tiny, people):
    (people / "0001_c1s1_000002_00.png").write_bytes(b"no picture")
    (people / "0003_c2s1_000001_00.png").write_bytes(b"")
    found = measured(tiny, f"folder:{people}")
    assert found.section["skipped"] == 2
    assert "0003_c2s1_000001_00.png" in found.section["skipped_first"][0]
    assert "0001_c1s1_000002_00.png" in found.section["skipped_first"][1]
    assert len(found.task.test.query) == 11
    assert len(found.embeddings) == 22
    expected = evaluation.evaluate(tiny, found.task.test)
    assert {name: found.section["figures"][name] for name in expected} == pytest.approx(expected)


def test_beside_a_damaged_picture_the_others_are_cached(counting, people, private_cache):
    reid, counter = counting
    (people / "0001_c1s1_000002_00.png").write_bytes(b"no picture")
    first = measured(reid, f"folder:{people}", folder())
    passes = counter.passes
    second = measured(reid, f"folder:{people}", folder())
    assert counter.passes == passes
    assert (second.section["skipped"], second.section["embeddings_from_cache"]) == (1, 23)
    assert second.section["figures"] == first.section["figures"]


def test_a_picture_that_is_gone_is_left_out_too(tiny, people):
    task = open_task(f"folder:{people}")
    task.paths[0].unlink()
    found = accuracy.measure(tiny, "", task, Cache(tiny, folder()), nothing)
    assert found.section["skipped"] == 1


def test_nothing_readable_is_an_error(tiny, people):
    for path in people.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"no picture can be read, the first: .*0001_c1"):
        measured(tiny, f"folder:{people}")


def test_too_little_that_is_readable_is_an_error(tiny, people):
    for path in people.glob("*_c1s1_000002_00.png"):
        path.write_bytes(b"no picture")
    for path in people.glob("*_c2s1_000002_00.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="12 pictures cannot be read, the first"):
        measured(tiny, f"folder:{people}")


def samples(*labels):
    return [Sample(path=None, pid=pid, camid=camid) for pid, camid in labels]


@pytest.mark.parametrize(
    ("query", "gallery", "advice"),
    [
        ([], [(1, 1)], "no query"),
        ([(1, 1)], [], "no gallery"),
        ([(1, 1)], [(1, 2)], "one identity only"),
        ([(1, 1)], [(1, 1), (2, 2)], "no query has a match"),
    ],
)
def test_a_test_that_can_measure_nothing_is_refused_at_once(query, gallery, advice):
    with pytest.raises(DatasetError, match=advice):
        RetrievalTask.of(QueryGallery(samples(*query), samples(*gallery)))


@pytest.mark.parametrize(
    ("spec", "advice"),
    [
        ("folder:missing", "no such folder"),
        ("market1501:.", "no bounding_box_test here"),
        ("other:.", "market1501, cuhk03, folder, pku or pairs"),
        ("", "market1501, cuhk03, folder, pku or pairs"),
        ("pairs:missing.csv", "cannot be read"),
    ],
)
def test_a_dataset_that_is_not_there_is_refused(spec, advice):
    with pytest.raises(DatasetError, match=advice):
        open_task(spec)


@pytest.fixture
def pairs_file(people):
    path = people / "pairs.csv"
    names = [f"000{pid}_c{camid}s1_000001_00.png" for pid in (1, 2, 3) for camid in (1, 2)]
    lines = [f"{a},{b},{int(a[:4] == b[:4])}" for a in names for b in names if a < b]
    path.write_text("\n".join(lines))
    return path


def test_a_pairs_file_is_verified_pair_by_pair(counting, pairs_file):
    reid, counter = counting
    found = measured(reid, f"pairs:{pairs_file}").section
    assert counter.passes == 6  # each picture once
    scores = {0: [], 1: []}
    for line in pairs_file.read_text().splitlines():
        a, b, same = line.split(",")
        one, other = (read_image(pairs_file.parent / name) for name in (a, b))
        scores[int(same)].append(reid.predict(one, other)[0])
    expected = evaluation.verification(np.array(scores[1]), np.array(scores[0]))
    assert found["figures"] == pytest.approx(expected, abs=1e-5)
    assert (found["pairs_same"], found["pairs_different"]) == (3, 12)
    assert found["curves"]["cmc"] == []


def test_pairs_without_their_pictures_are_left_out(tiny, pairs_file):
    (pairs_file.parent / "0002_c1s1_000001_00.png").write_bytes(b"")
    found = measured(tiny, f"pairs:{pairs_file}").section
    assert (found["pairs_same"], found["pairs_different"]) == (2, 8)


def test_pairs_of_one_kind_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="of one kind"):
        PairsTask.of([LabelledPair(tmp_path / "a", tmp_path / "b", True)] * 3)


def test_drift_is_counted_pair_by_pair(tiny, people, monkeypatch):
    monkeypatch.setattr("reid_edge.bench.tasks._ROWS", 5)
    reference = measured(tiny, f"folder:{people}")
    rng = np.random.default_rng(1)
    rows = reference.embeddings + rng.normal(0, 0.2, reference.embeddings.shape).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    figures = reference.task.figures(tiny, rows).values
    other = accuracy.Measured({"figures": figures}, reference.task, rows)
    found = accuracy.drift(tiny, other, reference)

    test, flips, changes = reference.task.test, 0, []
    for q, query in enumerate(test.query):
        for g, candidate in enumerate(test.gallery, len(test.query)):
            if (query.pid, query.camid) == (candidate.pid, candidate.camid):
                continue
            then, now = (tiny.score(one[q], one[g])[0] for one in (reference.embeddings, rows))
            flips += (then > 0.5) != (now > 0.5)
            changes.append(abs(then - now))
    assert flips > 0
    assert found["flips"] == pytest.approx(flips / len(changes))
    assert found["max_abs_score"] == pytest.approx(max(changes), abs=1e-5)
    assert found["mean_abs_score"] == pytest.approx(np.mean(changes), abs=1e-5)
    assert found["mAP"] == pytest.approx(figures["mAP"] - reference.section["figures"]["mAP"])
    assert accuracy.drift(tiny, reference, reference)["flips"] == 0


def test_a_model_whose_scores_have_an_order_is_measured_in_that_order(concat_folder, people):
    with ReId(concat_folder, backend="openvino") as reid:
        spec = f"folder:{people}"
        expected = evaluation.evaluate(reid, open_test(spec))
        figures = measured(reid, spec).section["figures"]
        assert {name: figures[name] for name in expected} == pytest.approx(expected)


def test_galleries_are_ranked_as_the_protocol_counts(tiny, people):
    found = measured(tiny, f"folder:{people}")
    test = found.task.test
    sheets = galleries.sheet(tiny, test, found.embeddings, 4)
    assert len(sheets) == 4
    assert all(len(one.ranked) == 10 for one in sheets)
    first = sheets[0]
    assert first.query.title == "1, camera 1"
    assert all(one.title != "1, camera 1" for one in first.ranked)
    scores = [one.score for one in first.ranked]
    assert scores == sorted(scores, reverse=True)
    assert [one.right for one in first.ranked] == [
        one.title.startswith("1,") for one in first.ranked
    ]
    assert first.query.image.startswith("data:image/jpeg;base64,")
    assert len(galleries.sheet(tiny, test, found.embeddings, 100)) == 12
