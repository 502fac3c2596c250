"""An OpenVINO IR as a torch module, so that a teacher runs on the GPU that its student is on.

The operations are those of Intel's person-reidentification-retail networks (OSNet-like), at any
batch size.  Shapes and other whole numbers are plain Python numbers all the way, never tensors:
nothing waits for the GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from reid_edge.errors import ConversionError

from .openvino_ir import Ir, Layer, integers

Value = Any  # a Tensor, or a tuple of whole numbers
Operation = Callable[..., Value]


class IrNetwork(nn.Module):
    """A network of one input and one output.

    Raises:
        ConversionError: it has operations or settings that are not supported.
    """

    def __init__(self, ir: Ir) -> None:
        super().__init__()
        self._numbers: dict[str, tuple[int, ...]] = {}
        self._steps: list[tuple[str, Operation, tuple[str, ...]]] = []
        kinds = [layer.kind for layer in ir.layers]
        if kinds.count("Parameter") != 1 or kinds.count("Result") != 1:
            raise ConversionError(f"{ir.where}: expected a network of one input and one output")
        for layer in ir.layers:
            if layer.kind == "Parameter":
                self._input = layer.id
                self.shape = integers(layer.attributes.get("shape", ""), ir.where)
            elif layer.kind == "Result":
                (self._output,) = layer.inputs
            elif layer.kind == "Const":
                values = ir.constants[layer.id]
                if values.dtype.kind == "i":
                    self._numbers[layer.id] = tuple(values.ravel().tolist())
                else:
                    tensor = torch.from_numpy(values.astype(np.float32))
                    self.register_buffer(f"c{layer.id}", tensor)
            else:
                operation = _operation(layer, ir.where)
                self._steps.append((layer.id, operation, layer.inputs))
        self._last_use = {
            name: place for place, (_, _, inputs) in enumerate(self._steps) for name in inputs
        }

    def forward(self, x: Tensor) -> Tensor:
        """Run it on a batch of any size."""
        values: dict[str, Value] = {
            **self._numbers,
            **{name[1:]: buffer for name, buffer in self.named_buffers()},
            self._input: x,
        }
        for place, (name, operation, inputs) in enumerate(self._steps):
            values[name] = operation(*(values[source] for source in inputs))
            for source in inputs:  # a large batch would not fit otherwise
                if self._last_use[source] == place and source != self._output:
                    values.pop(source, None)
        found: Tensor = values[self._output]
        return found


def _operation(layer: Layer, where: str) -> Operation:
    """What a layer does, as a function of its inputs."""
    place = f"{where}: layer {layer.id[:40]} ({layer.kind[:40]})"
    try:
        make = _OPERATIONS[layer.kind]
    except KeyError:
        raise ConversionError(f"{place}: this operation is not supported") from None
    try:
        return make(_Settings(layer.attributes, place))
    except KeyError as error:
        raise ConversionError(f"{place}: {error.args[0]} is missing") from None


class _Settings:
    """A layer's attributes, each checked when it is taken."""

    def __init__(self, values: Mapping[str, str], where: str) -> None:
        self._values, self._where = values, where

    def sizes(self, name: str) -> tuple[int, ...]:
        found = integers(self._values[name], self._where)
        if len(found) != 2 or not all(0 <= size <= 64 for size in found):
            raise ConversionError(f"{self._where}: {name} {found} is not supported")
        return found

    def padding(self) -> tuple[int, ...]:
        begin, end = self.sizes("pads_begin"), self.sizes("pads_end")
        self.only("auto_pad", "explicit")
        if begin != end:
            raise ConversionError(f"{self._where}: one-sided padding is not supported")
        return begin

    def only(self, name: str, *allowed: str) -> str:
        """A setting that has one of some values, the first if it is not there."""
        value = self._values.get(name, allowed[0]).lower()
        if value not in allowed:
            raise ConversionError(f"{self._where}: {name} {value[:40]!r} is not supported")
        return value

    def number(self, name: str) -> float:
        try:
            return float(self._values[name])
        except ValueError:
            raise ConversionError(f"{self._where}: {name} is no number") from None


def _convolution(settings: _Settings) -> Operation:
    stride, dilation = settings.sizes("strides"), settings.sizes("dilations")
    padding = settings.padding()

    def run(x: Tensor, kernel: Tensor) -> Tensor:
        groups = 1
        if kernel.ndim == 5:  # (groups, outputs, inputs, height, width)
            groups, kernel = len(kernel), kernel.flatten(0, 1)
        return functional.conv2d(x, kernel, None, stride, padding, dilation, groups)

    return run


def _mean_variance(settings: _Settings) -> Operation:
    settings.only("normalize_variance", "true")
    settings.only("eps_mode", "inside_sqrt")
    epsilon = settings.number("eps")

    def run(x: Tensor, axes: tuple[int, ...]) -> Tensor:
        y = x.float()  # squares of FP16 would overflow
        variance, mean = torch.var_mean(y, axes, correction=0, keepdim=True)
        return ((y - mean) * torch.rsqrt(variance + epsilon)).to(x.dtype)

    return run


def _max_pool(settings: _Settings) -> Operation:
    kernel, stride = settings.sizes("kernel"), settings.sizes("strides")
    padding = settings.padding()
    settings.only("rounding_type", "floor")
    settings.only("dilations", "1, 1", "1,1")
    return lambda x: functional.max_pool2d(x, kernel, stride, padding)


def _average_pool(settings: _Settings) -> Operation:
    kernel, stride = settings.sizes("kernel"), settings.sizes("strides")
    padding = settings.padding()
    settings.only("rounding_type", "floor")
    all_pixels = settings.only("exclude-pad", "true", "false") == "false"
    return lambda x: functional.avg_pool2d(x, kernel, stride, padding, False, all_pixels)


def _reduce_mean(settings: _Settings) -> Operation:
    keep = settings.only("keep_dims", "false", "true") == "true"
    return lambda x, axes: x.mean(axes, keepdim=keep)


def _reshape(settings: _Settings) -> Operation:
    copies = settings.only("special_zero", "true", "false") == "true"

    def run(x: Tensor, shape: tuple[int, ...]) -> Tensor:
        if copies:
            shape = tuple(x.shape[axis] if size == 0 else size for axis, size in enumerate(shape))
        return x.reshape(shape)

    return run


def _gather(settings: _Settings) -> Operation:
    settings.only("batch_dims", "0")

    def run(x: Value, indices: tuple[int, ...], axis: tuple[int, ...]) -> Value:
        if isinstance(x, tuple):
            return tuple(x[index] for index in indices)
        parts = [x.narrow(axis[0], index, 1) for index in indices]
        return torch.cat(parts, axis[0])

    return run


def _concat(settings: _Settings) -> Operation:
    axis = int(settings.number("axis"))

    def run(*parts: Value) -> Value:
        if isinstance(parts[0], tuple):
            return tuple(number for part in parts for number in part)
        return torch.cat(parts, axis)

    return run


def _matrix_product(settings: _Settings) -> Operation:
    first = settings.only("transpose_a", "false", "true") == "true"
    second = settings.only("transpose_b", "false", "true") == "true"
    return lambda a, b: (a.mT if first else a) @ (b.mT if second else b)


def _elementwise(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[_Settings], Operation]:
    def make(settings: _Settings) -> Operation:
        settings.only("auto_broadcast", "numpy")
        return function

    return make


def _plain(function: Operation) -> Callable[[_Settings], Operation]:
    return lambda settings: function


_OPERATIONS: dict[str, Callable[[_Settings], Operation]] = {
    "Add": _elementwise(torch.add),
    "AvgPool": _average_pool,
    "Concat": _concat,
    # From a stored FP16 to the graph's FP32: all floats have one type here.
    "Convert": _plain(lambda x: x),
    "Convolution": _convolution,
    "Gather": _gather,
    "GroupConvolution": _convolution,
    "MVN": _mean_variance,
    "MatMul": _matrix_product,
    "MaxPool": _max_pool,
    "Multiply": _elementwise(torch.mul),
    "PReLU": _plain(lambda x, slope: torch.where(x < 0, x * slope, x)),
    "ReLU": _plain(functional.relu),
    "ReduceMean": _reduce_mean,
    "Reshape": _reshape,
    "ShapeOf": _plain(lambda x: tuple(x.shape)),
    "Sigmoid": _plain(torch.sigmoid),
    "Subtract": _elementwise(torch.sub),
}
