"""Layers' weights under their names in torch's `state_dict()`."""

from __future__ import annotations

from .batchnorm import BatchNorm, Floats
from .weights import Weights

EPSILON = 1e-5


class State:
    """Takes what `training/model.py` made out of `weights`.

    Raises:
        ArchitectureMismatchError, ConversionError: from every method, as `Weights.take`.
    """

    def __init__(self, weights: Weights) -> None:
        self.weights = weights

    def kernel(self, name: str, inputs: int, outputs: int, size: int) -> Floats:
        """A convolution's kernel, OIHW."""
        return self.weights.take(f"{name}.weight", (outputs, inputs, size, size))

    def norm(self, name: str, channels: int) -> BatchNorm:
        """A batch norm."""
        leaves = ("weight", "bias", "running_mean", "running_var")
        return self.weights.norm([f"{name}.{leaf}" for leaf in leaves], channels, EPSILON)

    def folded(self, name: str, inputs: int, outputs: int, size: int) -> tuple[Floats, Floats]:
        """Kernel and bias of a `ConvBlock`: a convolution and the norm behind it."""
        kernel = self.kernel(f"{name}.0", inputs, outputs, size)
        return self.norm(f"{name}.1", outputs).fold(kernel)
