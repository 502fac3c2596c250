"""INT8 and BF16 computed in floats, to judge a graph on a processor that lacks them.

Without VNNI, engines add INT8 products up in 16 bits, which saturate; without AMX, OpenVINO gives
wrong numbers where activations have a sign; without BF16, no figure would be of the rounding around
INT8 that other processors do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .packages import require

# They only move numbers, or choose among them: nothing new is to be rounded.  The kernel of an INT8
# convolution is INT8 times a scale that engines apply to the sum.
_MOVES = ("Concat", "DequantizeLinear", "Flatten", "MaxPool", "Transpose")

# Dekker's constant (1971): x * c - (x * c - x) keeps 8 of float32's 24 bits, as many as BF16 has.
_SPLIT = 2.0**16 + 1

_LEAST, _MOST, _FACTOR = "emulation/least", "emulation/most", "emulation/split"


def emulate(graph: bytes, bf16: bool = False) -> bytes:
    """The same computation without INT8: activations are rounded to its steps, but stay floats.

    INT8 kernels are left as they are: where no activation is INT8, engines make floats of them.

    Args:
        graph: an ONNX file as `GraphWriter` wrote it.
        bf16: of a graph of FP32 and INT8: also round kernels, and what each other layer makes,
            to BF16.  Engines that fuse layers spare some of these roundings.

    Returns:
        An ONNX file to be run in FP32.
    """
    onnx = require("onnx")
    model = onnx.load_model_from_string(graph)
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    scales = {
        stored[node.input[1]] for node in model.graph.node if node.op_type == "QuantizeLinear"
    }
    floats = np.float16 if onnx.TensorProto.FLOAT16 in scales else np.float32
    nodes = [
        each for node in model.graph.node for each in _emulated(onnx.helper, node, stored, bf16)
    ]
    unsigned = stored.get("zero") == onnx.TensorProto.UINT8
    least, most = (0, 255) if unsigned else (-128, 127)
    for name, value in ((_LEAST, least), (_MOST, most), (_FACTOR, _SPLIT)):
        if name not in stored and any(name in node.input for node in nodes):
            tensor = require("onnx.numpy_helper").from_array(np.array(value, floats), name)
            model.graph.initializer.append(tensor)
    if bf16:
        _round_kernels(model.graph)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _round_kernels(graph: Any) -> None:
    """Those that are stored as FP32; others are made by a Cast."""
    numpy_helper, float32 = require("onnx.numpy_helper"), require("onnx").TensorProto.FLOAT
    kernels = {node.input[1] for node in graph.node if node.op_type in ("Conv", "Gemm")}
    for tensor in graph.initializer:
        if tensor.name in kernels and tensor.data_type == float32:
            exact = numpy_helper.to_array(tensor)
            far = exact * np.float32(_SPLIT)
            tensor.CopyFrom(numpy_helper.from_array(far - (far - exact), tensor.name))


def _emulated(helper: Any, node: Any, stored: dict[str, int], bf16: bool) -> Iterator[Any]:
    """What stands in a node's place."""
    made = node.output[0]

    def step(kind: str, inputs: list[str], name: str) -> Any:
        return helper.make_node(kind, inputs, [name], name)

    if node.op_type == "QuantizeLinear":
        yield step("Div", list(node.input[:2]), f"{made}/steps")
        yield step("Round", [f"{made}/steps"], f"{made}/whole")  # half to even, as in Q/DQ
        yield step("Clip", [f"{made}/whole", _LEAST, _MOST], made)
    elif node.op_type == "DequantizeLinear" and node.input[0] not in stored:
        yield step("Mul", list(node.input[:2]), made)
    elif bf16 and node.op_type not in _MOVES:
        node.output[0] = exact = f"{made}/exact"
        yield node
        yield step("Mul", [exact, _FACTOR], f"{made}/far")
        yield step("Sub", [f"{made}/far", exact], f"{made}/rest")
        yield step("Sub", [f"{made}/far", f"{made}/rest"], made)
    else:
        yield node
