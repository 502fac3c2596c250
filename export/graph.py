"""A small writer of ONNX graphs: one method a layer, stable names, deterministic bytes.

Names are paths such as `block1/layer2/conv1`: a node and the tensor it makes share one, and
its weights are `<name>/weight` and `<name>/bias`.  Opset 19 in IR 9 is what TensorRT 10.3 and
ONNX Runtime 1.18 read, and the first opset whose Q/DQ take FP16.

A graph's precision is written into it: `Arithmetic` says which one.  Quantised convolutions
get QuantizeLinear and DequantizeLinear (Q/DQ) in front of their input, or in front of the
concatenation that it comes from, and DequantizeLinear behind their stored INT8 kernel, which
is what TensorRT and OpenVINO look for; biases, outputs and all else stay floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_edge.errors import ConversionError

from . import int8
from .batchnorm import Floats
from .packages import require

OPSET, IR_VERSION = 19, 9

# ImageNet's mean and standard deviation in 0...255; `training.augment` has the same.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)

# What torch.nn.functional.normalize uses: a zero vector stays zero.
_NORM_FLOOR = 1e-12


@dataclass(frozen=True)
class Arithmetic:
    """What a graph computes with.

    Attributes:
        half: FP16 from the pictures up to the last matrix product, rather than FP32.
        input_scales: convolution -> scale of its 8-bit input, or None if that has 8 bits already;
            those not named stay floats.
        output_scales: ReLU or pool -> scale with which it is rounded to 8 bits where it is made.
        unsigned: activations are UINT8 rather than INT8; none that is rounded may be negative.
    """

    half: bool = False
    input_scales: Mapping[str, float | None] = field(default_factory=dict)
    output_scales: Mapping[str, float] = field(default_factory=dict)
    unsigned: bool = False


FP32 = Arithmetic()


class BeyondHalfError(ConversionError):
    """A constant that FP16 cannot hold."""


class GraphWriter:
    """Builds one network from uint8 pictures to embeddings.

    Every layer method takes the layer's name and the tensor(s) it works on, and returns the
    tensor it makes.

    Args:
        name: the network's name.
        height: of the pictures.
        width: of the pictures.
        store_fp16: keep kernels as FP16 with a Cast behind them: half the file.  They are
            rounded to FP16 after batch norms were folded in; the arithmetic stays FP32.
            Biases, and kernels beyond FP16's range, stay FP32.
        arithmetic: FP32, FP16 or INT8.
    """

    def __init__(
        self,
        name: str,
        height: int,
        width: int,
        store_fp16: bool = False,
        arithmetic: Arithmetic = FP32,
    ) -> None:
        self._onnx = require("onnx")
        self._name, self._height, self._width = name, height, width
        self._store_fp16 = store_fp16
        self._half, self._unused_scales = arithmetic.half, dict(arithmetic.input_scales)
        self._unused_outputs = dict(arithmetic.output_scales)
        self._unsigned = arithmetic.unsigned
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []
        self._written: set[str] = set()

    def pictures(self) -> str:
        """The input, cast, brought to NCHW and normalised.

        The cast comes first because TensorRT refuses a uint8 transpose.  The normalisation is
        not folded into the first convolution: that one pads with zeros after it.
        """
        proto = self._onnx.TensorProto
        kind = proto.FLOAT16 if self._half else proto.FLOAT
        x = self._node("Cast", "input/cast", ["images"], to=kind)
        x = self._node("Transpose", "input/transpose", [x], perm=[0, 3, 1, 2])
        mean = self._constant("input/mean", np.array(MEAN).reshape(1, 3, 1, 1))
        x = self._node("Sub", "input/centre", [x, mean])
        scale = self._constant("input/scale", 1 / np.array(STD).reshape(1, 3, 1, 1))
        return self._node("Mul", "input/normalise", [x, scale])

    def conv(
        self,
        name: str,
        x: str,
        kernel: Floats,
        bias: Floats | None = None,
        stride: int = 1,
        pad: int = 0,
    ) -> str:
        """A convolution with an OIHW kernel; quantised if the arithmetic has a scale for it."""
        if name not in self._unused_scales:
            inputs = [x, self._kernel(f"{name}/weight", kernel)]
        else:
            scale = self._unused_scales.pop(name)
            rounded = x if scale is None else self._quantised(f"{name}/input", x, scale)
            inputs = [rounded, self._int8_kernel(f"{name}/weight", kernel)]
        if bias is not None:
            inputs.append(self._constant(f"{name}/bias", bias))
        return self._node(
            "Conv",
            name,
            inputs,
            kernel_shape=list(kernel.shape[2:]),
            strides=[stride, stride],
            pads=[pad] * 4,
        )

    def affine(self, name: str, x: str, scale: Floats, shift: Floats) -> str:
        """Scale and shift each channel: a batch norm that no convolution stands in front of.

        Written as a BatchNormalization of mean 0 and variance 1.  Next to Mul and Add, OpenVINO
        runs DenseNet-121 as fast and ONNX Runtime in four fifths of the time; and with the
        statistics folded in beforehand, no variance is ever rounded to FP16.
        """
        channels = len(scale)
        inputs = [
            x,
            self._constant(f"{name}/scale", scale),
            self._constant(f"{name}/shift", shift),
            self._shared(f"mean0/{channels}", np.zeros(channels)),
            self._shared(f"variance1/{channels}", np.ones(channels)),
        ]
        return self._node("BatchNormalization", name, inputs, epsilon=0.0)

    def relu(self, name: str, x: str) -> str:
        """max(x, 0)."""
        return self._rounded(self._node("Relu", name, [x]))

    def max_pool(self, name: str, x: str, size: int, stride: int, pad: int) -> str:
        """The largest of each window; padding never wins."""
        pooled = self._node(
            "MaxPool",
            name,
            [x],
            kernel_shape=[size, size],
            strides=[stride, stride],
            pads=[pad] * 4,
        )
        return self._rounded(pooled)

    def halve(self, name: str, x: str) -> str:
        """The mean of each 2 x 2 square; an odd last row or column is dropped."""
        pooled = self._node("AveragePool", name, [x], kernel_shape=[2, 2], strides=[2, 2])
        return self._rounded(pooled)

    def global_average(self, name: str, x: str) -> str:
        """One number a channel: (n, c)."""
        pooled = self._node("GlobalAveragePool", f"{name}/mean", [x])
        return self._node("Flatten", name, [pooled], axis=1)

    def concat(self, name: str, parts: Sequence[str]) -> str:
        """Channels behind one another."""
        return self._node("Concat", name, list(parts), axis=1)

    def dense(self, name: str, x: str, kernel: Floats, bias: Floats) -> str:
        """A matrix product with a kernel of (outputs, inputs)."""
        inputs = [x, self._kernel(f"{name}/weight", kernel), self._constant(f"{name}/bias", bias)]
        return self._node("Gemm", name, inputs, transB=1)

    def float32(self, name: str, x: str) -> str:
        """FP32 from here on; nothing in a graph that is FP32 anyway."""
        if not self._half:
            return x
        self._half = False
        return self._node("Cast", name, [x], to=self._onnx.TensorProto.FLOAT)

    def unit_length(self, name: str, x: str) -> str:
        """Each row divided by its length; from plain operators, which every engine has.

        To be done in FP32: the squares may leave FP16's range, and the floor is below it.
        """
        axes = self._constant(f"{name}/axes", np.array([1], np.int64))
        length = self._node("ReduceL2", f"{name}/length", [x, axes], keepdims=1)
        floor = self._constant(f"{name}/floor", np.array([_NORM_FLOOR]))
        divisor = self._node("Max", f"{name}/divisor", [length, floor])
        return self._node("Div", name, [x, divisor])

    def finish(self, embeddings: str, size: int) -> bytes:
        """The checked model as a file's bytes; the same graph always gives the same bytes."""
        helper, proto = self._onnx.helper, self._onnx.TensorProto
        # Rename what the last layer makes, so that the output needs no node of its own.
        self._nodes[-1].output[0] = "embeddings"
        assert self._nodes[-1].name == embeddings, "the embeddings must come from the last layer"
        assert not self._half, "the embeddings must be FP32"
        unused = sorted({*self._unused_scales, *self._unused_outputs})
        assert not unused, f"no such layers: {unused}"
        shape = ["batch", self._height, self._width, 3]
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info("images", proto.UINT8, shape)],
            [helper.make_tensor_value_info("embeddings", proto.FLOAT, ["batch", size])],
            self._tensors,
        )
        model = helper.make_model(
            graph,
            producer_name="reid_edge",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )
        require("onnx.checker").check_model(model, full_check=True)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _node(self, kind: str, name: str, inputs: list[str], **attributes: Any) -> str:
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def _constant(self, name: str, values: NDArray[Any]) -> str:
        """A tensor of the file: float64 becomes the graph's floats, all else stays as it is."""
        stored = values
        if values.dtype == np.float64:
            with np.errstate(over="ignore"):
                stored = values.astype(np.float16 if self._half else np.float32)
            if not np.isfinite(stored).all():
                if self._half:
                    raise BeyondHalfError(f"{name} holds values beyond float16")
                raise ConversionError(
                    f"{name} holds values beyond float32: the training diverged, or the file is "
                    "damaged; export an earlier checkpoint"
                )
        stored = np.asarray(stored, order="C")  # a scalar stays one
        self._tensors.append(require("onnx.numpy_helper").from_array(stored, name))
        return name

    def _shared(self, name: str, values: NDArray[Any]) -> str:
        """A tensor that several layers use."""
        if name not in self._written:
            self._written.add(name)
            self._constant(name, values)
        return name

    def _kernel(self, name: str, values: Floats) -> str:
        if self._store_fp16 and not self._half:
            with np.errstate(over="ignore"):
                half = values.astype(np.float16)
            if np.isfinite(half).all():
                stored = self._constant(f"{name}/fp16", half)
                return self._node("Cast", name, [stored], to=self._onnx.TensorProto.FLOAT)
        return self._constant(name, values)

    def _rounded(self, name: str) -> str:
        """What a layer made, in 8 bits where the arithmetic says so."""
        scale = self._unused_outputs.pop(name, None)
        return name if scale is None else self._quantised(f"{name}/rounded", name, scale)

    def _quantised(self, name: str, x: str, scale: float) -> str:
        """A tensor rounded to 8 bits and back, with one scale."""
        zero = np.array(0, np.uint8 if self._unsigned else np.int8)
        factor = self._constant(f"{name}/scale", np.array(scale))
        parameters = [factor, self._shared("zero", zero)]
        rounded = self._node("QuantizeLinear", f"{name}/int8", [x, *parameters])
        return self._node("DequantizeLinear", name, [rounded, *parameters])

    def _int8_kernel(self, name: str, kernel: Floats) -> str:
        """A kernel stored as INT8, with a scale for each output channel."""
        values, scales = int8.quantise_kernel(kernel, self._unsigned)
        channels = len(scales)
        inputs = [
            self._constant(f"{name}/int8", values),
            self._constant(f"{name}/scale", scales),
            self._shared(f"zeros/{channels}", np.zeros(channels, np.int8)),
        ]
        return self._node("DequantizeLinear", name, inputs, axis=0)
