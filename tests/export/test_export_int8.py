"""Symmetric INT8 numbers."""

from __future__ import annotations

import numpy as np

from export import int8


def test_scales_are_fp16_numbers():
    scales = int8.scale(np.array([1e-9, 0.1, 3.0, 1e9]))
    assert np.array_equal(scales, scales.astype(np.float16).astype(np.float64))
    np.testing.assert_allclose(scales[1:3] * 127, [0.1, 3.0], rtol=1e-3)
    assert np.isfinite(scales.astype(np.float16)).all()
    assert (scales >= np.finfo(np.float16).tiny).all()


def test_kernel_keeps_half_a_step():
    kernel = np.random.default_rng(0).normal(0, [[[[1]]], [[[100]]]], (2, 3, 3, 3))
    values, scales = int8.quantise_kernel(kernel)
    assert values.dtype == np.int8
    assert values.shape == kernel.shape
    assert scales.shape == (2,)
    # Each channel uses its whole range, and never -128.
    assert np.abs(values.astype(int)).max(axis=(1, 2, 3)).tolist() == [127, 127]
    error = np.abs(values * scales.reshape(2, 1, 1, 1) - kernel).max(axis=(1, 2, 3))
    # Half a step, and what the rounding of the scale costs at the range's end.
    assert (error <= scales * (0.5 + 127 / 2048)).all()


def test_dead_channel_is_zero():
    values, scales = int8.quantise_kernel(np.zeros((1, 2, 1, 1)))
    assert not values.any()
    assert scales[0] > 0
