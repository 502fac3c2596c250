"""The layers of `training.model.EdgeDenseNet`.

Every batch norm stands behind a convolution and folds into it, so that convolutions, ReLUs,
pools and concatenations are left.
"""

from __future__ import annotations

from .architecture import Architecture
from .graph import GraphWriter
from .state import State


def stages(architecture: Architecture, state: State, graph: GraphWriter) -> tuple[str, int]:
    """All convolutions; the last map and how many channels it has.

    `stage` counts the members of `EdgeDenseNet.stages`, those without weights included.
    """

    def conv(
        name: str, torch: str, x: str, inputs: int, outputs: int, size: int, stride: int = 1
    ) -> str:
        """A `ConvBlock`: convolution, batch norm, ReLU."""
        kernel, bias = state.folded(torch, inputs, outputs, size)
        return graph.relu(f"{name}/relu", graph.conv(name, x, kernel, bias, stride, pad=size // 2))

    x = conv("stem/conv", "stages.0", graph.pictures(), 3, architecture.stem, 7, 2)
    x = graph.max_pool("stem/pool", x, 3, 2, 1)
    stage, channels, last = 2, architecture.stem, len(architecture.layers)
    for block, (growth, layers) in enumerate(
        zip(architecture.growth, architecture.layers, strict=True), 1
    ):
        middle = architecture.bottleneck * growth
        for layer in range(layers):
            name, torch = f"block{block}/layer{layer + 1}", f"stages.{stage}.layers.{layer}"
            y = conv(f"{name}/conv1", f"{torch}.0", x, channels, middle, 1)
            y = conv(f"{name}/conv2", f"{torch}.1", y, middle, growth, 3)
            x = graph.concat(f"{name}/concat", [x, y])
            channels += growth
        stage += 1
        if block < last:
            name, halved = f"transition{block}", channels // 2
            x = conv(f"{name}/conv", f"stages.{stage}", x, channels, halved, 1)
            stage, channels = stage + 1, halved
        if block < last - 1:
            x = graph.halve(f"transition{block}/pool", x)
            stage += 1
    return x, channels
