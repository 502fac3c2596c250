"""Scenes out of nothing, for whoever has no pictures, or none that are free: dead leaves.

Shapes that cover one another, few large and many small, have statistics like photographs'
(Lee, Mumford & Huang, IJCV 2001), and networks learn to see from them (Baradad et al., "Learning to
See by Looking at Noise", NeurIPS 2021).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from reid_edge._files import write_whole
from reid_edge.errors import DatasetError

from .scenes import SIDE

_SHAPES = (10, 1000)
_SMALLEST, _LARGEST = 8.0, 400.0  # pixels


def write(out: Path, count: int, seed: int = 0) -> None:
    """Write `count` PNGs of 256 x 256 into the folder `out`; those that are there stay.

    Raises:
        DatasetError: fewer than one, or the folder cannot be written to.
    """
    if count < 1:
        raise DatasetError(f"{count} scenes are none: give 1 or more")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for number in track(range(count), "leaves"):
            path = out / f"{number:05}.png"
            if not path.exists():
                done, encoded = cv2.imencode(".png", draw(np.random.default_rng((seed, number))))
                assert done
                write_whole(path, encoded.tobytes())
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written to ({error.strerror})") from error


def draw(rng: np.random.Generator) -> NDArray[np.uint8]:
    """One scene: uint8 (256, 256, 3)."""
    # Most places are more grey than coloured.
    palette = rng.uniform(0, 255, (rng.integers(3, 12), 1))
    palette = palette + rng.normal(0, rng.uniform(5, 60), (len(palette), 3))
    scene = np.full((SIDE, SIDE, 3), np.clip(palette[0], 0, 255), np.float32)
    # From a few, which leave walls and floors, to a heap of them; the smaller, the more there are.
    shapes = int(np.exp(rng.uniform(*np.log(_SHAPES))))
    for size in 1 / rng.uniform(1 / _LARGEST, 1 / _SMALLEST, shapes):
        colour = np.clip(palette[rng.integers(len(palette))] + rng.normal(0, 25, 3), 0, 255)
        cv2.fillPoly(scene, [_outline(rng, float(size))], colour.tolist())
    shade = cv2.resize(
        rng.normal(1, 0.15, (4, 4)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    )
    scene = scene * shade[..., None] + rng.normal(0, rng.uniform(0, 12), scene.shape)
    scene = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.3, 2))
    found: NDArray[np.uint8] = np.clip(scene, 0, 255).astype(np.uint8)
    return found


def _outline(rng: np.random.Generator, size: float) -> NDArray[np.int32]:
    """A turned polygon of 3 to 12 corners, as wide as high or much longer."""
    corners = np.arange(rng.integers(3, 13)) + rng.uniform(0, 0.5)
    angles = corners / len(corners) * 2 * np.pi
    wide, turn = np.exp(rng.uniform(-1.5, 1.5)), rng.uniform(0, np.pi)
    x, y = size / 2 * np.cos(angles) * wide, size / 2 * np.sin(angles)
    centre = rng.uniform(0, SIDE, 2)
    points = np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)], 1)
    return np.rint(points + centre).astype(np.int32)
