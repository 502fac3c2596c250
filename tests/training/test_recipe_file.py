"""A recipe's fields are looked at before anything is made of them."""

import json
from dataclasses import fields

import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from training import recipe_file
from training.augment import Augmentation


@pytest.fixture
def refused(recipe, tmp_path):
    """Whether a recipe is refused, after a change, and with what."""
    path = tmp_path / "recipe.json"
    values = json.loads(path.read_text())
    assert recipe_file.read(path) == values

    def check(change, told):
        path.write_text(json.dumps(change(json.loads(json.dumps(values)))))
        with pytest.raises(ValueError, match=told):
            recipe_file.read(path)

    return check


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("stages", ["a"], "stage 1: expected an object, found a string"),
        ("stages", [], "stages: expected a list of one value or more"),
        ("stages", {}, "stages: expected a list of one value or more, found an object"),
        ("weights", [1], "weights: expected an object, found a list"),
        ("seed", "a", "seed: expected a whole number"),
        ("identities", "64", "identities: expected a whole number"),
        ("pictures", 1, "pictures: expected a whole number in 2"),
        ("averaging", 2, "averaging: expected a finite number in 0...1"),
        ("augmentation", {"shift": "a"}, "augmentation: shift: expected a finite number"),
        ("augmentation", {"scene": 2}, "augmentation: scene: expected a finite number in 0...1"),
        ("augmentation", {"scenes": 0.1}, "augmentation: unknown fields: scenes"),
        ("sources", {"market1501": 0}, "sources: expected a share above 0"),
        ("sources", {"market1501": "1"}, "sources: market1501: expected a finite number"),
        ("augmentation", {"shift": None}, "augmentation: shift: expected a finite number"),
        ("augmentation", {"erase_area": [0.3, 0.1]}, "erase_area: expected the least"),
        ("teachers", None, "teachers: expected a whole number"),
        ("architecture", {"growth": None}, "growth: expected a list of one value"),
        ("architecture", {"growth": 4}, "growth: expected a list of one value"),
        ("architecture", {"layers": [1, 2, 0]}, "layers: expected a list of whole numbers"),
        ("architecture", {"network": "vit"}, "network: expected 'edge' or 'densenet'"),
        ("foo", 1, "unknown fields: foo"),
    ],
)
def test_a_wrong_field_is_named(refused, name, value, told):
    merged = name == "architecture"
    refused(lambda recipe: recipe | {name: recipe[name] | value if merged else value}, told)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("steps", "900", "stage 2: steps: expected a whole number"),
        ("steps", -5, "stage 2: steps: expected a whole number in 1"),
        ("height", 0, "stage 2: height: expected a whole number in 32"),
        ("teacher", "absent", "stage 2: teacher: expected 'prepared' or 'loop' or 'none'"),
        ("echo", 0, "stage 2: echo: expected a whole number in 1"),
        ("rate", None, "stage 2: rate: expected a finite number"),
        ("weights", None, "stage 2: weights: expected an object"),
        ("augmentation", [], "stage 2: augmentation: expected an object"),
        ("setps", 1, "stage 2: unknown fields: setps"),
    ],
)
def test_a_wrong_field_of_a_stage_is_named(refused, name, value, told):
    def change(recipe):
        recipe["stages"][1][name] = value
        return recipe

    refused(change, told)


@pytest.mark.parametrize("name", ["architecture", "seed", "stages", "weights"])
def test_a_missing_field_is_named(refused, name):
    refused(lambda recipe: {k: v for k, v in recipe.items() if k != name}, f"'{name}' is missing")


def test_a_list_is_no_recipe(refused):
    refused(lambda recipe: [recipe], "recipe: is no JSON object")


def test_half_widths_are_fields_of_an_augmentation():
    assert {field.name for field in fields(Augmentation)} >= recipe_file.HALF_WIDTHS
