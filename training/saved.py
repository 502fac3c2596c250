"""What earlier runs left: their checkpoints, and the weights that `publish` wrote."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from export import checkpoint, sources
from reid_edge.errors import ConversionError

from .model import Architecture, build


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """A run's `checkpoint.pt`, a soup's or a light one's.

    Raises:
        SystemExit: there is no such file.
    """
    if not path.is_file():
        raise SystemExit(f"{path} is not there: train first")
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def read_weights(path: Path) -> tuple[Architecture, dict[str, torch.Tensor]]:
    """Architecture and float32 weights of the safetensors file that `publish` wrote.

    Raises:
        ConversionError: the file is not what `publish` writes, or its values are not finite.
        ArchitectureMismatchError: it lacks a tensor of its network, or has one too many.
    """
    source = sources.read(path)
    if source.kind != "checkpoint":
        raise ConversionError(f"{path}: give the .safetensors file that `publish` wrote")
    read = checkpoint.read(source)
    architecture = Architecture(**asdict(read.architecture))
    # A norm's counter of batches is not published, and nothing reads it.
    tensors = {
        name: torch.from_numpy(read.weights.take(name, tuple(value.shape))).float()
        for name, value in build(architecture).state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    read.weights.finish()
    return architecture, tensors
