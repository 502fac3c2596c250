"""What computes here: a GPU where there is one, BF16 where it is faster."""

from __future__ import annotations

import torch

from reid_edge.backends import _processor


def best_device() -> torch.device:
    """The CUDA GPU if torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(device: torch.device) -> torch.autocast:
    """BF16 on a GPU and on CPUs that have it; other CPUs only emulate it, slowly."""
    enabled = device.type != "cpu" or _processor.has_bf16()
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
