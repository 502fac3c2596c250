"""The fields of a recipe's JSON file, looked at one by one before anything is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from reid_edge._schema import Reader
from reid_edge.errors import BundleSchemaError

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
        recipe = Reader(json.loads(path.read_text(encoding="utf-8")), "recipe")
        _check(recipe, _RECIPE, optional=("teachers", "settling"))
        _architecture(recipe.section("architecture"))
        _augmentation(recipe.section("augmentation"))
        _shares(recipe.section("sources"))
        for number, values in enumerate(recipe.items("stages"), 1):
            _stage(Reader(values, f"stage {number}"))
    except BundleSchemaError as error:
        raise ValueError(str(error)) from None
    return recipe.values


def _stage(stage: Reader) -> None:
    optional = ("teacher", "augmentation", "weights", "averaging", "identities", "echo")
    _check(stage, _STAGE, optional)
    if "augmentation" in stage.values:
        _augmentation(stage.section("augmentation"))


def _check(reader: Reader, checks: dict[str, _Check], optional: tuple[str, ...] = ()) -> None:
    unknown = sorted(reader.values.keys() - checks.keys())
    if unknown:
        raise ValueError(f"{reader.where}: unknown fields: {', '.join(unknown)}")
    for name, check in checks.items():
        if name not in optional or name in reader.values:
            check(reader, name)


def _whole(low: int, high: int = 10**6) -> _Check:
    return lambda reader, name: reader.integer(name, low, high)


def _number(low: float, high: float) -> _Check:
    return lambda reader, name: reader.number(name, low, high)


def _object(reader: Reader, name: str) -> object:
    return reader.section(name)


def _list(reader: Reader, name: str) -> object:
    return reader.items(name)


def _sizes(reader: Reader, name: str) -> object:
    values = reader.items(name)
    if not all(type(value) is int and value > 0 for value in values):
        raise ValueError(f"{reader.where}: {name}: expected a list of whole numbers from 1 on")
    return values


def _architecture(architecture: Reader) -> None:
    optional = ("stem", "growth", "layers", "bottleneck", "embedding", "network")
    _check(architecture, _ARCHITECTURE, optional)


def _augmentation(augmentation: Reader) -> None:
    names = [field.name for field in fields(Augmentation)]
    checks: dict[str, _Check] = {
        name: _number(0, 4 if name in HALF_WIDTHS else 1) for name in names
    }
    checks["erase_area"] = _area
    _check(augmentation, checks, tuple(names))


def _area(reader: Reader, name: str) -> object:
    low, high = reader.numbers(name, 2)
    if not 0 <= low <= high <= 1:
        raise ValueError(
            f"{reader.where}: {name}: expected the least and the greatest share in 0...1"
        )
    return low, high


def _shares(sources: Reader) -> None:
    shares = [sources.number(name, 0, 1e6) for name in sources.values]
    if not any(shares):
        raise ValueError("recipe: sources: expected a share above 0")


_RECIPE: dict[str, _Check] = {
    "architecture": _object,
    "seed": _whole(0, 2**32 - 1),
    "sources": _object,
    "identities": _whole(2),
    "pictures": _whole(2),
    "stages": _list,
    "weight_decay": _number(0, 1),
    "averaging": _number(0, 1),
    "weights": _object,
    "augmentation": _object,
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
    "augmentation": _object,
    "weights": _object,
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
