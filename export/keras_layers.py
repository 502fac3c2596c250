"""The network as Keras 2.1.3 describes it: each layer, its settings and what it works on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .densenet121 import BLOCKS, BOTTLENECK, EPSILON, GROWTH, HIDDEN, SIZE, STEM


@dataclass(frozen=True)
class Layer:
    """One layer of the description.

    Attributes:
        settings: those that change what the layer computes; a tuple lists alternatives.
        inputs: the layers that it works on, as places relative to its own.
        named: whether Keras gave the name in its code; other names count up in a session.
    """

    name: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[int, ...] = (-1,)
    named: bool = False


def _layers() -> Iterator[Layer]:
    yield Layer("input", "InputLayer", {"batch_input_shape": [None, SIZE, SIZE, 3]}, inputs=())
    yield Layer("zero_padding2d_1", "ZeroPadding2D", {"padding": [[3, 3], [3, 3]], **_LAST})
    yield _conv("conv1/conv", STEM, 7, 2, "valid")
    yield from _norm_relu("conv1/bn", "conv1/relu")
    yield Layer("zero_padding2d_2", "ZeroPadding2D", {"padding": [[1, 1], [1, 1]], **_LAST})
    yield _pool("pool1", "MaxPooling2D", 3, 2)
    channels = STEM
    for block, layers in enumerate(BLOCKS, 2):
        for layer in range(1, layers + 1):
            name = f"conv{block}_block{layer}"
            yield from _norm_relu(f"{name}_0_bn", f"{name}_0_relu")
            yield _conv(f"{name}_1_conv", BOTTLENECK, 1, 1, "valid")
            yield from _norm_relu(f"{name}_1_bn", f"{name}_1_relu")
            yield _conv(f"{name}_2_conv", GROWTH, 3, 1, "same")
            # What came before stands in front of the six layers above.
            yield Layer(f"{name}_concat", "Concatenate", {"axis": (3, -1)}, inputs=(-7, -1))
            channels += GROWTH
        if block < len(BLOCKS) + 1:
            yield from _norm_relu(f"pool{block}_bn", f"pool{block}_relu")
            channels //= 2
            yield _conv(f"pool{block}_conv", channels, 1, 1, "valid")
            yield _pool(f"pool{block}_pool", "AveragePooling2D", 2, 2)
    yield _norm("bn")
    yield _pool("avg_pool", "AveragePooling2D", 7, 7)


_LAST = {"data_format": "channels_last"}


def _norm(name: str) -> Layer:
    settings = {"axis": (3, -1), "epsilon": EPSILON, "center": True, "scale": True}
    return Layer(name, "BatchNormalization", settings, named=True)


def _norm_relu(norm: str, relu: str) -> Iterator[Layer]:
    yield _norm(norm)
    yield Layer(relu, "Activation", {"activation": "relu"})


def _conv(name: str, filters: int, size: int, stride: int, padding: str) -> Layer:
    # A 1x1 convolution has nothing to pad, whichever way it says so.
    allowed = ("valid", "same") if size == 1 else padding
    settings = {
        "filters": filters,
        "kernel_size": [size, size],
        "strides": [stride, stride],
        "padding": allowed,
        "dilation_rate": [1, 1],
        "activation": "linear",
        "use_bias": False,
        **_LAST,
    }
    return Layer(name, "Conv2D", settings, named=True)


def _pool(name: str, kind: str, size: int, stride: int) -> Layer:
    sizes = {"pool_size": [size, size], "strides": [stride, stride], "padding": "valid"}
    return Layer(name, kind, {**sizes, **_LAST})


BACKBONE = tuple(_layers())
HEAD = (
    Layer("concatenate", "Concatenate", {"axis": (-1, 1, 3)}),
    Layer("hidden", "Dense", {"units": HIDDEN, "activation": "relu", "use_bias": True}),
    Layer("out", "Dense", {"units": 1, "activation": "sigmoid", "use_bias": True}),
)
