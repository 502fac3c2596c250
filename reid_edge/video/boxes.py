"""Files of boxes: MOT text, or JSON; hostile until checked."""

from __future__ import annotations

import array
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import read_regular
from ..errors import BoxFileError
from ..images import MIN_SIDE

MAX_BYTES = 256 << 20
MAX_JSON_BYTES = 64 << 20  # of which json.loads can make twenty times as much in memory
MAX_PER_FRAME = 1000
_MAX_NUMBER = 1_000_000_000  # of a frame, or an id: far inside int64
_MAX_PIXEL = 1e6  # float32 still tells a tenth of a pixel here
_MAX_FIELDS = 32
_JSON_FORMAT = "write it as docs/video.md shows"


@dataclass(frozen=True)
class Detections:
    """The boxes of one frame.

    Attributes:
        boxes: float32 (n, 4), x1, y1, x2, y2 in pixels, right and lower edges exclusive.
        confidence: float32 (n,), as the file has it; 1 where it has none.
        ids: int64 (n,), as the file has it; -1 where it has none.
    """

    boxes: NDArray[np.float32]
    confidence: NDArray[np.float32]
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.boxes)

    def select(self, rows: NDArray[Any]) -> Detections:
        """Some of them, by index or mask."""
        return Detections(self.boxes[rows], self.confidence[rows], self.ids[rows])

    def clipped(self, height: int, width: int) -> Detections:
        """Inside a frame; those that keep less than two pixels each way are left out.

        Pixels are those whose centres lie inside, as for `ReId.embed`, which would refuse the rest.
        """
        boxes = np.clip(self.boxes, 0, np.array([width, height, width, height], np.float32))
        pixels = np.ceil(boxes.astype(np.float64) - 0.5)
        sides = pixels[:, 2:] - pixels[:, :2]
        inside = np.flatnonzero(sides.min(axis=1, initial=np.inf) >= MIN_SIDE)
        return Detections(boxes, self.confidence, self.ids).select(inside)


NONE = Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))

# frame, id, x1, y1, x2, y2, confidence, one box after the other: Python's own objects would take
# four times the memory.  A double holds ids and frames exactly.
_COLUMNS = 7


def read(path: str | Path) -> dict[int, Detections]:
    """Read a file of boxes: JSON if its name ends in .json, else MOT text.

    Args:
        path: at most 256 MiB, or 64 MiB of JSON.  MOT text has lines
            `frame,id,x,y,w,h[,confidence[,...]]`, with the first frame 1 and x, y the upper left
            corner; see docs/video.md for the JSON.

    Returns:
        The boxes of each frame that has some.

    Raises:
        BoxFileError: the file is missing, holds no box, or something that is no box: a NaN, say.
            The message names the line.
    """
    path = Path(path)
    is_json = path.suffix.lower() == ".json"
    try:
        content = read_regular(path, MAX_JSON_BYTES if is_json else MAX_BYTES)
        rows = _json(content.decode("utf-8-sig"), path) if is_json else _mot(content, path)
    except OSError as error:
        raise BoxFileError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError:
        raise BoxFileError(f"{path}: is no text; give MOT text or JSON") from None
    if not rows:
        raise BoxFileError(
            f"{path}: holds no boxes, so there is nobody to track; give the "
            "file that your detector wrote, or look for people with a lower threshold"
        )
    return _by_frame(rows, path)


def _mot(content: bytes, path: Path) -> array.array[float]:
    rows = array.array("d")
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig")  # line by line, no copy of all
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        fields = line.split(",", _MAX_FIELDS)
        if not 6 <= len(fields) <= _MAX_FIELDS:
            raise BoxFileError(
                f"{where}: expected frame,id,x,y,w,h,confidence, found {line[:60]!r}; "
                "mend the line or take it out"
            )
        try:
            values = [float(field) for field in fields[:7]]
        except ValueError:
            raise BoxFileError(
                f"{where}: not all numbers: {line[:60]!r}; mend the line or take it out, such as a "
                "header"
            ) from None
        frame, identity, x, y, w, h = values[:6]
        confidence = values[6] if len(values) > 6 else 1.0
        rows.extend(_row(frame, identity, (x, y, x + w, y + h), confidence, where))
    return rows


def _json(text: str, path: Path) -> array.array[float]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BoxFileError(
            f"{path}: is no JSON ({error}); write it again, or name it .txt if it is MOT text"
        ) from error
    frames = found.get("frames") if isinstance(found, dict) else None
    if not isinstance(frames, list):
        raise BoxFileError(f'{path}: expected {{"frames": [...]}}; {_JSON_FORMAT}')
    rows = array.array("d")
    for index, frame in enumerate(frames):
        where = f"{path}: frames[{index}]"
        if not isinstance(frame, dict):
            raise BoxFileError(f"{where}: expected an object; {_JSON_FORMAT}")
        boxes = frame.get("boxes")
        if not isinstance(boxes, list):
            raise BoxFileError(f"{where}: boxes: expected a list; {_JSON_FORMAT}")
        confidence = _column(frame, "confidence", len(boxes), 1.0, where)
        ids = _column(frame, "ids", len(boxes), -1, where)
        for place, box in enumerate(boxes):
            here = f"{where}: boxes[{place}]"
            if not isinstance(box, list) or len(box) != 4:
                raise BoxFileError(f"{here}: expected [x1, y1, x2, y2]; {_JSON_FORMAT}")
            rows.extend(_row(frame.get("frame"), ids[place], box, confidence[place], here))
    return rows


def _column(frame: dict[str, Any], name: str, count: int, default: float, where: str) -> list[Any]:
    """A list that goes beside the boxes, or the default for each."""
    values = frame.get(name)
    if values is None:
        return [default] * count
    if not isinstance(values, list) or len(values) != count:
        raise BoxFileError(
            f"{where}: {name}: expected a list of {count} numbers, one for each box; leave {name} "
            "out where there are none"
        )
    return [default if value is None else value for value in values]


def _row(frame: Any, identity: Any, box: Any, confidence: Any, where: str) -> tuple[float, ...]:
    if not _is_number(frame) or not 1 <= frame <= _MAX_NUMBER or frame != int(frame):
        raise BoxFileError(
            f"{where}: frame: expected 1, 2, ..., found {str(frame)[:40]}; the first frame is 1, "
            "so add 1 to each where they are counted from 0"
        )
    if not _is_number(identity) or abs(identity) > _MAX_NUMBER or identity != int(identity):
        raise BoxFileError(
            f"{where}: id: expected a whole number, found {str(identity)[:40]}; "
            "give -1 where there is none"
        )
    if not _is_number(confidence) or abs(confidence) > _MAX_PIXEL:
        raise BoxFileError(
            f"{where}: confidence: expected a number, found {str(confidence)[:40]}; "
            "give 1 where there is none"
        )
    if not all(_is_number(value) and abs(value) <= _MAX_PIXEL for value in box):
        shown = ", ".join(str(value)[:20] for value in box)
        raise BoxFileError(
            f"{where}: {shown} is no box; expected finite pixels of at most {_MAX_PIXEL:,.0f}: "
            "mend the box or take it out"
        )
    return (frame, identity, *box, confidence)


def _is_number(value: Any) -> bool:
    # An int of JSON may have thousands of digits, which no float holds.
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and (isinstance(value, int) or math.isfinite(value))
    )


def _by_frame(rows: array.array[float], path: Path) -> dict[int, Detections]:
    table = np.frombuffer(rows, np.float64).reshape(-1, _COLUMNS)
    # Stable: the file's order within a frame.
    table = table[np.argsort(table[:, 0], kind="stable")]
    frames, ids = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    numbers = table[:, 2:].astype(np.float32)
    starts = np.flatnonzero(np.diff(frames, prepend=-1)).tolist()
    found = {}
    for start, end in zip(starts, [*starts[1:], len(frames)], strict=True):
        place = slice(start, end)
        if end - start > MAX_PER_FRAME:
            raise BoxFileError(
                f"{path}: frame {frames[start]} has {end - start:,} boxes, over the limit of "
                f"{MAX_PER_FRAME:,}; leave out those of low confidence"
            )
        found[int(frames[start])] = Detections(numbers[place, :4], numbers[place, 4], ids[place])
    return found
