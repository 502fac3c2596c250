"""INT8 and BF16 in floats: the rounding itself, and whole graphs against ONNX Runtime's."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from wishes import wish

from export import emulation, running
from export.convert import convert
from reid_edge import bundle, images
from reid_edge.backends import _processor
from reid_edge.bench.pictures import generate


def run(graph, pictures):
    return running.Network(graph).run(pictures)[0].copy()


def small(kind, **stored):
    """A graph of one node, images -> embeddings."""
    node = helper.make_node(kind, ["images", *stored], ["embeddings"], "one")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [None])
        for name in ("images", "embeddings")
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    graph = helper.make_graph([node], "small", ends[:1], ends[1:], tensors)
    opsets = [helper.make_opsetid("", 19)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def to_bf16(values):
    """Round to nearest, ties to even, by the bits."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)


def test_bf16_is_rounded_to_its_eight_bits():
    values = np.random.default_rng(0).normal(size=4096).astype(np.float32) * 300
    values[:3] = 0, 1, -65504
    one = small("Mul", factor=np.array(1, np.float32))
    np.testing.assert_array_equal(run(emulation.emulate(one, bf16=True), values), to_bf16(values))
    np.testing.assert_array_equal(run(emulation.emulate(one), values), values)


def test_kernels_are_rounded_too():
    kernel = np.random.default_rng(0).normal(size=(1, 1, 1)).astype(np.float32)
    (stored,) = onnx.load_model_from_string(
        emulation.emulate(small("Conv", kernel=kernel), bf16=True)
    ).graph.initializer[:1]
    np.testing.assert_array_equal(numpy_helper.to_array(stored), to_bf16(kernel))
    assert (to_bf16(kernel) != kernel).all()


@pytest.fixture(scope="module")
def folder(weights, crops, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "edge"
    convert(weights, out, wish=wish(crops))
    return out


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).integers(0, 256, (4, 64, 32, 3), np.uint8)


def test_int8_is_what_onnx_runtime_computes_node_by_node(folder, batch):
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    graph = (folder / "int8.onnx").read_bytes()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    expected = session.run(None, {"images": batch})[0]
    found = run(emulation.emulate(graph), batch)
    # A value next to the middle between two steps may fall to either side.
    assert np.abs(found - expected).max() < 2e-3
    assert np.abs(run((folder / "fp32.onnx").read_bytes(), batch) - expected).max() > 5e-3


@pytest.mark.skipif(
    not (_processor.has_fast_int8() or _processor.has_avx2()), reason="no INT8 for this processor"
)
@pytest.mark.parametrize("name", ["edge", "edge-free"])
def test_shipped_int8_gives_the_emulated_sums_here(name):
    shipped = bundle.load(bundle.find(name))
    pictures = np.empty((8, shipped.height, shipped.width, 3), np.uint8)
    images.fill(pictures, generate(8), shipped.resize)
    graph, floats = (shipped.graph(each).read() for each in ("int8", "fp32"))
    emulated = run(emulation.emulate(graph), pictures)
    near, far = ((run(each, pictures) * emulated).sum(axis=1).min() for each in (graph, floats))
    assert near > 0.9998 > far


@pytest.mark.parametrize("name", ["int8", "int8_fp16"])
def test_no_activation_is_int8(folder, batch, name):
    graph = (folder / f"{name}.onnx").read_bytes()
    emulated = emulation.emulate(graph)
    model = onnx.load_model_from_string(emulated)
    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    rounded = [node.op_type for node in onnx.load_model_from_string(graph).graph.node]
    assert "QuantizeLinear" not in kinds
    assert kinds.count("Round") == kinds.count("Clip") == rounded.count("QuantizeLinear") > 0
    stored = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        assert node.op_type != "DequantizeLinear" or node.input[0] in stored
    assert np.isfinite(run(emulated, batch)).all()


def test_bf16_changes_answers_a_little(folder, batch):
    graph = (folder / "int8.onnx").read_bytes()
    plain, rounded = (run(emulation.emulate(graph, bf16=bf16), batch) for bf16 in (False, True))
    assert not np.array_equal(plain, rounded)
    assert ((plain * rounded).sum(axis=1) > 0.99).all()


def test_a_graph_without_int8_stays(folder, batch):
    graph = (folder / "fp32.onnx").read_bytes()
    np.testing.assert_array_equal(run(emulation.emulate(graph), batch), run(graph, batch))


def test_an_emulation_is_its_own(folder, batch):
    once = emulation.emulate((folder / "int8_fp16.onnx").read_bytes())
    np.testing.assert_array_equal(run(emulation.emulate(once), batch), run(once, batch))
