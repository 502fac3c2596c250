from __future__ import annotations

import cv2
import numpy as np
import pytest

from reid_edge import cli

WIDTH, HEIGHT, FRAMES = 96, 64, 12


def walkers(frame):
    """Two people who walk towards each other: x1, y1, x2, y2 in frame 1, 2, ..."""
    return [[4 + 4 * frame, 16, 16 + 4 * frame, 48], [80 - 4 * frame, 20, 92 - 4 * frame, 52]]


@pytest.fixture
def clip(tmp_path):
    """Write a Motion JPEG video of two coloured people; its path."""

    def write(name="in.avi", frames=FRAMES):
        path = tmp_path / name
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (WIDTH, HEIGHT))
        assert writer.isOpened()
        for number in range(1, frames + 1):
            frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            for (x1, y1, x2, y2), bgr in zip(
                walkers(number), ((0, 0, 230), (230, 60, 0)), strict=True
            ):
                frame[y1:y2, max(x1, 0) : max(x2, 0)] = bgr
            writer.write(frame)
        writer.release()
        return path

    return write


@pytest.fixture
def mot(tmp_path):
    """Write the walkers' boxes as MOT text, ids 7 and 8; its path."""

    def write(name="gt.txt", frames=FRAMES, extra=""):
        lines = [
            f"{number},{7 + place},{x1},{y1},{x2 - x1},{y2 - y1},1,-1,-1,-1"
            for number in range(1, frames + 1)
            for place, (x1, y1, x2, y2) in enumerate(walkers(number))
        ]
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n" + extra)
        return path

    return write


@pytest.fixture
def without(monkeypatch):
    """Make OpenCV answer NaN for some properties of each video."""
    original = cv2.VideoCapture

    class Capture:  # not a subclass: OpenCV's types crash as such
        def __init__(self, *arguments):
            self._capture = original(*arguments)

        def __getattr__(self, name):
            return getattr(self._capture, name)

        def get(self, name):
            return float("nan") if name in missing else self._capture.get(name)

    missing = []
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    return lambda *names: missing.extend(names)


@pytest.fixture
def run(tiny_folder, capsys):
    """Run `video` with the tiny model: its arguments -> exit code, output, errors."""

    def run(*arguments, model=tiny_folder):
        code = cli.main(["video", *map(str, arguments), "--model", str(model)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
