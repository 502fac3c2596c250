"""Made-up crops: people are coloured stripes, seen by two cameras of different brightness."""

from __future__ import annotations

import cv2
import numpy as np


def write(folder, people=6, pictures=3, height=64, width=32):
    """`PID_cCAM_*.png`, `pictures` of each person by each of two cameras."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for pid in range(1, people + 1):
        stripes = rng.integers(0, 200, (8, 1, 3))
        clothes = np.kron(stripes, np.ones((height // 8, width, 1)))
        for camid in (1, 2):
            for number in range(pictures):
                noise = rng.normal(20 * camid, 6, clothes.shape)
                picture = np.clip(clothes + noise, 0, 255).astype(np.uint8)
                path = folder / f"{pid:04d}_c{camid}s1_{number:06d}_00.png"
                assert cv2.imwrite(str(path), picture)
    return folder
