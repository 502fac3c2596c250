"""Text from outside, made safe to print."""

from __future__ import annotations


def visible(text: str) -> str:
    """One line, with escapes for what would steer a terminal."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
