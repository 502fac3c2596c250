"""Files that appear under their names only when they are whole: video, MOT text, JSON."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError, VideoError
from .boxes import Detections
from .tracker import Track

SCHEMA_VERSION = 1

_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


class Partial:
    """A file under a name of its own beside the final one, which it takes in `keep`.

    Left without `keep`, as after an error or Ctrl-C, it is deleted, and what was there before
    stays.  Where that was a link, the link is replaced, never what it points to.

    Raises:
        VideoError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if os.path.isdir(path):
            raise VideoError(f"{path}: is a folder; give a file")
        if os.path.exists(path) and not os.path.isfile(path):
            # Renaming to /dev/null would replace it for the whole system, if root does so.
            raise VideoError(f"{path}: not a regular file, such as a file replaces; name another")
        if not os.path.isdir(path.parent):
            raise VideoError(f"{path}: there is no folder {path.parent}; make it first")
        name = f".{path.stem}.{secrets.token_hex(4)}.partial{path.suffix}"
        self.partial = Path(os.path.abspath(path.parent)) / name
        try:
            # Readable by whom the umask says: the names of people stand in these files.
            os.close(os.open(self.partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except OSError as error:
            raise self._failed(error) from error

    def complete(self) -> None:
        """Bring all that was written to the disk, so that `keep` has only to rename it."""
        try:
            with open(self.partial, "rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def keep(self) -> None:
        """Give it its name, after `complete`; an older file is replaced."""
        try:
            os.replace(self.partial, self.path)
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Delete it, if it was not kept."""
        self.partial.unlink(missing_ok=True)

    def __exit__(self, *error: object) -> None:
        self.close()

    def _failed(self, error: OSError) -> VideoError:
        return VideoError(f"{self.path}: cannot be written ({error.strerror})")


class VideoFile(Partial):
    """A video, .mp4 (MPEG-4 Part 2) or .avi (Motion JPEG), BGR frames of one size.

    Raises:
        OptionError: the name ends neither in .mp4 nor in .avi.
        VideoError: it cannot be written.
    """

    def __init__(self, path: Path, fps: float, width: int, height: int) -> None:
        codec = _CODECS.get(path.suffix.lower())
        if codec is None:
            raise OptionError(f"{path}: name it .mp4 or .avi, the videos that are written here")
        try:
            os.path.abspath(path).encode()
        except UnicodeEncodeError as error:  # OpenCV would crash
            raise VideoError(f"{path}: a name that is no UTF-8; give another one") from error
        import cv2

        self._written = 0
        self._writer: Any = cv2.VideoWriter()
        super().__init__(path)
        with contextlib.suppress(cv2.error):
            # MPEG-4 has fractions of at most 65535, and OpenCV makes them of three decimals.
            rate = fps if fps < 65 else round(fps, 2 if fps < 650 else 1)
            self._writer.open(
                str(self.partial), cv2.VideoWriter.fourcc(*codec), rate, (width, height)
            )
        if not self._writer.isOpened():
            self.close()
            raise VideoError(
                f"{path}: this OpenCV cannot write {path.suffix} videos of {width}x{height} at "
                f"{fps:g} frames a second; install opencv-python-headless, or name it .avi"
            )

    def __enter__(self) -> VideoFile:
        return self

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append a frame, uint8 (height, width, 3) BGR."""
        self._writer.write(frame)
        self._written += 1

    def complete(self) -> None:
        """See `Partial.complete`.

        OpenCV says nothing when a write fails, so what was written is opened again: without room
        for its index, or for its last frames, it does not have as many as it was given.
        """
        import cv2

        self._writer.release()
        check = cv2.VideoCapture(str(self.partial))
        frames = int(check.get(cv2.CAP_PROP_FRAME_COUNT)) if check.isOpened() else 0
        check.release()
        if frames < self._written:
            raise VideoError(
                f"{self.path}: could not be written whole ({frames} of {self._written} frames "
                "arrived); is the disk full?"
            )
        super().complete()

    def close(self) -> None:
        """See `Partial.close`."""
        self._writer.release()
        super().close()


class _TextFile(Partial):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._file: TextIO = open(self.partial, "w", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            super().close()
            raise self._failed(error) from error

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
        except OSError as error:
            raise self._failed(error) from error

    def complete(self) -> None:
        """See `Partial.complete`."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from error
        super().complete()

    def close(self) -> None:
        """See `Partial.close`."""
        with contextlib.suppress(OSError):  # what was left to write; keep() has said so
            self._file.close()
        super().close()


class MotFile(_TextFile):
    """Tracks as MOT text: `frame,id,x,y,w,h,confidence,-1,-1,-1`."""

    def __enter__(self) -> MotFile:
        return self

    def write(self, frame: int, found: Detections, tracks: Sequence[Track]) -> None:
        """Append the boxes of a frame."""
        for (x1, y1, x2, y2), sure, track in zip(
            found.boxes.tolist(), found.confidence.tolist(), tracks, strict=True
        ):
            self._write(
                f"{frame},{track.id},{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f},{sure:g},"
                "-1,-1,-1\n"
            )


class JsonFile(_TextFile):
    """Tracks as one JSON object, written frame by frame; `frames` can be read back as boxes."""

    def __init__(self, path: Path, about: dict[str, Any]) -> None:
        super().__init__(path)
        head = json.dumps({"schema": SCHEMA_VERSION, **about}, indent=1, allow_nan=False)
        self._write(head[: head.rindex("\n")] + ',\n "frames": [')
        self._next = "\n  "

    def __enter__(self) -> JsonFile:
        return self

    def write(self, frame: int, found: Detections, tracks: Sequence[Track]) -> None:
        """Append the boxes of a frame."""
        row = {
            "frame": frame,
            "boxes": [[round(value, 2) for value in box] for box in found.boxes.tolist()],
            "confidence": [round(value, 4) for value in found.confidence.tolist()],
            "ids": [track.id for track in tracks],
            "scores": [_rounded(track.score) for track in tracks],
            "identities": [track.identity for track in tracks],
            "identity_scores": [_rounded(track.identity_score) for track in tracks],
        }
        self._write(self._next + json.dumps(row, allow_nan=False))
        self._next = ",\n  "

    def finish(self, after: dict[str, Any]) -> None:
        """What is known only at the end."""
        tail = json.dumps(after, indent=1, allow_nan=False)
        self._write("\n ]," + tail[1:] + "\n")


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 4)
