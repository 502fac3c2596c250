"""The fixed views of each picture on which the teacher is run beforehand.

A student that sees the same crop as its teacher learns the teacher's function rather than
one point of it (Beyer et al., "Knowledge distillation: a good teacher is patient and
consistent", 2022).  Running the teacher in the loop costs more than the student does, so
each picture gets `COUNT` views, drawn once: the whole picture, its mirror image, one random
crop, and another one mirrored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COUNT = 4
MIRRORED = np.array([False, True, False, True])


def draw_boxes(count: int, seed: int) -> NDArray[np.float32]:
    """Draw the crop boxes of `count` pictures.

    Returns:
        float32 (count, COUNT, 4): y0, x0, y1, x1 as fractions of the picture, 0...1.
    """
    rng = np.random.default_rng(seed)
    boxes = np.tile(np.array([0, 0, 1, 1], np.float32), (count, COUNT, 1))
    for view in (2, 3):
        height = rng.uniform(0.72, 1.0, count)
        width = rng.uniform(0.72, 1.0, count)
        top = rng.uniform(0, 1 - height)
        left = rng.uniform(0, 1 - width)
        boxes[:, view] = np.stack([top, left, top + height, left + width], 1)
    return boxes
