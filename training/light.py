"""Checkpoints that are smaller to carry: the same names, in fewer bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .saved import read_checkpoint


def write(checkpoint: Path, out: Path, average_only: bool = False) -> None:
    """Write a checkpoint with its average in FP16 and its optimiser's moments in BF16.

    A run goes on from it as from the whole one (moments keep their range, and two digits); a
    bundle is made of the average as FP16 in any case.

    Args:
        checkpoint: `checkpoint.pt` of a run.
        out: the file to write.
        average_only: leave out everything that only training needs.
    """
    state = read_checkpoint(checkpoint)
    state["average"] = _cast(state["average"], torch.float16)
    if average_only:
        kept = ("architecture", "step", "history", "average")
        state = {name: state[name] for name in kept}
    else:
        moments = state["optimiser"]["state"]
        for row, values in moments.items():
            moments[row] = _cast(values, torch.bfloat16, but="step")
    torch.save(state, out)


def _cast(values: dict[str, Any], dtype: torch.dtype, but: str = "") -> dict[str, Any]:
    return {
        name: value.to(dtype) if name != but and _is_float(value) else value
        for name, value in values.items()
    }


def _is_float(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
