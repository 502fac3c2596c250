"""Graphs that break a promise to the engines are told from good ones."""

from __future__ import annotations

import edge_files
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export import checkpoint, graph_checks, ranges, sources, trained
from export.graph import FP32, Arithmetic, GraphWriter
from reid_edge.errors import ConversionError

CONV = "block1/layer1/conv1"


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    """Arithmetic -> a parsed graph."""
    path = tmp_path_factory.mktemp("weights") / "edge.safetensors"
    edge_files.save(path)

    def write(arithmetic=FP32):
        read = checkpoint.read(sources.read(path))
        size = (read.height, read.width)
        graph = trained.write(read.architecture, read.weights, *size, arithmetic=arithmetic)
        return onnx.load_from_string(graph)

    return write


@pytest.fixture(scope="module")
def quantised(write):
    return list(ranges.quantisable(write().SerializeToString()))


@pytest.fixture(params=[False, True], ids=["fp32", "fp16"])
def half(request):
    return request.param


@pytest.fixture
def model(write, quantised, half):
    return write(arithmetic(half, quantised))


def arithmetic(half, quantised, unsigned=False):
    return Arithmetic(half, dict.fromkeys(quantised, 0.05), unsigned=unsigned)


def node(model, name):
    return next(each for each in model.graph.node if each.name == name)


def constant(model, name, change):
    """Replace a stored tensor."""
    tensor = next(each for each in model.graph.initializer if each.name == name)
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor)), name))


def refused(model, half, quantised, said):
    with pytest.raises(ConversionError, match=said):
        graph_checks.check(model.SerializeToString(), arithmetic(half, quantised))


def test_good_graphs(write, model, half, quantised):
    graph_checks.check(model.SerializeToString(), arithmetic(half, quantised))
    graph_checks.check(write(Arithmetic(half)).SerializeToString(), Arithmetic(half))
    unsigned = arithmetic(half, quantised, unsigned=True)
    graph_checks.check(write(unsigned).SerializeToString(), unsigned)


def test_one_scale_a_tensor(model):
    # A list of one is another thing to TensorRT: it then runs no convolution in INT8.
    scale = next(each for each in model.graph.initializer if each.name == f"{CONV}/input/scale")
    assert list(scale.dims) == []


def test_interface(model, half, quantised):
    model.opset_import[0].version = 18
    refused(model, half, quantised, "opset")


def test_fixed_batch(model, half, quantised):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    refused(model, half, quantised, "batch")


def test_float_output(model, half, quantised):
    model.graph.output[0].name = node(model, "embedding/project").output[0]
    refused(model, half, quantised, "outputs")


def test_mixed_floats(write):
    mixed = write(Arithmetic(half=True))
    kernel = f"{CONV}/bias"
    constant(mixed, kernel, lambda values: values.astype(np.float32))
    with pytest.raises((ConversionError, onnx.shape_inference.InferenceError)):
        graph_checks.check(mixed.SerializeToString(), Arithmetic(half=True))
    refused(write(), True, (), "is FP32")
    refused(write(Arithmetic(half=True)), False, (), "is FP16")


def test_zero_point(model, half, quantised):
    constant(model, "zero", lambda values: values + np.int8(1))
    refused(model, half, quantised, "zero point")


def test_activations_with_a_sign_and_without(write, model, half, quantised):
    unsigned = arithmetic(half, quantised, unsigned=True)
    with pytest.raises(ConversionError, match="zero point"):
        graph_checks.check(model.SerializeToString(), unsigned)
    refused(write(unsigned), half, quantised, "zero point")


@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_what_may_be_negative_is_not_unsigned(pool, relu):
    wanted = arithmetic(False, ["second"], unsigned=True)
    writer = GraphWriter("two", 8, 8, arithmetic=wanted)
    x = writer.conv("first", writer.pictures(), np.ones((4, 3, 1, 1)))
    x = writer.relu("relu", x) if relu else x
    x = writer.max_pool("pool", writer.concat("both", [x, x]), 2, 2, 0) if pool else x
    x = writer.conv("second", x, np.ones((4, 8 if pool else 4, 1, 1)))
    dense = writer.dense("dense", writer.global_average("mean", x), np.ones((4, 4)), np.zeros(4))
    content = writer.finish(dense, 4)
    if relu:
        graph_checks.check(content, wanted)
    else:
        with pytest.raises(ConversionError, match="may be negative"):
            graph_checks.check(content, wanted)


def test_neighbours_that_leave_16_bits(write, half, quantised):
    unsigned = arithmetic(half, quantised, unsigned=True)
    model = write(unsigned)
    constant(model, f"{CONV}/weight/int8", lambda values: np.full_like(values, 65))
    with pytest.raises(ConversionError, match="leaves 16 bits"):
        graph_checks.check(model.SerializeToString(), unsigned)


def test_scale_of_zero(model, half, quantised):
    constant(model, f"{CONV}/weight/scale", lambda values: values * 0)
    refused(model, half, quantised, "must be positive")


def test_scale_as_a_list(model, half, quantised):
    constant(model, f"{CONV}/input/scale", lambda values: values.reshape(1))
    refused(model, half, quantised, "shapes of scale")


def test_scaled_by_input_channels(model, half, quantised):
    node(model, f"{CONV}/weight").attribute[0].i = 1
    refused(model, half, quantised, "output channels")


def test_first_convolution(write, half, quantised):
    names = ["stem/conv", *quantised]
    model = write(arithmetic(half, names))
    refused(model, half, names, "first convolution")


def test_no_convolution_at_all():
    writer = GraphWriter("flat", 8, 8)
    features = writer.global_average("features", writer.pictures())
    dense = writer.dense("dense", features, np.ones((4, 3)), np.zeros(4))
    graph_checks.check(writer.finish(dense, 4), FP32)


def test_convolution_that_is_not_quantised(write, model, half, quantised):
    fewer = write(arithmetic(half, quantised[1:]))
    refused(fewer, half, quantised, "comes from no DequantizeLinear")
    refused(model, half, quantised[1:], "Q/DQ where none should be")


def test_quantised_bias(model, half, quantised):
    wrong = node(model, CONV)
    wrong.input[2] = f"{CONV}/weight"
    refused(model, half, quantised, "no plain bias|rank|dimension")


def test_quantised_tensor_used_twice(model, half, quantised):
    pool = node(model, "transition1/pool")
    pool.input[0] = "block1/layer2/conv2/input"
    refused(model, half, quantised, "used elsewhere")
