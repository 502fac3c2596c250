import json
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from reid_edge.datasets import Sample
from reid_edge.image_files import read_image
from training import prepare, views
from training.augment import Augmentation, augment
from training.sets import PreparedSet


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(0)
    found = []
    for pid in (5, 5, 9):
        path = tmp_path / f"{pid}_{len(found)}.png"
        cv2.imwrite(str(path), np.full((128, 64, 3), rng.integers(0, 256, 3), np.uint8))
        found.append(Sample(path, pid, len(found)))
    return found


@pytest.fixture
def taught(monkeypatch):
    """Stands in for the teacher; counts its calls."""
    calls = []

    def teach(images, boxes, teachers):
        calls.append(teachers)
        return np.zeros((len(images), views.COUNT, 256), np.float16)

    monkeypatch.setattr(prepare, "_teach", teach)
    return calls


def test_equal_numbers_in_two_datasets_stay_two_people_in_their_own_rows(samples, taught, tmp_path):
    out = tmp_path / "out"
    prepare.prepare({"one": samples, "two": samples[:1]}, [Path("teacher.xml")], out)
    labels = np.load(out / "labels.npy")
    assert labels.tolist() == [[0, 0], [0, 0], [1, 0], [2, 1]]
    assert json.loads((out / "index.json").read_text())["sources"] == ["one", "two"]
    images = np.load(out / "images.npy")
    assert images.shape == (4, 256, 128, 3)
    for image, sample in zip(images, [*samples, samples[0]], strict=True):
        assert (image == read_image(sample.path)[0, 0]).all()  # each is of one colour


def test_a_finished_set_is_left_alone_and_an_unfinished_one_made_anew(samples, taught, tmp_path):
    out = tmp_path / "out"
    prepare.prepare({"one": samples}, [Path("teacher.xml")], out)
    prepare.prepare({"one": samples}, [Path("teacher.xml")], out)
    assert len(taught) == 1
    (out / "index.json").unlink()
    prepare.prepare({"one": samples}, [Path("teacher.xml")], out)
    assert len(taught) == 2


def test_without_teachers_there_is_nothing_taught(samples, tmp_path):
    prepare.prepare({"one": samples}, [], tmp_path / "out")
    assert PreparedSet.open(tmp_path / "out").teacher is None


@pytest.mark.parametrize("view", range(views.COUNT))
def test_the_student_sees_the_crop_that_the_teacher_saw(view):
    """Two routes to one view: a crop in pixels for the teacher, a sampling grid for the student."""
    coarse = np.random.default_rng(1).integers(0, 256, (16, 8, 3), np.uint8)
    picture = cv2.resize(coarse, (128, 256), interpolation=cv2.INTER_CUBIC)
    box = views.draw_boxes(1, seed=3)[0, view]
    mirrored = bool(views.MIRRORED[view])
    teacher = torch.from_numpy(prepare.view_of(picture, box, mirrored).copy())
    still = Augmentation(0, 0, 0, 0, 0, 0, 0, 0, 0)
    student, _ = augment(
        torch.from_numpy(picture)[None],
        torch.from_numpy(box)[None],
        torch.tensor([mirrored]),
        still,
        torch.Generator(),
    )
    assert (student - teacher.permute(2, 0, 1)[None].float()).abs().mean() < 3
