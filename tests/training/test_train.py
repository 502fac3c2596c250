import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from training.augment import Augmentation, normalise
from training.sets import PreparedSet
from training.train import CHECKPOINT_EVERY, Trainer


def trainer(recipe, prepared, out):
    return Trainer(
        recipe, PreparedSet.open(prepared / "train"), PreparedSet.open(prepared / "held_out"), out
    )


def weights(run):
    return {name: value.clone() for name, value in run.average.state_dict().items()}


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(recipe, prepared, tmp_path):
    whole = trainer(recipe, prepared, tmp_path / "whole")
    whole.run()

    first = trainer(recipe, prepared, tmp_path / "parts")
    while first.step < 3:
        first.run(stop_after=0)
    second = trainer(recipe, prepared, tmp_path / "parts")
    assert second.resume()
    assert second.step == 3
    second.run()

    assert second.step == whole.step == 8
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(second)[name], value, rtol=1e-4, atol=1e-5)


def test_the_end_leaves_curves_as_json_and_picture(recipe, prepared, tmp_path):
    run = trainer(recipe, prepared, tmp_path)
    run.run()
    (point,) = json.loads((tmp_path / "curves.json").read_text())
    assert point["step"] == 8
    assert 0 <= point["mAP"] <= 1
    assert 0 <= point["train_accuracy"] <= 1
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_stage_may_ask_for_circle_loss_instead_of_triplets(recipe, prepared, tmp_path):
    first = replace(recipe.stages[0], weights={"embedding": 1.0, "circle": 0.05})
    recipe = replace(recipe, stages=(first, recipe.stages[1]))
    run = trainer(recipe, prepared, tmp_path)
    before = run.classifier.weight.clone()
    parts = run.train_step()
    assert parts.keys() == {"embedding", "similarity", "identity", "triplet", "circle"}
    assert parts["circle"] > 0
    assert (run.classifier.weight / before).std() < 1e-4  # decayed alone: nobody asks who it is
    run.step = first.steps
    assert "circle" not in run.train_step()


def test_settling_takes_the_batch_norms_of_unchanged_pictures(recipe, prepared, tmp_path):
    """Trained on pictures hidden for the most part, its first norm must still fit whole ones."""
    hidden = Augmentation(erase=1.0, erase_area=(0.8, 0.8))

    def error(settling):
        changed = replace(recipe, settling=settling, augmentation=hidden)
        run = trainer(changed, prepared, tmp_path / str(settling))
        run.run()
        assert run.settled
        convolution, norm, _ = run.average.module.stages[0]
        pictures = run.data.resized(128, 64).permute(0, 3, 1, 2).float()
        with torch.no_grad():
            mean = convolution(normalise(pictures)).mean((0, 2, 3))
        return float((norm.running_mean - mean).abs().mean())

    assert error(30) < 0.5 * error(0)


def test_a_finished_run_is_settled_once(recipe, prepared, tmp_path):
    recipe = replace(recipe, settling=3)
    trainer(recipe, prepared, tmp_path).run()
    again = trainer(recipe, prepared, tmp_path)
    again.resume()
    before = weights(again)
    again.run()
    for name, value in weights(again).items():
        assert torch.equal(value, before[name])


def test_a_checkpoint_of_another_architecture_is_not_taken_up(recipe, prepared, tmp_path):
    trainer(recipe, prepared, tmp_path).run(stop_after=0)
    other = replace(recipe, architecture=replace(recipe.architecture, stem=16))
    with pytest.raises(SystemExit, match="another architecture"):
        trainer(other, prepared, tmp_path).resume()


def test_training_lowers_the_distance_to_the_teacher(recipe, prepared, tmp_path):
    stage = replace(recipe.stages[0], steps=60, rate=0.03, final_rate=0.01)
    weights = {"embedding": 10.0, "similarity": 0.0, "identity": 0.0, "triplet": 0.0}
    calm = Augmentation(brightness=0, contrast=0, saturation=0, tint=0, erase=0)
    run = trainer(
        replace(recipe, stages=(stage,), weights=weights, augmentation=calm), prepared, tmp_path
    )
    distances = []
    for run.step in range(stage.steps):
        distances.append(float(run.train_step()["embedding"]))
    assert np.mean(distances[-5:]) < np.mean(distances[:5]) - 0.15, distances


def test_a_stage_without_a_teacher_learns_who_people_are(recipe, prepared, tmp_path):
    still = dict.fromkeys(("brightness", "contrast", "saturation", "tint", "erase"), 0.0)
    still |= dict.fromkeys(("shift", "zoom", "rotate", "coarse"), 0.0)
    stage = replace(recipe.stages[0], steps=40, rate=0.01, final_rate=0.003, teacher="none")
    recipe = replace(
        recipe,
        identities=6,
        pictures=4,
        stages=(stage,),
        weights={"circle": 0.1, "triplet": 0.5},
        augmentation=Augmentation(**still),
    )
    data, held_out = (PreparedSet.open(prepared / name) for name in ("train", "held_out"))
    # People differ in colour; mixed up, they can only be learnt from their labels.
    mixed = data.labels[np.random.default_rng(3).permutation(len(data.labels))]
    # Nothing of a teacher is there, neither answers nor one to ask.
    run = Trainer(recipe, replace(data, teacher=None, labels=mixed), held_out, tmp_path)
    run.check()
    losses = []
    for run.step in range(stage.steps):
        parts = run.train_step()
        assert parts.keys() == {"identity", "triplet", "circle"}
        losses.append(float(parts["circle"]))
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5]), losses


def test_the_last_stage_may_have_no_teacher(recipe, prepared, tmp_path):
    """Behind one with answers: other sizes, other losses, and curves with gaps."""
    last = replace(recipe.stages[1], teacher="none", weights={"circle": 0.1})
    run = trainer(replace(recipe, stages=(recipe.stages[0], last)), prepared, tmp_path)
    run.validate_every = 3
    run.run()
    points = json.loads((tmp_path / "curves.json").read_text())
    assert [point["step"] for point in points] == [3, 6, 8]
    assert ["embedding" in point for point in points] == [True, True, False]
    assert ["circle" in point for point in points] == [False, False, True]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU validates less often")
def test_a_cpu_validates_as_often_as_it_saves(recipe, prepared, tmp_path):
    assert trainer(recipe, prepared, tmp_path).validate_every == CHECKPOINT_EVERY


def test_a_batch_without_anybody_alone_is_learnt_from_by_the_teacher(recipe, prepared, tmp_path):
    run = trainer(recipe, prepared, tmp_path)
    rows, pictures, own, teacher = run._batch(recipe.stages[0], 0)
    run._batch = lambda stage, inner: (rows, pictures, torch.zeros_like(own), teacher)
    parts = run.train_step()
    assert parts.keys() == {"embedding", "similarity"}
    assert all(torch.isfinite(value).all() for value in run.student.state_dict().values())


@pytest.fixture
def loop(recipe):
    """The recipe with its teacher in the loop, on strongly changed and mixed pictures."""
    strong = Augmentation(rescale=0.5, compress=0.5, mixup=0.3, cutmix=0.3, occlude=0.3)
    stages = [replace(stage, teacher="loop", augmentation=strong) for stage in recipe.stages]
    return replace(recipe, stages=tuple(stages))


def test_a_teacher_in_the_loop_sees_what_the_student_sees_at_the_size_of_the_pictures(
    loop, prepared, tmp_path
):
    seen = []

    def teacher(pictures):
        seen.append(pictures.clone())
        return torch.nn.functional.normalize(torch.ones(len(pictures), 256))

    run = Trainer(
        loop,
        PreparedSet.open(prepared / "train"),
        PreparedSet.open(prepared / "held_out"),
        tmp_path,
        teacher,
    )
    given = []
    run.student.register_forward_pre_hook(lambda module, inputs: given.append(inputs[0]))
    run.run()
    assert len(seen) == len(given) == 8
    for pictures, x in zip(seen, given, strict=True):
        assert pictures.shape == (6, 3, 256, 128)
        assert 0 <= pictures.amin() < pictures.amax() <= 255
        small = torch.nn.functional.avg_pool2d(pictures, 256 // x.shape[2])
        torch.testing.assert_close(x, normalise(small), rtol=0, atol=1e-3)


def test_a_recipe_with_its_teacher_in_the_loop_needs_one(loop, prepared, tmp_path):
    with pytest.raises(SystemExit, match="--teacher"):
        trainer(loop, prepared, tmp_path).run()


def test_people_are_put_into_scenes_if_there_are_any(loop, prepared, tmp_path):
    strong = replace(loop.augmentation, scene=1.0)
    stages = [replace(stage, augmentation=strong) for stage in loop.stages]
    placed = replace(loop, stages=tuple(stages))
    seen = []

    def teacher(pictures):
        seen.append(pictures.clone())
        return torch.nn.functional.normalize(torch.ones(len(pictures), 256))

    held_out, data = (PreparedSet.open(prepared / name) for name in ("held_out", "train"))
    with pytest.raises(SystemExit, match="--scenes"):
        Trainer(placed, data, held_out, tmp_path, teacher).run()
    assert not seen
    black = np.zeros((3, 256, 256, 3), np.uint8)
    Trainer(placed, replace(data, scenes=black), held_out, tmp_path, teacher).run()
    corners = torch.cat(seen)[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.flatten(1).mean(1).amax() < 60  # brightness and tint follow
    assert torch.cat(seen)[:, :, 120:136, 60:68].mean() > 60


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(recipe, prepared, tmp_path):
    run = trainer(recipe, prepared, tmp_path)
    run.run(stop_after=0)
    before = run.checkpoint_path.read_bytes()
    with torch.no_grad():
        run.student.project.weight.fill_(torch.nan)
    with pytest.raises(SystemExit, match="not finite at step 1"):
        run.run()
    assert run.checkpoint_path.read_bytes() == before


def test_an_unprepared_folder_is_refused_with_the_step_that_makes_it(tmp_path):
    with pytest.raises(SystemExit, match="training prepare"):
        PreparedSet.open(tmp_path)
