"""The layers that all published DenseNets share, from their weights to a graph.

Norm and ReLU stand before each convolution.  The norm behind a dense layer's first convolution
folds into it; the one behind a concatenation cannot, and is a scale and a shift of its own.
"""

from __future__ import annotations

from .batchnorm import BatchNorm, Floats
from .graph import GraphWriter


def stem(graph: GraphWriter, kernel: Floats, norm: BatchNorm) -> str:
    """The normalised pictures through 7x7 with stride 2, norm, ReLU, and a 3x3 maximum."""
    kernel, bias = norm.fold(kernel)
    x = graph.conv("stem/conv", graph.pictures(), kernel, bias, stride=2, pad=3)
    return graph.max_pool("stem/pool", graph.relu("stem/relu", x), 3, 2, 1)


def dense_layer(
    graph: GraphWriter,
    name: str,
    x: str,
    norm: BatchNorm,
    first: Floats,
    between: BatchNorm,
    second: Floats,
) -> str:
    """Norm, ReLU, 1x1, norm, ReLU, 3x3, and the concatenation with what came before."""
    y = graph.relu(f"{name}/relu0", graph.affine(f"{name}/norm", x, norm.scale, norm.shift))
    kernel, bias = between.fold(first)
    y = graph.relu(f"{name}/relu1", graph.conv(f"{name}/conv1", y, kernel, bias))
    y = graph.conv(f"{name}/conv2", y, second, pad=1)
    return graph.concat(f"{name}/concat", [x, y])


def transition(
    graph: GraphWriter, name: str, x: str, norm: BatchNorm, kernel: Floats, halve: bool = True
) -> str:
    """Norm, ReLU, the mean of each 2x2 square, 1x1.

    The mean and the 1x1 are linear and act on different axes, so their order does not matter.
    """
    x = graph.relu(f"{name}/relu", graph.affine(f"{name}/norm", x, norm.scale, norm.shift))
    if halve:
        x = graph.halve(f"{name}/pool", x)
    return graph.conv(f"{name}/conv", x, kernel)
