"""Generated pictures of the sizes that detectors cut out."""

from __future__ import annotations

import numpy as np

from reid_edge.bench.pictures import generate
from reid_edge.images import Picture

HEIGHTS = (60, 200)  # pixels


def crops(count: int, seed: int = 0) -> list[Picture]:
    """`count` decoded crops, uint8 RGB (h, w, 3): h evenly over 60...200, w 0.35 to 0.5 of it."""
    import cv2

    found = []
    heights = np.linspace(*HEIGHTS, count).round().astype(int)
    for picture, height in zip(generate(count, seed), heights, strict=True):
        width = round(height * picture.shape[1] / picture.shape[0])
        size = (width, int(height))
        found.append(cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8))
    # By size in no order, as they come from a frame.
    order = np.random.default_rng(seed).permutation(count)
    return [found[place] for place in order]
