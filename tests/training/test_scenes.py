"""Places without people: into squares, and windows onto them."""

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from reid_edge.errors import ImageFileError, ImageSizeError
from training import scenes
from training.draws import uniform


def write(path, height, width):
    """A picture whose red rises along its longer side."""
    ramp = np.linspace(0, 255, max(height, width)).astype(np.uint8)
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, :, 2] = ramp[:, None] if height > width else ramp[None]
    cv2.imwrite(str(path), picture)


@pytest.mark.parametrize(
    ("size", "count"),
    [
        *(((256, 256), 1), ((100, 90), 1), ((300, 650), 2), ((700, 300), 2), ((64, 1000), 4)),
        ((2, 30_000), 4),  # not scaled up whole
    ],
)
def test_a_picture_becomes_squares_along_its_longer_side(tmp_path, size, count):
    path = tmp_path / "a.png"
    write(path, *size)
    found = list(scenes.squares([path]))
    assert [file for file, _ in found] == [path] * count
    assert [square.shape for _, square in found] == [(256, 256, 3)] * count
    assert all(square.base is None for _, square in found)  # none keeps its picture in memory
    reds = [square[:, :, 0].mean() for _, square in found]
    assert reds == sorted(reds)
    if count > 1:  # from one end to the other
        assert found[0][1].min() < 5
        assert found[-1][1][:, :, 0].max() > 250


def test_a_line_of_pixels_and_a_broken_picture_are_refused(tmp_path):
    write(tmp_path / "line.png", 1, 5000)
    with pytest.raises(ImageSizeError, match=r"line\.png"):
        list(scenes.squares([tmp_path / "line.png"]))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ImageFileError, match=r"broken\.png"):
        scenes.prepare([tmp_path / "broken.png"], tmp_path / "scenes.npy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.png", "line.png"]


def test_squares_are_prepared_as_one_array(tmp_path):
    write(tmp_path / "a.png", 256, 512)
    write(tmp_path / "b.png", 80, 90)
    scenes.prepare([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "scenes.npy")
    found = np.load(tmp_path / "scenes.npy")
    assert found.dtype == np.uint8
    assert found.shape == (3, 256, 256, 3)


def test_windows_show_one_scene_each_or_another_as_its_ground():
    plain = torch.arange(5, dtype=torch.uint8).mul(50).view(5, 1, 1, 1).expand(5, 256, 256, 3)
    draw = uniform(torch.Generator().manual_seed(0), torch.device("cpu"))
    found = scenes.windows(plain, draw, 64, 32, 16)
    assert found.shape == (64, 3, 32, 16)
    grounds = 0
    for window in found.round():
        rows = window[0, :, 0]
        assert torch.equal(window[0], rows[:, None].expand(32, 16))
        values = torch.unique_consecutive(rows)
        assert set(values.tolist()) <= {0.0, 50.0, 100.0, 150.0, 200.0}
        assert len(values) <= 2
        grounds += len(values) == 2
        if len(values) == 2:
            assert rows[:12].unique().numel() == 1  # a horizon lies at 0.4 at the highest
    assert 16 < grounds < 48


def test_windows_are_parts_of_a_scene_and_some_are_mirrored():
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 256, 1).expand(1, 256, 256, 3)
    draw = uniform(torch.Generator().manual_seed(1), torch.device("cpu"))
    found = scenes.windows(ramp, draw, 64, 256, 128)[:, 0, 0]
    spread = (found[:, -1] - found[:, 0]).abs()
    assert spread.amin() > 30  # 0.4 of the height, half as wide, narrowed by at most a fifth
    assert spread.amax() < 165
    rising = (found[:, -1] > found[:, 0]).float().mean()
    assert 0.25 < rising < 0.75
