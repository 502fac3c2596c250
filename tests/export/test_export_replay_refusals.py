"""Bundles that cannot be the source of another: graphs that this export would not have written."""

from __future__ import annotations

import json
from itertools import pairwise

import _tiny
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from wishes import described, recorded

from export import writing
from export.convert import convert
from reid_edge.errors import BundleIntegrityError, BundleSchemaError, ConversionError

AGAIN = "only bundles written by `python -m export` can be converted again"
OTHERWISE = "something that this version would have written otherwise"
BIAS = "block1/layer1/conv1/bias"


def changed(folder, change):
    """Change a bundle's graph, and record it as if it had always been so."""
    path = folder / "fp32.onnx"
    model = onnx.load(str(path))
    change(model.graph)
    return recorded(folder, model.SerializeToString(deterministic=True))


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


@pytest.mark.parametrize("figures", ["NaN", '"\\ud800"', "1e999"])
def test_figures_that_no_file_can_hold_are_refused(copy, figures):
    """Nothing checks them when a bundle is read, as nothing hangs on them."""
    text = json.dumps({**described(copy), "figures": {}})
    (copy / "bundle.json").write_text(
        text.replace('"figures": {}', f'"figures": {{"x": {figures}}}')
    )
    with pytest.raises(ConversionError, match="its metadata cannot be written"):
        convert(copy, copy.parent / "out")


def test_a_description_that_is_nested_too_deeply_is_refused(tmp_path):
    """Some versions of Python read deeper ones than they write."""
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ConversionError, match="its metadata cannot be written"):
        writing.write(tmp_path / "out", {"fp32": b"graph"}, {"figures": {"x": deep}}, "weights")


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
