"""Videos in: what is no video, what ends early, how frames are turned and timed."""

from __future__ import annotations

import os
import struct

import cv2
import numpy as np
import pytest

from reid_edge.errors import VideoError
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
        (b"ffconcat version 1.0\nfile secret.mp4\n# \0\n", "is a text"),
        (b"\xef\xbb\xbf\n#EXTM3U\n#EXTINF:10,\nsecret.mp4\n\0", "is a text"),
        (b"<?xml version='1.0'?><MPD></MPD>\0", "is a text"),
        (bytes(range(256)) * 40, "no video"),
        (b"RIFF\x00\x00\x10\x00AVI LIST", "no video"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2", "no video"),
    ],
)
def test_what_is_no_video(tmp_path, content, says):
    path = tmp_path / "in.mp4"
    path.write_bytes(content)
    with VideoFile(tmp_path / "secret.mp4", 10.0, 96, 64) as other:  # which the list would show
        other.write(np.zeros((64, 96, 3), np.uint8))
        other.complete()
        other.keep()
    with pytest.raises(VideoError, match=says):
        Video(path)


def test_what_is_no_file(tmp_path):
    for path, says in (
        (tmp_path, "^[^ ]+: is a folder; give a video file$"),
        (tmp_path / "none.avi", "check the path"),
        ("http://localhost/in.mp4", "download the video"),
        ("zero\0byte.avi", "cannot be read"),
        (os.devnull, "not a regular file"),
    ):
        with pytest.raises(VideoError, match=says):
            Video(path)
    pipe = tmp_path / "pipe.avi"
    os.mkfifo(pipe)
    with pytest.raises(VideoError, match="not a regular file"):
        Video(pipe)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp"])
def test_a_picture_is_no_video_whatever_its_name(tmp_path, suffix):
    picture = cv2.imencode(suffix, np.zeros((64, 96, 3), np.uint8))[1].tobytes()
    for path in (tmp_path / f"one{suffix}", tmp_path / "one.mp4"):
        path.write_bytes(picture)
        with pytest.raises(VideoError, match=r"is a picture; .*predict"):
            Video(path)


def test_motion_jpeg_without_a_container_is_a_video(tmp_path):
    picture = cv2.imencode(".jpg", np.zeros((64, 96, 3), np.uint8))[1].tobytes()
    path = tmp_path / "in.mjpeg"
    path.write_bytes(picture * 3)
    with Video(path) as video:
        assert len(list(video)) == 3


def test_names_that_opencv_would_crash_on(tmp_path):
    name = tmp_path / os.fsdecode(b"\xff.mp4")
    try:
        name.write_bytes(b"0")
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    with pytest.raises(VideoError, match="no UTF-8"):
        Video(name)
    with pytest.raises(VideoError, match="no UTF-8"):
        VideoFile(name, 10.0, 96, 64)
    assert list(tmp_path.iterdir()) == [name]


def written(path, frames=12, fps=10.0, code="mp4v"):
    """A video in another container than the fixture's; its bytes."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), fps, (96, 64))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV writes no {path.suffix}")
    for number in range(frames):
        frame = np.zeros((64, 96, 3), np.uint8)
        frame[:32] = 250  # bright above, dark below
        frame[:, 7 * number : 7 * number + 7] = 120
        writer.write(frame)
    writer.release()
    return bytearray(path.read_bytes())


def test_a_video_from_a_turned_camera_is_turned(tmp_path):
    path = tmp_path / "turned.mp4"
    content = written(path)
    matrix = content.index(b"tkhd") + 44
    content[matrix : matrix + 16] = struct.pack(">4i", 0, 1 << 16, 0, -1 << 16)
    content[matrix + 16 : matrix + 20] = bytes(4)
    path.write_bytes(content)
    with Video(path) as video:
        assert (video.width, video.height) == (64, 96)
        frames = [frame for _, frame in video]
    assert len(frames) == 12
    assert frames[0].shape == (96, 64, 3)
    assert frames[0][90, 60].min() > 200 > 60 > frames[0][90, 4].max()  # above is right now


def test_times_are_those_of_the_file_where_its_rate_varies(tmp_path):
    path = tmp_path / "varies.mp4"
    content = written(path)
    place = content.index(b"stts")
    (step,) = struct.unpack(">I", content[place + 16 : place + 20])
    # Twelve frames of one length become six of it and six of half of it, in one entry more.
    content[place + 8 : place + 20] = struct.pack(">5I", 2, 6, step, 6, step // 2)
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):
        size = content.index(name) - 4
        length = struct.unpack(">I", content[size : size + 4])[0] + 8
        content[size : size + 4] = struct.pack(">I", length)
    path.write_bytes(content)
    with Video(path) as video:
        times = [video.seconds for _ in video]
    np.testing.assert_allclose(np.diff(times), [0.1] * 6 + [0.05] * 5, atol=0.002)


def test_times_go_on_where_the_file_has_none(clip, without):
    without(cv2.CAP_PROP_POS_MSEC, cv2.CAP_PROP_FPS)
    with Video(clip(frames=4)) as video:
        assert (video.fps, video.fps_known) == (25, False)
        times = [video.seconds for _ in video]
    np.testing.assert_allclose(times, [0, 0.04, 0.08, 0.12])


def test_sound_that_goes_on_is_no_damage_and_a_cut_is(tmp_path):
    path = tmp_path / "sound.mkv"
    content = written(path, frames=60)
    place = content.index(b"\x44\x89\x88") + 3  # the duration, a double of milliseconds
    (length,) = struct.unpack(">d", content[place : place + 8])
    content[place : place + 8] = struct.pack(">d", length + 400)
    path.write_bytes(content)
    with Video(path) as video:
        assert video.announced == 64
        assert len(list(video)) == 60
    assert video.is_complete
    path.write_bytes(content[: len(content) // 2])
    with Video(path) as video:
        assert 0 < len(list(video)) < 50
    assert not video.is_complete


def test_frames_over_the_limit_are_not_decoded(clip, monkeypatch):
    monkeypatch.setattr("reid_edge.video.reading.MAX_PIXELS", 1000)
    with pytest.raises(VideoError, match="megapixels"):
        Video(clip())


def test_frames_of_another_size_are_refused(clip):
    with Video(clip()) as video:
        video.width += 2
        with pytest.raises(VideoError, match="another size"):
            next(iter(video))


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
