"""What may be passed to a gallery, told apart and checked."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..errors import EmbeddingError, LengthMismatchError, OptionError
from ..heads import are_unit
from ..images import fill
from .rows import MOST_NAME
from .store import THUMBNAIL

Floats = NDArray[np.float32]
_BREAKS = {"Cc", "Zl", "Zp"}  # Unicode's categories of control characters, and of line breaks


def is_embeddings(value: Any) -> bool:
    """Whether this is meant as embeddings: an array, or a list of arrays, of one row or two axes.

    A picture has three axes and several pictures have four, so nothing is ambiguous.
    """
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and getattr(value[0], "ndim", 0) == 1
    return hasattr(value, "__array__") and getattr(value, "ndim", 0) in (1, 2)


def embeddings(value: Any, bundle: Bundle) -> Floats:
    """Checked embeddings: float32 (n, d) of unit length.

    Raises:
        EmbeddingError: of another size or dtype, or not of unit length.
    """
    size = bundle.embedding_size
    try:
        rows = np.atleast_2d(np.asarray(value))
    except Exception as error:  # rows of different lengths; what raises in its own __array__
        raise EmbeddingError(f"these rows are no array ({error}); pass float (n, {size})") from None
    if rows.shape[1:] != (size,) or not np.issubdtype(rows.dtype, np.floating):
        raise EmbeddingError(
            f"{rows.dtype} {rows.shape} are neither embeddings of model {bundle.name!r}, which are "
            f"float (n, {size}) or ({size},), nor RGB pictures (H, W, 3)"
        )
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(rows, np.float32)
    if not len(rows) or not are_unit(rows):
        raise EmbeddingError(
            "embeddings are missing, not finite or not of unit length; "
            "pass what embed() of this model returned, unchanged"
        )
    return rows


def name(value: Any, what: str = "identity") -> str:
    """A name to be kept.

    Raises:
        OptionError: no string, empty, too long, not to be written as UTF-8, or with what
            nobody sees: white space around it, control characters.
    """
    if not isinstance(value, str):
        raise OptionError(
            f"{what}: must be text (str), and {str(value)[:80]!r} is of type {type(value).__name__}"
        )
    if not 0 < len(value) <= MOST_NAME:
        raise OptionError(f"{what}: {value[:80]!r} is no name; pass 1 to {MOST_NAME} characters")
    if value != value.strip():
        raise OptionError(
            f"{what}: {value!r} begins or ends with white space, which nobody sees; leave it out"
        )
    if any(unicodedata.category(char) in _BREAKS for char in value):
        raise OptionError(f"{what}: {value!r} holds control characters; leave them out")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise OptionError(f"{what}: {value!r} is no Unicode text") from None
    return value


def cameras(value: Any, count: int) -> list[str | None]:
    """A camera for each picture: one for all, or a list.  A number is kept as its digits."""
    return [
        None
        if one is None
        else name(str(one) if isinstance(one, (int, np.integer)) else one, "camera")
        for one in _each(value, count, "camera")
    ]


def times(value: Any, count: int) -> list[float | None]:
    """A time for each picture: one for all, or a list.

    Raises:
        OptionError: neither a finite number nor a datetime with a time zone.
    """
    return [_time(one) for one in _each(value, count, "time")]


def thumbnails(pictures: Any, count: int) -> list[bytes | None]:
    """A small copy of each picture, as raw RGB."""
    several = isinstance(pictures, (list, tuple)) or np.ndim(pictures) == 4
    small = np.empty((count, *THUMBNAIL), np.uint8)
    fill(small, [np.asarray(one) for one in (pictures if several else [pictures])], "area")
    return [one.tobytes() for one in small]


def _each(value: Any, count: int, what: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple, np.ndarray)):
        return [value] * count
    if len(value) != count:
        raise LengthMismatchError(
            f"{what}: {len(value)} for {count} pictures; pass one for each, or one for all"
        )
    return list(value)


def _time(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.timestamp()
    if isinstance(value, datetime):
        raise OptionError(
            f"time: {value!r} has no time zone; give it one, as datetime.now(timezone.utc) has"
        )
    if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise OptionError(
        f"time: {value!r} is neither a finite number of seconds nor a datetime with a time zone"
    )


def check_top(top: Any) -> int:
    """How many candidates.

    Raises:
        OptionError: no whole number of 1 or more.
    """
    if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 1:
        raise OptionError(f"top: {top!r}; pass a whole number of 1 or more")
    return int(top)


def check_share(value: Any, what: str, most: float, least: float = 0.0) -> float:
    """A rate or a score.

    Raises:
        OptionError: under `least`, or over `most`.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not least <= float(value) <= most:
        raise OptionError(f"{what}: {value!r}; pass a number in {least:g}...{most:g}")
    return float(value)
