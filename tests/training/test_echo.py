from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")
pytest.importorskip("matplotlib", reason="the train extra is not installed")

from training.echo import Echo
from training.recipe import Stage
from training.sets import PreparedSet
from training.train import Trainer


def drawn(echo, count=200):
    generator = torch.Generator().manual_seed(0)
    return {echo.draw(generator) for _ in range(count)}


def test_the_last_batches_are_kept_and_drawn():
    echo = Echo(3)
    assert drawn(echo) == {None}
    for batch in range(5):
        assert echo.add(batch) == batch
    assert drawn(echo) == {2, 3, 4}
    echo.clear()
    assert drawn(echo) == {None}


def test_the_teacher_answers_new_batches_only(recipe, prepared, tmp_path, monkeypatch):
    answers, learnt = [], []

    def teacher(pictures):
        answers.append(torch.nn.functional.normalize(torch.rand(len(pictures), 256)))
        return answers[-1]

    stages = [replace(stage, teacher="loop", echo=2) for stage in recipe.stages]
    run = Trainer(
        replace(recipe, stages=tuple(stages)),
        PreparedSet.open(prepared / "train"),
        PreparedSet.open(prepared / "held_out"),
        tmp_path,
        teacher,
    )
    batch = run._batch
    monkeypatch.setattr(run, "_batch", lambda *step: learnt.append(batch(*step)) or learnt[-1])
    run.run()
    # Of six steps at one size and two at another, every second one echoes a batch of its stage.
    assert len(answers) == 4
    assert all(new[-1] is answer for new, answer in zip(learnt[::2], answers, strict=True))
    for index, echo in enumerate(learnt[1::2]):
        own_stage = learnt[0 : 2 * index + 1 : 2] if index < 3 else learnt[6:7]
        assert any(echo is new for new in own_stage)


def test_only_answers_in_the_loop_are_echoed():
    values = {"height": 2, "width": 2, "steps": 1, "warmup": 0, "rate": 1.0, "final_rate": 0.1}
    assert Stage(**values, teacher="loop", echo=3).echo == 3
    with pytest.raises(ValueError, match="only a stage whose teacher is 'loop'"):
        Stage(**values, echo=2)
    for wrong in (0, 1.5):
        with pytest.raises(ValueError, match="whole number"):
            Stage(**values, teacher="loop", echo=wrong)
