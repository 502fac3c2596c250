"""What every exported graph promises to the engines, checked before it is written.

The graphs come from our own writer, so a check that fails is a mistake in the export.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Set
from typing import Any

import numpy as np

from reid_edge.errors import ConversionError

from . import int8
from .graph import IR_VERSION, OPSET, Arithmetic
from .packages import require

# The only layers behind an FP16 graph's last Cast.
_TAIL = {"Cast", "ReduceL2", "Max", "Div"}


def check(content: bytes, arithmetic: Arithmetic) -> None:
    """Check a graph.

    Args:
        content: the ONNX file.
        arithmetic: what it was written in.

    Raises:
        ConversionError: a promise is broken; the message names the first one.
    """
    graph = _Graph(content, arithmetic.unsigned)
    graph.check_interface()
    graph.check_floats(arithmetic.half)
    graph.check_quantised(arithmetic.input_scales.keys())


class _Graph:
    """A parsed graph, with who makes and who takes each tensor."""

    def __init__(self, content: bytes, unsigned: bool) -> None:
        self.unsigned = unsigned
        onnx = require("onnx")
        self.types = onnx.TensorProto
        self.model = onnx.load_from_string(content)
        self.graph = self.model.graph
        to_array = require("onnx.numpy_helper").to_array
        self.constants = {each.name: to_array(each) for each in self.graph.initializer}
        self.makers = {node.output[0]: node for node in self.graph.node}
        self.takers: dict[str, list[tuple[Any, int]]] = defaultdict(list)
        for node in self.graph.node:
            for place, name in enumerate(node.input):
                self.takers[name].append((node, place))
        self.convs = [node for node in self.graph.node if node.op_type == "Conv"]

    def check_interface(self) -> None:
        """Opset, IR, names, types and the dynamic batch."""
        opsets = [(each.domain, each.version) for each in self.model.opset_import]
        _need(opsets == [("", OPSET)], f"opset {opsets}")
        _need(self.model.ir_version == IR_VERSION, f"IR {self.model.ir_version}")
        ports = [*self.graph.input, *self.graph.output]
        found = [(port.name, port.type.tensor_type.elem_type) for port in ports]
        expected = [("images", self.types.UINT8), ("embeddings", self.types.FLOAT)]
        _need(found == expected, f"inputs and outputs {found}")
        batches = [port.type.tensor_type.shape.dim[0].dim_param for port in ports]
        _need(batches == ["batch", "batch"], "the batch is not dynamic")

    def check_floats(self, half: bool) -> None:
        """One kind of float throughout: engines with strong typing convert nothing."""
        inferred = require("onnx.shape_inference").infer_shapes(self.model, strict_mode=True)
        kinds = {
            each.name: each.type.tensor_type.elem_type
            for each in (*inferred.graph.value_info, *inferred.graph.output)
        }
        kinds |= {each.name: each.data_type for each in self.graph.initializer}
        odd = self.types.FLOAT if half else self.types.FLOAT16
        for name in (name for name, kind in kinds.items() if kind == odd):
            if half:
                around = [self.makers[name]] if name in self.makers else []
                around += [node for node, _ in self.takers[name]]
                _need(all(node.op_type in _TAIL for node in around), f"{name} is FP32")
            else:  # a stored kernel
                users = [node.op_type for node, _ in self.takers[name]]
                _need(name in self.constants and users == ["Cast"], f"{name} is FP16")

    def check_quantised(self, quantised: Set[str]) -> None:
        """8 bits around the convolutions' inputs and kernels, and nowhere else."""
        names = [conv.name for conv in self.convs]
        _need(quantised.isdisjoint(names[:1]), "the first convolution is INT8")
        _need(quantised <= set(names), "convolutions are missing")
        used: set[str] = set()
        for conv in self.convs:
            bias = conv.input[2] if len(conv.input) > 2 else None
            _need(bias is None or bias in self.constants, f"{bias} is no plain bias")
            if conv.name in quantised:
                scales = self._check_input(conv.input[0], used)
                _need(len(scales) == 1, f"{conv.input[0]} has several scales")
                self._check_kernel(conv.input[1], used)
        kinds = ("QuantizeLinear", "DequantizeLinear")
        found = {node.name for node in self.graph.node if node.op_type in kinds}
        _need(found == used, "Q/DQ where none should be")

    def _check_input(self, name: str, used: set[str]) -> set[float]:
        """The scales of a convolution's input, which may be joined of several INT8 tensors."""
        maker = self.makers.get(name)
        if maker is not None and maker.op_type == "Concat":
            return {scale for part in maker.input for scale in self._check_input(part, used)}
        back = self._maker(name, "DequantizeLinear")
        there = self._maker(back.input[0], "QuantizeLinear")
        _need(there.input[1:] == back.input[1:], f"{name} has two scales")
        _need(there.input[0] not in self.constants, f"{name} is no activation")
        self._check_parameters(back, (), np.uint8 if self.unsigned else np.int8)
        if self.unsigned:
            _need(self._has_no_sign(there.input[0]), f"{name} may be negative")
        takers = {node.op_type for node, _ in self.takers[name]}
        _need(takers <= {"Conv", "Concat"}, f"{name} is used elsewhere, too")
        _need(len(self.takers[there.output[0]]) == 1, f"{name} is used as INT8, too")
        used |= {there.name, back.name}
        return {float(self.constants[back.input[1]])}

    def _check_kernel(self, name: str, used: set[str]) -> None:
        back = self._maker(name, "DequantizeLinear")
        stored = self.constants.get(back.input[0])
        if stored is None or stored.dtype != np.int8:
            raise _broken(f"{name} is not stored as INT8")
        if self.unsigned:
            reach = int8.neighbours(stored.astype(np.float64)).max()
            _need(255 * reach < 2**15, f"{name} leaves 16 bits")
        axes = [each.i for each in back.attribute if each.name == "axis"]
        _need(axes == [0], f"{name} is not scaled by output channels")
        self._check_parameters(back, stored.shape[:1], np.int8)
        used.add(back.name)
        _need(len(self.takers[name]) == 1, f"{name} is used elsewhere, too")

    def _has_no_sign(self, name: str) -> bool:
        """Whether a tensor comes from ReLUs, by way of pools and concatenations."""
        maker = self.makers[name]
        if maker.op_type in ("MaxPool", "AveragePool", "Concat"):
            return all(self._has_no_sign(each) for each in maker.input)
        if maker.op_type == "DequantizeLinear":
            return self._has_no_sign(self.makers[maker.input[0]].input[0])
        return bool(maker.op_type == "Relu")

    def _check_parameters(self, node: Any, shape: tuple[int, ...], kind: type) -> None:
        scale, zero = (self.constants[name] for name in node.input[1:])
        _need(scale.shape == zero.shape == shape, f"{node.name}: shapes of scale and zero point")
        good = np.isfinite(scale).all() and (scale > 0).all()
        _need(bool(good), f"{node.name}: scales must be positive")
        _need(zero.dtype == kind and not zero.any(), f"{node.name}: a zero point is not 0")

    def _maker(self, name: str, kind: str) -> Any:
        node = self.makers.get(name)
        _need(node is not None and node.op_type == kind, f"{name} comes from no {kind}")
        return node


def _need(kept: bool, what: str) -> None:
    if not kept:
        raise _broken(what)


def _broken(what: str) -> ConversionError:
    return ConversionError(f"a graph breaks a promise to the engines: {what}; please report it")
