"""Places that no set holds: pictures without people, cut into squares, and windows onto them.

Photographs or textures will do.  The student's likeness to its teacher is less in new surroundings
(comparisons.md, "Where the likeness to the teacher ends"), so it is shown people in many
(`novelty.elsewhere`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor
from torch.nn import functional

from reid_edge._files import whole
from reid_edge.image_files import read_image
from reid_edge.images import check

from .draws import Draw, between

SIDE = 256
_MOST = 4  # squares of one picture, so that a panorama does not outweigh all others


def squares(files: Sequence[Path]) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    """Each picture as one to four squares along its longer side, each made 256 pixels wide.

    Yields:
        The picture's file, and uint8 (256, 256, 3) RGB.

    Raises:
        ImageFileError: a picture that cannot be read.
        ImageSizeError: one of a single pixel's width or height.
    """
    for file in track(files, "scenes"):
        picture = read_image(file)
        check(picture, str(file))
        height, width = picture.shape[:2]
        side = min(height, width)
        way = cv2.INTER_AREA if side > SIDE else cv2.INTER_LINEAR
        count = min(_MOST, max(height, width) // side)
        for start in np.linspace(0, max(height, width) - side, count).astype(int):
            end = start + side
            window = picture[start:end] if height > width else picture[:, start:end]
            square = np.ascontiguousarray(cv2.resize(window, (SIDE, SIDE), interpolation=way))
            yield file, square


def prepare(files: Sequence[Path], out: Path) -> None:
    """Write all `squares` of some pictures into the file `out`: uint8 (n, 256, 256, 3) RGB.

    Raises:
        ImageFileError, ImageSizeError: as `squares`.
    """
    found = [square for _, square in squares(files)]
    with whole(out) as partial:
        np.save(partial, np.stack(found))


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
