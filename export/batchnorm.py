"""Batch normalisation at inference: a scale and a shift, folded into what stands before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BatchNorm:
    """y = scale * x + shift, a number per channel, in float64 so that folding loses nothing."""

    scale: Floats
    shift: Floats

    @classmethod
    def of(
        cls, gamma: Floats, beta: Floats, mean: Floats, variance: Floats, epsilon: float
    ) -> BatchNorm:
        """The norm that a training ended with; the variance is at least 0."""
        scale = gamma / np.sqrt(variance + epsilon)
        return cls(scale, beta - mean * scale)

    def fold(self, kernel: Floats) -> tuple[Floats, Floats]:
        """Kernel and bias that do convolution (or matrix product) and norm in one.

        Args:
            kernel: output channels first, as in OIHW.
        """
        return kernel * self.scale.reshape(-1, *[1] * (kernel.ndim - 1)), self.shift
