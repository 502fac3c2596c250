"""Occlusion, erasing and pictures made of two people.

A teacher that sees the same picture as its student can label any picture, two people in one
included, and so the student learns the teacher's function far beyond the people at hand (Beyer
et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022).
Pictures are float32 (n, 3, h, w) in 0...255.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .draws import Draw, between, chosen, constant


def mix(x: Tensor, draw: Draw, mixup: float, cutmix: float) -> tuple[Tensor, Tensor]:
    """Blend some pictures with others (Zhang et al., 2018), or put halves together.

    CutMix (Yun et al., ICCV 2019) with people: one's upper and another's lower half, or the left
    and the right one.

    Returns:
        The batch, and bool (n,) on the CPU: which pictures were left alone.
    """
    count, _, height, width = x.shape
    own = torch.ones(count, dtype=torch.bool)
    if not mixup and not cutmix:
        return x, own
    partner = draw.here(count).argsort()
    kind = (draw.here(count) + 1) / 2
    kind[0] = 1  # one at least stays as it is, so that there is always somebody to recognise
    blended = torch.nonzero(kind < mixup).flatten()
    cut = torch.nonzero((kind >= mixup) & (kind < mixup + cutmix)).flatten()
    share = between(draw.here, 0.3, 0.7, count)
    sideways, second_first = draw.here(count) > 0.4, draw.here(count) > 0
    found = x.clone()
    rows, others = draw.place(blended), draw.place(partner[blended])
    found[rows] = torch.lerp(x[others], x[rows], draw.place(share[blended]).view(-1, 1, 1, 1))
    start = torch.zeros(len(cut))
    bottom = torch.where(sideways, height, share * height)[cut]
    right = torch.where(sideways, share * width, width)[cut]
    first = _inside(x, draw, start, bottom, start, right)
    rows, others = draw.place(cut), draw.place(partner[cut])
    theirs = first == draw.place(second_first[cut]).view(-1, 1, 1, 1)
    found[rows] = torch.where(theirs, x[others], x[rows])
    own[blended] = False
    own[cut] = False
    return found, own


def occlude(x: Tensor, draw: Draw, probability: float, area: tuple[float, float]) -> None:
    """Put a rectangle out of another picture over some, in place: somebody stands in front."""
    if not probability:
        return
    partner = draw.here(len(x)).argsort()
    chosen_rows, hidden = _rectangles(x, draw, probability, area)
    rows, others = draw.place(chosen_rows), draw.place(partner[chosen_rows])
    x[rows] = torch.where(hidden, x[others], x[rows])


def erase(
    x: Tensor,
    draw: Draw,
    probability: float,
    area: tuple[float, float],
    mean: Sequence[float],
    std: Sequence[float],
) -> None:
    """Random erasing (Zhong et al., AAAI 2020), in place: a rectangle of one colour."""
    colour = draw(len(x), 3) * constant(tuple(std), x.device) + constant(tuple(mean), x.device)
    chosen_rows, hidden = _rectangles(x, draw, probability, area)
    rows = draw.place(chosen_rows)
    x[rows] = torch.where(hidden, colour[rows].view(-1, 3, 1, 1), x[rows])


def _rectangles(
    x: Tensor, draw: Draw, probability: float, area: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """For some pictures a rectangle: their rows, on the CPU, and bool (rows, 1, h, w)."""
    count, _, height, width = x.shape
    share = between(draw.here, *area, count)
    ratio = (draw.here(count) * 1.2).exp()
    tall = (share * ratio).sqrt().clamp(max=0.9)
    wide = (share / ratio).sqrt().clamp(max=0.9)
    top = between(draw.here, 0, 1, count) * (1 - tall)
    left = between(draw.here, 0, 1, count) * (1 - wide)
    rows = chosen(draw, count, probability)
    top, tall = (top[rows] * height).long(), (tall[rows] * height).long().clamp(min=1)
    left, wide = (left[rows] * width).long(), (wide[rows] * width).long().clamp(min=1)
    return rows, _inside(x, draw, top, top + tall, left, left + wide)


def _inside(
    x: Tensor, draw: Draw, top: Tensor, bottom: Tensor, left: Tensor, right: Tensor
) -> Tensor:
    """Which pixels lie in a rectangle each: bool (rectangles, 1, h, w), on the device."""
    y, z = (torch.arange(size, device=x.device) for size in x.shape[2:])
    edges = draw.place(torch.stack([top, bottom, left, right]).long())
    first, end, begin, stop = edges.view(4, -1, 1, 1, 1).unbind()
    y = y.view(-1, 1)
    return (y >= first) & (y < end) & (z >= begin) & (z < stop)
