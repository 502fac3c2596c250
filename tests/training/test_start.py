import re
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from reid_edge.errors import ArchitectureMismatchError, ConversionError
from training.__main__ import main
from training.publish import published
from training.sets import PreparedSet
from training.start import start
from training.train import Trainer


def trainer(recipe, prepared, out):
    return Trainer(
        recipe, PreparedSet.open(prepared / "train"), PreparedSet.open(prepared / "held_out"), out
    )


@pytest.fixture
def first(recipe, prepared, tmp_path, published_file):
    """A run that is through with the first stage, and the weights that it would publish."""
    run = trainer(recipe, prepared, tmp_path / "first")
    while run.step < 6:
        run.run(stop_after=0)
    path = tmp_path / "weights.safetensors"
    published_file(published(run.average.state_dict()), recipe.architecture.to_json(), path)
    return run, path


def test_a_run_goes_on_with_published_weights(recipe, prepared, tmp_path, first):
    before, path = first
    run = trainer(recipe, prepared, tmp_path / "second")
    start(run, path, stage=2)
    assert run.step == 6
    expected = before.average.module.state_dict()
    for network in (run.student, run.average.module):
        for name, value in network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-3)
    run.run()
    assert (run.step, run.history[-1]["step"]) == (8, 8)
    # The average began with the published weights, not with the first step's.
    assert int(run.average.n_averaged) == 3


def test_a_smaller_network_s_weights_grow(recipe, prepared, tmp_path, first, capsys):
    before, path = first
    sizes = replace(recipe.architecture, stem=10, growth=(6, 4, 12), layers=(1, 3, 1))
    run = trainer(replace(recipe, architecture=sizes), prepared, tmp_path / "second")
    start(run, path, stage=2)
    assert "grows from" in capsys.readouterr().out
    x = torch.randn(3, 3, 128, 64)
    for network in (run.student, run.average.module):
        with torch.no_grad():
            found, expected = network.eval()(x), before.average.module.eval()(x)
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-2)  # published in FP16
    norms = run.classifier.weight.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms))
    run.run()
    assert (run.step, run.history[-1]["step"]) == (8, 8)


def test_the_classifier_knows_its_people(recipe, prepared, tmp_path, first):
    run = trainer(recipe, prepared, tmp_path / "second")
    start(run, first[1], stage=2)
    data = PreparedSet.open(prepared / "train")
    images = data.resized(128, 64).permute(0, 3, 1, 2).float()
    from training.augment import normalise

    run.average.eval()
    with torch.no_grad():
        embeddings = torch.nn.functional.normalize(run.average(normalise(images)))
        _, accuracy = run.classifier(embeddings, torch.from_numpy(data.labels[:, 0]).long())
    assert accuracy == 1


def test_only_stages_to_come_need_their_teacher(recipe, prepared, tmp_path, first):
    """As where the pictures were prepared without a teacher, for a last stage in the loop."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for part in ("train", "held_out"):
        (bare / part).mkdir()
        for path in (prepared / part).iterdir():
            if path.name != "teacher.npy":
                (bare / part / path.name).symlink_to(path)
    stages = (recipe.stages[0], replace(recipe.stages[1], teacher="loop"))
    run = trainer(replace(recipe, stages=stages), bare, tmp_path / "second")
    with pytest.raises(SystemExit, match="--teacher"):
        run.check()
    run.teacher = lambda pictures: torch.zeros(len(pictures), 256)
    with pytest.raises(SystemExit, match="prepare"):
        run.check()
    start(run, first[1], stage=2)
    run.check()


def test_without_a_teacher_to_come_heads_are_not_missed(recipe, prepared, tmp_path, published_file):
    headed = replace(recipe, architecture=replace(recipe.architecture, embedding=128))
    before = trainer(headed, prepared, tmp_path / "first")
    path = tmp_path / "narrow.safetensors"
    published_file(published(before.average.state_dict()), headed.architecture.to_json(), path)
    last = replace(recipe.stages[1], teacher="none", weights={"circle": 0.1})
    run = trainer(replace(headed, stages=(headed.stages[0], last)), prepared, tmp_path / "second")
    start(run, path, stage=2)
    run.run()
    assert run.step == 8


def test_what_cannot_be_started_from_is_refused(recipe, prepared, tmp_path, first):
    run = trainer(recipe, prepared, tmp_path / "second")
    for stage in (0, 3):
        with pytest.raises(SystemExit, match=f"stages 1 to 2, not {stage}"):
            start(run, first[1], stage)
    other = replace(recipe, architecture=replace(recipe.architecture, stem=4))
    with pytest.raises(SystemExit, match="another architecture"):
        start(trainer(other, prepared, tmp_path / "second"), first[1], 2)
    headed = replace(recipe, architecture=replace(recipe.architecture, embedding=128))
    with pytest.raises(SystemExit, match="heads that are not published"):
        start(trainer(headed, prepared, tmp_path / "second"), first[1], 2)
    with pytest.raises(ConversionError, match="no such file"):
        start(run, tmp_path / "absent.safetensors", 2)
    (tmp_path / "keras.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ConversionError, match="publish"):
        start(run, tmp_path / "keras.h5", 2)
    assert run.step == 0


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (float("nan"), ConversionError),
        (torch.zeros(3), ArchitectureMismatchError),
        (None, ArchitectureMismatchError),
    ],
)
def test_damaged_weights_are_refused(
    recipe, prepared, tmp_path, first, published_file, value, error
):
    tensors = published(first[0].average.state_dict())
    if value is None:
        del tensors["neck.bias"]
    else:
        tensors["neck.bias"] = value + torch.zeros(256) if isinstance(value, float) else value
    published_file(tensors, recipe.architecture.to_json(), tmp_path / "damaged.safetensors")
    run = trainer(recipe, prepared, tmp_path / "second")
    with pytest.raises(error, match=r"neck\.bias"):
        start(run, tmp_path / "damaged.safetensors", 2)


def test_the_command_starts_once(recipe, prepared, tmp_path, first, capsys):
    asked = ["train", "--recipe", str(tmp_path / "recipe.json"), "--data", str(prepared)]
    asked += ["--out", str(tmp_path / "second")]
    for alone in (["--stage", "2"], ["--start", str(first[1])]):
        with pytest.raises(SystemExit, match="go together"):
            main([*asked, *alone])
    asked += ["--start", str(first[1]), "--stage", "2"]
    assert main([*asked, "--stop-after", "0"]) == 0
    assert "goes on" not in capsys.readouterr().out
    assert main(asked) == 0
    assert re.search("goes on from step 7 .*--start is left aside", capsys.readouterr().out)
