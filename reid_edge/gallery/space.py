"""Which embeddings may be compared with each other."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass

from .. import bundle as bundles
from ..bundle import Bundle
from ..errors import BundleError, GalleryModelError
from ..heads import CosineHead


@dataclass(frozen=True)
class Space:
    """Which embeddings may be compared: those of one model, in whatever precision.

    Attributes:
        fingerprint: 64 hexadecimal digits, see `of`.
        model: its name, for messages.
        size: numbers of one embedding.
    """

    fingerprint: str
    model: str
    size: int


def of(bundle: Bundle) -> Space:
    """The space of a model's embeddings.

    Its fingerprint is a SHA-256 over what decides where a picture lands: the FP32 graph, which
    the graphs of other precisions are made from, and how pictures are brought to its size.  So
    FP32 and INT8 of one bundle share galleries, and so does a bundle that was calibrated anew,
    whose graphs are copies; a model that was trained again does not.
    """
    decisive = [
        "reid_edge embeddings 1",
        bundle.graph("fp32").sha256,
        bundle.height,
        bundle.width,
        bundle.resize,
        bundle.embedding_size,
    ]
    fingerprint = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
    return Space(fingerprint, bundle.name, bundle.embedding_size)


def shipped_with(fingerprint: object) -> str | None:
    """The model in the box with this fingerprint; a copy that was calibrated has the same."""
    for name in bundles.shipped():
        with suppress(BundleError):  # a damaged one is told where it is used
            if of(bundles.load(bundles.find(name))).fingerprint == fingerprint:
                return name
    return None


def head(bundle: Bundle) -> CosineHead:
    """The head to score with.

    Raises:
        GalleryModelError: the head is asymmetric.
    """
    if not isinstance(bundle.head, CosineHead):
        raise GalleryModelError(
            f"model {bundle.name!r} scores (a, b) otherwise than (b, a), and its embeddings have "
            "no cosine: there is no telling who is nearest, nor a search; use a model with a "
            "cosine head, such as the shipped ones, and predict() with this one"
        )
    return bundle.head
