"""A video file in, frames out: checks before it is opened, and where it ended."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import is_address
from ..errors import VideoError
from ..images import MAX_PIXELS, MIN_SIDE

_USUAL_FPS = 25.0  # where the file has none that can be
_HEAD = 4096
_ROUNDING = 1  # frames
_LONGER = 1.0  # seconds for which sound may go on; see `is_complete`
_MARK = b"\xef\xbb\xbf"  # of UTF-8
# What lists or describes other files, and what FFmpeg tells it by, whatever comes behind: HLS,
# concat scripts, and XML, such as DASH.
_LISTS = (b"#EXTM3U", b"ffconcat", b"<")
_JPEG = b"\xff\xd8\xff"
_JPEGS = (".mjpeg", ".mjpg")  # Motion JPEG without a container: one picture after the other


class Video:
    """A video file that is open for reading, once from its beginning to its end.

    Attributes:
        width, height: of its frames, in pixels.
        fps: frames a second, the mean where the rate varies.
        fps_known: whether the file has a rate; else `fps` is 25.
        announced: how many frames its header announces; 0 where it has no count.
        read: how many were read so far.
        seconds: the time of the last one read, by its timestamp; always later than the one before.

    Args:
        path: a regular file in a format that OpenCV reads here.  Playlists, which name other
            files, and addresses are refused.

    Raises:
        VideoError: it is missing, or no video that can be read here.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if is_address(path):
            raise VideoError(f"{path}: URLs are not read; download the video, and give the file")
        head = _check_file(self.path)
        # MP4 and AVI count their frames.  Elsewhere OpenCV takes the count from the duration.
        self._counted = head[:4] == b"RIFF" or head[4:8] == b"ftyp"
        # FFmpeg's own lines about damaged streams would stand beside our one.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        import cv2

        ffmpeg = cv2.CAP_FFMPEG in cv2.videoio_registry.getBackends()
        try:
            # Absolute, so that no part of the name is taken for a protocol.
            self._capture: Any = cv2.VideoCapture(
                os.path.abspath(self.path), cv2.CAP_FFMPEG if ffmpeg else cv2.CAP_ANY
            )
        except (cv2.error, UnicodeError, TypeError) as error:
            raise VideoError(f"{self.path}: cannot be opened ({error})") from error
        if not self._capture.isOpened():
            raise VideoError(
                f"{self.path}: no video that can be read here; it may be no video, in a format "
                "that this OpenCV lacks, or cut off (MP4 files end with their index)"
            )
        self.width = self._property(cv2.CAP_PROP_FRAME_WIDTH)
        self.height = self._property(cv2.CAP_PROP_FRAME_HEIGHT)
        self.announced = max(0, self._property(cv2.CAP_PROP_FRAME_COUNT))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps_known = math.isfinite(fps) and 0.01 <= fps <= 1000
        self.fps = fps if self.fps_known else _USUAL_FPS
        self.read = 0
        self.seconds = 0.0
        self._broken = False
        if not (self.width >= MIN_SIDE and self.height >= MIN_SIDE):
            raise VideoError(f"{self.path}: has no pictures of a size; is it a video?")
        if self.width * self.height > MAX_PIXELS:
            raise VideoError(
                f"{self.path}: announces frames of {self.width}x{self.height}, over the limit of "
                f"{MAX_PIXELS // 10**6} megapixels; make a smaller video first"
            )

    @property
    def is_complete(self) -> bool:
        """After the last frame: whether all could be decoded that the header announces.

        Where the count comes from the duration, sound that goes on for longer than the pictures
        counts as pictures, so that up to a second of them may be missing.
        """
        lenience = _ROUNDING if self._counted else max(_ROUNDING, _LONGER * self.fps)
        return not self._broken and self.read >= self.announced - lenience

    def __iter__(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """The frames that are left: number, from 1, and uint8 (height, width, 3) BGR."""
        import cv2

        while True:
            try:
                there, frame = self._capture.read()
            except cv2.error:
                # As where a file is cut off: what came before is good.
                self._broken = True
                return
            if not there:
                return
            if frame.shape != (self.height, self.width, 3):
                raise VideoError(
                    f"{self.path}: frame {self.read + 1} has another size than the first "
                    f"({self.width}x{self.height}); make a video of one size first"
                )
            self.seconds = self._time(cv2.CAP_PROP_POS_MSEC)
            self.read += 1
            yield self.read, frame

    def __enter__(self) -> Video:
        return self

    def __exit__(self, *error: object) -> None:
        self._capture.release()

    def _time(self, name: int) -> float:
        """Of the frame that was just read; files without timestamps have those of their rate."""
        stamp: float = self._capture.get(name) / 1000
        if self.read == 0:
            return stamp if math.isfinite(stamp) and stamp > 0 else 0.0
        later = math.isfinite(stamp) and stamp > self.seconds
        return stamp if later else self.seconds + 1 / self.fps

    def _property(self, name: int) -> int:
        value = self._capture.get(name)
        return int(value) if math.isfinite(value) and abs(value) < 2**53 else 0


def _check_file(path: Path) -> bytes:
    """Refuse what must not reach the decoder: folders, pipes, devices, and files of text.

    Returns:
        How the file begins.
    """
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:  # OpenCV would crash
        raise VideoError(f"{path}: a name that is no UTF-8; rename it first") from error
    try:
        mode = os.stat(path).st_mode
        head = b""
        if stat.S_ISREG(mode):
            with open(path, "rb") as file:
                head = file.read(_HEAD)
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise VideoError(f"{path}: cannot be read ({reason}); check the path") from error
    if stat.S_ISDIR(mode):
        raise VideoError(f"{path}: is a folder; give a video file")
    if not stat.S_ISREG(mode):
        raise VideoError(f"{path}: not a regular file; give a video file")
    if _is_picture(head, path):  # FFmpeg would make a video of one frame of it
        raise VideoError(
            f"{path}: is a picture; give a video, or compare pictures with "
            "python -m reid_edge predict (in Python: ReId.predict, ReId.embed)"
        )
    if not head:
        raise VideoError(f"{path}: is empty; give a video file")
    if b"\0" not in head or head.removeprefix(_MARK).lstrip().startswith(_LISTS):
        # Playlists and scripts would make FFmpeg open the files that they name.  They are text,
        # but a zero byte in a comment does not keep it from reading them.
        raise VideoError(f"{path}: is a text, not a video")
    return head


def _is_picture(head: bytes, path: Path) -> bool:
    """JPEG, PNG, BMP or WebP, by its first bytes."""
    if head.startswith(_JPEG):
        return path.suffix.lower() not in _JPEGS
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"BM")) or (
        head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    )
