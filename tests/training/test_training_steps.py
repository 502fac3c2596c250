import json

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from training import held_out, memory
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


def test_validating_by_the_recipe_of_another_network_says_what_to_name(recipe, prepared, tmp_path):
    run = str(tmp_path / "run")
    assert main(arguments("train", tmp_path, prepared, "--out", run)) == 0
    path = tmp_path / "recipe.json"
    other = json.loads(path.read_text())
    other["architecture"]["stem"] += 1
    path.write_text(json.dumps(other))
    more = ("--run", run, "--source", "market1501", "--people", "2")
    with pytest.raises(
        SystemExit, match=r"another architecture than .*recipe\.json: name the --rec"
    ):
        main(arguments("validate", tmp_path, prepared, *more))


def test_validating_without_a_run_says_what_to_do(recipe, prepared, tmp_path):
    more = ("--run", str(tmp_path / "none"), "--source", "market1501")
    with pytest.raises(SystemExit, match="train first"):
        main(arguments("validate", tmp_path, prepared, *more))


def test_what_is_no_recipe_is_refused_in_one_line(recipe, prepared, tmp_path):
    path = tmp_path / "recipe.json"
    asked = ["train", "--recipe", str(path), "--data", str(prepared), "--out", str(tmp_path)]
    with pytest.raises(SystemExit, match=r"--scale is a number above 0, not -1"):
        main([*asked, "--scale", "-1"])
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"sources": {"market1501": 0.5, "cuhk03": 0.5}}))
    with pytest.raises(SystemExit, match="draws from cuhk03, which these data lack"):
        main(asked)
    path.write_text("{")
    with pytest.raises(SystemExit, match=r"recipe\.json: recipe: is no valid JSON \(Expecting"):
        main(asked)
    path.unlink()
    with pytest.raises(SystemExit, match=r"recipe\.json: No such file"):
        main(asked)


def test_a_needless_teacher_is_not_opened(recipe, prepared, tmp_path):
    asked = ["train", "--recipe", str(tmp_path / "recipe.json"), "--data", str(prepared)]
    asked += ["--out", str(tmp_path / "out"), "--teacher", "absent.xml"]
    assert main([*asked, "--stop-after", "0"]) == 0


def test_keeping_freed_memory_harms_nothing():
    memory.keep_freed()
    assert torch.ones(1 << 22).sum() == 1 << 22


def test_without_market_rendered_people_are_held_out(monkeypatch, tmp_path):
    made = {}
    monkeypatch.setattr(
        "training.prepare.prepare", lambda sources, teacher, out: made.update({out.name: sources})
    )
    kept = min(held_out.held_out_pids("synthetic"))
    for pid in (kept, kept + 1, 10):
        (tmp_path / f"{pid:06d}_c001_01.jpg").write_bytes(b"")
    more = ("--teacher", "teacher.xml", "--out", str(tmp_path / "out"))
    assert main(["prepare", "--synthetic", str(tmp_path), *more]) == 0
    assert [s.pid for s in made["held_out"].pop("synthetic")] == [kept]
    assert kept not in {s.pid for s in made["train"].pop("synthetic")}
    assert made == {"held_out": {}, "train": {}}


def test_preparing_nothing_says_what_to_name(tmp_path):
    with pytest.raises(SystemExit, match="--market1501, --synthetic or both"):
        main(["prepare", "--teacher", "teacher.xml", "--out", str(tmp_path)])
