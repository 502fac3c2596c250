"""A larger edge network that computes what a smaller one does, to go on training it.

As Net2Net (Chen et al., ICLR 2016), but with new channels that nothing listens to yet: the
convolutions that make them are random, and those that read them begin with zeros there.  So no
two channels are alike, and the first gradients decide what the new ones are good for.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .model import Architecture, ConvBlock, DenseBlock, EdgeDenseNet


def can_grow(small: Architecture, large: Architecture) -> bool:
    """Whether `grow` takes these sizes: none is smaller, and what is no channel is the same."""
    return (
        small.network == large.network == "edge"
        and small.embedding == large.embedding
        and small.stem <= large.stem
        and small.bottleneck <= large.bottleneck
        and len(small.growth) == len(large.growth)
        and all(few <= many for few, many in zip(small.growth, large.growth, strict=True))
        and all(few <= many for few, many in zip(small.layers, large.layers, strict=True))
    )


@torch.no_grad()
def grow(network: EdgeDenseNet, small: Architecture, weights: Mapping[str, Tensor]) -> None:
    """Make a network with random weights compute what a smaller one with `weights` does.

    Args:
        network: as `build` gives it.
        small: the other's sizes, of which `can_grow` is true.
        weights: the other's parameters and statistics, float32 under their names.
    """
    growing = _Growing(weights)
    blocks = iter(zip(small.growth, small.layers, strict=True))
    channels, places = small.stem, torch.arange(small.stem)
    for index, stage in enumerate(network.stages):
        name = f"stages.{index}"
        if isinstance(stage, DenseBlock):
            growth, layers = next(blocks)
            places = growing.block(stage, name, places, small.bottleneck * growth, growth, layers)
            channels += growth * layers
        elif isinstance(stage, ConvBlock):
            if index:  # a transition
                channels //= 2
            inputs = places if index else torch.arange(3)
            places = torch.arange(channels)
            growing.convolution(stage, name, places, inputs)
    network.project.weight.zero_()
    network.project.weight[:, places] = weights["project.weight"]
    for key, value in network.neck.state_dict(keep_vars=True).items():
        if value.ndim:  # but for the counter of batches
            value.copy_(weights[f"neck.{key}"])


class _Growing:
    """Puts the smaller network's values at their channels' places in the larger one."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    def block(
        self, block: DenseBlock, name: str, places: Tensor, wide: int, growth: int, layers: int
    ) -> Tensor:
        """A dense block whose old input channels are at `places`; where its old outputs are."""
        for index in range(layers):
            part = f"layers.{index}"
            narrow = block.get_submodule(f"{part}.0")
            self.convolution(narrow, f"{name}.{part}.0", torch.arange(wide), places)
            kernel = block.get_submodule(f"{part}.1")
            self.convolution(kernel, f"{name}.{part}.1", torch.arange(growth), torch.arange(wide))
            before = block.get_parameter(f"{part}.0.0.weight").shape[1]
            places = torch.cat([places, before + torch.arange(growth)])
        return places

    def convolution(self, block: nn.Module, name: str, outputs: Tensor, inputs: Tensor) -> None:
        """A convolution and its norm, whose old channels are at these places."""
        assert isinstance(block, ConvBlock)
        for key, value in block.state_dict(keep_vars=True).items():
            if key == "0.weight":
                value[outputs] = 0
                value[outputs[:, None], inputs] = self._weights[f"{name}.{key}"]
            elif value.ndim:
                value[outputs] = self._weights[f"{name}.{key}"]
