"""Videos in and out: what is no video, what ends early, what cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import reid_edge
from reid_edge.errors import VideoError
from reid_edge.video import Track, boxes
from reid_edge.video.drawing import colour, draw, label
from reid_edge.video.reading import Video
from reid_edge.video.writing import VideoFile


def test_frames_come_in_order_in_bgr(clip):
    with Video(clip(frames=5)) as video:
        assert (video.width, video.height, video.fps, video.announced) == (96, 64, 10, 5)
        frames = dict(video)
    assert list(frames) == [1, 2, 3, 4, 5]
    assert frames[1].shape == (64, 96, 3)
    blue, _, red = frames[1][30, 14].astype(int)  # the first walker is red
    assert red > blue + 100
    assert video.is_complete


def test_a_file_cut_off_is_read_up_to_there(clip):
    path = clip(frames=12)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with Video(path) as video:
        read = sum(1 for _ in video)
    assert 0 < read < 11
    assert not video.is_complete


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n", "is a text"),
        (b"ffconcat version 1.0\nfile secret.mp4\n", "is a text"),
        (bytes(range(256)) * 40, "no video"),
        (b"RIFF\x00\x00\x10\x00AVI LIST", "no video"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2", "no video"),
    ],
)
def test_what_is_no_video(tmp_path, content, says):
    path = tmp_path / "in.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=says):
        Video(path)


def test_what_is_no_file(tmp_path):
    for path, says in (
        (tmp_path, "folder"),
        (tmp_path / "none.avi", "check the path"),
        ("http://localhost/in.mp4", "check the path"),
        ("zero\0byte.avi", "cannot be read"),
        (os.devnull, "not a regular file"),
    ):
        with pytest.raises(VideoError, match=says):
            Video(path)
    pipe = tmp_path / "pipe.avi"
    os.mkfifo(pipe)
    with pytest.raises(VideoError, match="not a regular file"):
        Video(pipe)


def test_frames_over_the_limit_are_not_decoded(clip, monkeypatch):
    monkeypatch.setattr("reid_edge.video.reading.MAX_PIXELS", 1000)
    with pytest.raises(VideoError, match="megapixels"):
        Video(clip())


def test_frames_of_another_size_are_refused(clip):
    with Video(clip()) as video:
        video.width += 2
        with pytest.raises(VideoError, match="another size"):
            next(iter(video))


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_written_video_can_be_read_and_appears_only_when_kept(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    path.write_bytes(b"older")
    frame = np.full((64, 96, 3), (200, 30, 30), np.uint8)
    with VideoFile(path, 10.0, 96, 64) as out:
        for _ in range(4):
            out.write(frame)
        assert path.read_bytes() == b"older"
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
    with pytest.raises(VideoError, match=says):
        VideoFile(tmp_path / name, 10.0, 96, 64)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed(tmp_path):
    code = f"""
import resource, signal
import numpy as np
from pathlib import Path
from reid_edge.errors import VideoError
from reid_edge.video.writing import VideoFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
rng = np.random.default_rng(0)
try:
    with VideoFile(Path({str(tmp_path / "out.mp4")!r}), 10.0, 96, 64) as out:
        for _ in range(30):
            out.write(rng.integers(0, 256, (64, 96, 3), np.uint8))
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


def test_a_frame_that_cannot_be_decoded_ends_the_video(clip):
    class Broken:
        def read(self):
            raise cv2.error("damaged")

        def release(self):
            pass

    with Video(clip()) as video:
        next(iter(video))
        video._capture.release()
        video._capture = Broken()
        video.announced = 0
        assert list(video) == []
    assert not video.is_complete


def test_a_video_that_opencv_cannot_write_leaves_nothing(tmp_path):
    with pytest.raises(VideoError, match="cannot write"):
        VideoFile(tmp_path / "out.mp4", 10.0, 0, 0)
    assert list(tmp_path.iterdir()) == []
