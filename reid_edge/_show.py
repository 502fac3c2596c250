"""How the commands show what they found: tables for people, JSON for programs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ._text import visible

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


_UNBOUNDED = 10_000  # columns
_ABOUT = ("model", "version", "licence", "backend", "device", "precision")


def about(info: dict[str, Any]) -> dict[str, Any]:
    """Of `ReId.info()`, what each JSON says about the model that ran."""
    return {name: info.get(name) for name in _ABOUT}


def model_line(info: dict[str, Any]) -> str:
    """The same for people."""
    return (
        f"model {info['model']} {info['version']}, {info['licence']}; "
        f"{info['backend']} {info['precision']} on {info['device']}"
    )


def console(stderr: bool = False) -> Any:
    """Where it is printed: standard output, or standard error."""
    from rich.console import Console

    found = Console(stderr=stderr, highlight=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = _UNBOUNDED  # rich takes 80, and would cut up paths that a program looks for
    return found


def table(*columns: str) -> Table:
    """An empty table; its columns fold what is too long."""
    from rich.table import Table

    made = Table()
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def print_table(shown: Table, title: str = "", out: Any = None) -> None:
    """A table below its title, which rich itself would fold to the table's width."""
    out = console() if out is None else out
    if title:
        say(title, "italic", out)
    out.print(shown)


def say(line: str, style: str = "", out: Any = None) -> None:
    """One line, folded to a terminal's width only; see `text`."""
    (console() if out is None else out).print(text(line), style=style)


def text(value: str) -> Text:
    """Shown as it is: file names may hold what rich would take for mark-up or for an emoji."""
    from rich.text import Text

    return Text(visible(value))


def print_json(value: dict[str, Any]) -> None:
    """One object on standard output."""
    print(json.dumps(value, indent=2))
