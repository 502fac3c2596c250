"""Tracks drawn on a frame, each identity in a colour of its own that never changes."""

from __future__ import annotations

import colorsys
import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .boxes import Detections
from .tracker import Track

_LONGEST = 24  # characters of a name


def colour(name: str) -> tuple[int, int, int]:
    """A bright BGR colour that depends on the name alone, in every run and every video."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    hue = int.from_bytes(digest[:2], "big") / 65536
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.55 + digest[2] / 600, 0.85 + digest[3] / 1700)
    return round(255 * blue), round(255 * green), round(255 * red)


def label(track: Track) -> str:
    """The name and its score, else the number and the score of this box against the track.

    ASCII, which is all that OpenCV's fonts have: accents are dropped, other scripts become `?`.
    """
    name, score = f"#{track.id}", track.score
    if track.identity is not None:
        letters = unicodedata.normalize("NFKD", track.identity)
        plain = (char for char in letters if not unicodedata.combining(char))
        name = "".join(char if " " <= char <= "~" else "?" for char in plain)[:_LONGEST]
        score = track.identity_score
    return name if score is None else f"{name} {score:.2f}"


def draw(frame: NDArray[np.uint8], found: Detections, tracks: Sequence[Track]) -> None:
    """Draw boxes, names and scores.

    Args:
        frame: uint8 (H, W, 3) BGR, as OpenCV reads it; drawn on in place.
        found: the boxes, inside the frame.
        tracks: the track of each.
    """
    import cv2

    height, width = frame.shape[:2]
    size = max(0.35, height / 1400)
    line = max(1, round(height / 400))
    for box, track in zip(np.rint(found.boxes).astype(int).tolist(), tracks, strict=True):
        x1, y1, x2, y2 = box
        tone = colour(f"#{track.id}" if track.identity is None else track.identity)
        cv2.rectangle(frame, (x1, y1), (x2 - 1, y2 - 1), tone, line)
        text = label(track)
        (wide, high), under = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
        # Above the box, or inside it at the upper edge of the frame; never beside the frame.
        left = max(0, min(x1, width - wide))
        foot = max(y1, high + under)
        cv2.rectangle(frame, (left, foot - high - under), (left + wide, foot), tone, cv2.FILLED)
        bright = 0.114 * tone[0] + 0.587 * tone[1] + 0.299 * tone[2] > 128
        ink = (0, 0, 0) if bright else (255, 255, 255)
        place = (left, foot - under // 2 - 1)
        cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA)
