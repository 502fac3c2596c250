"""What every backend offers, and the checks that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..errors import BundleGraphError


class Backend(Protocol):
    """A compiled model on one device; `run` may be called from any thread."""

    @property
    def name(self) -> str:
        """The backend's name, as in `ReId(backend=...)`."""

    @property
    def device(self) -> str:
        """The device that the compiled model runs on, read back from the engine."""

    @property
    def precision(self) -> str:
        """The precision that the compiled model computes in, read back from the engine."""

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed uint8 (n, H, W, 3) RGB pictures of the model's size: float32 (n, d)."""

    def close(self) -> None:
        """Free the engine; may be called again."""


Port = tuple[str, str, Sequence[int | None]]
"""Name, element type and shape of a graph's input or output; None is a dynamic dimension."""


def check_ports(bundle: Bundle, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
    """Hold a loaded graph against what its bundle promises.

    Raises:
        BundleGraphError: other names, types or shapes.
    """
    expected_in = [("images", "uint8", (None, bundle.height, bundle.width, 3))]
    expected_out = [("embeddings", "float32", (None, bundle.embedding_size))]
    for what, found, expected in (
        ("inputs", inputs, expected_in),
        ("outputs", outputs, expected_out),
    ):
        if [(name, kind, tuple(shape)) for name, kind, shape in found] != expected:
            raise BundleGraphError(
                f"{bundle.path}: the graph's {what} are {_show(found)}, "
                f"expected {_show(expected)}; export the bundle again"
            )


def _show(ports: Sequence[Port]) -> str:
    return ", ".join(
        f"{name}: {kind}[{', '.join('n' if n is None else str(n) for n in shape)}]"
        for name, kind, shape in ports
    )
