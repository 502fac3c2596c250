"""Brightness, contrast, saturation, hue and a tint: other cameras, other light, other dyes.

All of them are affine in a pixel's colour, so one matrix per picture does them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .draws import Draw, chosen, constant


def recolour(
    x: Tensor,
    draw: Draw,
    *,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    tint: float = 0.0,
    hue: float = 0.0,
    grey: float = 0.0,
) -> Tensor:
    """Change each picture's colours at random.

    Args:
        x: float32 RGB (n, 3, h, w) in 0...255.
        draw: the source of all draws.
        brightness: half-width of the gain about 1, as are `contrast`, `saturation` and `tint`,
            which is a gain a channel.
        contrast: about the picture's mean.
        saturation: of the distance from grey.
        tint: of a colour cast.
        hue: half-width of the turn about the grey axis, in radians.
        grey: the share of pictures that lose all colour.

    Returns:
        A new tensor of the same shape; its values may lie outside 0...255.
    """
    count = len(x)
    gain = 1 + draw(count, 1, 1, 1) * brightness
    gain = gain * (1 + draw(count, 3, 1, 1) * tint)
    contrasts = (1 + draw(count, 1, 1, 1) * contrast).view(count, 1, 1)
    saturations = 1 + draw(count, 1, 1, 1) * saturation
    angle = torch.zeros(1, 1, 1, device=x.device)
    if hue:
        angle = draw(count, 1, 1) * hue
    if grey:
        # Not by indexing, for which a GPU would be waited for.
        saturations.index_fill_(0, draw.place(chosen(draw, count, grey)), 0)
    axis = torch.full((3, 3), 1 / 3, device=x.device)
    # The rotation about the grey axis, in Rodrigues' form, on the part of a colour off that axis.
    turn = constant(((0, -1, 1), (1, 0, -1), (-1, 1, 0)), x.device) / math.sqrt(3)
    off_axis = angle.cos() * (torch.eye(3, device=x.device) - axis) + angle.sin() * turn
    matrix = gain.view(count, 3, 1) * (axis + saturations.view(count, 1, 1) * off_axis)
    mean = x.mean((1, 2, 3)).view(count, 1, 1) * (1 - contrasts)
    bias = matrix.sum(2, keepdim=True) * mean
    return torch.baddbmm(bias, matrix * contrasts, x.flatten(2)).view_as(x)
