"""A larger edge network that computes what a smaller one does, to go on training it.

As Net2Net (Chen et al., ICLR 2016), but with new channels that nothing listens to yet: the
kernels that make them are random, and those of the smaller network read them with zeros.  So no
two channels are alike, and the first gradients decide what the new ones are good for.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .model import Architecture, ConvBlock, DenseBlock, EdgeDenseNet


def can_grow(small: Architecture, large: Architecture) -> bool:
    """Whether `grow` takes these sizes.

    Stem, bottleneck, and each block's growth and layers may be larger; the kind of network (edge),
    the embedding and the number of blocks must be equal.
    """
    return (
        small.network == large.network == "edge"
        and small.embedding == large.embedding
        and small.stem <= large.stem
        and small.bottleneck <= large.bottleneck
        and len(small.growth) == len(large.growth)
        and len(small.layers) == len(large.layers)
        and all(few <= many for few, many in zip(small.growth, large.growth, strict=True))
        and all(few <= many for few, many in zip(small.layers, large.layers, strict=True))
    )


@torch.no_grad()
def grow(network: EdgeDenseNet, small: Architecture, weights: Mapping[str, Tensor]) -> None:
    """Make a network with random weights compute what a smaller one with `weights` does, in place.

    Args:
        network: as `build` gives it, of the larger sizes, on the device of `weights`.
        small: the smaller network's sizes.
        weights: its parameters and running statistics, float32, under the names of its
            `state_dict`; the norms' counters of batches may be left out.

    Raises:
        ValueError: the one cannot grow into the other.
        KeyError: a weight is missing.
    """
    if not can_grow(small, network.architecture):
        raise ValueError(f"{small} cannot grow into {network.architecture}")
    growing = _Growing(weights)
    blocks = iter(zip(small.growth, small.layers, strict=True))
    width, channels = small.stem, torch.arange(small.stem)
    for index, stage in enumerate(network.stages):
        name = f"stages.{index}"
        if isinstance(stage, DenseBlock):
            growth, layers = next(blocks)
            bottleneck = small.bottleneck * growth
            channels = growing.block(stage, name, channels, bottleneck, growth, layers)
            width += growth * layers
        elif isinstance(stage, ConvBlock):
            if index:  # a transition
                width //= 2
            inputs = channels if index else torch.arange(3)
            channels = torch.arange(width)
            growing.convolution(stage, name, channels, inputs)
    network.project.weight.zero_()
    network.project.weight[:, channels] = weights["project.weight"]
    for key, value in network.neck.state_dict(keep_vars=True).items():
        if value.ndim:  # but for the counter of batches
            value.copy_(weights[f"neck.{key}"])


class _Growing:
    """Puts the smaller network's values at their channels in the larger one."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    def block(
        self,
        block: DenseBlock,
        name: str,
        inputs: Tensor,
        bottleneck: int,
        growth: int,
        layers: int,
    ) -> Tensor:
        """A dense block.

        Args:
            block: of the larger network.
            name: of it in `weights`.
            inputs: the channels of its input that the smaller network has, too.
            bottleneck: the smaller block's channels between its two convolutions.
            growth: the smaller block's.
            layers: the smaller block's.

        Returns:
            The channels of its output that the smaller network has, too.
        """
        between, grown = torch.arange(bottleneck), torch.arange(growth)
        for index in range(layers):
            part = f"layers.{index}"
            reduce, conv = (block.get_submodule(f"{part}.{i}") for i in range(2))
            self.convolution(reduce, f"{name}.{part}.0", between, inputs)
            self.convolution(conv, f"{name}.{part}.1", grown, between)
            before = block.get_parameter(f"{part}.0.0.weight").shape[1]
            inputs = torch.cat([inputs, before + grown])
        return inputs

    def convolution(self, block: nn.Module, name: str, outputs: Tensor, inputs: Tensor) -> None:
        """A convolution and its norm, whose shared channels are `outputs` and `inputs`."""
        assert isinstance(block, ConvBlock)
        for key, value in block.state_dict(keep_vars=True).items():
            if key == "0.weight":
                value[outputs] = 0
                value[outputs[:, None], inputs] = self._weights[f"{name}.{key}"]
            elif value.ndim:
                value[outputs] = self._weights[f"{name}.{key}"]
