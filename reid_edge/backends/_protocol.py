"""What every backend offers, and the checks that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..errors import BundleGraphError

Fill = Callable[[NDArray[np.uint8], slice], None]
"""Writes the pictures of a place into its rows: uint8 (n, H, W, 3) RGB of the model's size."""

# Larger batches are no faster on a CPU and cost memory: activations are held per picture.
_BATCH = 32


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
        """The precision that the compiled model computes in.

        Read back from the engine, or fixed by a strongly typed graph.
        """

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed uint8 (n, H, W, 3) RGB pictures of the model's size: float32 (n, d)."""

    def embed(self, count: int, fill: Fill) -> NDArray[np.float32]:
        """Embed `count` pictures, which `fill` writes batch by batch: float32 (count, d)."""

    def close(self) -> None:
        """Free the engine; may be called again."""


class Runs(Protocol):
    """What `embed_in_parts` needs of a backend."""

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Backend.run`."""


def embed_in_parts(backend: Runs, bundle: Bundle, count: int, fill: Fill) -> NDArray[np.float32]:
    """`Backend.embed` of the backends that run one batch at a time, in memory of their own.

    Raises:
        BundleGraphError: the graph gives another number of rows.
    """
    found = np.empty((count, bundle.embedding_size), np.float32)
    batch = np.empty((min(_BATCH, count), bundle.height, bundle.width, 3), np.uint8)
    for place in _parts(count):
        rows = batch[: place.stop - place.start]
        fill(rows, place)
        embeddings = backend.run(rows)
        # Assigning a single row would spread it over the whole part.
        if embeddings.shape != (len(rows), bundle.embedding_size):
            raise BundleGraphError(
                f"{bundle.path}: the graph gives {embeddings.shape} for {len(rows)} pictures; "
                "export the bundle again"
            )
        found[place] = embeddings
    return found


def _parts(count: int) -> Iterator[slice]:
    """Cut `count` pictures into batches whose sizes are powers of two.

    Engines keep memory for each batch size they have met: six sizes instead of 32.
    """
    start = 0
    while start < count:
        size = min(_BATCH, 1 << ((count - start).bit_length() - 1))
        yield slice(start, start + size)
        start += size


class Embeds(Protocol):
    """What `run_batch` needs of a backend."""

    def embed(self, count: int, fill: Fill) -> NDArray[np.float32]:
        """See `Backend.embed`."""


def run_batch(backend: Embeds, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """`Backend.run` of the backends that are filled in place."""

    def fill(rows: NDArray[np.uint8], place: slice) -> None:
        rows[:] = batch[place]

    return backend.embed(len(batch), fill)


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
