import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from training import memory
from training.__main__ import main


def arguments(step, tmp_path, prepared, *more):
    common = ["--recipe", str(tmp_path / "recipe.json"), "--data", str(prepared)]
    return [step, *common, *more]


def test_a_run_is_validated_on_the_people_of_one_source(recipe, prepared, tmp_path, capsys):
    run = str(tmp_path / "run")
    assert main(arguments("train", tmp_path, prepared, "--out", run)) == 0
    capsys.readouterr()
    more = ("--run", run, "--source", "market1501", "--people", "2")
    assert main(arguments("validate", tmp_path, prepared, *more)) == 0
    assert capsys.readouterr().out.startswith("8 pictures: rank-1 ")


def test_validating_without_a_run_says_what_to_do(recipe, prepared, tmp_path):
    more = ("--run", str(tmp_path / "none"), "--source", "market1501")
    with pytest.raises(SystemExit, match="train first"):
        main(arguments("validate", tmp_path, prepared, *more))


def test_keeping_freed_memory_harms_nothing():
    memory.keep_freed()
    assert torch.ones(1 << 22).sum() == 1 << 22
