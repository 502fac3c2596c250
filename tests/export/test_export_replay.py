"""A bundle as the source of another: its FP32 graph in other precisions, and no other graph."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from itertools import pairwise

import _tiny
import edge_files
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from wishes import described, wish

from export import running
from export.__main__ import main
from export.convert import convert
from export.graph import GraphWriter
from export.precisions import Wish
from reid_edge import bundle
from reid_edge.errors import BundleIntegrityError, BundleSchemaError, ConversionError, OptionError

CARRIED = ("name", "version", "description", "licence", "input", "head", "thresholds", "figures")
AGAIN = "only bundles written by `python -m export` can be converted again"
OTHERWISE = "something that this version would have written otherwise"
BIAS = "block1/layer1/conv1/bias"


@pytest.fixture(scope="module")
def densenet(tmp_path_factory):
    """A checkpoint of a small published DenseNet, not trained."""
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from training.model import Architecture, DenseNet

    architecture = Architecture(8, (4, 6, 8), (2, 1, 2), 4, 16, "densenet")
    torch.manual_seed(0)
    state = DenseNet(architecture).state_dict()
    path = tmp_path_factory.mktemp("densenet") / "densenet.safetensors"
    names = {**edge_files.metadata(), "architecture": architecture.to_json()}
    edge_files.save(path, {name: values.numpy() for name, values in state.items()}, names)
    return path


@pytest.fixture(params=["weights", "densenet", "keras_file"])
def source(request):
    """Each kind of weight file."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    """The bundle of a small edge network, in FP32 only."""
    out = tmp_path_factory.mktemp("bundles") / "edge"
    convert(weights, out)
    return out


@pytest.fixture
def copy(folder, tmp_path):
    """The same, to be changed at will."""
    return shutil.copytree(folder, tmp_path / "copy")


def both(source, tmp_path):
    """The FP16 bundle of a weight file, and that of this bundle."""
    first, again = tmp_path / "first", tmp_path / "again"
    with pytest.warns(RuntimeWarning, match="not verified"):
        convert(source, first, wish=Wish(("fp16",)))
    with pytest.warns(RuntimeWarning, match="not verified"):
        convert(first, again, wish=Wish(("fp16",)))
    return first, again


def test_the_bundle_again(source, tmp_path):
    first, again = both(source, tmp_path)
    fp32 = (first / "fp32.onnx").read_bytes()
    assert (again / "fp32.onnx").read_bytes() == fp32
    before, after = described(first), described(again)
    for field in CARRIED:
        assert after[field] == before[field]
    assert after["source"] == {"file": "fp32.onnx", "sha256": hashlib.sha256(fp32).hexdigest()}
    # In FP16, a number that was rounded to FP32 before may fall to its neighbour.
    graphs = [onnx.load(str(out / "fp16.onnx")).graph for out in (first, again)]
    expected, found = (list(graph.node) for graph in graphs)
    assert expected == found
    for one, other in zip(*(graph.initializer for graph in graphs), strict=True):
        assert one.name == other.name
        assert one.data_type == other.data_type
        values = [numpy_helper.to_array(each).astype(np.float64) for each in (one, other)]
        np.testing.assert_allclose(values[0], values[1], rtol=2**-10, atol=2**-24)


@pytest.mark.parametrize("kind", ["weights", "densenet"])
def test_int8_on_own_pictures(kind, crops, request, tmp_path):
    first, out = tmp_path / "first", tmp_path / "out"
    convert(request.getfixturevalue(kind), first)
    convert(first, out, wish=wish(crops))
    loaded = bundle.load(out)
    assert set(loaded.gates) == {"fp16", "int8", "int8_fp16"}
    assert loaded.default_precision == "auto"
    batch = np.random.default_rng(0).integers(0, 256, (4, 64, 32, 3), np.uint8)
    graphs = {name: (graph.read(), "f32") for name, graph in loaded.graphs.items()}
    found = running.embed(graphs, [batch])
    for name in ("int8", "int8_fp16"):
        cosines = (found["fp32"] * found[name]).sum(axis=1)
        assert (cosines > 0.98).all()
        assert not np.array_equal(found["fp32"], found[name])


def test_the_original_head_stays_in_fp32(copy, crops, tmp_path):
    rng = np.random.default_rng(0)
    graph = GraphWriter("small", 64, 32)
    kernel, bias = rng.standard_normal((8, 3, 7, 7)) / 12, rng.standard_normal(8)
    x = graph.relu("stem/relu", graph.conv("stem/conv", graph.pictures(), kernel, bias, 2, 3))
    x = graph.global_average("features", x)
    x = graph.dense("head", x, rng.standard_normal((64, 8)), np.zeros(64))
    fields = described(copy)
    fields |= {"head": _tiny.concat_mlp(), "embedding_size": 64}
    (copy / "bundle.json").write_text(json.dumps(fields))
    recorded(copy, graph.finish(x, 64))
    convert(copy, tmp_path / "out", wish=Wish(("fp16",), gate=str(crops)))
    loaded = bundle.load(tmp_path / "out")
    assert set(loaded.gates) == {"fp16"}
    assert loaded.default_precision == "fp32"
    assert described(tmp_path / "out")["head"] == fields["head"]


def test_the_shipped_model(tmp_path):
    folder = bundle.find("edge")
    out = tmp_path / "out"
    assert main(["--weights", str(folder), "--out", str(out), "--name", "mine"]) == 0
    assert (out / "fp32.onnx").read_bytes() == (folder / "fp32.onnx").read_bytes()
    before, after = bundle.load(folder), bundle.load(out)
    assert (after.name, after.licence) == ("mine", before.licence)


def changed(folder, change):
    """Change a bundle's graph, and record it as if it had always been so."""
    path = folder / "fp32.onnx"
    model = onnx.load(str(path))
    change(model.graph)
    return recorded(folder, model.SerializeToString(deterministic=True))


def recorded(folder, content):
    (folder / "fp32.onnx").write_bytes(content)
    fields = described(folder)
    digest = hashlib.sha256(content).hexdigest()
    fields["graphs"]["fp32"].update(sha256=digest, bytes=len(content))
    (folder / "bundle.json").write_text(json.dumps(fields))
    return folder


def refused(folder, said):
    with pytest.raises(ConversionError) as caught:
        convert(folder, folder.parent / "out")
    assert said in str(caught.value)
    assert str(caught.value).endswith(AGAIN)
    assert not (folder.parent / "out").exists()


def node(graph, name):
    return next(each for each in graph.node if each.name == name)


def attribute(graph, name, key):
    return next(each for each in node(graph, name).attribute if each.name == key)


def tensor(graph, name):
    return next(each for each in graph.initializer if each.name == name)


def before(graph, name, nodes):
    """Put nodes in front of another, which takes the last of them instead of its own input."""
    place = [each.name for each in graph.node].index(name)
    rest = list(graph.node)[place:]
    del graph.node[place:]
    graph.node.extend([*nodes, *rest])
    node(graph, name).input[0] = nodes[-1].name


def operator(graph):
    node(graph, "stem/conv/relu").op_type = "Sigmoid"


def further_attribute(graph):
    node(graph, "stem/pool").attribute.append(helper.make_attribute("ceil_mode", 1))


def other_mean(graph):
    tensor(graph, "input/mean").raw_data = np.float32([0, 0, 0]).tobytes()


def doc_string(graph):
    graph.doc_string = "mine"


def stride_of_nothing(graph):
    attribute(graph, "stem/conv", "strides").ints[0] = 0


def giant_padding(graph):
    attribute(graph, "stem/pool", "pads").ints[0] = 2**62


def giant_window(graph):
    attribute(graph, "stem/pool", "kernel_shape").ints[0] = 2**63 - 1


def no_strides(graph):
    attribute(graph, "stem/conv", "strides").ints[:] = []


def cycle(graph):
    node(graph, "block1/layer1/conv1").input[0] = "block1/layer2/concat"


def no_input(graph):
    node(graph, "stem/conv/relu").input[:] = []


def missing_tensor(graph):
    graph.initializer.remove(tensor(graph, BIAS))


def another_type(graph):
    tensor(graph, BIAS).CopyFrom(numpy_helper.from_array(np.zeros(8, np.float64), BIAS))


def giant_tensor(graph):
    tensor(graph, BIAS).dims[0] = 2**62


def many_dimensions(graph):
    tensor(graph, BIAS).dims.extend([1] * 10_000)


def negative_dimension(graph):
    tensor(graph, BIAS).dims[0] = -1


def no_number(graph):
    tensor(graph, BIAS).raw_data = np.full(8, np.nan, np.float32).tobytes()


def other_channels(graph):
    graph.node.remove(node(graph, "block1/layer1/concat"))
    for each in graph.node:
        given = ["stem/pool" if name == "block1/layer1/concat" else name for name in each.input]
        each.input[:] = given


def same_names(graph):
    node(graph, "stem/pool").name = "stem/conv/relu"


def no_name(graph):
    node(graph, "stem/pool").name = ""


def colliding_names(graph):
    node(graph, "stem/conv/relu").name = "stem/conv/bias"
    node(graph, "stem/pool").input[0] = "stem/conv/bias"


def dead_end(graph):
    before(graph, "stem/pool", [helper.make_node("Relu", ["stem/conv"], ["x"], "x")])
    node(graph, "stem/pool").input[0] = "stem/conv/relu"


def doubling(graph):
    names = ["stem/conv/relu", *(f"x{index}" for index in range(60))]
    steps = pairwise(names)
    before(
        graph,
        "stem/pool",
        [helper.make_node("Concat", [a, a], [b], b, axis=1) for a, b in steps],
    )


def too_many(graph):
    names = ["stem/conv/relu", *(f"x{index}" for index in range(5000))]
    steps = pairwise(names)
    before(graph, "stem/pool", [helper.make_node("Relu", [a], [b], b) for a, b in steps])


def nothing(graph):
    del graph.node[:]


def cut_off(graph):
    del graph.node[-1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (operator, "the operator 'Sigmoid'"),
        (further_attribute, OTHERWISE),
        (other_mean, OTHERWISE),
        (doc_string, OTHERWISE),
        (stride_of_nothing, "'stem/conv', a Conv that does not fit in"),
        (giant_padding, "'stem/pool', a MaxPool that does not fit in"),
        (giant_window, "'stem/pool', a MaxPool that does not fit in"),
        (no_strides, "'stem/conv' without strides"),
        (cycle, "the tensor 'block1/layer2/concat', which no layer before has made"),
        (no_input, "'stem/conv/relu' without an input"),
        (missing_tensor, f"no tensor '{BIAS}'"),
        (another_type, f"the tensor '{BIAS}' in another type, shape or length"),
        (giant_tensor, f"the tensor '{BIAS}' in another type, shape or length"),
        (many_dimensions, f"the tensor '{BIAS}' in another type, shape or length"),
        (negative_dimension, f"the tensor '{BIAS}' in another type, shape or length"),
        (no_number, f"NaN or infinite values in '{BIAS}'"),
        (other_channels, "a Conv that does not fit in"),
        (same_names, "several nodes 'stem/conv/relu'"),
        (no_name, "the name ''"),
        (colliding_names, "a graph that ONNX refuses"),
        (dead_end, "layers whose output nobody takes"),
        (doubling, "'x8', a Concat that does not fit in"),
        (too_many, "nodes"),
        (nothing, "0 nodes"),
        (cut_off, "the operator 'Max' at the end"),
    ],
)
def test_other_graphs_are_refused(copy, change, said):
    refused(changed(copy, change), said)


def test_a_name_that_is_no_text_is_refused(copy):
    content = (copy / "fp32.onnx").read_bytes()
    refused(recorded(copy, content.replace(b"stem/pool", b"stem/\xff\xfeol")), "the name b'stem")


def test_other_embeddings_are_refused(copy):
    fields = described(copy)
    fields["embedding_size"] = 8
    (copy / "bundle.json").write_text(json.dumps(fields))
    refused(copy, "embeddings of 16 where bundle.json says 8")


def test_another_programs_graph_is_refused(tmp_path):
    refused(_tiny.write(tmp_path / "tiny"), AGAIN)


def test_damaged_bundles_are_refused(copy):
    content = (copy / "fp32.onnx").read_bytes()
    (copy / "fp32.onnx").write_bytes(content[:-1] + b"x")
    with pytest.raises(BundleIntegrityError, match="SHA-256 differs"):
        convert(copy, copy.parent / "out")
    fields = described(copy)
    fields["graphs"] = {"fp16": fields["graphs"]["fp32"]}
    (copy / "bundle.json").write_text(json.dumps(fields))
    with pytest.raises(BundleSchemaError, match="the fp32 graph is missing"):
        convert(copy, copy.parent / "out")
    (copy / "bundle.json").unlink()
    with pytest.raises(ConversionError, match=r"is a folder without a bundle\.json"):
        convert(copy, copy.parent / "out")


@pytest.mark.parametrize("path", ["plain", "relative", "link"])
def test_never_into_its_own_folder(copy, monkeypatch, path):
    kept = {each.name: each.read_bytes() for each in copy.iterdir()}
    out = copy
    if path == "relative":
        monkeypatch.chdir(copy)
        out = type(copy)(os.path.join("..", copy.name))
    elif path == "link":
        out = copy.parent / "link"
        out.symlink_to(copy, target_is_directory=True)
    with pytest.raises(OptionError, match="is the folder that --weights names"):
        convert(copy, out, force=True)
    assert {each.name: each.read_bytes() for each in copy.iterdir()} == kept
