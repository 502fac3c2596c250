"""Named weights, taken one by one in the network's order: errors name the first difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid_edge.errors import ArchitectureMismatchError, ConversionError

from .batchnorm import BatchNorm, Floats


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: its shape is known, its values are read when they are wanted."""

    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.floating]]

    @classmethod
    def in_memory(cls, values: NDArray[np.floating]) -> Stored:
        """A tensor that was read already."""
        return cls(values.shape, lambda: values)


class Weights:
    """All tensors of a file; a network takes what it expects, then calls `finish`.

    Args:
        where: the file, for error messages.
        network: what the network is called in error messages.
        stored: name -> tensor.
    """

    def __init__(self, where: str, network: str, stored: Mapping[str, Stored]) -> None:
        self._where, self._network = where, network
        self._left = dict(stored)

    def take(self, name: str, shape: tuple[int, ...]) -> Floats:
        """One tensor in float64, where folding loses nothing.

        Raises:
            ArchitectureMismatchError: missing, or of another shape (then nothing is read).
            ConversionError: not all values are finite.
        """
        try:
            stored = self._left.pop(name)
        except KeyError:
            raise self._mismatch(f"{name} {_show(shape)} is missing") from None
        if stored.shape != shape:
            raise self._mismatch(f"{name} is {_show(stored.shape)}, expected {_show(shape)}")
        values = stored.read().astype(np.float64)
        if not np.isfinite(values).all():
            raise ConversionError(
                f"{self._where}: {name} holds NaN or infinite values; the file is damaged or its "
                "training diverged"
            )
        return values

    def norm(self, names: Iterable[str], channels: int, epsilon: float) -> BatchNorm:
        """A batch norm from four tensors: gamma, beta, mean, variance.

        Raises:
            ArchitectureMismatchError, ConversionError: as `take`; or a negative variance.
        """
        *names, last = names
        gamma, beta, mean = (self.take(name, (channels,)) for name in names)
        variance = self.take(last, (channels,))
        if (variance < 0).any():
            raise ConversionError(f"{self._where}: {last} holds negative values; it is damaged")
        return BatchNorm.of(gamma, beta, mean, variance, epsilon)

    def finish(self) -> None:
        """Check that nothing is left over.

        Raises:
            ArchitectureMismatchError: the file holds tensors that the network has not.
        """
        if self._left:
            name, stored = next(iter(self._left.items()))
            more = f" and {len(self._left) - 1} more" if len(self._left) > 1 else ""
            raise self._mismatch(f"{name} {_show(stored.shape)}{more} is superfluous")

    def _mismatch(self, what: str) -> ArchitectureMismatchError:
        return ArchitectureMismatchError(f"{self._where}: is not {self._network}: {what}")


def _show(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "scalar"
