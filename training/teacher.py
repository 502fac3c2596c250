"""The teacher: an OpenVINO network that takes raw BGR pictures and gives embeddings.

`prepare` runs it beforehand over fixed views; a recipe's stage with `"teacher": "loop"` asks it
about exactly the pictures that the student sees.  On CPUs OpenVINO runs it, on a CUDA GPU the
same network in torch (`ir_network.py`), so that no picture leaves the GPU.

Several teachers teach as one.  Their embeddings live in spaces of their own, so they are put
behind one another: the cosine of two such embeddings is the mean of the teachers' cosines.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from reid_edge.backends import _openvino_import
from reid_edge.errors import ConversionError

from .ir_network import IrNetwork
from .openvino_ir import read

Teacher = Callable[[Tensor], Tensor]
"""float32 RGB (n, 3, 256, 128) in 0...255 to float32 embeddings (n, 256 a teacher), same device.

They have unit norm.
"""

HEIGHT, WIDTH = 256, 128
SIZE = 256
"""Numbers in one teacher's embedding."""


def open_teachers(paths: Sequence[Path], device: torch.device, compiled: bool = False) -> Teacher:
    """The networks at `paths` as one teacher; in torch on a CUDA GPU, else in OpenVINO.

    Raises:
        ConversionError: torch cannot run one of them.
    """
    if device.type == "cuda":
        return together([torch_teacher(path, device, torch.float16, compiled) for path in paths])
    return together([openvino_teacher(path) for path in paths])


def together(teachers: Sequence[Teacher]) -> Teacher:
    """One teacher whose cosines are the mean of the teachers' cosines."""
    if len(teachers) == 1:
        return teachers[0]

    def embed(pictures: Tensor) -> Tensor:
        found = [teacher(pictures) for teacher in teachers]
        return torch.cat(found, 1) / math.sqrt(len(found))

    return embed


def torch_teacher(
    path: Path, device: torch.device, dtype: torch.dtype, compiled: bool = False
) -> Teacher:
    """The network at `path` in torch.

    Args:
        path: the .xml; its .bin stands beside it.
        device: where pictures are going to be.
        dtype: of its arithmetic, except for normalisations by mean and variance, in FP32.
        compiled: whether to run it through `torch.compile`.

    Raises:
        ConversionError: torch cannot run it, or it is no such teacher.
    """
    network = IrNetwork(read(path))
    if network.shape[1:] != (3, HEIGHT, WIDTH):
        raise ConversionError(f"{path}: takes {network.shape}, expected 1, 3, {HEIGHT}, {WIDTH}")
    network.to(device, dtype).eval().requires_grad_(False)
    run: Callable[[Tensor], Tensor] = network
    if compiled:
        run = torch.compile(network, dynamic=False)

    @torch.no_grad()
    def embed(pictures: Tensor) -> Tensor:
        bgr = pictures.flip(1).to(dtype, memory_format=torch.channels_last)
        found = run(bgr).float()
        if found.shape != (len(pictures), SIZE):
            raise ConversionError(f"{path}: gives {tuple(found.shape)}, expected (n, {SIZE})")
        return functional.normalize(found)

    return embed


def openvino_teacher(path: Path, batch: int = 32) -> Teacher:
    """The network at `path`, in BF16 on CPUs that have it, else in FP32.

    BF16 triples the speed of CPUs with AMX and moves these embeddings by a cosine below 1e-3.

    Raises:
        ConversionError: OpenVINO cannot read it, or it is no such teacher.
    """
    openvino = _openvino_import.load()
    core = openvino.Core()
    try:
        model = core.read_model(path)
        model.reshape([batch, 3, HEIGHT, WIDTH])
        shapes = [list(output.partial_shape.to_shape()) for output in model.outputs]
    except RuntimeError:
        raise ConversionError(
            f"{path}: no OpenVINO network of pictures can be read here; "
            "name its .xml, beside its .bin"
        ) from None
    if shapes[0][0] != batch or math.prod(shapes[0][1:]) != SIZE:
        raise ConversionError(f"{path}: gives {shapes}, expected {SIZE} numbers a picture")
    compiled = core.compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16", "PERFORMANCE_HINT": "THROUGHPUT"}
    )
    queue = openvino.AsyncInferQueue(compiled)

    def embed(pictures: Tensor) -> Tensor:
        bgr = pictures.flip(1).cpu().contiguous().numpy()
        found = np.empty((len(bgr), 256), np.float32)

        def keep(request: Any, start: int) -> None:
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
