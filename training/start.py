"""Going on from published weights, where no checkpoint was kept."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from rich.progress import track
from torch.nn import functional

from .augment import normalise
from .model import Architecture
from .train import Trainer


def start(trainer: Trainer, weights: Path, stage: int) -> None:
    """Put a trainer at the beginning of a stage, with the weights that an earlier one ended with.

    The optimiser begins anew.  Each row of the identity classifier, which is not published, is
    the mean embedding of that identity.

    Args:
        trainer: without a step taken.
        weights: the safetensors file that `publish` wrote.
        stage: 1 is the recipe's first.
    """
    from safetensors import SafetensorError, safe_open

    stages = trainer.recipe.stages
    if not 1 <= stage <= len(stages):
        raise SystemExit(f"this recipe has the stages 1 to {len(stages)}, not {stage}")
    try:
        with safe_open(weights, "pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            stored = json.loads((file.metadata() or {})["reid_edge"])["architecture"]
            architecture = Architecture.from_json(stored)
    except FileNotFoundError:
        raise SystemExit(f"{weights}: no such file") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise SystemExit(f"{weights} is not what `publish` wrote: {error}") from None
    if architecture != trainer.recipe.architecture:
        raise SystemExit(f"{weights} holds another architecture than the recipe's")
    # A norm's counter of batches is not published, and nothing reads it.
    wanted = {
        name: value.shape
        for name, value in trainer.student.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    if {name: value.shape for name, value in tensors.items()} != wanted:
        raise SystemExit(f"{weights} does not hold the weights of its architecture")
    for network in (trainer.student, trainer.average.module):
        network.load_state_dict(tensors, strict=False)
    trainer.average.n_averaged += 1
    trainer.step = sum(earlier.steps for earlier in stages[: stage - 1])
    _start_classifier(trainer)


@torch.no_grad()
def _start_classifier(trainer: Trainer, height: int = 128, width: int = 64) -> None:
    data, weight = trainer.data, trainer.classifier.weight
    images = data.resized(height, width)
    labels = torch.from_numpy(data.labels[:, 0]).long().to(trainer.device)
    weight.zero_()
    trainer.average.eval()
    for begin in track(range(0, len(images), 128), "classifier"):
        x = images[begin : begin + 128].to(trainer.device).permute(0, 3, 1, 2).float()
        embeddings = functional.normalize(trainer.average(normalise(x)))
        weight.index_add_(0, labels[begin : begin + 128], embeddings)
    weight.copy_(functional.normalize(weight))
