"""A model in all four graphs: what is in them, what they answer, and their gates."""

from __future__ import annotations

import numpy as np
import onnx
import openvino
import pytest
from wishes import described, runnable, wish

from export import graph_checks, running
from export.convert import convert
from export.graph import Arithmetic
from reid_edge import bundle

GRAPHS = ["fp32", "fp16", "int8", "int8_fp16"]


@pytest.fixture(scope="module")
def folder(weights, crops, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "edge"
    convert(weights, out, wish=wish(crops))
    return out


def answers(folder, name, batch):
    return running.embed({"": runnable((folder / f"{name}.onnx").read_bytes())}, [batch])[""]


@pytest.fixture(scope="module")
def batch():
    return np.random.default_rng(0).integers(0, 256, (4, 64, 32, 3), np.uint8)


def test_bundle_has_all_graphs_and_gates(folder):
    loaded = bundle.load(folder)
    assert list(loaded.graphs) == GRAPHS
    for graph in loaded.graphs.values():
        graph.read()
    assert dict(loaded.gates) == {"fp16": True, "int8": True, "int8_fp16": True}
    assert loaded.default_precision == "auto"
    gate = described(folder)["gates"]["int8"]
    assert gate["data"] == "folder:crops (labelled)"
    assert gate["pictures"] == 48  # 64 without the 16 that it was calibrated on
    assert gate["arithmetic"] == "f32"
    assert gate["map_ratio"] >= 0.99
    assert gate["flips"] <= 0.01
    assert 0.99 <= gate["cosine_mean"] < 1


def test_fp32_is_the_same_alone(weights, folder, tmp_path):
    convert(weights, tmp_path / "alone")
    alone = (tmp_path / "alone" / "fp32.onnx").read_bytes()
    assert alone == (folder / "fp32.onnx").read_bytes()


def test_same_input_same_bytes(weights, crops, folder, tmp_path):
    convert(weights, tmp_path / "again", wish=wish(crops))
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("name", GRAPHS[1:])
def test_answers_are_close(folder, batch, name):
    expected, found = answers(folder, "fp32", batch), answers(folder, name, batch)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    cosines = (expected * found).sum(axis=1)
    assert (cosines > (0.9999 if name == "fp16" else 0.99)).all()
    assert not np.array_equal(expected, found)


def test_onnx_runtime_agrees_on_int8(folder, batch):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(
        str(folder / "int8.onnx"), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {"images": batch})[0]
    assert ((found * answers(folder, "int8", batch)).sum(axis=1) > 0.999).all()


@pytest.mark.parametrize("name", GRAPHS)
def test_promises(folder, name):
    content = (folder / f"{name}.onnx").read_bytes()
    convolutions = [
        node.name for node in onnx.load_from_string(content).graph.node if node.op_type == "Conv"
    ]
    quantised = dict.fromkeys(convolutions[1:] if "int8" in name else ())
    arithmetic = Arithmetic("fp16" in name, quantised, unsigned=name == "int8")
    graph_checks.check(content, arithmetic)


def test_activations_of_int8_have_no_sign_on_the_cpu(folder):
    """Nor the lost half of their steps; TensorRT's have one."""

    def zero_and_scale(name, scale):
        stored = {
            each.name: onnx.numpy_helper.to_array(each)
            for each in onnx.load(str(folder / f"{name}.onnx")).graph.initializer
        }
        return stored["zero"].dtype, float(stored[f"block1/layer1/conv2/input/{scale}"])

    ours, theirs = zero_and_scale("int8", "scale"), zero_and_scale("int8_fp16", "scale")
    assert (ours[0], theirs[0]) == (np.uint8, np.int8)
    assert ours[1] * 255 == pytest.approx(theirs[1] * 127, rel=2e-3)
    activations = {
        name: each.get("activations") for name, each in described(folder)["gates"].items()
    }
    assert activations == {"fp16": None, "int8": "uint8", "int8_fp16": "int8"}
    assert bundle.load(folder).activations == {"int8": "uint8", "int8_fp16": "int8"}


def test_concatenations_join_int8(folder):
    """On the CPU's graph, all parts of a dense block share a scale and are rounded once."""
    model = onnx.load(str(folder / "int8.onnx"))
    nodes = {node.name: node for node in model.graph.node}
    assert nodes["block1/layer2/conv1"].input[0] == "block1/layer1/concat"
    assert list(nodes["block1/layer1/concat"].input) == [
        "stem/pool/rounded",
        "block1/layer1/conv2/relu/rounded",
    ]
    # The last layer's part goes to the mean only.
    assert nodes["block3/layer2/concat"].input[1] == "block3/layer2/conv2/relu"
    scales = {
        each.name: float(onnx.numpy_helper.to_array(each))
        for each in model.graph.initializer
        if each.name.startswith("block2") and each.name.endswith("rounded/scale")
    }
    (alone,) = scales
    block = f"{alone.split('/rounded')[0]}/rounded/scale", "transition1/pool/rounded/scale"
    values = {
        float(onnx.numpy_helper.to_array(each))
        for each in model.graph.initializer
        if each.name in block
    }
    assert len(values) == 1
    # TensorRT's graph rounds in front of each convolution.
    nodes = {node.name: node for node in onnx.load(str(folder / "int8_fp16.onnx")).graph.node}
    assert nodes["block1/layer2/conv1"].input[0] == "block1/layer2/conv1/input"


def test_openvino_runs_convolutions_in_int8(folder):
    core = openvino.Core()
    if "INT8" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no INT8 dot product")
    compiled = core.compile_model(
        str(folder / "int8.onnx"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    ran = [
        str(layer.get_rt_info()["runtimePrecision"].astype(str))
        for layer in compiled.get_runtime_model().get_ops()
        if layer.get_rt_info()["layerType"].astype(str) == "Convolution"
    ]
    assert len(ran) == 13
    assert sum(each in ("i8", "u8") for each in ran) == 12


def test_kept_convolutions_stay_floats(weights, crops, tmp_path):
    kept = ("transition1/conv", "block1/layer1/conv2")
    convert(weights, tmp_path / "out", wish=wish(crops, precisions=("int8",), keep=kept))
    nodes = onnx.load(str(tmp_path / "out" / "int8.onnx")).graph.node
    inputs = {node.name: node.input[0] for node in nodes if node.op_type == "Conv"}
    kernels = {node.name: node.input[1] for node in nodes if node.op_type == "Conv"}
    made = {node.output[0]: node.op_type for node in nodes}
    floats = {name for name, kernel in kernels.items() if made[kernel] != "DequantizeLinear"}
    assert floats == {"stem/conv", *kept}
    # A block with a kept convolution is not joined as INT8: that one takes floats.
    assert inputs["block1/layer2/conv1"] == "block1/layer2/conv1/input"
    assert inputs["block3/layer2/conv1"] == "block3/layer1/concat"
