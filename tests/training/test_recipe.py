import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from training.recipe import Recipe, Stage

SHIPPED = sorted((Path(__file__).parents[2] / "training" / "recipes").glob("*.json"))
FREE = ("edge_free", "edge_free_wider")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_load(path):
    assert Recipe.load(path).steps > 0


def test_the_rate_warms_up_then_falls_to_its_end():
    stage = Stage(height=2, width=2, steps=100, warmup=10, rate=1.0, final_rate=0.1)
    assert stage.rate_at(0) == pytest.approx(0.1)
    assert stage.rate_at(9) == stage.rate_at(10) == pytest.approx(1.0)
    rates = [stage.rate_at(step) for step in range(10, 100)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)


def test_a_step_belongs_to_one_stage(recipe):
    assert recipe.stage_of(0) == (0, 0)
    assert recipe.stage_of(5) == (0, 5)
    assert recipe.stage_of(6) == (1, 0)
    with pytest.raises(IndexError):
        recipe.stage_of(8)
    ahead = [len(recipe.ahead(step)) for step in (0, 5, 6, 7, 8)]
    assert ahead == [2, 2, 1, 1, 0]


def test_a_stage_may_have_an_augmentation_and_a_teacher_of_its_own():
    values = {"height": 2, "width": 2, "steps": 1, "warmup": 0, "rate": 1.0, "final_rate": 0.1}
    stage = Stage.from_json({**values, "teacher": "loop", "augmentation": {"mixup": 0.5}})
    assert (stage.teacher, stage.augmentation.mixup) == ("loop", 0.5)
    assert Stage.from_json(values).augmentation is None
    with pytest.raises(ValueError, match="prepared"):
        Stage.from_json({**values, "teacher": "absent"})


def test_nobody_is_compared_with_a_teacher_that_is_not_there(recipe):
    stage = replace(recipe.stages[1], teacher="none")
    with pytest.raises(ValueError, match="stage 2 has no teacher and cannot weigh embedding, sim"):
        replace(recipe, stages=(recipe.stages[0], stage))
    stage = replace(stage, weights={"embedding": 0.0, "circle": 0.1})
    assert replace(recipe, stages=(stage,)).weights_of(stage) == stage.weights


@pytest.mark.parametrize("name", ["mixup", "cutmix", "dye"])
def test_without_a_teacher_nothing_is_learnt_from_strangers(recipe, name):
    stage = replace(recipe.stages[1], teacher="none", weights={"triplet": 1.0})
    changed = replace(recipe.augmentation, **{name: 0.1})
    with pytest.raises(ValueError, match=f"stage 2 has no teacher: nothing .* {name}"):
        replace(recipe, stages=(recipe.stages[0], replace(stage, augmentation=changed)))


def test_an_architecture_has_as_many_growths_as_layers(recipe):
    with pytest.raises(ValueError, match="as many blocks"):
        replace(recipe, architecture=replace(recipe.architecture, growth=(4, 4)))


def test_a_stage_s_own_values_count_where_they_are_nought(recipe):
    stage = replace(recipe.stages[0], averaging=0.0)
    assert recipe.averaging_of(stage) == 0
    assert recipe.averaging_of(recipe.stages[0]) == recipe.averaging > 0
    values = {"height": 2, "width": 2, "steps": 1, "warmup": 0, "rate": 1.0, "final_rate": 0.1}
    assert Stage.from_json({**values, "augmentation": {}}).augmentation is not None


def test_an_unknown_field_is_refused(tmp_path):
    values = json.loads(SHIPPED[0].read_text())
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({**values, "leraning_rate": 1}))
    with pytest.raises(ValueError, match="recipe: unknown fields: leraning_rate"):
        Recipe.load(path)


def test_a_loss_that_does_not_exist_is_refused(recipe):
    with pytest.raises(ValueError, match=r"no losses circel; there are .*circle"):
        replace(recipe, weights={"embedding": 1.0, "circel": 0.05})
    with pytest.raises(ValueError, match="tripplet"):
        replace(recipe.stages[0], weights={"tripplet": 0.5})


@pytest.mark.parametrize("weights", [{}, {"embedding": 0.0}])
def test_a_stage_without_any_loss_is_refused(recipe, weights):
    with pytest.raises(ValueError, match="above 0 is needed"):
        replace(recipe.stages[0], weights=weights)


@pytest.mark.parametrize("weight", [-0.5, math.nan, math.inf, "0.5", None])
def test_a_weight_that_is_none_is_refused(recipe, weight):
    with pytest.raises(ValueError, match="numbers from 0 on"):
        replace(recipe, weights={"embedding": 1.0, "identity": weight})


def test_the_two_recipes_of_edge_free_differ_in_their_last_stage_alone():
    """So one run of what they share can be the start of both."""
    one, other = (Recipe.load(SHIPPED[0].with_name(f"{name}.json")) for name in FREE)
    assert replace(one, stages=one.stages[:-1]) == replace(other, stages=other.stages[:-1])
    assert one.stages[-1].steps == other.stages[-1].steps
