"""`ReId.embed` against feature extractors of the very same network in torch and ONNX Runtime.

torch is used as torchreid's FeatureExtractor does: for each picture ToPILImage, Resize, ToTensor
and Normalize, then one stacked batch under no_grad.  ONNX Runtime is used as most do: cv2.resize
for each picture, np.stack, session.run; and on a batch that is ready, against our bare engine.
The embeddings are compared before anything is timed.  Needs torch, pillow and onnxruntime.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_edge import ReId, backends, bundle, images
from reid_edge.errors import ReportError
from reid_edge.images import Picture

from ._crops import crops
from ._measure import offered, report, say, side_by_side
from ._packages import require

Embeddings = NDArray[np.float32]

_TARGET = 4.0  # of INT8, where the CPU has it
_AGREE = 0.99  # least cosine; PIL's, torch's and OpenCV's resizing differ by a grey value or two
_WEIGHTS = Path(__file__).parents[1] / "training" / "weights" / "edge.safetensors"
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def run(pictures: int = 32, rounds: int = 9) -> dict[str, Any]:
    """Both, in INT8 where the CPU has it and in FP32, from decoded crops and on a ready batch."""
    shipped = bundle.load(bundle.find(None))
    given = crops(pictures)
    batch = np.empty((pictures, shipped.height, shipped.width, 3), np.uint8)
    images.fill(batch, given, shipped.resize)
    session = _session(shipped)
    theirs: dict[str, Callable[[Sequence[Picture]], Embeddings]] = {
        "torch": torch_extractor(_WEIGHTS, shipped.height, shipped.width),
        "ONNX Runtime": lambda some: _resized_then_run(session, some, shipped),
    }
    figures: dict[str, Any] = {}
    for precision in reversed(offered(shipped)):
        target = _TARGET if precision == "int8" else None
        engine = backends.choose(shipped, "openvino", precision, "cpu")
        with ReId(backend="openvino", precision=precision) as reid:
            for name, embed in theirs.items():
                cosine = _least_cosine(reid.embed(given), embed(given))
                say(f"{precision}, {name}: the least cosine of the embeddings is {cosine:.5f}")
                if not cosine > _AGREE:
                    raise ReportError(
                        f"{name}: embeddings differ (cosine {cosine:.4f}): it is not the same "
                        "network, or gets other pictures, so speeds are not compared"
                    )
                found = side_by_side(
                    partial(reid.embed, given),
                    partial(embed, given),
                    rounds,
                    target,
                )
                figures[f"{pictures} crops, {precision} against {name} FP32"] = {
                    **_rates(found, pictures),
                    "least_cosine": cosine,
                }
        found = side_by_side(
            partial(engine.run, batch),
            partial(_run, session, batch),
            rounds,
            target,
        )
        engine.close()
        name = f"ready batch of {pictures}, {precision} against ONNX Runtime FP32"
        figures[name] = _rates(found, pictures)
    return figures


def torch_extractor(
    weights: Path, height: int, width: int
) -> Callable[[Sequence[Picture]], Embeddings]:
    """A function from RGB pictures to unit-length embeddings, as torchreid's extractor works.

    Args:
        weights: a checkpoint of training/.
        height, width: of the network's input.

    Raises:
        MissingDependencyError: torch, safetensors or pillow is not installed.
    """
    torch = require("torch", "torch --index-url https://download.pytorch.org/whl/cpu")
    safetensors = require("safetensors.torch", "safetensors")
    pil = require("PIL.Image", "pillow")
    from training.model import Architecture, EdgeDenseNet

    with require("safetensors", "safetensors").safe_open(weights, "pt") as file:
        described = json.loads(file.metadata()["reid_edge"])["architecture"]
    network = EdgeDenseNet(Architecture.from_json(described)).eval()
    found = network.load_state_dict(safetensors.load_file(weights), strict=False)
    if found.unexpected_keys or any("num_batches" not in key for key in found.missing_keys):
        raise ReportError(f"{weights}: holds another network than its metadata says")
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))

    def one(picture: Picture) -> Any:
        shown = pil.fromarray(picture).resize((width, height), pil.Resampling.BILINEAR)
        planes = torch.from_numpy(np.array(shown)).permute(2, 0, 1).contiguous()
        return (planes.to(torch.float32).div(255) - mean) / std

    def embed(pictures: Sequence[Picture]) -> Embeddings:
        with torch.no_grad():
            features = network(torch.stack([one(picture) for picture in pictures]))
            unit: Embeddings = torch.nn.functional.normalize(features).numpy()
        return unit

    return embed


def _session(shipped: bundle.Bundle) -> Any:
    """ONNX Runtime on the FP32 graph, with its own defaults."""
    onnxruntime = require("onnxruntime", "onnxruntime")
    content = shipped.graph("fp32").read()
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


def _run(session: Any, batch: NDArray[np.uint8]) -> Embeddings:
    found: Embeddings = session.run(None, {"images": batch})[0]
    return found


def _resized_then_run(
    session: Any, pictures: Sequence[Picture], shipped: bundle.Bundle
) -> Embeddings:
    import cv2

    size = (shipped.width, shipped.height)
    return _run(session, np.stack([cv2.resize(picture, size) for picture in pictures]))


def _least_cosine(a: Embeddings, b: Embeddings) -> float:
    """Of rows that have unit length."""
    return float(np.einsum("ij,ij->i", a, b).min())


def _rates(found: dict[str, Any], pictures: int) -> dict[str, Any]:
    return {
        "ours_images_per_second": pictures / found["ours_seconds"],
        "theirs_images_per_second": pictures / found["theirs_seconds"],
        **found,
    }


if __name__ == "__main__":
    report(__doc__, run)
