"""The mean of several runs' averages, where all of them began with the same weights.

Runs that start from one point and differ in seed or augmentation lie in one basin, and the mean
of their weights is often better than each, on other data above all (Wortsman et al., "Model
soups", ICML 2022).  Of runs from different random weights the mean is nothing.  The statistics of
batch norms are averaged like weights, which is right as long as the runs are close.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


def write(checkpoints: Sequence[Path], out: Path) -> None:
    """Write a checkpoint that can be published and not resumed.

    Args:
        checkpoints: `checkpoint.pt` of each run.
        out: the file to write; its folder is made.

    Raises:
        SystemExit: fewer than two, one is missing or named twice, they hold different
            architectures, or `out` is there already.
    """
    if len(checkpoints) < 2:
        raise SystemExit("a soup is of two runs or more: name several --run")
    if len({path.resolve() for path in checkpoints}) < len(checkpoints):
        raise SystemExit("a run is named twice; it would count twice in the mean")
    if out.exists():
        raise SystemExit(f"{out} is there already: give an --out that holds no run")
    states = [_load(path) for path in checkpoints]
    architecture = states[0]["architecture"]
    if any(state["architecture"] != architecture for state in states):
        raise SystemExit("these runs are of different architectures, which have no mean")
    averages = [state["average"] for state in states]
    mean = {name: _mean([each[name] for each in averages]) for name in averages[0]}
    step = max(state["step"] for state in states)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    state = {"architecture": architecture, "step": step, "history": [], "average": mean}
    torch.save(state, partial)
    os.replace(partial, out)


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise SystemExit(f"{path} is not there: train first")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _mean(values: list[torch.Tensor]) -> torch.Tensor:
    if not values[0].is_floating_point():
        return values[0]  # a count
    return torch.stack(values).float().mean(0)
