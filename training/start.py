"""Going on from published weights, where no checkpoint was kept."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch
from rich.progress import track
from torch.nn import functional

from export import checkpoint, sources
from reid_edge.errors import ConversionError

from .augment import normalise
from .model import Architecture
from .train import Trainer

# Identities are told apart well enough at this size, at a quarter of the time.
_HEIGHT, _WIDTH = 128, 64


def start(trainer: Trainer, weights: Path, stage: int) -> None:
    """Put a trainer at the beginning of a stage, with the weights that an earlier one ended with.

    The optimiser begins anew.  Each row of the identity classifier, which is not published, is
    the mean embedding of that identity.

    Args:
        trainer: without a step taken.
        weights: the safetensors file that `publish` wrote.
        stage: 1 is the recipe's first.

    Raises:
        ConversionError: the file is not what `publish` writes, or its values are not finite.
        ArchitectureMismatchError: it lacks a tensor of its network, or has one too many.
        SystemExit: there is no such stage, the recipe is for another architecture or has heads
            into its teachers' spaces, or the stages still to come lack their teacher.
    """
    stages = trainer.recipe.stages
    if not 1 <= stage <= len(stages):
        raise SystemExit(f"this recipe has the stages 1 to {len(stages)}, not {stage}")
    if next(trainer.heads.parameters(), None) is not None:
        raise SystemExit(
            "this recipe's student learns through heads that are not published: go on from its "
            "checkpoint, or from what `python -m training light` makes of it"
        )
    source = sources.read(weights)
    if source.kind != "checkpoint":
        raise ConversionError(f"{weights}: give the .safetensors file that `publish` wrote")
    read = checkpoint.read(source)
    if Architecture(**asdict(read.architecture)) != trainer.recipe.architecture:
        raise SystemExit(
            f"{weights} holds another architecture than the recipe's: name its own with --recipe"
        )
    # A norm's counter of batches is not published, and nothing reads it.
    tensors = {
        name: torch.from_numpy(read.weights.take(name, tuple(value.shape))).float()
        for name, value in trainer.student.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    read.weights.finish()
    for network in (trainer.student, trainer.average.module):
        network.load_state_dict(tensors, strict=False)
    trainer.average.n_averaged += 1
    trainer.step = sum(earlier.steps for earlier in stages[: stage - 1])
    trainer.check_teacher()
    _start_classifier(trainer)


@torch.no_grad()
def _start_classifier(trainer: Trainer) -> None:
    data, weight = trainer.data, trainer.classifier.weight
    images = data.resized(_HEIGHT, _WIDTH)
    labels = torch.from_numpy(data.labels[:, 0]).long().to(trainer.device)
    weight.zero_()
    trainer.average.eval()
    for begin in track(range(0, len(images), 128), "classifier"):
        x = images[begin : begin + 128].to(trainer.device).permute(0, 3, 1, 2).float()
        embeddings = functional.normalize(trainer.average(normalise(x)))
        weight.index_add_(0, labels[begin : begin + 128], embeddings)
    weight.copy_(functional.normalize(weight))
