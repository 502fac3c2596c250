"""Clothes and places that no set holds, for a teacher that sees the same picture as its student.

A student copies its teacher well around the people and places that it was shown, and less well
elsewhere.  Garments in other colours and people in front of other pictures' surroundings widen
what it is shown; the teacher answers for whatever comes out.  Pictures are float32 (n, 3, h, w)
in 0...255.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .colours import recolour
from .draws import Draw, between, chosen
from .scenes import windows


def dye(x: Tensor, draw: Draw, probability: float) -> tuple[Tensor, Tensor]:
    """Give some pictures' upper or lower part other colours, any hue.

    Args:
        x: float32 (n, 3, h, w) in 0...255; not changed.
        draw: the source of all draws.
        probability: that a picture is dyed, 0...1; the batch's first never is.

    Returns:
        The batch, in 0...255, and bool (n,) on the CPU: who still wears their own clothes.
    """
    own = torch.ones(len(x), dtype=torch.bool)
    rows = chosen(draw, len(x), probability)
    rows = rows[rows > 0]  # as in `mixing.mix`: there is always somebody to recognise
    if not len(rows):
        return x, own
    own[rows] = False
    across, down = _grid(x)
    waist = draw.place(between(draw.here, 0.4, 0.6, len(rows))).view(-1, 1, 1, 1)
    slope = draw(len(rows), 1, 1, 1) * 0.15
    softness = draw.place(between(draw.here, 0.01, 0.05, len(rows))).view(-1, 1, 1, 1)
    upper = draw(len(rows), 1, 1, 1).sign()
    share = torch.sigmoid(upper * (waist + slope * (across - 0.5) - down) / softness)
    rows = draw.place(rows)
    dyed = recolour(x[rows], draw, brightness=0.5, saturation=0.5, tint=0.1, hue=math.pi)
    found = x.clone()
    found[rows] = torch.lerp(x[rows], dyed.clamp_(0, 255), share)
    return found, own


def backdrop(x: Tensor, draw: Draw, probability: float) -> Tensor:
    """Put some pictures' middle, where the person is, into another picture's surroundings.

    The person stays, and so does the label.

    Args:
        x: float32 (n, 3, h, w) in 0...255; not changed.
        draw: the source of all draws.
        probability: that a picture is changed, 0...1; a few get their own surroundings back.

    Returns:
        The batch, in 0...255.
    """
    rows = chosen(draw, len(x), probability)
    if not len(rows):
        return x
    partner = draw.here(len(x)).argsort()[rows]
    return _around(x, rows, x[draw.place(partner)], draw)


def elsewhere(x: Tensor, draw: Draw, probability: float, scenes: Tensor) -> Tensor:
    """As `backdrop`, with the surroundings of scenes without people.

    Args:
        x: float32 (n, 3, h, w) in 0...255; not changed.
        draw: the source of all draws.
        probability: that a picture is changed, 0...1.
        scenes: uint8 (m, 256, 256, 3) RGB, on the device.

    Returns:
        The batch, in 0...255.
    """
    rows = chosen(draw, len(x), probability)
    if not len(rows):
        return x
    return _around(x, rows, windows(scenes, draw, len(rows), *x.shape[2:]), draw)


def _around(x: Tensor, rows: Tensor, places: Tensor, draw: Draw) -> Tensor:
    """The batch with the middle of the pictures in `rows` in these places."""
    across, down = _grid(x)
    centre = draw(2, len(rows), 1, 1, 1) * 0.04 + 0.5
    wide = draw.place(between(draw.here, 0.26, 0.4, len(rows))).view(-1, 1, 1, 1)
    high = draw.place(between(draw.here, 0.44, 0.52, len(rows))).view(-1, 1, 1, 1)
    # A rounded rectangle with an edge of a few pixels.
    away = ((across - centre[0]) / wide) ** 4 + ((down - centre[1]) / high) ** 4
    person = torch.sigmoid((1 - away) * 8)
    found = x.clone()
    mine = x[draw.place(rows)]
    found[draw.place(rows)] = torch.lerp(places, mine, person)
    return found


def _grid(x: Tensor) -> tuple[Tensor, Tensor]:
    """Where each pixel's centre is, 0...1: across (1, w) and down (h, 1)."""
    height, width = x.shape[2:]
    across = (torch.arange(width, device=x.device) + 0.5) / width
    down = (torch.arange(height, device=x.device) + 0.5) / height
    return across.view(1, -1), down.view(-1, 1)
