"""TensorRT on an NVIDIA GPU: images/s by batch, and where a batch's time goes.

No engine has run on a GPU yet, so nor has this to its end.
"""

from __future__ import annotations

import argparse
import functools
import statistics
from typing import Any

import numpy as np

from reid_edge import backends, bundle
from reid_edge.backends.tensorrt import TensorRtBackend

from ._measure import report, seconds

_BATCHES = (1, 2, 4, 8, 16, 32)
_ROUNDS = 50


def run(backend: str) -> dict[str, Any]:
    """For each precision and batch: images/s end to end, and milliseconds of each stage."""
    model = bundle.load(bundle.find(None))
    rng = np.random.default_rng(0)
    figures: dict[str, Any] = {}
    for precision in ("fp32", "fp16", "int8"):
        engine = backends.choose(model, backend, precision, allow_unverified=True)
        assert isinstance(engine, TensorRtBackend)
        figures["device"] = engine.device
        for size in _BATCHES:
            batch = rng.integers(0, 256, (size, model.height, model.width, 3), np.uint8)
            engine.run(batch)  # warm-up
            whole = statistics.median(
                seconds(functools.partial(engine.run, batch)) for _ in range(_ROUNDS)
            )
            stages = [engine.stages(size) for _ in range(_ROUNDS)]
            figures[f"{engine.precision}, batch {size}"] = {
                "images_per_second": size / whole,
                **{
                    f"{name}_milliseconds": statistics.median(stage[name] for stage in stages)
                    for name in stages[0]
                },
            }
        engine.close()
    return figures


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", choices=("tensorrt", "tensorrt-rtx", "tensorrt_rtx"), default="tensorrt"
    )


if __name__ == "__main__":
    report(__doc__, run, _options)
