from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from training.recipe import Stage
from training.replay import Replay
from training.sets import PreparedSet
from training.train import Trainer


def drawn(replay, count=200):
    generator = torch.Generator().manual_seed(0)
    return {replay.draw(generator) for _ in range(count)}


def test_the_last_batches_are_kept_and_drawn():
    replay = Replay(3)
    assert drawn(replay) == {None}
    for batch in range(5):
        assert replay.add(batch) == batch
    assert drawn(replay) == {2, 3, 4}
    replay.clear()
    assert drawn(replay) == {None}


def test_the_teacher_answers_new_batches_only(recipe, prepared, tmp_path):
    asked, learnt = [], []

    def teacher(pictures):
        asked.append(pictures.shape)
        return torch.nn.functional.normalize(torch.rand(len(pictures), 256))

    stages = [replace(stage, teacher="loop", uses=2) for stage in recipe.stages]
    run = Trainer(
        replace(recipe, stages=tuple(stages)),
        PreparedSet.open(prepared / "train"),
        PreparedSet.open(prepared / "held_out"),
        tmp_path,
        teacher,
    )
    run.student.register_forward_pre_hook(lambda module, inputs: learnt.append(inputs[0].shape))
    run.run()
    # Six steps of one size, two of another, and every second one learns from what there was.
    assert (len(asked), len(learnt)) == (4, 8)
    assert [shape[2] for shape in learnt] == [64] * 6 + [128] * 2


def test_only_a_teacher_in_the_loop_is_spared():
    values = {"height": 2, "width": 2, "steps": 1, "warmup": 0, "rate": 1.0, "final_rate": 0.1}
    assert Stage(**values, teacher="loop", uses=3).uses == 3
    for wrong in ({"uses": 2}, {"uses": 0, "teacher": "loop"}):
        with pytest.raises(ValueError, match="uses a batch once"):
            Stage(**values, **wrong)
