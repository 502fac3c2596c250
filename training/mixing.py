"""Occlusion, erasing and pictures made of two people.

A teacher that sees the same picture as its student can label any picture, two people in one
included, and so the student learns the teacher's function far beyond the people at hand (Beyer
et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022).
Pictures are float32 (n, 3, h, w) in 0...255.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .draws import Draw, between, chosen


def mix(x: Tensor, draw: Draw, mixup: float, cutmix: float) -> tuple[Tensor, Tensor]:
    """Blend some pictures with others (Zhang et al., 2018), or put halves together.

    CutMix (Yun et al., ICCV 2019) with people: one's upper and another's lower half, or the left
    and the right one.

    Returns:
        The batch, and bool (n,): which pictures were left alone.
    """
    count, _, height, width = x.shape
    own = torch.ones(count, dtype=torch.bool, device=x.device)
    if not mixup and not cutmix:
        return x, own
    partner = draw(count).argsort()
    kind = (draw(count) + 1) / 2
    kind[0] = 1  # one at least stays as it is, so that there is always somebody to recognise
    blended = torch.nonzero(kind < mixup).flatten()
    cut = torch.nonzero((kind >= mixup) & (kind < mixup + cutmix)).flatten()
    share = between(draw, 0.3, 0.7, count)
    sideways, second_first = draw(count) > 0.4, draw(count) > 0
    weight = share[blended].view(-1, 1, 1, 1)
    found = x.clone()
    found[blended] = torch.lerp(x[partner[blended]], x[blended], weight)
    for row in cut.tolist():
        part: tuple[slice, ...] = (slice(None), slice(int(share[row] * height)))
        if sideways[row]:
            part = (slice(None), slice(None), slice(int(share[row] * width)))
        place: tuple[int | slice, ...] = (row, *part)
        other: tuple[int | slice, ...] = (int(partner[row]), *part)
        if second_first[row]:
            found[place] = x[other]
        else:
            kept = x[place]
            found[row] = x[int(partner[row])]
            found[place] = kept
    own[blended] = False
    own[cut] = False
    return found, own


def occlude(x: Tensor, draw: Draw, probability: float, area: tuple[float, float]) -> None:
    """Put a rectangle out of another picture over some, in place: somebody stands in front."""
    if not probability:
        return
    others = x[draw(len(x)).argsort()]
    for row, y, left in _rectangles(x, draw, probability, area):
        x[row, :, y, left] = others[row, :, y, left]


def erase(
    x: Tensor,
    draw: Draw,
    probability: float,
    area: tuple[float, float],
    mean: Sequence[float],
    std: Sequence[float],
) -> None:
    """Random erasing (Zhong et al., AAAI 2020), in place: a rectangle of one colour."""
    colour = draw(len(x), 3) * torch.tensor(std, device=x.device)
    colour += torch.tensor(mean, device=x.device)
    for row, y, left in _rectangles(x, draw, probability, area):
        x[row, :, y, left] = colour[row].view(3, 1, 1)


def _rectangles(
    x: Tensor, draw: Draw, probability: float, area: tuple[float, float]
) -> Iterator[tuple[int, slice, slice]]:
    """For some pictures a rectangle: row, its pixels down, its pixels across."""
    count, _, height, width = x.shape
    share = between(draw, *area, count)
    ratio = (draw(count) * 1.2).exp()
    tall = (share * ratio).sqrt().clamp(max=0.9)
    wide = (share / ratio).sqrt().clamp(max=0.9)
    top = between(draw, 0, 1, count) * (1 - tall)
    left = between(draw, 0, 1, count) * (1 - wide)
    for row in chosen(draw, count, probability).tolist():
        y, z = int(top[row] * height), int(left[row] * width)
        yield (
            row,
            slice(y, y + max(1, int(tall[row] * height))),
            slice(z, z + max(1, int(wide[row] * width))),
        )
