"""Scenes out of nothing."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="the train extra is not installed")

from reid_edge.image_files import read_image
from training import leaves
from training.__main__ import main


def test_each_number_is_a_scene_of_its_own_and_the_same_again(tmp_path):
    assert main(["leaves", "--out", str(tmp_path / "a"), "--count", "6"]) == 0
    assert main(["leaves", "--out", str(tmp_path / "b"), "--count", "3"]) == 0
    first = [read_image(path) for path in sorted((tmp_path / "a").iterdir())]
    again = [read_image(path) for path in sorted((tmp_path / "b").iterdir())]
    assert len(first) == 6
    assert all(scene.shape == (256, 256, 3) for scene in first)
    for one, other in zip(first, again, strict=False):
        np.testing.assert_array_equal(one, other)
    assert len({scene.tobytes() for scene in first}) == 6


def test_scenes_differ_in_how_much_there_is_in_them():
    scenes = [leaves.draw(np.random.default_rng(seed)).astype(float) for seed in range(24)]
    edges = [np.abs(np.diff(scene, axis=1)).max(2) > 12 for scene in scenes]
    shares = [edge.mean() for edge in edges]
    assert min(shares) < 0.05
    assert max(shares) > 2 * min(shares)
    assert all(scene.std() > 3 for scene in scenes)


def test_what_cannot_be_written_is_an_error(tmp_path, capsys):
    assert main(["leaves", "--out", str(tmp_path), "--count", "0"]) == 1
    assert "give 1 or more" in capsys.readouterr().err
    (tmp_path / "file").write_bytes(b"")
    assert main(["leaves", "--out", str(tmp_path / "file"), "--count", "1"]) == 1
    assert "cannot be written to" in capsys.readouterr().err
    (tmp_path / "00000.png").symlink_to(tmp_path / "nowhere")
    leaves.write(tmp_path, 1)
    assert read_image(tmp_path / "00000.png").shape == (256, 256, 3)


def test_options_are_not_abbreviated(tmp_path):
    with pytest.raises(SystemExit, match="2"):
        main(["leaves", "--out", str(tmp_path / "out"), "--cou", "1"])
    assert not (tmp_path / "out").exists()


def test_what_is_there_stays(tmp_path):
    (tmp_path / "00000.png").write_bytes(b"mine")
    leaves.write(tmp_path, 2)
    assert (tmp_path / "00000.png").read_bytes() == b"mine"
    assert (tmp_path / "00001.png").is_file()
