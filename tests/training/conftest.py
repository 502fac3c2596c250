"""Tiny prepared sets, so that a whole training run takes seconds."""

import json

import numpy as np
import pytest


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A folder with `train` and `held_out`, as `prepare` writes them: people differ in colour."""
    root = tmp_path_factory.mktemp("prepared")
    _write(root / "train", people=6, seed=1)
    _write(root / "held_out", people=3, seed=2)
    return root


def _write(folder, people, seed, per_person=4):
    from training import views

    folder.mkdir()
    rng = np.random.default_rng(seed)
    count = people * per_person
    labels = np.repeat(np.arange(people), per_person)
    colours = rng.integers(30, 225, (people, 3))
    images = np.empty((count, 256, 128, 3), np.uint8)
    for row, label in enumerate(labels):
        noise = rng.integers(-20, 20, (256, 128, 3))
        images[row] = np.clip(colours[label] + noise, 0, 255)
    teacher = rng.normal(size=(people, 256))[labels][:, None].repeat(views.COUNT, 1)
    teacher /= np.linalg.norm(teacher, axis=2, keepdims=True)
    np.save(folder / "images.npy", images)
    np.save(folder / "boxes.npy", views.draw_boxes(count, seed))
    np.save(folder / "teacher.npy", teacher.astype(np.float16))
    np.save(folder / "labels.npy", np.stack([labels, np.zeros(count)], 1).astype(np.int32))
    pictures = [[f"{row}.jpg", int(label), row % 2] for row, label in enumerate(labels)]
    (folder / "index.json").write_text(
        json.dumps({"sources": ["market1501"], "pictures": pictures})
    )


@pytest.fixture
def recipe(tmp_path):
    """A recipe of eight steps at two sizes."""
    from training.recipe import Recipe

    path = tmp_path / "recipe.json"
    path.write_text(
        json.dumps(
            {
                "architecture": {
                    "stem": 8,
                    "growth": [4, 4, 8],
                    "layers": [1, 2, 1],
                    "bottleneck": 2,
                    "embedding": 256,
                },
                "seed": 7,
                "sources": {"market1501": 1.0},
                "identities": 3,
                "pictures": 2,
                "stages": [
                    {
                        "height": 64,
                        "width": 32,
                        "steps": 6,
                        "warmup": 2,
                        "rate": 0.003,
                        "final_rate": 0.001,
                    },
                    {
                        "height": 128,
                        "width": 64,
                        "steps": 2,
                        "warmup": 1,
                        "rate": 0.001,
                        "final_rate": 0.0001,
                    },
                ],
                "weight_decay": 0.01,
                "averaging": 0.5,
                "weights": {"embedding": 1.0, "similarity": 1.0, "identity": 1.0, "triplet": 1.0},
                "augmentation": {},
            }
        )
    )
    return Recipe.load(path)


@pytest.fixture
def published_file():
    """Writes tensors as `publish` would, described as far as the export reads it."""
    pytest.importorskip("safetensors", reason="the train extra is not installed")
    from export.checkpoint import BUNDLE_FIELDS
    from training.publish import save

    described = dict.fromkeys(BUNDLE_FIELDS) | {"input": {"height": 256, "width": 128}}

    def write(tensors, architecture, path):
        save(tensors, architecture, described, path)
        return path

    return write
