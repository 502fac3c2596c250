"""A gallery as plain data, for other programs: NPZ without pickle, or JSON."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._files import write_whole
from ..errors import GalleryWriteError, OptionError
from .store import Space

VERSION = 1


@dataclass(frozen=True)
class Content:
    """Every picture of a gallery, in the order of enrolment.

    Attributes:
        identities: the name for each.
        cameras: or None.
        times: float64 (n,), NaN for none.
        embeddings: float32 (n, d).
    """

    identities: Sequence[str]
    cameras: Sequence[str | None]
    times: NDArray[np.float64]
    embeddings: NDArray[np.float32]


def write(path: Path, content: Content, space: Space) -> None:
    """Write a file that its owner alone may read; an older one is replaced.

    Raises:
        OptionError: the name ends neither in .npz nor in .json.
        GalleryWriteError: it cannot be written.
    """
    writers = {".npz": _npz, ".json": _json}
    if path.suffix.lower() not in writers:
        raise OptionError(f"{path}: give a name that ends in .npz or .json")
    data = writers[path.suffix.lower()](content, space)
    try:
        write_whole(path, data, 0o600)
    except OSError as error:
        raise GalleryWriteError(
            f"{path}: cannot be written ({error.strerror}); give a path in a folder that exists"
        ) from error


def _npz(content: Content, space: Space) -> bytes:
    # Texts as JSON in UTF-8: NumPy's own would take the longest name's room for each.
    texts = {"identities": list(content.identities), "cameras": list(content.cameras)}
    arrays: dict[str, Any] = {
        name: np.frombuffer(json.dumps(values).encode(), np.uint8) for name, values in texts.items()
    }
    data = io.BytesIO()
    np.savez(
        data,
        about=np.frombuffer(json.dumps(_about(space)).encode(), np.uint8),
        embeddings=content.embeddings,
        times=content.times,
        **arrays,
    )
    return data.getvalue()


def _json(content: Content, space: Space) -> bytes:
    pictures = [
        {
            "identity": identity,
            "camera": camera,
            "time": None if math.isnan(time) else time,
            "embedding": [float(number) for number in row],
        }
        for identity, camera, time, row in zip(
            content.identities,
            content.cameras,
            content.times.tolist(),
            content.embeddings,
            strict=True,
        )
    ]
    return json.dumps({**_about(space), "pictures": pictures}).encode()


def _about(space: Space) -> dict[str, Any]:
    return {
        "schema": "reid_edge.gallery",
        "schema_version": VERSION,
        "model": space.model,
        "fingerprint": space.fingerprint,
        "embedding_size": space.size,
    }
