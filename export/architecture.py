"""Which network a training checkpoint holds: its kind and its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reid_edge._schema import Reader
from reid_edge.errors import ConversionError

Network = Literal["edge", "densenet"]
NETWORKS: tuple[Network, ...] = ("edge", "densenet")

_LIMITS = {"stem": 1024, "bottleneck": 64, "embedding": 4096, "growth": 1024, "layers": 256}
_MAX_BLOCKS = 8


@dataclass(frozen=True)
class Architecture:
    """`training.model.Architecture` without torch: the sizes that make one network."""

    stem: int
    growth: tuple[int, ...]
    layers: tuple[int, ...]
    bottleneck: int
    embedding: int
    network: Network = "edge"

    @classmethod
    def from_json(cls, values: Reader) -> Architecture:
        """Read it from a checkpoint's metadata.

        Raises:
            BundleSchemaError: a field that is missing or out of range.
            ConversionError: a field that this network has not, which may change what it computes.
        """
        if unknown := sorted(set(values.values) - {*_LIMITS, "network"}):
            raise ConversionError(f"{values.where}: the field {unknown[0][:40]!r} is unknown")
        stem, bottleneck, embedding = (
            values.integer(name, 1, _LIMITS[name]) for name in ("stem", "bottleneck", "embedding")
        )
        growth, layers = (_sizes(values, name) for name in ("growth", "layers"))
        if len(growth) != len(layers):
            raise ConversionError(f"{values.where}: growth and layers differ in length")
        # Checkpoints made before there was a second network do not name theirs.
        named = "network" in values.values
        network = values.choice("network", NETWORKS) if named else NETWORKS[0]
        return cls(stem, growth, layers, bottleneck, embedding, network)

    def check_size(self, height: int, width: int) -> None:
        """Whether something is left of the pictures behind the last pool.

        Raises:
            ConversionError: nothing is.
        """
        # The stem and its pool each halve, rounded up, then each mean, rounded down.
        smallest = -(-min(height, width) // 4) >> max(0, len(self.layers) - 2)
        if smallest < 1:
            raise ConversionError(f"pictures of {height} x {width} are too small for this network")


def _sizes(values: Reader, name: str) -> tuple[int, ...]:
    sizes = values.values.get(name)
    if not isinstance(sizes, list) or not 1 <= len(sizes) <= _MAX_BLOCKS:
        raise ConversionError(f"{values.where}: {name} is no list of 1...{_MAX_BLOCKS} sizes")
    items = Reader(
        {str(place): size for place, size in enumerate(sizes)}, f"{values.where}: {name}"
    )
    return tuple(items.integer(place, 1, _LIMITS[name]) for place in items.values)
