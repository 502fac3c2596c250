"""The layers of `training.model.DenseNet`: DenseNet as published, the last block at stride 1."""

from __future__ import annotations

from . import preactivation
from .architecture import Architecture
from .graph import GraphWriter
from .state import State


def stages(architecture: Architecture, state: State, graph: GraphWriter) -> tuple[str, int]:
    """All convolutions; the last map and how many channels it has.

    `stage` counts the members of `DenseNet.stages`, those without weights included.
    """
    channels, last = architecture.stem, len(architecture.layers)
    kernel = state.kernel("stages.0.0", 3, channels, 7)
    x = preactivation.stem(graph, kernel, state.norm("stages.0.1", channels))
    for block, (growth, layers) in enumerate(
        zip(architecture.growth, architecture.layers, strict=True), 1
    ):
        stage, middle = 2 * block, architecture.bottleneck * growth
        for layer in range(layers):
            torch = f"stages.{stage}.layers.{layer}"
            x = preactivation.dense_layer(
                graph,
                f"block{block}/layer{layer + 1}",
                x,
                state.norm(f"{torch}.0.0", channels),
                state.kernel(f"{torch}.0.3", channels, middle, 1),
                state.norm(f"{torch}.1.0", middle),
                state.kernel(f"{torch}.1.3", middle, growth, 3),
            )
            channels += growth
        if block < last:
            torch, halved = f"stages.{stage + 1}", channels // 2
            norm = state.norm(f"{torch}.0", channels)
            kernel = state.kernel(f"{torch}.3", channels, halved, 1)
            name = f"transition{block}"
            x = preactivation.transition(graph, name, x, norm, kernel, halve=block < last - 1)
            channels = halved
    norm = state.norm(f"stages.{2 * last + 1}", channels)
    return graph.relu("last/relu", graph.affine("last/norm", x, norm.scale, norm.shift)), channels
