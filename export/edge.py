"""The edge network of `training/model.py`, from its weights to an ONNX graph.

Every batch norm stands behind a convolution or the last matrix product and folds into it,
so that convolutions, ReLUs, pools, concatenations and one product are left.  Embeddings come
out with unit length.
"""

from __future__ import annotations

from dataclasses import dataclass

from reid_edge._schema import Reader
from reid_edge.errors import ConversionError

from .batchnorm import BatchNorm
from .graph import FP32, Arithmetic, GraphWriter
from .weights import Weights

EPSILON = 1e-5

_LIMITS = {"stem": 1024, "bottleneck": 64, "embedding": 4096, "growth": 1024, "layers": 256}
_MAX_BLOCKS = 8


@dataclass(frozen=True)
class Architecture:
    """`training.model.Architecture` without torch: the sizes that make one DenseNet."""

    stem: int
    growth: tuple[int, ...]
    layers: tuple[int, ...]
    bottleneck: int
    embedding: int

    @classmethod
    def from_json(cls, values: Reader) -> Architecture:
        """Read it from a checkpoint's metadata.

        Raises:
            BundleSchemaError: a field that is missing or out of range.
            ConversionError: a field that this network has not, which may change what it computes.
        """
        if unknown := sorted(set(values.values) - set(_LIMITS)):
            raise ConversionError(f"{values.where}: the field {unknown[0][:40]!r} is unknown")
        stem, bottleneck, embedding = (
            values.integer(name, 1, _LIMITS[name]) for name in ("stem", "bottleneck", "embedding")
        )
        growth, layers = (_sizes(values, name) for name in ("growth", "layers"))
        if len(growth) != len(layers):
            raise ConversionError(f"{values.where}: growth and layers differ in length")
        return cls(stem, growth, layers, bottleneck, embedding)


def _sizes(values: Reader, name: str) -> tuple[int, ...]:
    sizes = values.values.get(name)
    if not isinstance(sizes, list) or not 1 <= len(sizes) <= _MAX_BLOCKS:
        raise ConversionError(f"{values.where}: {name} is no list of 1...{_MAX_BLOCKS} sizes")
    items = Reader(
        {str(place): size for place, size in enumerate(sizes)}, f"{values.where}: {name}"
    )
    return tuple(items.integer(place, 1, _LIMITS[name]) for place in items.values)


def write(
    architecture: Architecture,
    weights: Weights,
    height: int,
    width: int,
    store_fp16: bool = True,
    arithmetic: Arithmetic = FP32,
) -> bytes:
    """Write the graph from weights named as in torch's `state_dict()`.

    Raises:
        ArchitectureMismatchError: the weights are those of another network.
        ConversionError: weights that no training ends with, or pictures too small for it.
    """
    # The stem and its pool each halve, rounded up, then each mean, rounded down.
    smallest = -(-min(height, width) // 4) >> max(0, len(architecture.layers) - 2)
    if smallest < 1:
        raise ConversionError(f"pictures of {height} x {width} are too small for this network")
    graph = GraphWriter("edge", height, width, store_fp16, arithmetic)
    builder = _Builder(weights, graph)
    x, channels = builder.stages(architecture)
    size = architecture.embedding
    projection = weights.take("project.weight", (size, channels))
    kernel, bias = builder.norm("neck", size).fold(projection)
    weights.finish()
    embedding = graph.dense("embedding/project", graph.global_average("features", x), kernel, bias)
    embedding = graph.float32("embedding/fp32", embedding)
    return graph.finish(graph.unit_length("embedding/unit", embedding), size)


class _Builder:
    """Takes weights and writes layers, side by side."""

    def __init__(self, weights: Weights, graph: GraphWriter) -> None:
        self.weights, self.graph = weights, graph

    def stages(self, architecture: Architecture) -> tuple[str, int]:
        """All convolutions; the last map and how many channels it has.

        `stage` counts the members of `EdgeDenseNet.stages`, those without weights included.
        """
        graph = self.graph
        x = self.conv("stem/conv", "stages.0", graph.pictures(), 3, architecture.stem, 7, 2)
        x = graph.max_pool("stem/pool", x, 3, 2, 1)
        stage, channels, last = 2, architecture.stem, len(architecture.layers)
        for block, (growth, layers) in enumerate(
            zip(architecture.growth, architecture.layers, strict=True), 1
        ):
            middle = architecture.bottleneck * growth
            for layer in range(layers):
                name, torch = f"block{block}/layer{layer + 1}", f"stages.{stage}.layers.{layer}"
                y = self.conv(f"{name}/conv1", f"{torch}.0", x, channels, middle, 1)
                y = self.conv(f"{name}/conv2", f"{torch}.1", y, middle, growth, 3)
                x = graph.concat(f"{name}/concat", [x, y])
                channels += growth
            stage += 1
            if block < last:
                name, halved = f"transition{block}", channels // 2
                x = self.conv(f"{name}/conv", f"stages.{stage}", x, channels, halved, 1)
                stage, channels = stage + 1, halved
            if block < last - 1:
                x = graph.halve(f"transition{block}/pool", x)
                stage += 1
        return x, channels

    def conv(
        self, name: str, torch: str, x: str, inputs: int, outputs: int, size: int, stride: int = 1
    ) -> str:
        """A `ConvBlock`: convolution, batch norm, ReLU."""
        kernel = self.weights.take(f"{torch}.0.weight", (outputs, inputs, size, size))
        kernel, bias = self.norm(f"{torch}.1", outputs).fold(kernel)
        return self.graph.relu(
            f"{name}/relu", self.graph.conv(name, x, kernel, bias, stride, pad=size // 2)
        )

    def norm(self, name: str, channels: int) -> BatchNorm:
        """A batch norm."""
        leaves = ("weight", "bias", "running_mean", "running_var")
        return self.weights.norm([f"{name}.{leaf}" for leaf in leaves], channels, EPSILON)
