"""Files out: drawn videos and text that are whole or not there, and what is drawn."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import reid_edge
from reid_edge.errors import OptionError, VideoError
from reid_edge.video import Track, boxes
from reid_edge.video.drawing import colour, draw, label
from reid_edge.video.reading import Video
from reid_edge.video.writing import MotFile, VideoFile


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_written_video_can_be_read_and_appears_only_when_kept(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"older")
    frame = np.full((64, 96, 3), (200, 30, 30), np.uint8)
    with VideoFile(path, 10.0, 96, 64) as out:
        for _ in range(4):
            out.write(frame)
        assert path.read_bytes() == b"older"
        out.complete()
        out.keep()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with Video(path) as video:
        frames = [frame for _, frame in video]
    assert len(frames) == 4
    assert np.abs(frames[0].astype(int) - frame).max() < 12


def test_without_keep_nothing_is_left_and_the_older_file_stays(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")
    with VideoFile(path, 10.0, 96, 64) as out:
        out.write(np.zeros((64, 96, 3), np.uint8))
        assert len(list(tmp_path.iterdir())) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    assert path.read_bytes() == b"older"


@pytest.mark.parametrize(
    ("name", "says"), [("out.gif", "name it"), ("none/out.mp4", "no folder"), (".", "name it")]
)
def test_what_cannot_be_written(tmp_path, name, says):
    with pytest.raises(OptionError if says == "name it" else VideoError, match=says):
        VideoFile(tmp_path / name, 10.0, 96, 64)
    assert list(tmp_path.iterdir()) == []


def test_a_device_or_a_pipe_is_never_replaced_by_a_file(tmp_path):
    pipe, link = tmp_path / "pipe", tmp_path / "out.txt"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        with pytest.raises(VideoError, match="not a regular file"):
            MotFile(path)
    assert sorted(tmp_path.iterdir()) == [link, pipe]


def test_a_link_is_replaced_and_not_what_it_points_to(tmp_path):
    other, link = tmp_path / "other.txt", tmp_path / "out.txt"
    other.write_text("mine")
    link.symlink_to(other)
    with MotFile(link) as out:
        out.complete()
        out.keep()
    assert (other.read_text(), link.is_symlink(), link.read_text()) == ("mine", False, "")


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_files_are_readable_by_whom_the_umask_says(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        with MotFile(tmp_path / "out.txt") as out:
            out.complete()
            out.keep()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out.txt").stat().st_mode) == mode


def test_a_name_too_long_for_a_file(tmp_path):
    with pytest.raises(VideoError, match="cannot be written"):
        MotFile(tmp_path / ("a" * 300))


@pytest.mark.parametrize("fps", [0.05, 29.9873, 119.873, 239.873, 999.9])
def test_rates_that_phones_have(tmp_path, fps):
    with VideoFile(tmp_path / "out.mp4", fps, 96, 64) as out:
        for _ in range(3):
            out.write(np.zeros((64, 96, 3), np.uint8))
        out.complete()
        out.keep()
    with Video(tmp_path / "out.mp4") as video:
        assert video.fps == pytest.approx(fps, rel=1e-3)


def test_a_full_disk_is_noticed(tmp_path):
    code = f"""
import resource, signal
import numpy as np
from pathlib import Path
from reid_edge.errors import VideoError
from reid_edge.video.writing import MotFile, VideoFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rng = np.random.default_rng(0)
try:
    with VideoFile(Path({str(tmp_path / "out.mp4")!r}), 10.0, 96, 64) as out:
        for _ in range(30):
            out.write(rng.integers(0, 256, (64, 96, 3), np.uint8))
        out.complete()
        out.keep()
except VideoError as error:
    print(error)
"""
    root = Path(reid_edge.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert "is the disk full?" in done.stdout
    assert list(tmp_path.iterdir()) == []


def track(number, identity=None, score=None):
    made = Track(number, np.zeros(4, np.float32), 1, 1, 0.0, None)
    made.identity, made.identity_score, made.score = identity, score, None if identity else score
    return made


def test_colours_are_bright_differ_and_stay():
    assert colour("anna") == colour("anna") == (220, 60, 27)
    some = {colour(f"#{number}") for number in range(100)}
    assert len(some) > 95
    assert all(max(bgr) > 200 for bgr in some)


def test_labels_are_ascii():
    assert label(track(3)) == "#3"
    assert label(track(3, score=0.987)) == "#3 0.99"
    assert label(track(3, "José\x1b[2J", 0.5)) == "Jose?[2J 0.50"
    assert label(track(3, "山田", 0.5)) == "?? 0.50"
    assert len(label(track(3, "a" * 500, 0.5))) < 40


def test_drawing_stays_on_the_frame_and_shows_each_box():
    frame = np.zeros((64, 96, 3), np.uint8)
    found = boxes.Detections(
        np.array([[0, 0, 20, 30], [70, 30, 96, 64]], np.float32),
        np.ones(2, np.float32),
        np.array([-1, -1]),
    )
    draw(frame, found, [track(1), track(2, "anna", 0.9)])
    assert tuple(frame[29, 10]) == colour("#1")
    assert tuple(frame[63, 80]) == colour("anna")
    assert not frame[40:, :60].any()


def test_a_video_that_opencv_cannot_write_leaves_nothing(tmp_path):
    with pytest.raises(VideoError, match="cannot write"):
        VideoFile(tmp_path / "out.mp4", 10.0, 0, 0)
    assert list(tmp_path.iterdir()) == []
