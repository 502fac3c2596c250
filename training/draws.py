"""Random draws for a batch, from one generator on the CPU whatever the device is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Draw = Callable[..., Tensor]
"""Uniform numbers in -1...1, of the shape that is asked for."""


def uniform(generator: torch.Generator, device: torch.device) -> Draw:
    """Draws of `generator`, on `device`."""

    def draw(*shape: int) -> Tensor:
        return (torch.rand(*shape, generator=generator) * 2 - 1).to(device)

    return draw


def between(draw: Draw, low: float, high: float, *shape: int) -> Tensor:
    """Uniform numbers in low...high."""
    return low + (draw(*shape) + 1) / 2 * (high - low)


def chosen(draw: Draw, count: int, probability: float) -> Tensor:
    """Indices out of 0...count-1, each taken with `probability`; no draw if that is zero."""
    if not probability:
        return torch.zeros(0, dtype=torch.long)
    return torch.nonzero(draw(count) < 2 * probability - 1).flatten()
