"""Picture files that cannot be scored: which, why, and how that is told.

One rule for all commands.  Of a set of pictures (a dataset, a folder to calibrate on) such files
are left out, counted and named; of pictures that were named one by one nothing may be left out,
so they are an error that names all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import images
from .errors import ImageFileError, InputError
from .image_files import read_image
from .reid import ReId

NAMED = 5  # of many, how many a message names


def problem(path: str | Path) -> str | None:
    """Why a file cannot be scored, in a message that names it; None if it can."""
    try:
        images.check(read_image(path), str(path))
    except InputError as error:
        return str(error)
    return None


def named(reasons: Sequence[str]) -> str:
    """The first reasons, and how many more there are."""
    more = [f"and {len(reasons) - NAMED:,} more"] if len(reasons) > NAMED else []
    return "; ".join([*reasons[:NAMED], *more])


def embed_all(reid: ReId, paths: Sequence[str | Path]) -> NDArray[np.float32]:
    """As `ReId.embed_files`, but all files that cannot be scored are named at once.

    Args:
        reid: the model.
        paths: picture files.

    Returns:
        float32 (n, d).

    Raises:
        ImageFileError: several files cannot be scored; up to five are named.
        InputError, BackendError: as `ReId.embed_files`, of a single one.
    """
    try:
        return reid.embed_files(paths)
    except InputError as error:
        reasons = [reason for path in dict.fromkeys(paths) if (reason := problem(path))]
        if len(reasons) < 2:
            raise
        raise ImageFileError(
            f"{len(reasons):,} pictures cannot be used: {named(reasons)}"
        ) from error
