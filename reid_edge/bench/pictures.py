"""Generated pictures to time with: nobody's, of the sizes and the smoothness of real crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..images import Picture

_HEIGHTS = (100, 280)  # of people in a camera's picture; they are 0.35 to 0.5 as wide


def generate(count: int, seed: int = 0) -> list[Picture]:
    """`count` pictures, uint8 RGB; the same ones for the same seed.

    Pure noise would be the worst case of every decoder: these are large soft areas with a
    little noise on them.
    """
    import cv2

    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        height = int(rng.integers(*_HEIGHTS))
        width = int(height * rng.uniform(0.35, 0.5))
        areas = rng.integers(0, 256, (9, 4, 3), np.uint8)
        soft = cv2.resize(areas, (width, height), interpolation=cv2.INTER_CUBIC)
        noise = rng.normal(0, 4, soft.shape)
        found.append(np.clip(soft + noise, 0, 255).astype(np.uint8))
    return found


def save(pictures: list[Picture], folder: Path) -> list[Path]:
    """Write pictures as JPEG files (quality 90), for timing how they are decoded."""
    import cv2

    paths = []
    for index, picture in enumerate(pictures):
        coded, data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        assert coded  # a valid picture into memory
        path = folder / f"{index:04}.jpg"
        path.write_bytes(data.tobytes())
        paths.append(path)
    return paths
