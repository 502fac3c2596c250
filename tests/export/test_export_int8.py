"""8-bit numbers, and that OpenVINO multiplies them without a loss on every processor."""

from __future__ import annotations

import numpy as np
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from export import int8
from reid_edge.backends import _processor


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


@pytest.mark.parametrize("channels", [1, 4, 7])
def test_neighbours_fit_16_bits(channels):
    """Of normal weights, and where all are as large as the largest."""
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(64, channels, 3, 3))
    for kernel in (normal, np.sign(normal), np.ones_like(normal)):
        values, scales = int8.quantise_kernel(kernel, unsigned=True)
        padded = np.pad(values.astype(int), [(0, 0), (0, channels % 2), (0, 0), (0, 0)])
        pairs = padded.reshape(64, -1, 2, 3, 3)
        # A channel may reach 255 while its neighbour is 0.
        for each in (np.maximum(pairs, 0), np.minimum(pairs, 0)):
            sums = 255 * each.sum(axis=2)
            assert -(2**15) <= sums.min() <= sums.max() < 2**15
        error = np.abs(values * scales.reshape(-1, 1, 1, 1) - kernel)
        assert (error.max(axis=(1, 2, 3)) <= scales * (0.5 + 127 / 2048)).all()


def test_as_few_steps_are_given_up_as_need_be():
    kernel = np.zeros((2, 4, 1, 1))
    kernel[0, :, 0, 0] = 1, -1, 0, 1  # no two neighbours of one sign
    kernel[1, :, 0, 0] = 0, 1, 1, 0  # 1 and 2 are not added up in 16 bits
    values, _ = int8.quantise_kernel(kernel, unsigned=True)
    assert values[0].ravel().tolist() == [127, -127, 0, 127]
    assert values[1].ravel().tolist() == [0, 127, 127, 0]


@pytest.mark.parametrize("size", [1, 3])
def test_openvino_adds_the_largest_products_up_exactly(size):
    """Activations of 255 and weights at their bound: on a processor without VNNI, too."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (32, 32, size, size))
    values, _ = int8.quantise_kernel(np.abs(signs) if size == 1 else signs, unsigned=True)
    pictures = np.full((1, 32, 5, 5), 255, np.float32)
    found = multiplied(values, pictures)[0, :, 2, 2]
    np.testing.assert_array_equal(found, np.maximum(values.astype(int).sum((1, 2, 3)) * 255, 0))


@pytest.mark.skipif(
    _processor.has_fast_int8() or not _processor.has_avx2(), reason="is for AVX2 without VNNI"
)
def test_without_the_bound_sums_are_cut_off():
    values = np.full((32, 32, 3, 3), 127, np.int8)
    found = multiplied(values, np.full((1, 32, 5, 5), 255, np.float32))[0, :, 2, 2]
    assert (found < values.astype(int).sum((1, 2, 3)) * 255).all()


def multiplied(values, pictures):
    """ReLU, UINT8 activations of scale 1, and the kernel as it is: (n, outputs, h, w)."""
    outputs, inputs, size, _ = values.shape
    stored = {
        "one": np.array(1, np.float32),
        "zero": np.array(0, np.uint8),
        "kernel/int8": values,
        "ones": np.ones(outputs, np.float32),
        "zeros": np.zeros(outputs, np.int8),
    }
    nodes = [
        helper.make_node("Relu", ["images"], ["relu"]),
        helper.make_node("QuantizeLinear", ["relu", "one", "zero"], ["relu/int8"]),
        helper.make_node("DequantizeLinear", ["relu/int8", "one", "zero"], ["relu/back"]),
        helper.make_node("DequantizeLinear", ["kernel/int8", "ones", "zeros"], ["kernel"], axis=0),
        helper.make_node("Conv", ["relu/back", "kernel"], ["conv"], pads=[size // 2] * 4),
        helper.make_node("Relu", ["conv"], ["sums"]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", channels, 5, 5])
        for name, channels in (("images", inputs), ("sums", outputs))
    ]
    tensors = [numpy_helper.from_array(each, name) for name, each in stored.items()]
    graph = helper.make_graph(nodes, "one", ends[:1], ends[1:], tensors)
    opsets = [helper.make_opsetid("", 19)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    core = openvino.Core()
    hints = {"INFERENCE_PRECISION_HINT": "f32"}
    network = core.compile_model(core.read_model(model.SerializeToString()), "CPU", hints)
    return network(pictures)[0]
