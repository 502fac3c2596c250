"""What other cameras do to a picture: few pixels, blur, noise, JPEG.

Each function takes float32 pictures (n, 3, h, w) in 0...255, changes some of them, and gives the
batch back.  Nothing is drawn for a probability of zero.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from .draws import Draw, between, chosen, constant

GROUPS = 4
"""Pictures that are rescaled are so in groups of one size each, to stay batched."""

# The luminance table of ITU-T T.81 (JPEG), annex K.1.
_QUANTISATION = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


def halve(x: Tensor, draw: Draw, probability: float) -> Tensor:
    """Some pictures go down to half the resolution and up again: far-away people, blur."""
    rows = torch.nonzero(draw.here(len(x)) < 2 * probability - 1).flatten()
    if len(rows):
        rows = draw.place(rows)
        small = functional.avg_pool2d(x[rows], 2)
        x[rows] = functional.interpolate(small, scale_factor=2, mode="bilinear")
    return x


def blur(x: Tensor, draw: Draw, probability: float, widest: float = 2.5) -> Tensor:
    """Gaussian blur of up to `widest` pixels, its own width for each picture."""
    rows = chosen(draw, len(x), probability)
    if not len(rows):
        return x
    rows = draw.place(rows)
    count, (height, width) = len(rows), x.shape[2:]
    sigma = between(draw, 0.4, widest, count, 1)
    reach = math.ceil(2 * widest)
    kernel = torch.exp(-((torch.arange(-reach, reach + 1, device=x.device) / sigma) ** 2) / 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    picked = x[rows].reshape(1, 3 * count, height, width)
    picked = functional.pad(picked, (reach,) * 4, mode="replicate")
    picked = functional.conv2d(picked, kernel[:, None, None, :], groups=3 * count)
    picked = functional.conv2d(picked, kernel[:, None, :, None], groups=3 * count)
    x[rows] = picked.view(count, 3, height, width)
    return x


def rescale(x: Tensor, draw: Draw, probability: float, compressed: float) -> Tensor:
    """Small originals: down to 48 to 160 pixels of height, perhaps through JPEG, and up again.

    Pictures that are not made small go through JPEG at their own size with the same probability.
    """
    height, width = x.shape[2:]
    rows = chosen(draw, len(x), probability)
    for group in range(GROUPS if len(rows) else 0):
        part = rows[group::GROUPS]
        low = float(between(draw.here, math.log(48), math.log(160), 1).exp())
        aspect = float(between(draw.here, 0.36, 0.5, 1))
        # Whole blocks of 8 pixels, as JPEG has them.
        size = (min(height, _blocks(low)), min(width, _blocks(low * aspect)))
        down, up = ("area", "bilinear")[int(draw.here(1) > 0.4)], int(draw.here(1) > -0.4)
        if not len(part):
            continue
        part = draw.place(part)
        small = functional.interpolate(x[part], size, mode=down)
        small = _compress(small, draw, compressed)
        x[part] = functional.interpolate(small, (height, width), mode=("nearest", "bilinear")[up])
    if compressed and height % 8 == width % 8 == 0:
        others = torch.ones(len(x), dtype=torch.bool)
        others[rows] = False
        own = draw.place(torch.nonzero(others).flatten())
        x[own] = _compress(x[own], draw, compressed)
    return x


def _blocks(pixels: float) -> int:
    return 8 * max(1, round(pixels / 8))


def _compress(x: Tensor, draw: Draw, probability: float) -> Tensor:
    """JPEG's quantisation at a random strength, on each colour channel alike."""
    rows = chosen(draw, len(x), probability)
    if not len(rows):
        return x
    rows = draw.place(rows)
    count, (height, width) = len(rows), x.shape[2:]
    basis, table = constant(_cosines(), x.device), constant(_QUANTISATION, x.device)
    steps = table * between(draw, 0.2, 1.6, count, 1, 1, 1, 1)
    blocks = (x[rows] - 128).view(count, 3 * height // 8, 8, width // 8, 8).transpose(2, 3)
    levels = (basis @ blocks @ basis.T / steps).round_() * steps
    x[rows] = (basis.T @ levels @ basis).transpose(2, 3).reshape(count, 3, height, width) + 128
    return x


@cache
def _cosines() -> tuple[tuple[float, ...], ...]:
    """The orthonormal 8 x 8 DCT-II."""
    row, column = torch.arange(8.0)[:, None], torch.arange(8.0)[None]
    basis = torch.cos(math.pi * (2 * column + 1) * row / 16) / 2
    basis[0] /= math.sqrt(2)
    return tuple(map(tuple, basis.tolist()))


def add_noise(x: Tensor, draw: Draw, probability: float, strongest: float = 25.0) -> Tensor:
    """Sensor noise, its own strength for each picture."""
    rows = chosen(draw, len(x), probability)
    if len(rows):
        rows = draw.place(rows)
        strength = between(draw, 2, strongest, len(rows), 1, 1, 1)
        x[rows] += strength * draw.many(len(rows), *x.shape[1:])
    return x
