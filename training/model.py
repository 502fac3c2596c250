"""The networks: the edge one, whose batch norms all fold away, and DenseNet as published.

DenseNet (Huang et al., CVPR 2017) normalises the concatenated features in front of each
convolution, where a BatchNorm can't be folded and costs a pass over memory on every
device.  In the edge network, as in PeleeNet (Wang et al., NeurIPS 2018), each convolution is
followed by its own BatchNorm and ReLU, so that at inference the network is convolutions, ReLUs,
pools and concatenations only.

Both end alike: the last block keeps the resolution of the one before it (stride 1, as Sun et
al.'s PCB showed to help re-identification), so that 256 x 128 ends in a 16 x 8 map, and a
projection and a BN neck (Luo et al., 2019) follow the mean.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

NETWORKS = ("edge", "densenet")


@dataclass(frozen=True)
class Architecture:
    """The sizes that make one network; stored in each checkpoint."""

    stem: int = 32
    growth: tuple[int, ...] = (16, 24, 40, 56)
    layers: tuple[int, ...] = (4, 6, 12, 8)
    bottleneck: int = 2
    embedding: int = 256
    network: str = "edge"

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"a network is one of {', '.join(NETWORKS)}, not {self.network!r}")

    def to_json(self) -> dict[str, object]:
        """Plain values, as `from_json` takes them.

        The edge network goes unnamed, as in the checkpoints made before there was another.
        """
        values = asdict(self)
        if self.network == "edge":
            del values["network"]
        return values

    @classmethod
    def from_json(cls, values: dict[str, object]) -> Architecture:
        """The reverse of `to_json`."""
        fields: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in values.items()
        }
        return cls(**fields)


class ConvBlock(nn.Sequential):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class NormBlock(nn.Sequential):
    """BatchNorm, ReLU, convolution: the published DenseNet's order."""

    def __init__(self, inputs: int, outputs: int, kernel: int, pool: nn.Module | None = None):
        super().__init__(
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.Identity() if pool is None else pool,
            nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, bias=False),
        )


class DenseBlock(nn.Module):
    """`layers` pairs of 1x1 and 3x3 convolutions, each fed with all that came before."""

    def __init__(
        self,
        inputs: int,
        growth: int,
        layers: int,
        bottleneck: int,
        block: type[ConvBlock] | type[NormBlock] = ConvBlock,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                block(inputs + index * growth, bottleneck * growth, 1),
                block(bottleneck * growth, growth, 3),
            )
            for index in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, inputs + layers * growth, h, w)."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class Network(nn.Module):
    """Normalised RGB pictures (n, 3, h, w) to embeddings (n, embedding) after a BN neck.

    Args:
        architecture: the sizes.
        stages: everything up to the last map.
        channels: of the last map.
    """

    def __init__(self, architecture: Architecture, stages: nn.Sequential, channels: int) -> None:
        super().__init__()
        self.architecture = architecture
        self.stages = stages
        self.project = nn.Linear(channels, architecture.embedding, bias=False)
        self.neck = nn.BatchNorm1d(architecture.embedding)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, embedding), not yet of unit length."""
        pooled = functional.adaptive_avg_pool2d(self.stages(x), 1).flatten(1)
        embedding: Tensor = self.neck(self.project(pooled))
        return embedding


class EdgeDenseNet(Network):
    """The edge network."""

    def __init__(self, architecture: Architecture) -> None:
        stages: list[nn.Module] = [
            ConvBlock(3, architecture.stem, 7, 2),
            nn.MaxPool2d(3, 2, 1),
        ]
        channels = architecture.stem
        last = len(architecture.layers) - 1
        for index, (growth, layers) in enumerate(
            zip(architecture.growth, architecture.layers, strict=True)
        ):
            stages.append(DenseBlock(channels, growth, layers, architecture.bottleneck))
            channels += growth * layers
            if index < last:
                stages.append(ConvBlock(channels, channels // 2, 1))
                channels //= 2
            if index < last - 1:
                stages.append(nn.AvgPool2d(2))
        super().__init__(architecture, nn.Sequential(*stages), channels)


class DenseNet(Network):
    """DenseNet-BC with compression 0.5; DenseNet-121 with layers of (6, 12, 24, 16).

    A transition takes the mean before its 1x1 convolution rather than after it: both are linear
    and act on different axes, so that the result is the same at a quarter of the work.
    """

    def __init__(self, architecture: Architecture) -> None:
        stages: list[nn.Module] = [
            ConvBlock(3, architecture.stem, 7, 2),
            nn.MaxPool2d(3, 2, 1),
        ]
        channels = architecture.stem
        last = len(architecture.layers) - 1
        for index, (growth, layers) in enumerate(
            zip(architecture.growth, architecture.layers, strict=True)
        ):
            stages.append(DenseBlock(channels, growth, layers, architecture.bottleneck, NormBlock))
            channels += growth * layers
            if index < last:
                mean = nn.AvgPool2d(2) if index < last - 1 else None
                stages.append(NormBlock(channels, channels // 2, 1, mean))
                channels //= 2
        stages += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
        super().__init__(architecture, nn.Sequential(*stages), channels)


def build(architecture: Architecture) -> Network:
    """The network that an architecture names, with random weights."""
    kind = DenseNet if architecture.network == "densenet" else EdgeDenseNet
    return kind(architecture)
