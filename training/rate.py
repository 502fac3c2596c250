"""How fast each stage of a recipe runs here, before its minutes are spent."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from .train import Trainer


@dataclass(frozen=True)
class Rate:
    """A stage's speed.

    Attributes:
        pictures: a second.
        minutes: that all of its steps take, validations and checkpoints aside.
    """

    height: int
    width: int
    pictures: float
    minutes: float


def measure(trainer: Trainer, steps: int = 20) -> list[Rate]:
    """Take some steps of each stage, the first ones untimed; nothing is written."""
    trainer.check()
    found, trainer.step = [], 0
    for stage in trainer.recipe.stages:
        start = trainer.step
        steps = -(-steps // stage.echo) * stage.echo  # as many new batches as echoes
        for step in range(2 * steps):
            if step == steps:
                _finish(trainer.device)
                started = time.perf_counter()
            trainer.step = start + step % stage.steps
            trainer.train_step()
        _finish(trainer.device)
        seconds = (time.perf_counter() - started) / steps
        batch = (stage.identities or trainer.recipe.identities) * trainer.recipe.pictures
        minutes = seconds * stage.steps / 60
        found.append(Rate(stage.height, stage.width, batch / seconds, minutes))
        trainer.step = start + stage.steps
    return found


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
