"""Random draws for a batch, from one generator on the CPU whatever the device is.

What is decided by a draw (which pictures, how large) is decided on the CPU and then sent, and
nothing is ever asked back: a GPU that is asked for a number has to finish all its work first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


class Draw:
    """Uniform numbers in -1...1, of the shape that is asked for: on the device if called."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self._generator, self.device = generator, device

    def __call__(self, *shape: int) -> Tensor:
        """On the device, to be computed with."""
        return self.place(self.here(*shape))

    def here(self, *shape: int) -> Tensor:
        """On the CPU, to decide by."""
        return torch.rand(*shape, generator=self._generator) * 2 - 1

    def many(self, *shape: int) -> Tensor:
        """On the device and, if that is a GPU, drawn there: for a number a pixel."""
        if self.device.type != "cuda":
            return self(*shape)
        seed = int(torch.randint(2**62, (), generator=self._generator))
        own = torch.Generator(self.device).manual_seed(seed)
        return torch.rand(*shape, generator=own, device=self.device) * 2 - 1

    def place(self, tensor: Tensor) -> Tensor:
        """Send it to the device, which nobody waits for."""
        return tensor.to(self.device, non_blocking=True)


def uniform(generator: torch.Generator, device: torch.device) -> Draw:
    """Draws of `generator`, for `device`."""
    return Draw(generator, device)


def between(draw: Callable[..., Tensor], low: float, high: float, *shape: int) -> Tensor:
    """Uniform numbers in low...high, of a `Draw` or its `here`."""
    return low + (draw(*shape) + 1) / 2 * (high - low)


def chosen(draw: Draw, count: int, probability: float) -> Tensor:
    """Indices out of 0...count-1, each taken with `probability`; no draw if that is zero.

    They are on the CPU.
    """
    if not probability:
        return torch.zeros(0, dtype=torch.long)
    return torch.nonzero(draw.here(count) < 2 * probability - 1).flatten()


@lru_cache(maxsize=64)
def constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """A float32 tensor that is sent to its device once."""
    with torch.inference_mode(False):  # wherever it is first asked for, it may be trained with
        return torch.tensor(values, dtype=torch.float32, device=device)
