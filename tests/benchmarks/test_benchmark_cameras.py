from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from benchmarks import cameras
from benchmarks._cameras import Camera
from reid_edge import bundle
from reid_edge.datasets import Sample
from reid_edge.errors import OptionError
from training.held_out import held_out_pids

PLAIN = Camera(
    colours=np.eye(3, dtype=np.float32),
    gain=np.ones(3, np.float32),
    gamma=1.0,
    black=0.0,
    saturation=1.0,
    height=96,
    sharpening=0.0,
    noise=0.0,
    quality=95,
    zoom=0.0,
    aspect=0.0,
    shift=0.0,
    tilt=0.0,
)


class Still:
    """A generator of random numbers that are all 0, the mean."""

    def normal(self, mean, deviation, shape=None):
        return mean if shape is None else np.full(shape, mean)


@pytest.fixture
def picture():
    """Smooth, of several colours, twice as large as PLAIN's."""
    small = np.random.default_rng(3).integers(40, 200, (12, 6, 3), np.uint8)
    return cv2.resize(small, (96, 192), interpolation=cv2.INTER_CUBIC)


def difference(a, b):
    return np.abs(a.astype(np.float32) - b).mean()


def test_a_camera_without_faults_shows_the_picture_smaller(picture):
    shown = PLAIN.shoot(picture, Still())
    assert (shown.dtype, shown.shape) == (np.uint8, (96, 48, 3))
    assert difference(shown, cv2.resize(picture, (48, 96), interpolation=cv2.INTER_AREA)) < 4


def test_a_small_camera_averages_what_it_does_not_resolve():
    """Noise of single pixels is grey from afar; picked pixels would keep all of its contrast."""
    noise = np.random.default_rng(5).integers(0, 256, (192, 96, 3), np.uint8)
    shown = replace(PLAIN, height=48).shoot(noise, Still())
    assert shown.std() < noise.std() / 3


@pytest.mark.parametrize(
    "fault",
    [
        {"colours": np.float32([[0.7, 0.2, 0.1], [0, 1, 0], [0, 0.3, 0.7]])},
        {"gain": np.float32([1, 1, 0.7])},
        {"gamma": 1.5},
        {"black": 25.0},
        {"saturation": 0.4},
        {"sharpening": 1.2},
        {"noise": 8.0},
        {"quality": 5},
        {"zoom": 0.2},
        {"aspect": 0.2},
        {"shift": 0.06},
        {"tilt": 0.15},
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_each_fault_is_seen(picture, fault):
    noisy = np.random.default_rng(1) if "noise" in fault else Still()
    shown = replace(PLAIN, **fault).shoot(picture, noisy)
    assert shown.shape == (96, 48, 3)
    assert difference(shown, PLAIN.shoot(picture, Still())) > 1


def test_seen_from_above_legs_are_narrow():
    bar = np.zeros((192, 96, 3), np.uint8)
    bar[:, 24:72] = 255
    shown = replace(PLAIN, tilt=-0.15).shoot(bar, Still())[..., 0] > 127
    assert shown[5].sum() > shown[48].sum() > shown[90].sum() > 0


def test_a_camera_stays_one_camera_and_a_seed_one_set(picture):
    people = [Sample(None, pid, camid) for pid in (1, 2) for camid in (1, 2)]

    def shots(seed):
        shown = cameras.through(people, seed)
        return [shown(sample, picture) for sample in people]

    first, again, other = shots(0), shots(0), shots(1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert [a.shape for a in first] != [b.shape for b in other]
    assert first[0].shape == first[2].shape  # camera 1, twice
    assert first[0].shape != first[1].shape
    assert not np.array_equal(first[0], first[2])  # each picture is cut anew


def test_only_held_out_people_are_shown_and_each_set_is_measured(
    tiny_folder, tmp_path, monkeypatch, picture
):
    train = tmp_path / "bounding_box_train"
    train.mkdir()
    held = sorted(held_out_pids())[:2]
    trained_on = next(pid for pid in range(2, 1500) if pid not in held_out_pids())
    for pid in (*held, trained_on):
        for camid in (1, 2):
            shown = np.roll(picture, pid, axis=(0, 1))
            assert cv2.imwrite(str(train / f"{pid:04}_c{camid}s1_000001_00.jpg"), shown)
    monkeypatch.setattr(bundle, "find", lambda model: tiny_folder)
    found = cameras.run(tmp_path, sets=2)
    assert (found["people"], found["pictures"]) == (2, 4)
    figures = found["networks"]["ours: tiny fp32 (auto)"]
    assert list(figures) == ["as they are", "cameras 0", "cameras 1", "mean of all cameras"]
    for key in ("rank1", "mAP"):
        assert all(0 <= each[key] <= 1 for each in figures.values())
        mean = (figures["cameras 0"][key] + figures["cameras 1"][key]) / 2
        assert figures["mean of all cameras"][key] == pytest.approx(mean)
    with pytest.raises(OptionError, match="at least 1"):
        cameras.run(tmp_path, sets=0)
