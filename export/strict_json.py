"""JSON from untrusted files: bounded, finite numbers only, objects only."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from reid_edge.errors import ConversionError

# A full Siamese DenseNet-121 description is 200 kB.
MAX_CHARACTERS = 1 << 22


def parse_object(text: str, where: str) -> dict[str, Any]:
    """Parse one JSON object.

    Args:
        text: the JSON.
        where: how error messages call it.

    Raises:
        ConversionError: too long, nested too deeply, no JSON, or no object.
    """
    if len(text) > MAX_CHARACTERS:
        raise ConversionError(f"{where}: longer than {MAX_CHARACTERS:,} characters")
    try:
        values = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ConversionError(f"{where}: nested too deeply") from None
    except ValueError as error:
        raise ConversionError(f"{where}: is no valid JSON ({error})") from None
    if not isinstance(values, dict):
        raise ConversionError(f"{where}: is no JSON object")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
