"""Symmetric INT8: whole numbers -127...127 times a scale, and no zero point.

Scales are rounded to FP16 before anything is quantised with them, so that the FP32-scale and
the FP16-scale graph hold the same numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .batchnorm import Floats

LARGEST = 127

# The smallest normal FP16: below it a scale would lose its digits, or become 0.
_SMALLEST_SCALE = float(np.finfo(np.float16).tiny)
_LARGEST_SCALE = float(np.finfo(np.float16).max)


def scale(largest: Floats | float) -> Floats:
    """The scale, or scales, whose 127 steps reach the largest magnitude; FP16 values as float64."""
    exact = np.asarray(largest, np.float64) / LARGEST
    return np.clip(exact, _SMALLEST_SCALE, _LARGEST_SCALE).astype(np.float16).astype(np.float64)


def quantise_kernel(kernel: Floats) -> tuple[NDArray[np.int8], Floats]:
    """A kernel with a scale for each output channel.

    Args:
        kernel: output channels first, as in OIHW.

    Returns:
        int8 of the kernel's shape, and scales (output channels,).
    """
    scales = scale(np.abs(kernel).max(axis=tuple(range(1, kernel.ndim))))
    steps = np.rint(kernel / scales.reshape(-1, *[1] * (kernel.ndim - 1)))
    return np.clip(steps, -LARGEST, LARGEST).astype(np.int8), scales
