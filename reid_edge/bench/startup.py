"""Cold start and memory, in fresh processes: what a device pays after power-on."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import Any

from ..errors import BackendError

_PROCESSES = 3
_TIMEOUT = 1800.0  # an engine may be built on first use
_MOST = 32  # pictures in the largest call
# The clock starts before anything of the package, NumPy included, is imported.
_FRESH = """
import time
begun = time.perf_counter()
from reid_edge.bench import startup
startup.report(begun)
"""


def cold_start(options: dict[str, Any], processes: int = _PROCESSES) -> dict[str, Any]:
    """Medians over fresh processes.

    Args:
        options: keyword arguments of `ReId`, as far as they are JSON.
        processes: how many.

    Returns:
        import_seconds (reid_edge with NumPy), model_seconds (bundle checked and compiled),
        first_score_seconds (from the start of the import to the first score of a pair), and
        resident_mib after the first score and after a call of 32 pictures; None where unknown;
        spread of the first score: (highest - lowest) / median.

    Raises:
        BackendError: a process failed; its last line of output is in the message.
    """
    words = [sys.executable, "-c", _FRESH, json.dumps(options)]
    found = []
    for _ in range(processes):
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise BackendError(
                f"a fresh process gave no score within {_TIMEOUT:.0f} s; build the engine first"
            ) from None
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise BackendError(f"a fresh process could not start the model: {reason}")
        found.append(json.loads(done.stdout.splitlines()[-1]))
    scores = [one["first_score_seconds"] for one in found]
    return {
        **{
            name: None if found[0][name] is None else statistics.median(one[name] for one in found)
            for name in found[0]
        },
        "processes": processes,
        "spread": (max(scores) - min(scores)) / statistics.median(scores),
    }


def report(begun: float) -> None:
    """What the fresh process does: start the model in `sys.argv`, print one JSON object."""
    import numpy as np

    from ..reid import ReId
    from .machine import resident_mib

    imported = time.perf_counter()
    reid = ReId(**json.loads(sys.argv[1]))
    made = time.perf_counter()
    size = (reid.bundle.height, reid.bundle.width, 3)
    pictures = np.random.default_rng(0).integers(0, 256, (_MOST, *size), np.uint8)
    ready = time.perf_counter()
    reid.predict(pictures[0], pictures[1])
    scored = time.perf_counter()
    memory = resident_mib()
    reid.embed(pictures)
    found = {
        "import_seconds": imported - begun,
        "model_seconds": made - imported,
        "first_score_seconds": made - begun + scored - ready,
        "resident_mib_first_score": memory,
        "resident_mib_32_pictures": resident_mib(),
    }
    print(json.dumps(found))
