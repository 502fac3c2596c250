"""The edge network: a small DenseNet whose batch norms all fold away.

DenseNet (Huang et al., CVPR 2017) normalises the concatenated features in front of each
convolution, where a BatchNorm can't be folded and costs a pass over memory on every
device.  Here, as in PeleeNet (Wang et al., NeurIPS 2018), each convolution is followed by
its own BatchNorm and ReLU, so that at inference the network is convolutions, ReLUs, pools
and concatenations only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Architecture:
    """The sizes that make one DenseNet; stored in each checkpoint."""

    stem: int = 32
    growth: tuple[int, ...] = (16, 24, 40, 56)
    layers: tuple[int, ...] = (4, 6, 12, 8)
    bottleneck: int = 2
    embedding: int = 256

    def to_json(self) -> dict[str, object]:
        """Plain values, as `from_json` takes them."""
        return asdict(self)

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


class DenseBlock(nn.Module):
    """`layers` pairs of 1x1 and 3x3 convolutions, each fed with all that came before."""

    def __init__(self, inputs: int, growth: int, layers: int, bottleneck: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                ConvBlock(inputs + index * growth, bottleneck * growth, 1),
                ConvBlock(bottleneck * growth, growth, 3),
            )
            for index in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, inputs + layers * growth, h, w)."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class EdgeDenseNet(nn.Module):
    """Normalised RGB pictures (n, 3, h, w) to embeddings (n, embedding) after a BN neck.

    The last block keeps the resolution of the one before it (stride 1, as Sun et al.'s PCB
    showed to help re-identification), so that 256 x 128 ends in a 16 x 8 map.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
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
        self.stages = nn.Sequential(*stages)
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
