"""Pictures as they are kept, and the check of what a file holds: it is hostile until then."""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..heads import are_unit

Floats = NDArray[np.float32]
MOST_NAME = 200  # characters of an identity's or a camera's name


@dataclass(frozen=True)
class Rows:
    """Pictures as they are kept, in the order of their ids.

    Attributes:
        ids, owners: int64 (n,); `owners` are the ids of their identities.
        embeddings: float32 (n, d).
        cameras: of each, or None.
        times: float64 (n,), NaN for none.
    """

    ids: NDArray[np.int64]
    owners: NDArray[np.int64]
    embeddings: Floats
    cameras: list[str | None]
    times: NDArray[np.float64]


def checked(
    found: Sequence[tuple[Any, Any, Any, Any, Any]], size: int, identities: Container[Any]
) -> Rows:
    """Rows of a database.

    Args:
        found: id, identity, embedding, camera and time of each, one or more.
        size: numbers of one embedding.
        identities: the ids that exist.

    Raises:
        ValueError: a row that is damaged; it says what is.
    """
    ids, owners, blobs, cameras, times = zip(*found, strict=True)
    if not all(isinstance(b, bytes) and len(b) == 4 * size for b in blobs):
        raise ValueError("an embedding of another size")
    if not all(owner in identities for owner in owners):
        raise ValueError("a picture of nobody")
    if not all(c is None or (isinstance(c, str) and len(c) <= MOST_NAME) for c in cameras):
        raise ValueError("a camera without a name")
    if not all(t is None or (isinstance(t, float) and math.isfinite(t)) for t in times):
        raise ValueError("a time that is none")
    rows = np.frombuffer(b"".join(blobs), "<f4").reshape(len(found), size)
    if not are_unit(rows):
        raise ValueError("an embedding that is not finite or not of unit length")
    return Rows(
        np.array(ids, np.int64),
        np.array(owners, np.int64),
        rows.astype(np.float32, copy=False),
        list(cameras),
        np.array([math.nan if t is None else t for t in times]),
    )
