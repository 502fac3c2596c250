"""A bundle's FP32 graph, written again in another arithmetic.

`GraphWriter` made it, one method a layer, and the same methods make it again: a layer is told
by its operator, and only what its method takes is read - what it works on, its weights, its
window.  All else (other attributes, names, order, wiring, the constants of the input and of the
norm) is left unread, because FP32 must give the very bytes that were read: `convert` compares
them, and takes no graph that this writer would have written otherwise.

The graph is hostile until then.  It is walked once, in order, so that cycles are tensors which
no layer before has made; shapes are followed, so that no engine meets one that does not fit;
weights must be finite, and as many as their shapes say.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reid_edge.errors import ConversionError

from .batchnorm import Floats
from .graph import FP32, Arithmetic, GraphWriter
from .packages import require

# DenseNet-264, the largest published, has 1,200 with its casts.  A block of as many layers as a
# checkpoint may give it joins 257 maps.
_MOST_NODES = 4096
_MOST_JOINED = 300

_NAME = re.compile(r"[A-Za-z0-9_./-]{1,200}")

# A layer's inner nodes: its method writes them with the last one.
_INNER = ("Cast", "Transpose", "Sub", "ReduceL2", "Max")


@dataclass(frozen=True)
class _Made:
    """What a layer makes of a picture: a map, or a row of numbers (height and width are 0).

    Attributes:
        name: of the tensor in the graph that is written.
        joined: how many convolutions' maps it holds next to one another.
    """

    name: str
    channels: int
    height: int = 0
    width: int = 0
    joined: int = 1


def write(
    graph: bytes, where: str, height: int, width: int, size: int, arithmetic: Arithmetic = FP32
) -> bytes:
    """Write a graph again.

    Args:
        graph: an FP32 graph of `GraphWriter`; kernels that it stores as FP16 stay so.
        where: its file, for error messages.
        height: of the pictures.
        width: of the pictures.
        size: of the embeddings.
        arithmetic: FP32, FP16 or INT8.

    Raises:
        ConversionError: something in it is not as `GraphWriter` would have written it.
        BeyondHalfError: FP16 is asked for, and cannot hold its weights.
    """
    return _Replay(graph, where, height, width, arithmetic).run(size)


class _Replay:
    """Reads nodes and writes layers, side by side."""

    def __init__(
        self, graph: bytes, where: str, height: int, width: int, arithmetic: Arithmetic
    ) -> None:
        self._where, self._height, self._width = where, height, width
        onnx = require("onnx")
        try:
            read = onnx.load_from_string(graph).graph
        except require("google.protobuf.message").DecodeError as error:
            raise self._refusal("a file that is no ONNX model") from error
        self._check_name(read.name)
        self._nodes = list(read.node)
        self._tensors = {each.name: each for each in read.initializer}
        floats = onnx.TensorProto
        self._kinds: dict[int, np.dtype[Any]] = {
            floats.FLOAT: np.dtype("<f4"),
            floats.FLOAT16: np.dtype("<f2"),
        }
        # Where some kernels are FP16, those that are FP32 are beyond it, and will be again.
        half = any(each.data_type == floats.FLOAT16 for each in read.initializer)
        self._graph = GraphWriter(read.name, height, width, half, arithmetic)
        self._made: dict[str, _Made] = {}
        self._unused: set[str] = set()

    def run(self, size: int) -> bytes:
        """All layers."""
        if not 0 < len(self._nodes) <= _MOST_NODES:
            raise self._refusal(f"{len(self._nodes)} nodes")
        for node in self._nodes:
            if node.op_type in _INNER:
                continue
            self._check_name(node.name)
            if node.name in self._made:
                raise self._refusal(f"several nodes {node.name[:80]!r}")
            self._made[node.name] = self._layer(node)
            self._unused.add(node.name)
        end = self._nodes[-1]
        if end.op_type not in ("Gemm", "Div"):
            raise self._refusal(f"the operator {end.op_type[:80]!r} at the end")
        if self._unused != {end.name}:
            raise self._refusal("layers whose output nobody takes")
        last = self._made[end.name]
        if last.channels != size:
            raise self._refusal(f"embeddings of {last.channels} where bundle.json says {size}")
        embeddings = last.name
        if end.op_type == "Gemm":
            embeddings = self._graph.float32(f"{end.name}/fp32", embeddings)
        checker, inference = require("onnx.checker"), require("onnx.shape_inference")
        try:
            return self._graph.finish(embeddings, size)
        except (checker.ValidationError, inference.InferenceError) as error:
            reason = str(error).strip().partition("\n")[0][:200]
            raise self._refusal(f"a graph that ONNX refuses ({reason})") from error

    def _layer(self, node: Any) -> _Made:
        """What a node makes, once it is written."""
        graph, name, kind = self._graph, node.name, node.op_type
        if kind == "Mul":  # the last of the input's
            return _Made(graph.pictures(), 3, self._height, self._width)
        inputs = [
            self._take(given) for given in (node.input if kind == "Concat" else node.input[:1])
        ]
        if not inputs:
            raise self._refusal(f"{name[:80]!r} without an input")
        x = inputs[0]
        if kind == "Conv":
            return self._conv(node, x)
        if kind == "Relu":
            return replace(x, name=graph.relu(name, x.name))
        if kind == "BatchNormalization":
            scale, shift = (self._values(f"{name}/{leaf}", 1) for leaf in ("scale", "shift"))
            self._need(len(scale) == len(shift) == x.channels and x.height > 0, node)
            return replace(x, name=graph.affine(name, x.name, scale, shift))
        if kind == "MaxPool":
            size, *rest = (self._first(node, key) for key in ("kernel_shape", "strides", "pads"))
            high, wide = self._window(node, x, (size, size), *rest)
            pooled = graph.max_pool(name, x.name, size, *rest)
            return replace(x, name=pooled, height=high, width=wide)
        if kind == "AveragePool":
            high, wide = self._window(node, x, (2, 2), 2, 0)
            return replace(x, name=graph.halve(name, x.name), height=high, width=wide)
        if kind == "Concat":
            return self._concat(node, inputs)
        if kind == "GlobalAveragePool":  # written with the Flatten that takes it
            return x
        if kind == "Flatten":
            self._need(x.height > 0, node)
            return _Made(graph.global_average(name, x.name), x.channels)
        if kind == "Gemm":
            kernel, bias = self._kernel(name, 2), self._values(f"{name}/bias", 1)
            self._need(kernel.shape == (len(bias), x.channels) and not x.height, node)
            return _Made(graph.dense(name, x.name, kernel, bias), len(bias))
        if kind == "Div":  # the last of the norm's
            self._need(node is self._nodes[-1] and not x.height, node)
            x32 = graph.float32(f"{name.rpartition('/')[0]}/fp32", x.name)
            return replace(x, name=graph.unit_length(name, x32))
        raise self._refusal(f"the operator {kind[:80]!r}")

    def _conv(self, node: Any, x: _Made) -> _Made:
        kernel = self._kernel(node.name, 4)
        bias = self._values(f"{node.name}/bias", 1) if len(node.input) > 2 else None
        outputs, inputs, *sizes = kernel.shape
        self._need(inputs == x.channels and (bias is None or len(bias) == outputs), node)
        stride, pad = (self._first(node, key) for key in ("strides", "pads"))
        high, wide = self._window(node, x, (sizes[0], sizes[1]), stride, pad)
        name = self._graph.conv(node.name, x.name, kernel, bias, stride, pad)
        return _Made(name, outputs, high, wide)

    def _concat(self, node: Any, parts: list[_Made]) -> _Made:
        alike = len({(part.height, part.width) for part in parts}) == 1
        joined = sum(part.joined for part in parts)
        # Parts of parts of parts are looked up later, and may be the same ones.
        self._need(alike and len(parts) > 1 and joined <= _MOST_JOINED, node)
        name = self._graph.concat(node.name, [part.name for part in parts])
        channels = sum(part.channels for part in parts)
        return replace(parts[0], name=name, channels=channels, joined=joined)

    def _window(
        self, node: Any, x: _Made, sizes: tuple[int, int], stride: int, pad: int
    ) -> tuple[int, int]:
        """Height and width of what a window that moves over a map gives."""
        self._need(stride > 0 and 0 <= 2 * pad < min(sizes), node)
        high, wide = (
            (side + 2 * pad - size) // stride + 1
            for side, size in zip((x.height, x.width), sizes, strict=True)
        )
        self._need(high > 0 and wide > 0, node)
        return high, wide

    def _take(self, name: str) -> _Made:
        if name not in self._made:
            raise self._refusal(f"the tensor {name[:80]!r}, which no layer before has made")
        self._unused.discard(name)
        return self._made[name]

    def _first(self, node: Any, key: str) -> int:
        """The first number of an attribute; the writer gives all sides the same."""
        for attribute in node.attribute:
            if attribute.name == key and attribute.ints:
                return int(attribute.ints[0])
        raise self._refusal(f"{node.name[:80]!r} without {key}")

    def _kernel(self, name: str, rank: int) -> Floats:
        stored = f"{name}/weight/fp16"
        return self._values(stored if stored in self._tensors else f"{name}/weight", rank)

    def _values(self, name: str, rank: int) -> Floats:
        """A tensor of the file in float64."""
        tensor = self._tensors.get(name)
        if tensor is None:
            raise self._refusal(f"no tensor {name[:80]!r}")
        shape, kind = tuple(tensor.dims[: rank + 1]), self._kinds.get(tensor.data_type)
        fits = len(shape) == rank and min(shape) > 0
        if not fits or kind is None or len(tensor.raw_data) != math.prod(shape) * kind.itemsize:
            raise self._refusal(f"the tensor {name[:80]!r} in another type, shape or length")
        values = np.frombuffer(tensor.raw_data, kind).reshape(shape)
        if not np.isfinite(values).all():
            raise self._refusal(f"NaN or infinite values in {name[:80]!r}")
        return np.asarray(values, np.float64)

    def _check_name(self, name: str | bytes) -> None:
        """Names that are no UTF-8 come as bytes."""
        if not _NAME.fullmatch(str(name)):
            raise self._refusal(f"the name {name[:80]!r}")

    def _need(self, fits: bool, node: Any) -> None:
        if not fits:
            raise self._refusal(f"{node.name[:80]!r}, a {node.op_type} that does not fit in")

    def _refusal(self, found: str) -> ConversionError:
        return refusal(self._where, found)


def refusal(where: str, found: str) -> ConversionError:
    """The error for a graph that cannot be written again."""
    return ConversionError(
        f"{where}: holds {found}; only bundles written by `python -m export` can be converted again"
    )
