"""The teacher: an OpenVINO network that takes raw BGR pictures and gives embeddings.

`prepare` runs it beforehand over fixed views; a recipe's stage with `"teacher": "loop"` asks it
about exactly the pictures that the student sees.  There a teacher is any function of the kind
`Teacher`, so that on a CUDA machine another implementation of the same network can stand in.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

Teacher = Callable[[Tensor], Tensor]
"""float32 RGB (n, 3, 256, 128) in 0...255 to float32 unit-norm embeddings (n, 256), same device."""

HEIGHT, WIDTH = 256, 128


def openvino_teacher(path: Path, batch: int = 32) -> Teacher:
    """The network at `path`, in BF16 on the CPU.

    BF16 triples the speed of CPUs with AMX and moves these embeddings by a cosine below 1e-3.
    """
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    model.reshape([batch, 3, HEIGHT, WIDTH])
    compiled = core.compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "THROUGHPUT"}
    )
    queue = ov.AsyncInferQueue(compiled)

    def embed(pictures: Tensor) -> Tensor:
        bgr = pictures.flip(1).cpu().contiguous().numpy()
        found = np.empty((len(bgr), 256), np.float32)

        def keep(request: ov.InferRequest, start: int) -> None:
            stop = min(start + batch, len(bgr))
            found[start:stop] = request.get_output_tensor(0).data[: stop - start]

        queue.set_callback(keep)
        for start in range(0, len(bgr), batch):
            block = bgr[start : start + batch]
            if len(block) < batch:
                padding = np.zeros((batch - len(block), *bgr.shape[1:]), np.float32)
                block = np.concatenate([block, padding])
            queue.start_async({0: block}, start)
        queue.wait_all()
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return torch.from_numpy(found).to(pictures.device)

    return embed
