"""Checkpoints of the published DenseNet: the graph computes what torch does, in all precisions."""

from __future__ import annotations

import crop_files
import edge_files
import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from export import checkpoint, sources, trained
from export.convert import convert
from export.wish import Wish
from reid_edge import bundle
from reid_edge.errors import ArchitectureMismatchError, BundleSchemaError, ConversionError
from training.augment import normalise
from training.model import Architecture, DenseNet

SMALL = Architecture(8, (4, 6, 8), (2, 1, 2), 4, 16, "densenet")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = DenseNet(SMALL)
    # Statistics of real activations, so that no layer dies out.
    model(normalise(torch.rand(16, 3, 64, 32) * 255))
    with torch.no_grad():
        for name, values in model.state_dict().items():
            if name.endswith("weight") and values.ndim == 1:
                values.uniform_(0.5, 1.5)
            elif name.endswith("bias"):
                values.normal_(0, 0.1)
    return model.eval()


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("densenet") / "densenet.safetensors"
    described = edge_files.metadata()
    described["architecture"] = SMALL.to_json()
    state = {name: values.numpy() for name, values in model.state_dict().items()}
    edge_files.save(path, state, described)
    return path


def test_agrees_with_torch(model, saved, tmp_path, run):
    x = np.random.default_rng(0).integers(0, 80, (3, 64, 32, 3), np.uint8)
    for picture, colour in zip(x, np.uint8([[170, 0, 0], [0, 170, 0], [90, 90, 170]]), strict=True):
        picture += colour
    read = checkpoint.read(sources.read(saved))
    graph = trained.write(read.architecture, read.weights, 64, 32, store_fp16=False)
    (tmp_path / "fp32.onnx").write_bytes(graph)
    with torch.no_grad():
        raw = model(normalise(torch.from_numpy(x).permute(0, 3, 1, 2).float()))
        expected = torch.nn.functional.normalize(raw).numpy()
    assert (expected[0] * expected[1]).sum() < 0.99  # pictures differ
    np.testing.assert_allclose(run(tmp_path, x), expected, atol=1e-4)


def test_only_norms_behind_a_concatenation_are_left(saved):
    read = checkpoint.read(sources.read(saved))
    graph = onnx.load_from_string(trained.write(read.architecture, read.weights, 64, 32)).graph
    left = [node.name for node in graph.node if node.op_type == "BatchNormalization"]
    layers = [f"block{b}/layer{i}" for b, i in ((1, 1), (1, 2), (2, 1), (3, 1), (3, 2))]
    expected = {f"{name}/norm" for name in [*layers, "transition1", "transition2", "last"]}
    assert set(left) == expected
    assert len(left) == len(expected)


def test_all_precisions_come_out_and_pass_their_gates(saved, tmp_path):
    crops = crop_files.write(tmp_path / "crops", people=4)
    wish = Wish(("fp16", "int8"), calibration=str(crops), calibration_size=24, gate=str(crops))
    files = convert(saved, tmp_path / "out", wish=wish)
    names = ["fp32.onnx", "fp16.onnx", "int8.onnx", "int8_fp16.onnx", "bundle.json"]
    assert [path.name for path in files] == names
    assert set(bundle.load(tmp_path / "out").gates) == {"fp16", "int8", "int8_fp16"}
    quantised = {node.op_type for node in onnx.load(str(files[2])).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= quantised


@pytest.mark.parametrize(
    ("network", "error", "said"),
    [
        ("resnet", BundleSchemaError, "network: expected 'edge' or 'densenet'"),
        ("edge", ArchitectureMismatchError, "is not the edge network of its metadata"),
    ],
)
def test_another_network_is_refused(model, tmp_path, network, error, said):
    described = edge_files.metadata()
    described["architecture"] = {**SMALL.to_json(), "network": network}
    state = {name: values.numpy() for name, values in model.state_dict().items()}
    edge_files.save(tmp_path / "x.safetensors", state, described)
    with pytest.raises((error, ConversionError), match=said):
        convert(tmp_path / "x.safetensors", tmp_path / "out")
