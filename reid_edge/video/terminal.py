"""Who runs the command: sees how far it is, and may end it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from .reading import Video


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM, as from `docker stop`, ends the work as Ctrl-C does: with nothing left behind."""

    def end(number: int, _: Any) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only there may handlers be set
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def progress_of(video: Video) -> tuple[Any, Callable[[int], None]]:
    """A bar on standard error, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    progress = Progress(
        "frame",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = progress.add_task("frame", total=video.announced or None)
    return progress, lambda done: progress.update(task, completed=done)
