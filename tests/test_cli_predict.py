"""`python -m reid_edge predict` as a script meets it."""

from __future__ import annotations

import json
import weakref

import _tiny
import cv2
import numpy as np
import pytest

import reid_edge
from reid_edge.image_files import read_image


@pytest.fixture
def files(picture_file):
    return [picture_file(f"{seed}.png", _tiny.picture(seed)) for seed in range(4)]


def test_predict_prints_a_table_with_score_and_verdict(run, files, tiny):
    same = files[0].with_name("again.png")
    same.write_bytes(files[0].read_bytes())
    code, out, err = run("predict", files[0], same, files[1])
    assert (code, err) == (0, "")
    assert f"compared with {files[0]}\n" in out
    scores = tiny.predict(read_image(files[0]), [read_image(path) for path in (same, files[1])])
    for path, score in zip((same, files[1]), scores, strict=True):
        (line,) = [line for line in out.splitlines() if path.name in line and "│" in line]
        assert f"{score:.3f}" in line
        assert ("same person" if score > 0.5 else "different") in line
    assert "model tiny 1, Apache-2.0; openvino fp32 on CPU" in out


def test_both_verdicts_occur(run, files):
    results = json.loads(run("predict", *files, files[0], "--json")[1])["results"]
    assert {result["same"] for result in results} == {True, False}
    for result in results:
        assert result["same"] == (result["score"] > 0.5)


def test_a_threshold_of_one_s_own_decides(run, files):
    scores = [
        r["score"] for r in json.loads(run("predict", files[0], *files, "--json")[1])["results"]
    ]
    middle = sum(sorted(scores)[1:3]) / 2
    for given in (middle, 0.0, "far_1e-2"):
        out = run("predict", files[0], *files, "--json", "--threshold", given)[1]
        found = json.loads(out)
        limit = found["thresholds"].get(given, given)
        assert found["threshold"] == limit
        assert [r["same"] for r in found["results"]] == [score > limit for score in scores]
    assert "same person over 0.3\n" in run("predict", *files, "--threshold", "0.3")[1]


def test_a_stricter_threshold_is_hinted_at_where_the_model_s_own_say_so(run, files, tmp_path):
    hint = "hint: 0.5 is lenient for this model; --threshold far_1e-2 ("
    assert f"{hint}0.800) is stricter\n" in run("predict", *files)[1]
    assert hint not in run("predict", *files, "--threshold", "0.5")[1]
    assert hint not in run("predict", *files, "--json")[1]
    for place, low in (("sure", 0.51), ("unsure", 0.49)):
        rates = {"far_1e-2": {"score": 0.6, "low": low, "high": 0.7}}
        folder = _tiny.write(tmp_path / place, thresholds=rates)
        assert (hint in run("predict", *files, model=folder)[1]) == (low > 0.5)
    bare = _tiny.write(tmp_path / "bare", thresholds={})
    assert hint not in run("predict", *files, model=bare)[1]


@pytest.mark.parametrize("given", ["1", "-0.1", "nan", "far_1e-9", "high"])
def test_a_threshold_that_is_no_score_is_refused(run, files, given):
    code, out, err = run("predict", *files, f"--threshold={given}")
    assert (code, out) == (2, "")
    assert f"--threshold {given}: give a score from 0 to below 1, or far_1e-2" in err


def test_a_model_without_thresholds_says_so(run, files, tmp_path):
    bare = _tiny.write(tmp_path / "bare", thresholds={})
    code, _, err = run("predict", *files, "--threshold", "far_1e-2", model=bare)
    assert (code, "this model has none of its own" in err) == (2, True)


def test_a_threshold_is_looked_at_before_pictures_are(run):
    code, _, err = run("predict", "absent.png", "neither.png", "--threshold", "high")
    assert (code, "--threshold high" in err) == (2, True)


def test_predict_as_json_prints_one_object_and_nothing_else(run, files, tiny):
    code, out, err = run("predict", *files, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["model"] == "tiny"
    assert found["reference"] == str(files[0])
    assert [result["picture"] for result in found["results"]] == [str(path) for path in files[1:]]
    expected = tiny.predict(read_image(files[0]), [read_image(path) for path in files[1:]])
    assert [result["score"] for result in found["results"]] == pytest.approx(expected, abs=1e-5)


def test_many_pictures_are_decoded_one_at_a_time(run, picture_file, tiny, monkeypatch):
    paths = [picture_file(f"{seed}.png", _tiny.picture(seed)) for seed in range(36)]
    expected = tiny.predict(read_image(paths[0]), [read_image(path) for path in paths[1:]])
    alive = []  # decoded pictures that nothing has freed yet

    def watched(path):
        picture = read_image(path)
        alive[:] = [reference for reference in alive if reference() is not None]
        assert len(alive) <= 1
        alive.append(weakref.ref(picture))
        return picture

    monkeypatch.setattr(reid_edge.reid, "read_image", watched)
    results = json.loads(run("predict", *paths, "--json")[1])["results"]
    assert [result["score"] for result in results] == pytest.approx(expected, abs=1e-5)
    assert alive


def test_all_bad_pictures_are_named_at_once(run, files, tmp_path):
    for number in range(7):
        (tmp_path / f"bad{number}.jpg").write_bytes(b"no picture")
    bad = [tmp_path / f"bad{number}.jpg" for number in range(7)]
    absent = tmp_path / "absent.jpg"
    code, out, err = run("predict", files[0], bad[0], absent, files[1], bad[0])
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: 2 pictures cannot be used: {bad[0]}: no picture that")
    assert f"; {absent}: cannot be read" in err
    err = run("predict", files[0], *bad)[2]
    assert "7 pictures" in err
    assert [str(path) in err for path in bad] == [True] * 5 + [False] * 2
    assert err.endswith("; and 2 more\n")
    assert run("predict", files[0], absent)[2].startswith(f"error: {absent}: cannot be read")


def test_alpha_is_dropped(run, files, tmp_path):
    rgba = np.concatenate([_tiny.picture(0)[:, :, ::-1], np.full((48, 24, 1), 9, np.uint8)], 2)
    path = tmp_path / "alpha.png"
    path.write_bytes(cv2.imencode(".png", rgba)[1].tobytes())
    first, second = (
        json.loads(run("predict", files[1], other, "--json")[1])["results"][0]["score"]
        for other in (path, files[0])
    )
    assert first == second
