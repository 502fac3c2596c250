import json

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

pytest.importorskip("onnx")
pytest.importorskip("safetensors")

from reid_edge import ReId, datasets, read_image
from reid_edge.datasets import Sample
from reid_edge.errors import DatasetError
from training.augment import normalise
from training.publish import publish
from training.sets import PreparedSet
from training.train import Trainer

# Two dozen pictures are fewer than one would calibrate on, and a tiny network may miss its gate.
pytestmark = pytest.mark.filterwarnings("ignore:calibrating on", "ignore:int8")

CARD = {
    "name": "tiny",
    "version": "1.2.3",
    "description": "For a test.",
    "licence": {"name": "CC0", "summary": "Free."},
    "input": {"height": 64, "width": 32, "resize": "area"},
}


@pytest.fixture
def people(tmp_path):
    """Eight people in colours that two of them nearly share, four pictures of each."""
    folder = tmp_path / "people"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for pid in range(1, 9):
        colour = rng.integers(60, 190, 3)
        for number in range(4):
            noise = rng.integers(-60, 60, (64, 32, 3)) + rng.integers(-50, 50, 3)
            picture = np.clip(colour + noise, 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{pid:04d}_c{number % 2 + 1}_{number}.png"), picture)
    return folder


@pytest.fixture
def trained(recipe, prepared, tmp_path):
    run = Trainer(
        recipe,
        PreparedSet.open(prepared / "train"),
        PreparedSet.open(prepared / "held_out"),
        tmp_path / "run",
    )
    run.run()
    return run


def test_a_run_becomes_a_bundle_that_embeds_as_the_averaged_network_does(trained, people, tmp_path):
    weights, out = tmp_path / "weights" / "tiny.safetensors", tmp_path / "bundle"
    held_out = datasets.folder(people)
    figures = publish(
        trained.checkpoint_path, CARD, held_out, held_out, [f"folder:{people}"], weights, out
    )

    pictures = [read_image(sample.path) for sample in held_out]
    network = trained.average.module.float().eval()
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
        expected = torch.nn.functional.normalize(network(normalise(batch))).numpy()
    with ReId(out, precision="fp32") as reid:
        found = reid.embed(pictures)
        info = reid.info()
    # Weights are rounded to FP16 on the way.
    assert (found * expected).sum(1).min() > 0.9999

    described = json.loads((out / "bundle.json").read_text())
    assert info["model"] == "tiny"
    assert described["licence"]["name"] == "CC0"
    assert list(described["graphs"]) == ["fp32", "fp16", "int8", "int8_fp16"]
    assert described["gates"]["int8"]["data"].startswith("held-out people (labelled")
    assert set(described["thresholds"]) == {"far_1e-2", "far_1e-3"}
    assert described["figures"]["folder/queries"] == 16
    assert described["figures"]["held_out/rank1"] == pytest.approx(
        figures["held_out/rank1"], abs=1e-5
    )
    assert weights.stat().st_size < trained.checkpoint_path.stat().st_size / 4


def test_the_head_is_fitted_so_that_half_is_the_even_point(trained, people, tmp_path):
    """At the optimum of a balanced fit, the mean score is the share of one-person pairs: a half."""
    out = tmp_path / "bundle"
    held_out = datasets.folder(people)
    publish(trained.checkpoint_path, CARD, held_out, held_out, [], tmp_path / "w.safetensors", out)
    with ReId(out, precision="fp32") as reid:
        scores = reid.score_grid(*[reid.embed([read_image(s.path) for s in held_out])] * 2)
    pids = np.array([sample.pid for sample in held_out])
    camids = np.array([sample.camid for sample in held_out])
    apart = camids[:, None] != camids
    same = pids[:, None] == pids
    assert (scores[apart & same].mean() + scores[apart & ~same].mean()) / 2 == pytest.approx(
        0.5, abs=0.01
    )


def test_two_tests_of_one_layout_are_refused_before_anything_is_written(trained, people, tmp_path):
    weights, out = tmp_path / "w.safetensors", tmp_path / "bundle"
    specs = [f"folder:{people}"] * 2
    held_out = datasets.folder(people)
    with pytest.raises(DatasetError, match="same layout"):
        publish(trained.checkpoint_path, CARD, held_out, held_out, specs, weights, out)
    assert not weights.exists()
    assert not out.exists()


def test_a_conversion_that_fails_leaves_what_was_there(trained, people, tmp_path, monkeypatch):
    weights, out = tmp_path / "w.safetensors", tmp_path / "bundle"
    held_out = datasets.folder(people)
    publish(trained.checkpoint_path, CARD, held_out, held_out, [], weights, out)
    before = {path: path.read_bytes() for path in (weights, *out.iterdir())}
    (tmp_path / "broken.png").write_bytes(b"no picture")
    trained_on = [Sample(tmp_path / "broken.png", 9, 1)]  # INT8's ranges need one to read
    newer = {**CARD, "version": "2.0.0"}
    with pytest.raises(DatasetError, match=r"no picture can be read.*broken"):
        publish(trained.checkpoint_path, newer, trained_on, held_out, [], weights, out)
    assert {path: path.read_bytes() for path in (weights, *out.iterdir())} == before
    assert sorted(path.name for path in weights.parent.glob(".*")) == []
