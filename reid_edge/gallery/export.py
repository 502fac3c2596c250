"""A gallery as plain data, for other programs: NPZ without pickle, or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .._files import whole
from ..errors import GalleryWriteError, OptionError
from .search import Index
from .space import Space

VERSION = 1


def write(path: Path, index: Index, names: Mapping[int, str], space: Space) -> None:
    """Write every picture, in the order of enrolment; an older file is replaced.

    Its owner alone may read it.

    Args:
        path: ends in .npz or .json.
        index: the pictures.
        names: of their identities.
        space: of their embeddings.

    Raises:
        OptionError: the name ends neither in .npz nor in .json.
        GalleryWriteError: it cannot be written.
    """
    writers = {".npz": _npz, ".json": _json}
    if path.suffix.lower() not in writers:
        raise OptionError(f"{path}: give a name that ends in .npz or .json")
    try:
        with whole(path, 0o600) as file:
            writers[path.suffix.lower()](file, index, names, space)
    except OSError as error:
        raise GalleryWriteError(
            f"{path}: cannot be written ({error.strerror}); give a path in a folder that exists"
        ) from error


def _npz(file: BinaryIO, index: Index, names: Mapping[int, str], space: Space) -> None:
    pictures = [index.picture(place) for place in range(len(index))]
    # Texts as JSON in UTF-8: NumPy's own would take the longest name's room for each.
    texts = {
        "about": _about(space),
        "identities": [names[int(owner)] for owner in index.owners],
        "cameras": [camera for _, camera, _ in pictures],
    }
    arrays: dict[str, Any] = {
        name: np.frombuffer(json.dumps(values).encode(), np.uint8) for name, values in texts.items()
    }
    times = np.array([math.nan if time is None else time for _, _, time in pictures])
    np.savez(file, embeddings=index.embeddings, times=times, **arrays)


def _json(file: BinaryIO, index: Index, names: Mapping[int, str], space: Space) -> None:
    # One after the other: all at once they take many times the room of the gallery.
    file.write(json.dumps(_about(space)).encode()[:-1] + b', "pictures": [')
    for place, (owner, row) in enumerate(zip(index.owners, index.embeddings, strict=True)):
        _, camera, time = index.picture(place)
        picture = {
            "identity": names[int(owner)],
            "camera": camera,
            "time": time,
            "embedding": row.tolist(),
        }
        file.write((b",\n" if place else b"\n") + json.dumps(picture).encode())
    file.write(b"]}")


def _about(space: Space) -> dict[str, Any]:
    return {
        "schema": "reid_edge.gallery",
        "schema_version": VERSION,
        "model": space.model,
        "fingerprint": space.fingerprint,
        "embedding_size": space.size,
    }
