"""The mean of several runs' averages, where all of them began with the same weights.

Runs that start from one point and differ in seed or augmentation lie in one basin, and the mean
of their weights is often better than each, on other data above all (Wortsman et al., "Model
soups", ICML 2022).  Of runs from different random weights the mean is nothing.  The statistics of
batch norms are averaged like weights, which is right as long as the runs are close.

What the runs began with may be in the mean, too (Wortsman et al., "Robust fine-tuning of
zero-shot models", CVPR 2022): what a run forgets of other data, the mean keeps in part.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from .saved import read_checkpoint, read_weights


def write(runs: Sequence[Path], out: Path) -> None:
    """Write a checkpoint that can be published and not resumed.

    Args:
        runs: folders of runs, and .safetensors files that `publish` wrote; one folder at least.
        out: the file to write; its folder is made.

    Raises:
        SystemExit: fewer than two, none is a run, one is missing or named twice, they hold
            different architectures, or `out` is there already.
        ConversionError: a file is missing or not what `publish` writes.
        ArchitectureMismatchError: a file lacks a tensor of its network, or has one too many.
    """
    if len(runs) < 2:
        raise SystemExit("a soup is of two runs or more: name several --run")
    if len({path.resolve() for path in runs}) < len(runs):
        raise SystemExit("a run is named twice; it would count twice in the mean")
    if out.exists():
        raise SystemExit(f"{out} is there already: give an --out that holds no run")
    if all(map(_is_published, runs)):
        raise SystemExit("one --run at least must be a run's folder, not published weights")
    # Runs first: published weights lack the counters.
    states = [_load(path) for path in sorted(runs, key=_is_published)]
    architecture = states[0]["architecture"]
    if any(state["architecture"] != architecture for state in states):
        raise SystemExit("these runs are of different architectures, which have no mean")
    averages = [state["average"] for state in states]
    mean = {
        name: _mean([each[name] for each in averages]) if value.is_floating_point() else value
        for name, value in averages[0].items()
    }
    step = max(state["step"] for state in states)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_suffix(".partial")
    state = {"architecture": architecture, "step": step, "history": [], "average": mean}
    torch.save(state, partial)
    os.replace(partial, out)


def _is_published(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _load(path: Path) -> dict[str, Any]:
    if _is_published(path):
        architecture, tensors = read_weights(path)
        average = {f"module.{name}": tensor for name, tensor in tensors.items()}
        return {"architecture": architecture.to_json(), "step": 0, "average": average}
    return read_checkpoint(path / "checkpoint.pt")


def _mean(values: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack([value.float() for value in values]).mean(0)
