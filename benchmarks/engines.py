"""CPU engines and precisions side by side, batches of 1 and 16.

OpenVINO against ONNX Runtime in FP32, and its INT8, on x86 CPUs with AVX2, against both; where
the CPU has BF16, INT8 with that around it against INT8 with float32 around it.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np

from reid_edge import backends, bundle
from reid_edge.backends import _processor

from ._measure import model_option, offered, report, side_by_side

_IN_FP32 = ("openvino", "int8 in fp32")
_PAIRS = (
    (("openvino", "fp32"), ("onnxruntime", "fp32")),
    (("openvino", "int8"), ("onnxruntime", "fp32")),
    (("openvino", "int8"), ("openvino", "fp32")),
)
_BF16_PAIR = (("openvino", "int8"), _IN_FP32)
_PICTURES = 32


def run(model: str | None = None) -> dict[str, Any]:
    """Images/s of both, and the ratio, of each pair; `model` as `ReId` takes it."""
    loaded = bundle.load(bundle.find(model))
    has_int8 = "int8" in offered(loaded)
    pairs = list(_PAIRS if has_int8 else _PAIRS[:1])
    if has_int8 and _processor.has_bf16() and loaded.judged_in.get("int8") != "f32":
        pairs.append(_BF16_PAIR)
    in_fp32 = dataclasses.replace(loaded, judged_in={"int8": "f32"})
    started = {
        way: backends.choose(in_fp32, "openvino", "int8", "cpu")
        if way == _IN_FP32
        else backends.choose(loaded, *way, "cpu")
        for way in {way for pair in pairs for way in pair}
    }
    rng = np.random.default_rng(0)
    figures: dict[str, Any] = {}
    for size in (1, 16):
        batch = rng.integers(0, 256, (size, loaded.height, loaded.width, 3), np.uint8)

        def through(way: tuple[str, str], batch: Any = batch) -> None:
            for _ in range(_PICTURES // len(batch)):
                started[way].run(batch)

        for ours, theirs in pairs:
            found = side_by_side(partial(through, ours), partial(through, theirs))
            figures[f"{' '.join(ours)} against {' '.join(theirs)}, batch {size}"] = {
                "ours_images_per_second": _PICTURES / found["ours_seconds"],
                "theirs_images_per_second": _PICTURES / found["theirs_seconds"],
                **{name: value for name, value in found.items() if name.startswith("speedup")},
            }
    return figures


if __name__ == "__main__":
    report(__doc__, run, model_option)
