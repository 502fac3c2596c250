"""The fields of a recipe's JSON file, looked at one by one before anything is made of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import fields
from pathlib import Path
from typing import Any

from export.strict_json import parse_object
from reid_edge._schema import Reader
from reid_edge.errors import BundleSchemaError, ConversionError

from .augment import Augmentation
from .model import NETWORKS

_Check = Callable[[Reader, str], object]

TEACHERS = ("prepared", "loop", "none")
"""What a stage's teacher is: see `recipe.Stage`."""

# An augmentation's other fields are probabilities, but for `erase_area`.
HALF_WIDTHS = {
    *("shift", "zoom", "rotate", "stretch"),
    *("brightness", "contrast", "saturation", "tint", "hue", "gamma"),
}


def read(path: Path) -> dict[str, Any]:
    """The values of a recipe file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or a field is missing, unknown, or of a wrong kind or range.
    """
    try:
        recipe = Reader(parse_object(path.read_text(encoding="utf-8"), "recipe"), "recipe")
        _check(recipe, _RECIPE, optional=("teachers", "settling"))
    except (BundleSchemaError, ConversionError) as error:
        raise ValueError(str(error)) from None
    return recipe.values


def _check(reader: Reader, checks: dict[str, _Check], optional: Collection[str]) -> None:
    unknown = sorted(reader.values.keys() - checks.keys())
    if unknown:
        raise ValueError(f"{reader.where}: unknown fields: {', '.join(unknown)}")
    for name, check in checks.items():
        if name not in optional or name in reader.values:
            check(reader, name)


def _stages(recipe: Reader, name: str) -> None:
    optional = ("teacher", "augmentation", "weights", "averaging", "identities", "echo")
    for number, values in enumerate(recipe.items(name), 1):
        _check(Reader(values, f"stage {number}"), _STAGE, optional)


def _architecture(recipe: Reader, name: str) -> None:
    _check(recipe.section(name), _ARCHITECTURE, optional=_ARCHITECTURE)


def _augmentation(reader: Reader, name: str) -> None:
    _check(reader.section(name), _AUGMENTATION, optional=_AUGMENTATION)


def _shares(recipe: Reader, name: str) -> None:
    sources = recipe.section(name)
    shares = [sources.number(source, 0, 1e6) for source in sources.values]
    if not any(shares):
        raise ValueError(f"{sources.where}: expected a share above 0")


def _weights(reader: Reader, name: str) -> None:
    """That there is an object: what may be in it is for `Recipe` to say."""
    reader.section(name)


def _whole(low: int, high: int = 10**6) -> _Check:
    return lambda reader, name: reader.integer(name, low, high)


def _number(low: float, high: float) -> _Check:
    return lambda reader, name: reader.number(name, low, high)


def _sizes(reader: Reader, name: str) -> None:
    if not all(type(value) is int and value > 0 for value in reader.items(name)):
        raise ValueError(f"{reader.where}: {name}: expected a list of whole numbers from 1 on")


def _area(reader: Reader, name: str) -> None:
    low, high = reader.numbers(name, 2)
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"{reader.where}: {name}: expected the least and the greatest share in 0...1"
        )


_RECIPE: dict[str, _Check] = {
    "architecture": _architecture,
    "seed": _whole(0, 2**32 - 1),
    "sources": _shares,
    "identities": _whole(2),
    "pictures": _whole(2),
    "stages": _stages,
    "weight_decay": _number(0, 1),
    "averaging": _number(0, 1),
    "weights": _weights,
    "augmentation": _augmentation,
    "teachers": _whole(1, 16),
    "settling": _whole(0),
}
_STAGE: dict[str, _Check] = {
    "height": _whole(32, 2048),
    "width": _whole(32, 2048),
    "steps": _whole(1),
    "warmup": _whole(0),
    "rate": _number(0, 10),
    "final_rate": _number(0, 10),
    "teacher": lambda reader, name: reader.choice(name, TEACHERS),
    "augmentation": _augmentation,
    "weights": _weights,
    "averaging": _number(0, 1),
    "identities": _whole(2),
    "echo": _whole(1),
}
_ARCHITECTURE: dict[str, _Check] = {
    "stem": _whole(1, 4096),
    "growth": _sizes,
    "layers": _sizes,
    "bottleneck": _whole(1, 64),
    "embedding": _whole(2, 16384),
    "network": lambda reader, name: reader.choice(name, NETWORKS),
}
_AUGMENTATION: dict[str, _Check] = {
    **{
        field.name: _number(0, 4 if field.name in HALF_WIDTHS else 1)
        for field in fields(Augmentation)
    },
    "erase_area": _area,
}
