"""A recipe: everything that decides what a training run computes, in one JSON file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from . import losses, recipe_file
from .augment import STRANGERS, Augmentation
from .model import Architecture
from .recipe_file import TEACHERS


@dataclass(frozen=True)
class Stage:
    """A stretch of training at one input size, with its own warm-up and cosine decay.

    Its teacher either saw each picture's fixed views beforehand ("prepared") or sees the very
    pictures that the student does ("loop"), or there is none ("none") and labels alone are learnt
    from.  Where it has an augmentation, loss weights, an averaging or a number of identities of
    its own, they stand in the place of the recipe's.
    """

    height: int
    width: int
    steps: int
    warmup: int
    rate: float
    final_rate: float
    teacher: str = "prepared"
    augmentation: Augmentation | None = None
    weights: dict[str, float] | None = None
    averaging: float | None = None
    identities: int | None = None
    echo: int = 1
    """How often a batch that the loop's teacher answered is learnt from, on average (`echo`)."""

    def __post_init__(self) -> None:
        if self.teacher not in TEACHERS:
            raise ValueError(f"a stage's teacher is {', '.join(TEACHERS)}, not {self.teacher!r}")
        if not isinstance(self.echo, int) or self.echo < 1:
            raise ValueError(f"a stage's echo is a whole number from 1 on, not {self.echo!r}")
        if self.echo > 1 and self.teacher != "loop":
            raise ValueError("only a stage whose teacher is 'loop' can echo its batches")
        if self.weights is not None:
            _check_weights(self.weights)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Stage:
        """A stage of a recipe file."""
        own = values.get("augmentation")
        return cls(**{**values, "augmentation": None if own is None else Augmentation(**own)})

    def rate_at(self, step: int) -> float:
        """The learning rate of the stage's step 0...steps-1."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.final_rate + (self.rate - self.final_rate) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Recipe:
    """See `recipes/edge.json` for an example."""

    architecture: Architecture
    seed: int
    sources: dict[str, float]
    identities: int
    pictures: int
    stages: tuple[Stage, ...]
    weight_decay: float
    averaging: float
    weights: dict[str, float]
    augmentation: Augmentation
    teachers: int = 1
    """How many teachers there are; the student's embedding has 256 numbers each, or a head each."""
    settling: int = 0
    """Batches of unchanged pictures on which batch norms are estimated anew at the end."""

    def __post_init__(self) -> None:
        if len(self.architecture.growth) != len(self.architecture.layers):
            raise ValueError("an architecture's growth and layers are of as many blocks")
        _check_weights(self.weights)
        for number, stage in enumerate(self.stages, 1):
            if stage.teacher == "none":
                self._check_untaught(number, stage)

    def _check_untaught(self, number: int, stage: Stage) -> None:
        asked = [name for name in losses.OF_TEACHER if self.weights_of(stage).get(name)]
        if asked:
            raise ValueError(f"stage {number} has no teacher and cannot weigh {', '.join(asked)}")
        augmentation = self.augmentation_of(stage)
        changed = [name for name in STRANGERS if getattr(augmentation, name)]
        if changed:
            raise ValueError(
                f"stage {number} has no teacher: nothing is learnt from {', '.join(changed)}"
            )

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a recipe.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no JSON, or a field is missing, unknown, or wrong.
        """
        values = recipe_file.read(path)
        return cls(
            **{
                **values,
                "architecture": Architecture.from_json(values["architecture"]),
                "stages": tuple(Stage.from_json(stage) for stage in values["stages"]),
                "augmentation": Augmentation(**values["augmentation"]),
            }
        )

    def stage_of(self, step: int) -> tuple[int, int]:
        """Which stage a global step belongs to, and its step within that stage."""
        for index, stage in enumerate(self.stages):
            if step < stage.steps:
                return index, step
            step -= stage.steps
        raise IndexError("the recipe ends before this step")

    def ahead(self, step: int) -> tuple[Stage, ...]:
        """The stages that are not through at a global step."""
        return self.stages[self.stage_of(step)[0] :] if step < self.steps else ()

    def augmentation_of(self, stage: Stage) -> Augmentation:
        """A stage's own augmentation, or the recipe's."""
        return stage.augmentation or self.augmentation

    def averaging_of(self, stage: Stage) -> float:
        """A stage's own averaging, or the recipe's."""
        return self.averaging if stage.averaging is None else stage.averaging

    def weights_of(self, stage: Stage) -> dict[str, float]:
        """A stage's own weights of the losses, or the recipe's."""
        return self.weights if stage.weights is None else stage.weights

    @property
    def steps(self) -> int:
        """The number of steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def scaled(self, factor: float) -> Recipe:
        """The same recipe with more or fewer steps in each stage, warm-ups included."""

        def scale(stage: Stage) -> Stage:
            steps, warmup = (max(1, round(n * factor)) for n in (stage.steps, stage.warmup))
            return replace(stage, steps=steps, warmup=warmup)

        return replace(self, stages=tuple(map(scale, self.stages)))


def _check_weights(weights: dict[str, float]) -> None:
    unknown = sorted(weights.keys() - set(losses.NAMES))
    if unknown:
        raise ValueError(f"no losses {', '.join(unknown)}; there are {', '.join(losses.NAMES)}")
    numbers = all(isinstance(weight, (int, float)) for weight in weights.values())
    if not numbers or not all(0 <= weight < math.inf for weight in weights.values()):
        raise ValueError(f"loss weights are numbers from 0 on, not {weights}")
    if not any(weights.values()):
        raise ValueError("a loss with a weight above 0 is needed, or nothing is learnt")
