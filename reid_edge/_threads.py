"""Work shared out over threads, for what frees the interpreter's lock."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_MOST = 8


def threads() -> int:
    """How many threads are worth having: processors that this process may use, at most 8."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on every system
    return min(_MOST, len(allowed(0)) if allowed else os.cpu_count() or 1)


def share_out(work: Callable[[int], None], shares: int) -> None:
    """Call work(0) ... work(shares - 1), the first here and the others in threads.

    Returns, or raises what one of them raised, only when none runs any more: what they write to
    may be freed right afterwards.
    """
    others: list[Future[None]] = []
    for share in range(1, shares):
        try:
            others.append(_pool().submit(work, share))
        except RuntimeError:  # the main thread has ended, when no pool takes work any more
            break
    try:
        for share in (0, *range(len(others) + 1, shares)):
            work(share)
    finally:
        for other in others:
            other.exception()  # waits
    for other in others:
        other.result()


@functools.cache
def _pool() -> ThreadPoolExecutor:
    """Made when it is first needed; its import takes a while, too."""
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(_MOST - 1, "reid_edge")


if hasattr(os, "register_at_fork"):
    # A forked process has the pool but not its threads: what it is given would never be done.
    os.register_at_fork(after_in_child=_pool.cache_clear)
