"""The network of the original `person_reid`: Keras 2.1's DenseNet-121 and a Siamese head.

    picture 221 x 221 -> DenseNet-121 -> mean of the 7 x 7 map -> 1024 numbers
    [a; b] -> Dense(32, relu) -> Dense(1, sigmoid) -> score

Three rewrites, each exact in real numbers, make it cheaper without another score:

- W [a; b] = Wa a + Wb b, so the two halves of the head's kernel end the graph: a picture's
  embedding is [Wa x, Wb x], 64 numbers, and the pair is left to bundle.json's head.
- A transition's 1x1 convolution and its 2x2 mean are both linear and act on different axes:
  the mean goes first, and the convolution has a quarter of the work.
- The last batch norm, which this version has no ReLU after, moves behind the mean and into
  the head's kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import preactivation
from .batchnorm import BatchNorm, Floats
from .graph import FP32, Arithmetic, GraphWriter
from .weights import Weights

SIZE = 221
BLOCKS = (6, 12, 24, 16)
STEM, GROWTH, BOTTLENECK = 64, 32, 128
FEATURES = 1024
HIDDEN = 32
EPSILON = 1.001e-5


@dataclass(frozen=True)
class PairHead:
    """What is left of the head behind the embeddings."""

    hidden_bias: list[float]
    output_weights: list[float]
    output_bias: float

    def to_json(self) -> dict[str, object]:
        """As bundle.json keeps it."""
        return {
            "type": "concat_mlp",
            "hidden_bias": self.hidden_bias,
            "output_weights": self.output_weights,
            "output_bias": self.output_bias,
        }


def write(weights: Weights, arithmetic: Arithmetic = FP32) -> tuple[bytes, PairHead]:
    """Write the graph from weights under their Keras names, in Keras' layouts.

    The head's are called `hidden/...` and `out/...`, whatever the file calls them.

    Raises:
        ArchitectureMismatchError: the weights are those of another network.
        ConversionError: weights that no training ends with.
    """
    writer = GraphWriter("densenet121_siamese", SIZE, SIZE, arithmetic=arithmetic)
    builder = _Builder(weights, writer)
    features = builder.backbone()
    last = builder.norm("bn", FEATURES)
    kernel = weights.take("hidden/kernel", (2 * FEATURES, HIDDEN))
    hidden_bias = weights.take("hidden/bias", (HIDDEN,))
    output_weights = weights.take("out/kernel", (HIDDEN, 1))
    output_bias = weights.take("out/bias", (1,))
    weights.finish()
    # (outputs, inputs): Wa above Wb.
    both = np.concatenate([kernel[:FEATURES].T, kernel[FEATURES:].T])
    embeddings = builder.graph.dense("head", features, both * last.scale, both @ last.shift)
    embeddings = builder.graph.float32("head/fp32", embeddings)
    head = PairHead(hidden_bias.tolist(), output_weights[:, 0].tolist(), float(output_bias[0]))
    return builder.graph.finish(embeddings, 2 * HIDDEN), head


class _Builder:
    """Takes weights and writes layers, side by side."""

    def __init__(self, weights: Weights, graph: GraphWriter) -> None:
        self.weights, self.graph = weights, graph

    def backbone(self) -> str:
        """All up to the mean over the last map, without the last batch norm."""
        kernel = self.kernel("conv1/conv", 7, 3, STEM)
        x = preactivation.stem(self.graph, kernel, self.norm("conv1/bn", STEM))
        channels = STEM
        for block, layers in enumerate(BLOCKS, 1):
            for layer in range(1, layers + 1):
                x = self.dense_layer(block, layer, x, channels)
                channels += GROWTH
            if block < len(BLOCKS):
                x = self.transition(block, x, channels)
                channels //= 2
        return self.graph.global_average("features", x)

    def dense_layer(self, block: int, layer: int, x: str, channels: int) -> str:
        """One of a block's layers."""
        keras = f"conv{block + 1}_block{layer}"
        return preactivation.dense_layer(
            self.graph,
            f"block{block}/layer{layer}",
            x,
            self.norm(f"{keras}_0_bn", channels),
            self.kernel(f"{keras}_1_conv", 1, channels, BOTTLENECK),
            self.norm(f"{keras}_1_bn", BOTTLENECK),
            self.kernel(f"{keras}_2_conv", 3, BOTTLENECK, GROWTH),
        )

    def transition(self, block: int, x: str, channels: int) -> str:
        """What stands between two blocks."""
        keras = f"pool{block + 1}"
        norm = self.norm(f"{keras}_bn", channels)
        kernel = self.kernel(f"{keras}_conv", 1, channels, channels // 2)
        return preactivation.transition(self.graph, f"transition{block}", x, norm, kernel)

    def kernel(self, name: str, size: int, inputs: int, outputs: int) -> Floats:
        """A kernel, from Keras' HWIO to OIHW."""
        kernel = self.weights.take(f"{name}/kernel", (size, size, inputs, outputs))
        return np.transpose(kernel, (3, 2, 0, 1))

    def norm(self, name: str, channels: int) -> BatchNorm:
        """A batch norm."""
        leaves = ("gamma", "beta", "moving_mean", "moving_variance")
        return self.weights.norm([f"{name}/{leaf}" for leaf in leaves], channels, EPSILON)
