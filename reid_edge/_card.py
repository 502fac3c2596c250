"""A bundle's model card: the README.md beside its bundle.json."""

from __future__ import annotations

from pathlib import Path

from ._files import read_regular
from ._text import visible

NAME = "README.md"
EXPORTED = "**Exported again:"
"""How the notice begins that the export puts above a card that it copies."""
_MAX_BYTES = 1 << 20


def read(folder: Path) -> bytes | None:
    """The card, to be copied; None where there is none, or what is there is no file of 1 MiB.

    A link is not followed: it could bring in any file of whoever copies a stranger's bundle.
    """
    path = folder / NAME
    try:
        return None if path.is_symlink() else read_regular(path, _MAX_BYTES)
    except OSError:
        return None


def is_copy(folder: Path) -> bool:
    """Whether the card was copied by an export, which may replace it, rather than written there."""
    return (read(folder) or b"").startswith(f"> {EXPORTED}".encode())


def noted(card: bytes, notice: str) -> bytes:
    """The card with a notice above it: lines of Markdown, shown as a quotation."""
    quoted = "\n".join(f"> {visible(line)}".rstrip() for line in notice.splitlines())
    return f"{quoted}\n\n".encode() + card
