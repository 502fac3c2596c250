"""What is shown while an engine is built: one line that says why, then a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._text import visible


class BuildDisplay:
    """Lines and a bar on standard error.

    Args:
        title: names the engine.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar: Any = None
        self._tasks: dict[str, Any] = {}

    def waiting(self) -> None:
        """Another process builds this engine."""
        _say(f"waiting for another process that builds the {self._title}")

    @contextmanager
    def shown(self, reason: str) -> Iterator[None]:
        """Show the bar while the engine is built."""
        _say(f"building the {self._title}, which can take minutes: {reason}")
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        # Into a log file, the line above is enough.
        with Progress(*columns, console=console, disable=not console.is_terminal) as self._bar:
            yield

    def progress(self, phase: str, step: int, steps: int) -> None:
        """Move the bar; see `engines.Progress`."""
        if phase not in self._tasks:
            self._tasks[phase] = self._bar.add_task(phase, total=steps)
        self._bar.update(self._tasks[phase], completed=step)


def _say(line: str) -> None:
    print(f"reid_edge: {visible(line)}", file=sys.stderr, flush=True)
