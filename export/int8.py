"""Whole numbers times a scale, no zero point: -127...127, and 0...255 where nothing is negative.

Scales are FP16 numbers: graphs whose floats are FP16 can hold them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .batchnorm import Floats

LARGEST, LARGEST_UNSIGNED = 127, 255

# The smallest normal FP16: below it a scale would lose its digits, or become 0.
_SMALLEST_SCALE = float(np.finfo(np.float16).tiny)
_LARGEST_SCALE = float(np.finfo(np.float16).max)


def scale(largest: Floats | float, steps: int = LARGEST) -> Floats:
    """The scale, or scales, whose steps reach the largest magnitude; FP16 values as float64."""
    exact = np.asarray(largest, np.float64) / steps
    return np.clip(exact, _SMALLEST_SCALE, _LARGEST_SCALE).astype(np.float16).astype(np.float64)


def quantise_kernel(kernel: Floats, unsigned: bool = False) -> tuple[NDArray[np.int8], Floats]:
    """A kernel with a scale for each output channel.

    Args:
        kernel: output channels first, as in OIHW.
        unsigned: it is for activations of 0...255.  x86 processors without VNNI multiply them with
            the weights of two neighbouring input channels and add both products up in 16 bits
            that saturate (`vpmaddubsw`).  So such two weights of one sign add up to 128 at most,
            255 * 128 fits, and OpenVINO gives the same sums on every processor.

    Returns:
        int8 of the kernel's shape, and scales (output channels,).
    """
    reach = neighbours(kernel) if unsigned else np.abs(kernel)
    scales = scale(reach.max(axis=tuple(range(1, kernel.ndim))))
    steps = np.rint(kernel / scales.reshape(-1, *[1] * (kernel.ndim - 1)))
    return np.clip(steps, -LARGEST, LARGEST).astype(np.int8), scales


def neighbours(kernel: Floats) -> Floats:
    """Magnitudes that channels 0 and 1, 2 and 3, ... add up to: of one sign, at each place.

    Rounding adds half a step to each of the two: 127 steps become 128.
    """
    odd = kernel.shape[1] % 2
    even = np.pad(kernel, [(0, 0), (0, odd), *[(0, 0)] * (kernel.ndim - 2)])
    positive, negative = (np.maximum(each, 0) for each in (even, -even))
    above, below = (each[:, ::2] + each[:, 1::2] for each in (positive, negative))
    reach: Floats = np.maximum(above, below)
    return reach
