"""Going on from published weights: where no checkpoint was kept, or in a larger network."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.progress import track
from torch import nn
from torch.nn import functional

from .grow import can_grow, grow
from .model import EdgeDenseNet, build
from .saved import read_weights
from .train import Trainer
from .validation import BATCH_SIZE, embeddings

# Identities are told apart well enough at this size, at a quarter of the time.
_HEIGHT, _WIDTH = 128, 64


def start(trainer: Trainer, weights: Path, stage: int) -> None:
    """Put a trainer at the beginning of a stage, with the weights that an earlier one ended with.

    Weights of a smaller network than the recipe's begin as a part of it (`grow`).
    The optimiser begins anew.  Each row of the identity classifier, which is not published, is
    the mean embedding of that identity.

    Args:
        trainer: without a step taken.
        weights: the safetensors file that `publish` wrote.
        stage: 1 is the recipe's first.

    Raises:
        ConversionError: the file is not what `publish` writes, or its values are not finite.
        ArchitectureMismatchError: it lacks a tensor of its network, or has one too many.
        SystemExit: there is no such stage, the recipe is for an architecture that the file's
            neither is nor can grow into, it has heads into its teachers' spaces and a teacher still
            to come, or the stages still to come lack their teacher.
    """
    stages = trainer.recipe.stages
    if not 1 <= stage <= len(stages):
        raise SystemExit(f"this recipe has the stages 1 to {len(stages)}, not {stage}")
    asked = any(later.teacher != "none" for later in stages[stage - 1 :])
    if asked and next(trainer.heads.parameters(), None) is not None:
        raise SystemExit(
            "this recipe's student learns through heads that are not published: go on from its "
            "checkpoint, or from what `python -m training light` makes of it"
        )
    before, tensors = read_weights(weights)
    after = trainer.recipe.architecture
    if before != after and not can_grow(before, after):
        raise SystemExit(
            f"{weights} holds another architecture than the recipe's, and none that can grow into "
            "it: name its own with --recipe"
        )
    if before != after:
        large = build(after)
        assert isinstance(large, EdgeDenseNet)
        grow(large, before, tensors)
        print(f"grows from {_millions(build(before))} to {_millions(large)} M parameters")
        tensors = large.state_dict()
    for network in (trainer.student, trainer.average.module):
        network.load_state_dict(network.state_dict() | tensors)  # its own counters of batches
    trainer.average.n_averaged += 1
    trainer.step = sum(earlier.steps for earlier in stages[: stage - 1])
    trainer.check()
    _start_classifier(trainer)


def _millions(network: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.1f}"


@torch.no_grad()
def _start_classifier(trainer: Trainer) -> None:
    weight, device = trainer.classifier.weight, trainer.device
    labels = torch.split(torch.from_numpy(trainer.data.labels[:, 0]).long().to(device), BATCH_SIZE)
    blocks = embeddings(trainer.average, trainer.data.resized(_HEIGHT, _WIDTH), device)
    weight.zero_()
    for own, rows in zip(labels, track(blocks, "classifier", total=len(labels)), strict=True):
        weight.index_add_(0, own, rows)
    weight.copy_(functional.normalize(weight))
