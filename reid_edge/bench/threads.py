"""`--threads N`: keep the whole process on N processors.

Engines, OpenCV and NumPy have a setting each, and some read theirs only once.  The processors
that a process may use bind all of them, and OpenVINO takes its number of threads from there.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import OptionError


def limit(count: int) -> None:
    """Let this process, and those that it starts, run on `count` processors only.

    Called before any engine is made.

    Raises:
        OptionError: fewer than one, more than there are, or a system without such limits.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise OptionError("--threads is for Linux, which can bind a process to processors")
    processors = sorted(os.sched_getaffinity(0))
    if not 1 <= count <= len(processors):
        raise OptionError(
            f"--threads {count}: this process may use {len(processors)} processors; "
            f"give a number in 1...{len(processors)}"
        )
    import cv2

    kept = set(processors[:count])
    # Threads that NumPy has started already do not follow the first thread by themselves.
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), kept)
    cv2.setNumThreads(count)
