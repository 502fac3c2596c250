from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import _tiny
import numpy as np
import pytest

import reid_edge
from reid_edge import ReId, bundle, calibration, evaluation
from reid_edge.bench import recalibrate
from reid_edge.bench.cache import Cache
from reid_edge.datasets import folder
from reid_edge.errors import DatasetError, InputError, OptionError, ReportError


def calibrated(reid, spec, out):
    return recalibrate.recalibrate(reid, str(spec), out, Cache(reid, None), lambda done: None)


@pytest.fixture
def crowd(people, picture_file):
    """The people, and two whose pictures all look alike, or no pair would be mistaken."""
    for pid in (7, 8):
        for camid in (1, 2):
            picture_file(f"people/{pid:04}_c{camid}s1_000001_00.png", _tiny.picture(700 + camid))
    return people


def test_the_new_bundle_scores_as_fitted(tiny, crowd, tmp_path):
    section = calibrated(tiny, crowd, tmp_path / "out")
    samples = folder(crowd)
    embeddings = evaluation.embed_files(tiny, samples)
    pids, camids = evaluation.labels(samples)
    expected = calibration.fit(embeddings, pids, camids, recalibrate.RATES)
    assert section["head"]["scale"] == pytest.approx(expected.head.scale)
    assert section["head"]["bias"] == pytest.approx(expected.head.bias)
    assert section["calibration_error"] == pytest.approx(expected.error)
    assert (section["pictures"], section["identities"]) == (28, 8)
    with ReId(tmp_path / "out", backend="openvino") as reid:
        cosine = embeddings[:1] @ embeddings[5]
        score = 1 / (1 + np.exp(-(expected.head.scale * cosine + expected.head.bias)))
        np.testing.assert_allclose(reid.score(embeddings[0], embeddings[5]), score, atol=1e-5)
        assert reid.info()["thresholds"]["far_1e-2"] == expected.thresholds["far_1e-2"].score
        assert reid.info()["version"] == "1+calibrated"


def test_the_rest_of_the_bundle_is_kept(tiny_folder, tiny, crowd, tmp_path):
    calibrated(tiny, crowd, tmp_path / "out")
    old, new = (
        json.loads((f / "bundle.json").read_text()) for f in (tiny_folder, tmp_path / "out")
    )
    changed = {"head", "thresholds", "figures", "version"}
    assert {name for name in old if old[name] != new[name]} == changed
    assert set(new["figures"]) == {
        f"calibrated_on/{n}" for n in ("pictures", "identities", "calibration_error")
    }
    assert (tmp_path / "out" / "fp32.onnx").read_bytes() == (tiny_folder / "fp32.onnx").read_bytes()
    assert os.listdir(tmp_path / "out") == os.listdir(tiny_folder)


def test_gates_keep_the_head_that_they_were_judged_with(crowd, tmp_path):
    source = _tiny.write_all_graphs(tmp_path / "model", int8=True)
    for step, name in (("model", "one"), ("one", "two")):
        with ReId(tmp_path / step, backend="openvino", precision="fp32") as reid:
            calibrated(reid, crowd, tmp_path / name)
    before, after = (
        json.loads((folder / "bundle.json").read_text()) for folder in (source, tmp_path / "two")
    )
    assert before["gates"]
    head = {name: before["head"][name] for name in ("scale", "bias")}
    assert after["gates"] == {
        name: {**gate, "head": head} for name, gate in before["gates"].items()
    }
    assert bundle.load(tmp_path / "two").gates == bundle.load(source).gates


def test_few_pairs_are_told(tiny, crowd, tmp_path):
    (crowd / "0002_c1s1_000002_00.png").write_bytes(b"no picture")
    told = calibrated(tiny, crowd, tmp_path / "out")["warnings"]
    assert told[0] == "unreadable pictures left out: 1"
    assert told[1].startswith("few pairs of two people (")
    assert [text.split("threshold ")[1].split()[0] for text in told[1:]] == ["far_1e-2", "far_1e-3"]


def test_the_model_s_card_and_licence_go_along(crowd, tmp_path):
    source = _tiny.write(tmp_path / "model")
    (source / "README.md").write_text("# The card\n")
    with ReId(source, backend="openvino") as reid:
        section = calibrated(reid, f"folder:{crowd}", tmp_path / "out")
    notice, card = (tmp_path / "out" / "README.md").read_text().split("\n\n")
    assert card == "# The card\n"
    assert all(line.startswith(">") for line in notice.splitlines())
    assert "**Calibrated: tiny 1+calibrated.**" in notice
    assert "on 28 pictures of 8 people, `people`:" in notice
    assert str(crowd.parent) not in notice
    assert f"scale {section['head']['scale']:.3f}, bias {section['head']['bias']:.3f}" in notice
    for label, name in (("1 %", "far_1e-2"), ("0.1 %", "far_1e-3")):
        at = section["thresholds"][name]
        row = f"> | {label} | {at['score']:.3f} | {at['low']:.3f} … {at['high']:.3f} |\n"
        assert row in notice
    assert "**Below is the card of tiny 1**" in notice
    assert bundle.load(tmp_path / "out").licence == "Apache-2.0"


def test_a_card_that_leads_elsewhere_is_not_followed(crowd, tmp_path):
    source = _tiny.write(tmp_path / "model")
    (tmp_path / "secret").write_text("of whoever calibrates")
    (source / "README.md").symlink_to(tmp_path / "secret")
    with ReId(source, backend="openvino") as reid:
        calibrated(reid, crowd, tmp_path / "out")
    assert not (tmp_path / "out" / "README.md").exists()


def test_unreadable_pictures_are_left_out(tiny, crowd, tmp_path):
    (crowd / "0002_c1s1_000002_00.png").write_bytes(b"no picture")
    section = calibrated(tiny, crowd, tmp_path / "out")
    assert section["skipped"] == 1
    assert "0002_c1s1_000002_00.png" in section["skipped_first"][0]


def test_many_pictures_are_thinned_by_whole_people(crowd, monkeypatch):
    monkeypatch.setattr(recalibrate, "MOST", 15)
    kept, total = recalibrate._samples(f"folder:{crowd}")
    assert total == 28
    assert 8 <= len(kept) <= 15
    whole = {pid: sum(s.pid == pid for s in folder(crowd)) for pid in {s.pid for s in kept}}
    assert whole == {pid: sum(s.pid == pid for s in kept) for pid in whole}


def test_a_folder_that_exists_is_not_overwritten(tiny, crowd, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(OptionError, match="exists already"):
        calibrated(tiny, crowd, tmp_path / "out")


def test_the_old_library_s_head_cannot_be_fitted(concat, crowd, tmp_path):
    with pytest.raises(OptionError, match="only models with a cosine head"):
        calibrated(concat, crowd, tmp_path / "out")


def test_a_folder_of_other_names_or_too_few_people_is_refused(tiny, people, tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        calibrated(tiny, tmp_path / "none", tmp_path / "out")
    for path in people.glob("000[4-6]*"):
        path.unlink()
    with pytest.raises(DatasetError, match="four identities at least"):
        calibrated(tiny, people, tmp_path / "out")
    (people / "a.png").write_bytes(b"")
    with pytest.raises(DatasetError, match="expected a name like"):
        calibrated(tiny, people, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_camera_is_refused(tiny, people, tmp_path):
    for path in people.glob("*_c2*"):
        path.unlink()
    with pytest.raises(InputError, match="two cameras"):
        calibrated(tiny, people, tmp_path / "out")


def test_an_output_that_cannot_be_written_is_told(tiny, crowd, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="cannot be written"):
        calibrated(tiny, crowd, tmp_path / "file" / "out")


def test_neither_onnx_nor_torch_is_needed(tiny_folder, crowd, tmp_path):
    code = f"""
import sys
for name in ("h5py", "onnx", "onnxruntime", "safetensors", "tensorrt", "torch"):
    sys.modules[name] = None
from reid_edge.bench.__main__ import main
sys.exit(main(["--model", {str(tiny_folder)!r}, "--calibrate", {str(crowd)!r},
               "--out", {str(tmp_path / "out")!r}]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(reid_edge.__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "new bundle" in done.stdout
    assert bundle.load(tmp_path / "out").name == "tiny"
