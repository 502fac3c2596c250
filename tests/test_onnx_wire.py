from __future__ import annotations

import _tiny
import onnx
import pytest
from onnx import TensorProto, helper

from reid_edge._onnx_wire import has_external_data
from reid_edge.errors import BundleGraphError


def outside(name="weights", location=True, entries=True):
    """A tensor that says that its data lie in another file."""
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    if location:
        tensor.data_location = TensorProto.EXTERNAL
    if entries:
        tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def within_node(**attribute):
    return helper.make_node("Constant", [], ["x"], **attribute)


def graph(nodes=(), initializers=()):
    return helper.make_graph(list(nodes), "inner", [], [], list(initializers))


def sparse(values, indices):
    return onnx.SparseTensorProto(values=values, indices=indices)


PLAIN = TensorProto(data_type=TensorProto.FLOAT, dims=[1], raw_data=b"\0" * 4)


def in_initializer(model):
    model.graph.initializer.append(outside())


def in_location_only(model):
    model.graph.initializer.append(outside(entries=False))


def in_entries_only(model):
    model.graph.initializer.append(outside(location=False))


def in_sparse_values(model):
    model.graph.sparse_initializer.append(sparse(outside(), PLAIN))


def in_sparse_indices(model):
    model.graph.sparse_initializer.append(sparse(PLAIN, outside()))


def in_constant(model):
    model.graph.node.append(within_node(value=outside()))


def in_tensor_list(model):
    model.graph.node.append(within_node(values=[PLAIN, outside()]))


def in_sparse_constant(model):
    model.graph.node.append(within_node(sparse_value=sparse(PLAIN, outside())))


def in_branch(model):
    inner = graph([within_node(value=outside())])
    model.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=inner))


def in_deep_branch(model):
    inner = graph(initializers=[outside()])
    for _ in range(5):
        inner = graph([helper.make_node("If", ["c"], ["y"], then_branch=inner)])
    model.graph.node.append(helper.make_node("If", ["c"], ["y"], then_branch=inner))


def in_graph_list(model):
    model.graph.node.append(within_node(bodies=[graph(), graph(initializers=[outside()])]))


def in_function(model):
    model.functions.add(name="f").node.append(within_node(value=outside()))


def in_function_default(model):
    model.functions.add(name="f").attribute_proto.append(helper.make_attribute("v", outside()))


def in_training(model):
    model.training_info.add().algorithm.initializer.append(outside())


def in_training_start(model):
    model.training_info.add().initialization.initializer.append(outside())


def test_an_ordinary_model_keeps_everything_inside():
    assert not has_external_data(_tiny.model().SerializeToString())


@pytest.mark.parametrize("hide", [value for name, value in globals().items() if name[:3] == "in_"])
def test_a_tensor_outside_is_found_wherever_it_hides(hide):
    model = _tiny.model()
    hide(model)
    assert has_external_data(model.SerializeToString())


def test_the_second_of_two_merged_graphs_is_searched_too():
    other = onnx.ModelProto(graph=graph(initializers=[outside()]))
    assert has_external_data(_tiny.model().SerializeToString() + other.SerializeToString())


def test_default_location_written_out_is_inside():
    model = _tiny.model()
    model.graph.initializer[0].data_location = TensorProto.DEFAULT
    assert not has_external_data(model.SerializeToString())


@pytest.mark.parametrize(
    "content",
    [
        b"\x0b",  # a group
        b"\x3f",  # an unknown wire type
        b"\x3a\x05abc",  # longer than the file
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a length of 2**64 - 1
        b"\x08",  # no value
        b"\x08" + b"\xff" * 11,  # a number without an end
        b"\x09\0\0\0",  # half a fixed64
        b"\x0d\0\0\0",  # three bytes of a fixed32
        b"\x00\x00",  # field 0
        b"\x18\0\0\0ORTM" + bytes(100),  # ONNX Runtime's own format
        b"<?xml version='1.0'?><net/>",  # OpenVINO's own format
        b"\n<" + b"net />".ljust(60),  # the same, passing for a protocol buffer
    ],
)
def test_what_is_no_onnx_file_is_refused_with_the_fix(content):
    with pytest.raises(BundleGraphError, match="export the bundle again"):
        has_external_data(content)


def test_keys_that_parsers_would_cut_to_another_field_are_refused():
    # 2**32 + 58 is cut to 58, the graph, by parsers that keep 32 bits of a key.
    inner = graph(initializers=[outside()]).SerializeToString()
    size = bytes([len(inner)]) if len(inner) < 128 else None
    assert size is not None
    assert has_external_data(b"\x08\x09\x3a" + size + inner)
    with pytest.raises(BundleGraphError):
        has_external_data(b"\x08\x09\xba\x80\x80\x80\x10" + size + inner)


def test_nesting_without_end_is_refused():
    content = b""
    for _ in range(40):  # graph > node > attribute > graph ...
        for key in (b"\x32", b"\x2a", b"\x0a"):
            content = key + _varint(len(content)) + content
    with pytest.raises(BundleGraphError, match="nested too deeply"):
        has_external_data(b"\x08\x09\x3a" + _varint(len(content)) + content)


def _varint(number):
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    return bytes([*encoded, number])
