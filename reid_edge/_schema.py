"""Reading untrusted JSON field by field, with errors that name the field."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from .errors import BundleSchemaError

Choice = TypeVar("Choice", bound=str)

_HUGE = 1e30  # far inside float32
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Reader:
    """A JSON object and the place where it stands; each method takes one field out of it.

    Raises:
        BundleSchemaError: from every method, if the field is missing or wrong.
    """

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise BundleSchemaError(f"{where}: expected an object, found {_kind(values)}")
        self.values: dict[str, Any] = values
        self.where = where

    def _take(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError:
            raise BundleSchemaError(f"{self.where}: the field {name!r} is missing") from None

    def _refuse(self, name: str, expected: str) -> BundleSchemaError:
        found = self.values[name]
        shown = repr(found) if isinstance(found, (str, int, float)) else _kind(found)
        return BundleSchemaError(f"{self.where}: {name}: expected {expected}, found {shown[:80]}")

    def text(self, name: str) -> str:
        """A non-empty string of at most 2,000 characters."""
        value = self._take(name)
        if not isinstance(value, str) or not 0 < len(value) <= 2000:
            raise self._refuse(name, "a string")
        return value

    def choice(self, name: str, choices: Sequence[Choice]) -> Choice:
        """One of some strings."""
        value = self._take(name)
        for choice in choices:
            if value == choice:
                return choice
        raise self._refuse(name, " or ".join(map(repr, choices)))

    def sha256(self, name: str) -> str:
        """64 lower-case hexadecimal digits."""
        value = self._take(name)
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise self._refuse(name, "64 lower-case hexadecimal digits")
        return value

    def boolean(self, name: str) -> bool:
        """True or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise self._refuse(name, "true or false")
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        """A whole number in low...high."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._refuse(name, f"a whole number in {low}...{high}")
        return value

    def number(self, name: str, low: float = -_HUGE, high: float = _HUGE) -> float:
        """A finite number in low...high."""
        value = self._take(name)
        if not _is_number(value) or not low <= value <= high:
            raise self._refuse(name, f"a finite number in {low:g}...{high:g}")
        return float(value)

    def numbers(self, name: str, count: int) -> list[float]:
        """A list of `count` finite numbers."""
        value = self._take(name)
        if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
            raise self._refuse(name, f"a list of {count} finite numbers")
        return [float(item) for item in value]

    def items(self, name: str) -> list[Any]:
        """A list of one value or more."""
        value = self._take(name)
        if not isinstance(value, list) or not value:
            raise self._refuse(name, "a list of one value or more")
        return value

    def section(self, name: str) -> Reader:
        """An object."""
        return Reader(self._take(name), f"{self.where}: {name}")

    def sections(self, name: str) -> Iterator[tuple[str, Reader]]:
        """An object of objects."""
        for key, value in self.section(name).values.items():
            yield key, Reader(value, f"{self.where}: {name}.{key[:40]}")


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) <= _HUGE
        and math.isfinite(value)
    )


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", type(None): "null"}.get(
        type(value), f"{type(value).__name__}"
    )
