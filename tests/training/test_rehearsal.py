"""A whole GPU training in small: stretches, a light checkpoint, and a bundle made of it."""

import json
import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")
pytest.importorskip("onnx")
pytest.importorskip("safetensors")

from reid_edge import ReId, datasets
from training import light
from training.__main__ import main
from training.model import Architecture
from training.publish import publish
from training.rate import measure
from training.sets import PreparedSet
from training.train import Trainer

SMALL = Architecture(8, (4, 4, 8), (1, 2, 1), 2, 32, "densenet")
CARD = {
    "name": "tiny",
    "version": "1.2.3",
    "description": "For a test.",
    "licence": {"name": "CC0", "summary": "Free."},
    "input": {"height": 64, "width": 32, "resize": "area"},
}


def two_teachers(pictures):
    """Colours and brightness, in two spaces of their own."""
    colours = torch.nn.functional.normalize(pictures.mean((2, 3)).repeat(1, 86)[:, :256])
    rows = torch.nn.functional.normalize(pictures.mean((1, 3)))
    return torch.cat([colours, rows], 1) / 2**0.5


@pytest.fixture
def start(recipe, prepared, tmp_path):
    """A DenseNet of 32 numbers whose two teachers, of 256 each, look on."""
    stages = [
        replace(recipe.stages[0], teacher="loop", identities=2),
        replace(recipe.stages[1], teacher="loop"),
    ]
    changed = replace(recipe, architecture=SMALL, stages=tuple(stages), teachers=2, settling=2)
    sets = [PreparedSet.open(prepared / name) for name in ("train", "held_out")]

    def start(out=tmp_path / "run"):
        return Trainer(changed, *sets, out, two_teachers)

    return start


def test_a_stretch_a_light_checkpoint_and_another_stretch(start, tmp_path):
    first = start()
    while first.step < 4:
        first.run(stop_after=0)
    (tmp_path / "second").mkdir()
    whole, small = first.checkpoint_path, tmp_path / "second" / "checkpoint.pt"
    light.write(whole, small)
    assert small.stat().st_size < whole.stat().st_size

    exact, carried = start(), start(tmp_path / "second")
    for run in (exact, carried):
        assert run.resume()
        assert run.step == 4
        run.run()
        assert run.step == 8
    for name, value in exact.average.state_dict().items():
        other = carried.average.state_dict()[name]
        assert other.dtype == value.dtype
        torch.testing.assert_close(other, value, rtol=0.05, atol=0.05)
    heads = [run.heads.state_dict() for run in (exact, carried)]
    assert [value.shape for value in heads[0].values()] == [(256, 32), (256, 32)]
    for name, value in heads[0].items():
        torch.testing.assert_close(heads[1][name], value, rtol=0.05, atol=0.02)


@pytest.mark.filterwarnings("ignore:calibrating on", "ignore:int8", "ignore:fp16")
def test_the_average_alone_is_published_and_not_resumed(start, tmp_path):
    start().run()
    average = tmp_path / "carried" / "checkpoint.pt"
    average.parent.mkdir()
    light.write(tmp_path / "run" / "checkpoint.pt", average, average_only=True)
    assert average.stat().st_size < (tmp_path / "run" / "checkpoint.pt").stat().st_size / 3
    with pytest.raises(SystemExit, match="averaged weights only"):
        start(average.parent).resume()

    people = tmp_path / "people"
    people.mkdir()
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 200, (8, 3))
    for row in range(32):
        picture = np.clip(
            colours[row // 4] + rng.integers(-60, 60, (64, 32, 3)) + rng.integers(-50, 50, 3),
            0,
            255,
        )
        path = people / f"{row // 4 + 1:04}_c{row % 2 + 1}_{row}.png"
        cv2.imwrite(str(path), picture.astype(np.uint8))
    samples = datasets.folder(people)
    weights, out = tmp_path / "tiny.safetensors", tmp_path / "bundle"
    publish(average, CARD, samples, samples, [], weights, out, ["int8"])
    graphs = json.loads((out / "bundle.json").read_text())["graphs"]
    assert list(graphs) == ["fp32", "int8", "int8_fp16"]
    with ReId(out, precision="fp32") as reid:
        assert reid.embed([np.zeros((64, 32, 3), np.uint8)]).shape == (1, 32)


def test_the_light_command_says_what_is_missing(tmp_path):
    with pytest.raises(SystemExit, match="train first"):
        main(["light", "--run", str(tmp_path), "--out", str(tmp_path / "light.pt")])


def test_a_rate_is_measured_at_each_stage_and_leaves_nothing_behind(start, tmp_path):
    rates = measure(start(), steps=1)
    assert [(rate.height, rate.width) for rate in rates] == [(64, 32), (128, 64)]
    for rate, (batch, steps) in zip(rates, ((4, 6), (6, 2)), strict=True):
        assert rate.pictures * rate.minutes * 60 == pytest.approx(batch * steps)
    assert not (tmp_path / "run").exists()


def test_a_scaled_recipe_has_all_stages_alike(recipe):
    half = recipe.scaled(0.5)
    assert [(stage.steps, stage.warmup) for stage in half.stages] == [(3, 1), (1, 1)]
    assert recipe.scaled(1) == recipe


def test_as_many_teachers_as_the_recipe_has(recipe, prepared, tmp_path):
    more = ["--teacher", "a.xml", "--teacher", "b.xml"]
    arguments = ["train", "--recipe", str(tmp_path / "recipe.json"), "--data", str(prepared)]
    with pytest.raises(SystemExit, match=r"1 teacher\(s\)"):
        main([*arguments, "--out", str(tmp_path / "run"), *more])


@pytest.mark.gpu
def test_no_step_waits_for_the_gpu(start):
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA GPU")
    run = start()
    for run.step in range(3):  # libraries are loaded and kernels chosen
        run.train_step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the mode a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        for run.step in range(3, 6):
            run.train_step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
