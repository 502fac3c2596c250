"""Training checkpoints: the graph computes what torch would, and says only what was checked."""

from __future__ import annotations

import json
import sys

import edge_files
import numpy as np
import onnx
import pytest
import reference_ops

from export import checkpoint, sources, trained
from export.convert import convert
from reid_edge import bundle
from reid_edge.errors import ArchitectureMismatchError, ConversionError, ReidEdgeError


def pictures(count, height=edge_files.HEIGHT, width=edge_files.WIDTH):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def checkpoint_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("edge") / "final.safetensors"
    edge_files.save(path)
    return path


def test_embeddings_are_those_of_the_network(checkpoint_file, tmp_path, run):
    convert(checkpoint_file, tmp_path / "out")
    x = pictures(3)
    expected = reference_ops.edge_embeddings(edge_files.random_state(), edge_files.ARCHITECTURE, x)
    found = run(tmp_path / "out", x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    # Kernels are rounded to FP16 after folding: three digits.
    np.testing.assert_allclose(found, expected, atol=3e-3)


def test_full_precision_storage_is_exact(checkpoint_file, tmp_path, run):
    read = checkpoint.read(sources.read(checkpoint_file))
    size = (edge_files.HEIGHT, edge_files.WIDTH)
    graph = trained.write(read.architecture, read.weights, *size, store_fp16=False)
    (tmp_path / "fp32.onnx").write_bytes(graph)
    state = edge_files.random_state()
    expected = reference_ops.edge_embeddings(state, edge_files.ARCHITECTURE, pictures(3))
    np.testing.assert_allclose(run(tmp_path, pictures(3)), expected, atol=1e-5)


def test_agrees_with_torch(tmp_path, run):
    torch = pytest.importorskip("torch")
    from training.augment import normalise
    from training.model import Architecture, EdgeDenseNet

    torch.manual_seed(0)
    architecture = Architecture(stem=8, growth=(4, 6, 8, 8), layers=(2, 1, 2, 1), embedding=16)
    model = EdgeDenseNet(architecture).eval()
    with torch.no_grad():
        for name, values in model.state_dict().items():
            if name.endswith("running_var") or (name.endswith("weight") and values.ndim == 1):
                values.uniform_(0.5, 1.5)
            elif name.endswith(("running_mean", "bias")):
                values.normal_(0, 0.1)
    state = {name: values.numpy() for name, values in model.state_dict().items()}
    described = edge_files.metadata()
    described["architecture"] = architecture.to_json()
    edge_files.save(tmp_path / "torch.safetensors", state, described)
    read = checkpoint.read(sources.read(tmp_path / "torch.safetensors"))
    x = pictures(2)
    graph = trained.write(read.architecture, read.weights, *x.shape[1:3], store_fp16=False)
    (tmp_path / "fp32.onnx").write_bytes(graph)
    with torch.no_grad():
        raw = model(normalise(torch.from_numpy(x).permute(0, 3, 1, 2).float()))
        expected = torch.nn.functional.normalize(raw).numpy()
    np.testing.assert_allclose(run(tmp_path, x), expected, atol=1e-5)


def test_normalisation_is_the_training_s():
    pytest.importorskip("torch")
    from export import graph
    from training import augment

    assert graph.MEAN == augment.MEAN
    assert graph.STD == augment.STD


def test_bundle_takes_over_the_metadata(checkpoint_file, tmp_path):
    convert(checkpoint_file, tmp_path / "out")
    described = json.loads((tmp_path / "out" / "bundle.json").read_text())
    for name, value in edge_files.metadata()["bundle"].items():
        assert described[name] == value
    assert described["embedding_size"] == 16
    loaded = bundle.load(tmp_path / "out")
    assert loaded.thresholds["far_1e-2"].score == 0.9
    loaded.graph("fp32").read()


def test_fp16_storage_halves_the_kernels_only(checkpoint_file):
    read = [checkpoint.read(sources.read(checkpoint_file)) for _ in range(2)]
    size = (edge_files.HEIGHT, edge_files.WIDTH)
    small, full = (
        trained.write(one.architecture, one.weights, *size, store_fp16=half)
        for one, half in zip(read, (True, False), strict=True)
    )
    tensors = onnx.load_from_string(small).graph.initializer
    half = {tensor.name for tensor in tensors if tensor.data_type == onnx.TensorProto.FLOAT16}
    assert half == {
        f"{tensor.name}/fp16"
        for tensor in onnx.load_from_string(full).graph.initializer
        if tensor.name.endswith("/weight")
    }
    assert "block1/layer2/conv1/weight/fp16" in half


def test_kernels_beyond_fp16_stay_fp32(tmp_path):
    state = edge_files.random_state(np.float32)
    state["project.weight"][0, 0] = 1e6
    edge_files.save(tmp_path / "large.safetensors", state)
    graph = onnx.load(str(convert(tmp_path / "large.safetensors", tmp_path / "out")[0])).graph
    names = {tensor.name for tensor in graph.initializer}
    assert "embedding/project/weight" in names
    assert "stem/conv/weight/fp16" in names


def test_needs_no_torch(checkpoint_file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert convert(checkpoint_file, tmp_path / "out")


def test_batch_counters_may_be_absent(tmp_path):
    state = {
        name: values
        for name, values in edge_files.random_state().items()
        if not name.endswith("num_batches_tracked")
    }
    edge_files.save(tmp_path / "x.safetensors", state)
    assert convert(tmp_path / "x.safetensors", tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda s: s.pop("stages.2.layers.1.0.1.bias"),
            r"stages\.2\.layers\.1\.0\.1\.bias .* missing",
        ),
        (lambda s: s.update(extra=np.zeros(2, np.float32)), "extra 2 is superfluous"),
        (
            lambda s: s.update({"neck.weight": np.ones(15, np.float32)}),
            r"neck\.weight is 15, expected 16",
        ),
    ],
)
def test_other_network(tmp_path, change, said):
    state = edge_files.random_state()
    change(state)
    edge_files.save(tmp_path / "x.safetensors", state)
    with pytest.raises(ArchitectureMismatchError, match=said):
        convert(tmp_path / "x.safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("neck.bias", np.nan, "NaN"),
        ("neck.running_var", -1, r"neck\.running_var holds negative values"),
        ("project.weight", np.inf, "infinite"),
    ],
)
def test_impossible_values(tmp_path, name, value, said):
    state = edge_files.random_state()
    state[name][0] = value
    edge_files.save(tmp_path / "x.safetensors", state)
    with pytest.raises(ConversionError, match=said):
        convert(tmp_path / "x.safetensors", tmp_path / "out")


def test_integer_weights(tmp_path):
    state = edge_files.random_state()
    state["neck.bias"] = np.zeros(16, np.int32)
    edge_files.save(tmp_path / "x.safetensors", state)
    with pytest.raises(ConversionError, match=r"neck\.bias is int32"):
        convert(tmp_path / "x.safetensors", tmp_path / "out")


def put(path, value):
    """A change of the metadata: set the field at a dotted path, or remove it."""

    def change(described):
        *outer, last = path.split(".")
        for name in outer:
            described = described[name]
        if value is ...:
            del described[last]
        else:
            described[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("format", 2, "format 2"),
        ("format", ..., "'format' is missing"),
        ("architecture", ..., "'architecture' is missing"),
        ("architecture", [1], "expected an object"),
        ("architecture.stem", 0, "stem: expected a whole number"),
        ("architecture.stem", True, "stem: expected a whole number"),
        ("architecture.embedding", 10**9, "embedding: expected a whole number"),
        ("architecture.growth", [4, 6], "growth and layers differ"),
        ("architecture.layers", [], "layers is no list"),
        ("architecture.layers", [2, 1, "2"], "expected a whole number"),
        ("architecture.attention", 1, "'attention' is unknown"),
        ("bundle", ..., "'bundle' is missing"),
        ("bundle.figures", ..., "'figures' is missing"),
        ("bundle.graphs", {}, "'graphs' is unknown"),
        ("bundle.name", "../../etc", "name '../../etc' cannot be used"),
        ("bundle.name", None, "cannot be used"),
        ("bundle.input.height", 1e9, "height: expected a whole number"),
        ("bundle.input.resize", "cubic", "resize: expected 'area' or 'linear'"),
        ("bundle.head.type", "mlp", "type: expected"),
        ("bundle.head.scale", "10", "scale: expected a finite number"),
        ("bundle.thresholds", {"far_1e-2": {"score": 0.9}}, "'low' is missing"),
        ("bundle.licence.summary", "", "summary: expected a string"),
    ],
)
def test_wrong_metadata(tmp_path, path, value, said):
    described = edge_files.metadata()
    put(path, value)(described)
    edge_files.save(tmp_path / "x.safetensors", described=described)
    with pytest.raises(ReidEdgeError, match=said):
        convert(tmp_path / "x.safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no valid JSON"),
        ("[1]", "no JSON object"),
        ('{"format": NaN}', "NaN is not a JSON number"),
        ("[" * 100_000, "nested too deeply"),
        (" " * 5_000_000, "header: longer than"),
    ],
)
def test_metadata_that_is_no_json(tmp_path, text, said):
    edge_files.save(tmp_path / "x.safetensors", described=text)
    with pytest.raises(ConversionError, match=said):
        convert(tmp_path / "x.safetensors", tmp_path / "out")


def test_file_without_the_metadata(tmp_path):
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(1, np.float32)}, tmp_path / "x.safetensors")
    with pytest.raises(ConversionError, match="no checkpoint of training/"):
        convert(tmp_path / "x.safetensors", tmp_path / "out")


def test_pictures_too_small_for_the_network(tmp_path):
    described = edge_files.metadata()
    described["architecture"].update(growth=[4] * 8, layers=[1] * 8)
    edge_files.save(tmp_path / "x.safetensors", described=described)
    with pytest.raises(ConversionError, match="too small for this network"):
        convert(tmp_path / "x.safetensors", tmp_path / "out")


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated(checkpoint_file, tmp_path, kept):
    data = checkpoint_file.read_bytes()
    (tmp_path / "x.safetensors").write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ConversionError, match=r"cannot be read|cut off"):
        convert(tmp_path / "x.safetensors", tmp_path / "out")


def test_header_longer_than_the_file(tmp_path):
    (tmp_path / "x.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b'{"a":1}')
    with pytest.raises(ConversionError, match="cut off"):
        convert(tmp_path / "x.safetensors", tmp_path / "out")
