"""What it costs to start: import time beyond NumPy's, cold start to the first score, memory.

Each figure is taken in fresh processes, five times.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

from reid_edge import bundle

from ._measure import model_option, report

_IMPORT = """
import numpy, time
start = time.perf_counter()
import reid_edge
print(time.perf_counter() - start)
"""

_FIRST_SCORE = """
import time
start = time.perf_counter()
import json, resource, sys
import numpy as np
from reid_edge import ReId
reid = ReId(sys.argv[1])
compiled = time.perf_counter() - start
pictures = np.random.default_rng(0).integers(0, 256, (2, 128, 64, 3), np.uint8)
reid.predict(pictures[0], pictures[1])
first = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for count in range(1, 65):
    reid.embed(np.zeros((count, 128, 64, 3), np.uint8))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({
    "seconds_to_model": compiled, "seconds_to_first_score": first,
    "peak_rss_mib_first_score": peak, "peak_rss_mib_1_to_64_pictures": after,
}))
"""


def run(model: str | None = None) -> dict[str, Any]:
    """Medians of five fresh processes; `model` as `ReId` takes it."""
    given = [str(bundle.find(model))]
    imports = [json.loads(_fresh(_IMPORT)) for _ in range(5)]
    starts = [json.loads(_fresh(_FIRST_SCORE, *given)) for _ in range(5)]
    return {
        "import_seconds_beyond_numpy": statistics.median(imports),
        **{name: statistics.median(start[name] for start in starts) for name in starts[0]},
    }


def _fresh(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    report(__doc__, run, model_option)
