"""OpenVINO against ONNX Runtime: the same FP32 graph of the default model, batches of 1 and 16."""

from __future__ import annotations

from typing import Any

import numpy as np

from reid_edge import backends, bundle

from ._measure import report, side_by_side


def run() -> dict[str, Any]:
    """Images/s of both, and the ratio."""
    model = bundle.load(bundle.find(None))
    openvino = backends.choose(model, "openvino", "fp32")
    onnxruntime = backends.choose(model, "onnxruntime", "fp32", "cpu")
    rng = np.random.default_rng(0)
    figures = {}
    for size in (1, 16):
        batch = rng.integers(0, 256, (size, model.height, model.width, 3), np.uint8)
        repeats = 32 // size

        def through(backend: backends.Backend, batch: Any = batch, repeats: int = repeats) -> None:
            for _ in range(repeats):
                backend.run(batch)

        found = side_by_side(lambda: through(openvino), lambda: through(onnxruntime))
        figures[f"batch_{size}"] = {
            "openvino_images_per_second": 32 / found["ours_seconds"],
            "onnxruntime_images_per_second": 32 / found["theirs_seconds"],
            **{name: value for name, value in found.items() if name.startswith("speedup")},
        }
    return figures


if __name__ == "__main__":
    report(__doc__, run)
