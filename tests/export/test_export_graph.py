"""Properties that every engine relies on, for both networks."""

from __future__ import annotations

import edge_files
import numpy as np
import onnx
import pytest

from export.convert import convert
from export.graph import GraphWriter


@pytest.fixture(params=["edge", "legacy"])
def folder(request, tmp_path):
    if request.param == "legacy":
        return request.getfixturevalue("keras_bundle")
    edge_files.save(tmp_path / "edge.safetensors")
    convert(tmp_path / "edge.safetensors", tmp_path / "edge")
    return tmp_path / "edge"


@pytest.fixture
def model(folder):
    return onnx.load(str(folder / "fp32.onnx"))


def shape_of(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_interface(model):
    assert model.ir_version <= 10
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 19)]
    (images,), (embeddings,) = model.graph.input, model.graph.output
    assert (images.name, embeddings.name) == ("images", "embeddings")
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert embeddings.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert shape_of(images) in (["batch", 64, 32, 3], ["batch", 221, 221, 3])
    assert shape_of(embeddings) in (["batch", 16], ["batch", 64])


def test_cast_comes_before_the_transpose(model):
    consumers = [node.op_type for node in model.graph.node if "images" in node.input]
    assert consumers == ["Cast"]


def test_operators_are_few_and_plain(model):
    kinds = {node.op_type for node in model.graph.node}
    assert kinds <= {
        "AveragePool", "BatchNormalization", "Cast", "Concat", "Conv", "Div", "Flatten", "Gemm",
        "GlobalAveragePool", "Max", "MaxPool", "Mul", "ReduceL2", "Relu", "Sub", "Transpose",
    }  # fmt: skip


def test_batch_norms_are_left_only_where_none_can_fold(model):
    makers = {node.output[0]: node.op_type for node in model.graph.node}
    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    assert len(norms) in (0, 61)  # DenseNet-121 has 121 of them, and its last is in the head
    assert all(makers[node.input[0]] != "Relu" for node in norms)
    # The others follow a pool or a convolution that a concatenation needs as it is.
    assert sum(makers[node.input[0]] == "Concat" for node in norms) in (0, 57)


def test_names_are_stable_paths(model):
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    assert {"stem/conv", "block1/layer2/conv1", "transition1/conv", "block3/layer1/concat"} <= set(
        names
    )
    convolution = next(node for node in model.graph.node if node.name == "block1/layer2/conv1")
    assert convolution.input[1:] == ["block1/layer2/conv1/weight", "block1/layer2/conv1/bias"]
    assert list(convolution.output) == ["block1/layer2/conv1"]


def test_batches_do_not_mix(folder, model, run):
    height, width = shape_of(model.graph.input[0])[1:3]
    pictures = np.random.default_rng(1).integers(0, 256, (3, height, width, 3), np.uint8)
    together = run(folder, pictures)
    for index in range(3):
        alone = run(folder, pictures[index : index + 1])
        np.testing.assert_allclose(together[index], alone[0], atol=1e-5)


def test_onnx_runtime_agrees(folder, model, run):
    onnxruntime = pytest.importorskip("onnxruntime")
    height, width = shape_of(model.graph.input[0])[1:3]
    pictures = np.random.default_rng(2).integers(0, 256, (2, height, width, 3), np.uint8)
    session = onnxruntime.InferenceSession(
        str(folder / "fp32.onnx"), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {"images": pictures})[0]
    np.testing.assert_allclose(found, run(folder, pictures), rtol=1e-4, atol=1e-5)


def test_zero_embedding_stays_zero(tmp_path, run):
    writer = GraphWriter("zero", 8, 8)
    features = writer.global_average("features", writer.pictures())
    dense = writer.dense("dense", features, np.zeros((4, 3)), np.zeros(4))
    (tmp_path / "fp32.onnx").write_bytes(writer.finish(writer.unit_length("unit", dense), 4))
    assert np.array_equal(run(tmp_path, np.zeros((2, 8, 8, 3), np.uint8)), np.zeros((2, 4)))
