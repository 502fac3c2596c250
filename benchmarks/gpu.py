"""TensorRT on an NVIDIA GPU: images/s by batch, and where a batch's time goes.

Needs a GPU; not run on one yet.
"""

from __future__ import annotations

import functools
import statistics
from typing import Any

import numpy as np

from reid_edge import backends, bundle
from reid_edge.backends.tensorrt import TensorRtBackend

from ._measure import report, seconds

_BATCHES = (1, 2, 4, 8, 16, 32)
_ROUNDS = 50


def run() -> dict[str, Any]:
    """For each precision and batch: images/s end to end, and milliseconds of each stage."""
    model = bundle.load(bundle.find(None))
    rng = np.random.default_rng(0)
    figures: dict[str, Any] = {}
    for precision in ("fp32", "fp16", "int8"):
        backend = backends.choose(model, "tensorrt", precision, allow_unverified=True)
        assert isinstance(backend, TensorRtBackend)
        figures["device"] = backend.device
        for size in _BATCHES:
            batch = rng.integers(0, 256, (size, model.height, model.width, 3), np.uint8)
            backend.run(batch)  # warm-up
            whole = statistics.median(
                seconds(functools.partial(backend.run, batch)) for _ in range(_ROUNDS)
            )
            stages = [backend.stages(size) for _ in range(_ROUNDS)]
            figures[f"{backend.precision}, batch {size}"] = {
                "images_per_second": size / whole,
                **{
                    f"{name}_milliseconds": statistics.median(stage[name] for stage in stages)
                    for name in stages[0]
                },
            }
        backend.close()
    return figures


if __name__ == "__main__":
    report(__doc__, run)
