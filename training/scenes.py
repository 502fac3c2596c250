"""Places that no set holds: pictures without people, cut into squares, and windows onto them.

Any folder of photographs or textures will do.  The student's likeness to its teacher falls most
where the surroundings are new, so it is shown people in many (`novelty.elsewhere`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from reid_edge.datasets import pictures
from reid_edge.image_files import read_image

from .draws import Draw, between

SIDE = 256
_MOST = 4  # squares of one picture, so that a panorama does not outweigh all others


def squares(folder: Path) -> Iterator[NDArray[np.uint8]]:
    """Each picture of a folder, its shorter side made 256, as one to four squares of 256.

    Yields:
        uint8 (256, 256, 3) RGB.

    Raises:
        DatasetError: no pictures there.
        ImageFileError: a picture that cannot be read.
    """
    for file in track(list(pictures(folder)), "scenes"):
        picture = read_image(file)
        scale = SIDE / min(picture.shape[:2])
        height, width = (round(side * scale) for side in picture.shape[:2])
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        picture = cv2.resize(picture, (width, height), interpolation=way)
        long = max(height, width)
        for start in np.linspace(0, long - SIDE, min(_MOST, long // SIDE)).astype(int):
            end = start + SIDE
            yield picture[start:end, :SIDE] if height > width else picture[:SIDE, start:end]


def prepare(folder: Path, out: Path) -> None:
    """Write all `squares` of a folder into the file `out`: uint8 (n, 256, 256, 3) RGB.

    Raises:
        DatasetError, ImageFileError: as `squares`.
    """
    if out.is_file():
        return
    partial = out.with_suffix(".partial.npy")
    np.save(partial, np.stack(list(squares(folder))))
    partial.replace(out)


def windows(scenes: Tensor, draw: Draw, count: int, height: int, width: int) -> Tensor:
    """Random views onto random scenes, half of them with another scene as their ground.

    Args:
        scenes: uint8 (n, 256, 256, 3) RGB, on the device.
        draw: the source of all draws.
        count: how many views.
        height: of a view.
        width: of a view.

    Returns:
        float32 (count, 3, height, width) in 0...255.
    """
    walls, grounds = (_views(scenes, draw, count, height, width) for _ in range(2))
    horizon = between(draw.here, 0.4, 1.6, count)  # behind 1 there is none
    down = (torch.arange(height, device=scenes.device) + 0.5) / height
    below = down.view(1, 1, -1, 1) > draw.place(horizon).view(-1, 1, 1, 1)
    return torch.where(below, grounds, walls)


def _views(scenes: Tensor, draw: Draw, count: int, height: int, width: int) -> Tensor:
    """Windows of 0.4 to 1 of a scene's height, anywhere in it, a half of them mirrored."""
    rows = ((draw.here(count) + 1) / 2 * len(scenes)).long().clamp(max=len(scenes) - 1)
    picked = scenes[draw.place(rows)].permute(0, 3, 1, 2).float()
    tall = between(draw.here, 0.4, 1.0, count)
    wide = tall * width / height * between(draw.here, 0.8, 1.25, count)
    wide = wide.clamp(max=1)
    right, down = draw.here(count) * (1 - wide), draw.here(count) * (1 - tall)
    mirror = torch.where(draw.here(count) > 0, 1.0, -1.0)
    zero = torch.zeros(count)
    theta = torch.stack(
        [torch.stack([wide * mirror, zero, right], 1), torch.stack([zero, tall, down], 1)], 1
    )
    grid = functional.affine_grid(draw.place(theta), [count, 3, height, width], align_corners=False)
    return functional.grid_sample(picked, grid, padding_mode="border", align_corners=False)
