import shutil
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from training.__main__ import main
from training.publish import published
from training.sets import PreparedSet
from training.train import Trainer


@pytest.fixture
def runs(recipe, prepared, tmp_path):
    """Two short runs, of different seeds."""
    sets = [PreparedSet.open(prepared / name) for name in ("train", "held_out")]
    folders = [tmp_path / "a", tmp_path / "b"]
    for seed, folder in enumerate(folders):
        run = Trainer(replace(recipe, seed=seed), *sets, folder)
        while run.step < 2:
            run.run(stop_after=0)
    return folders


def soup(out, *runs):
    return main(["soup", *(f"--run={run}" for run in runs), "--out", str(out)])


def load(folder):
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def test_a_soup_is_the_mean_of_the_averages_and_can_be_published(runs, tmp_path):
    assert soup(tmp_path / "soup", *runs) == 0
    a, b, mean = (load(folder)["average"] for folder in (*runs, tmp_path / "soup"))
    for name, value in mean.items():
        expected = (a[name] + b[name]) / 2 if value.is_floating_point() else a[name]
        torch.testing.assert_close(value, expected)
    assert any(not torch.equal(mean[name], a[name]) for name in mean)
    assert published(mean)


def test_a_soup_can_be_validated(runs, recipe, prepared, tmp_path, capsys):
    soup(tmp_path / "soup", *runs)
    arguments = ["validate", "--recipe", str(tmp_path / "recipe.json"), "--data", str(prepared)]
    arguments += ["--run", str(tmp_path / "soup"), "--source", "market1501", "--people", "2"]
    assert main(arguments) == 0
    assert "8 pictures: rank-1 " in capsys.readouterr().out
    state = load(tmp_path / "soup")
    torch.save({**state, "step": 99}, tmp_path / "soup" / "checkpoint.pt")
    with pytest.raises(SystemExit, match="behind the recipe's end"):
        main(arguments)


def test_a_soup_is_no_run_to_go_on_with(runs, recipe, prepared, tmp_path):
    soup(tmp_path / "soup", *runs)
    sets = [PreparedSet.open(prepared / name) for name in ("train", "held_out")]
    with pytest.raises(SystemExit, match="averaged weights only"):
        Trainer(recipe, *sets, tmp_path / "soup").resume()


def test_a_soup_is_never_written_over_a_run(runs, tmp_path):
    before = (runs[0] / "checkpoint.pt").read_bytes()
    with pytest.raises(SystemExit, match="there already"):
        soup(runs[0], *runs)
    assert (runs[0] / "checkpoint.pt").read_bytes() == before


def test_published_weights_are_a_part_of_the_mean(runs, tmp_path, published_file):
    state = load(runs[0])
    weights = published_file(
        published(state["average"]), state["architecture"], tmp_path / "start.safetensors"
    )
    assert soup(tmp_path / "soup", weights, runs[1]) == 0
    a, b, mean = state["average"], load(runs[1])["average"], load(tmp_path / "soup")["average"]
    assert mean.keys() == b.keys()
    for name, value in mean.items():
        expected = b[name]
        if value.is_floating_point():
            expected = (a[name].half().float() + b[name]) / 2
        torch.testing.assert_close(value, expected)
    other = shutil.copy(weights, tmp_path / "other.safetensors")
    with pytest.raises(SystemExit, match="a run's folder"):
        soup(tmp_path / "second", weights, other)


def test_a_carried_average_and_the_weights_that_it_began_with_have_a_mean(
    runs, tmp_path, published_file
):
    """As docs/training-on-a-gpu.md makes edge 0.8.0's."""
    state = load(runs[0])
    weights = published_file(
        published(state["average"]), state["architecture"], tmp_path / "start.safetensors"
    )
    carried = tmp_path / "carried"
    carried.mkdir()
    light = ["light", "--average-only", "--run", str(runs[1])]
    assert main([*light, "--out", str(carried / "checkpoint.pt")]) == 0
    assert soup(tmp_path / "soup", carried, weights) == 0
    a, b, mean = state["average"], load(runs[1])["average"], load(tmp_path / "soup")["average"]
    for name, value in mean.items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (a[name].half().float() + b[name].half().float()) / 2)
    assert published(mean)


def test_what_has_no_mean_is_refused(runs, tmp_path):
    with pytest.raises(SystemExit, match="named twice"):
        soup(tmp_path / "soup", runs[0], tmp_path / "." / "a")
    with pytest.raises(SystemExit, match="two runs or more"):
        soup(tmp_path / "soup", runs[0])
    with pytest.raises(SystemExit, match="train first"):
        soup(tmp_path / "soup", runs[0], tmp_path / "none")
    other = load(runs[1])
    other["architecture"]["stem"] += 1
    torch.save(other, runs[1] / "checkpoint.pt")
    with pytest.raises(SystemExit, match="different architectures"):
        soup(tmp_path / "soup", *runs)
    assert not (tmp_path / "soup").exists()
