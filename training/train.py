"""The training loop: resumable, with a validation on held-out people and curves to look at."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from reid_edge import metrics

from . import curves, losses, preflight, validation, views
from .arithmetic import autocast, best_device
from .augment import augment, normalise
from .averaging import Averaging
from .echo import Echo
from .model import build
from .recipe import Recipe, Stage
from .saved import read_checkpoint
from .sets import Batches, PreparedSet
from .teacher import SIZE, Teacher

CHECKPOINT_EVERY = 250

_WHOLE = np.array([0, 0, 1, 1], np.float32)

# Rows of the set; their pictures, whether each shows its person alone and in their own clothes,
# and the teacher's answers, if there is one.
_Batch = tuple[NDArray[np.int64], Tensor, Tensor, Tensor | None]


class Trainer:
    """One run of a recipe: the student, its average, the optimiser and where they stand."""

    def __init__(
        self,
        recipe: Recipe,
        data: PreparedSet,
        held_out: PreparedSet,
        out: Path,
        teacher: Teacher | None = None,
        compiled: bool = False,
    ) -> None:
        self.teacher = teacher
        torch.manual_seed(recipe.seed)
        self.recipe, self.data, self.held_out, self.out = recipe, data, held_out, out
        self.device = best_device()
        on_gpu = self.device.type == "cuda"
        torch.backends.cudnn.benchmark = on_gpu  # there are few sizes
        # Numbers are read off a GPU now and then only: it would stand still meanwhile.
        self.read_every = 20 if on_gpu else 1
        # A thousand steps at full size are a minute of a GPU and most of an hour of two cores.
        self.validate_every = 1000 if on_gpu else 250
        self.student = build(recipe.architecture).to(self.device)
        self.student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._run: Callable[[Tensor], Tensor] = self.student
        if compiled:
            self._run = torch.compile(self.student, dynamic=False)
        self.average = AveragedModel(self.student, use_buffers=True)
        self._averaging = Averaging(self.average, self.student)
        features = recipe.architecture.embedding
        self.classifier = losses.CosineClassifier(features, data.classes).to(self.device)
        self.heads = losses.teacher_heads(features, recipe.teachers, SIZE).to(self.device)
        trained = nn.ModuleList([self.student, self.classifier, self.heads])
        self.optimiser = torch.optim.AdamW(
            _decayed(trained, recipe.weight_decay), fused=on_gpu or None
        )
        self.batches = Batches(
            data, recipe.sources, recipe.identities, recipe.pictures, recipe.seed
        )
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.settled = False
        # Of the identity classifier on training pictures.
        self.accuracy = torch.zeros((), device=self.device)
        self._images: Tensor | None = None
        self._scenes: Tensor | None = None
        self._echo = Echo[_Batch]()

    # -- state ---------------------------------------------------------------------------------

    @property
    def checkpoint_path(self) -> Path:
        """Where the state is written, and looked for at the start."""
        return self.out / "checkpoint.pt"

    def save(self) -> None:
        """Write everything that the next run needs, but echoes, in one atomic step."""
        state = {
            "architecture": self.recipe.architecture.to_json(),
            "step": self.step,
            "history": self.history,
            "accuracy": float(self.accuracy),
            "settled": self.settled,
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "classifier": self.classifier.state_dict(),
            "heads": self.heads.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "batches": self.batches.rng.bit_generator.state,
        }
        partial = self.checkpoint_path.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self.checkpoint_path)

    def resume(self) -> bool:
        """Take up a checkpoint of the same architecture, if there is one."""
        if not self.checkpoint_path.is_file():
            return False
        state = read_checkpoint(self.checkpoint_path, self.device)
        if "student" not in state:
            raise SystemExit(
                f"{self.checkpoint_path} holds averaged weights only: publish it; to go on "
                "training, fetch the whole checkpoint"
            )
        if state["architecture"] != self.recipe.architecture.to_json():
            raise SystemExit(
                f"{self.checkpoint_path} holds another architecture; "
                "choose another --out or remove the file"
            )
        self.step, self.history = state["step"], state["history"]
        self.accuracy.fill_(state.get("accuracy", 0.0))
        self.settled = state.get("settled", False)
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.classifier.load_state_dict(state["classifier"])
        self.heads.load_state_dict(state.get("heads", {}))
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"].cpu())
        self.batches.rng.bit_generator.state = state["batches"]
        return True

    # -- work ----------------------------------------------------------------------------------

    def run(self, stop_after: float | None = None) -> None:
        """Train to the recipe's end, or for `stop_after` seconds; then save."""
        self.check()
        self.out.mkdir(parents=True, exist_ok=True)
        started, parts = time.monotonic(), dict[str, Tensor]()
        with _progress() as progress:
            bar = progress.add_task("train", total=self.recipe.steps, completed=self.step)
            try:
                while self.step < self.recipe.steps:
                    parts = self.train_step()
                    self.step += 1
                    stopping = stop_after is not None and time.monotonic() - started > stop_after
                    if stopping or self._is_read():
                        figures = self._read(parts)
                        shown = " ".join(f"{k} {v:.3f}" for k, v in figures.items())
                        progress.update(bar, completed=self.step, description=shown)
                        self._bookkeeping(figures)
                    if stopping:
                        break
                if self.step == self.recipe.steps and not self.settled:
                    self._settle()
            except KeyboardInterrupt:
                self._read(parts)
                self.save()
                raise
            self.save()

    def check(self) -> None:
        """Whether all is there that the stages still to come need; SystemExit says what is not."""
        ahead = self.recipe.ahead(self.step)
        preflight.check(self.recipe, ahead, self.data, self.teacher is not None)

    def _is_read(self) -> bool:
        every = (self.read_every, self.validate_every, CHECKPOINT_EVERY, self.recipe.steps)
        return any(self.step % steps == 0 for steps in every)

    def _read(self, parts: dict[str, Tensor]) -> dict[str, float]:
        """The losses as numbers; nothing is saved before they were looked at."""
        figures = {name: float(part) for name, part in parts.items()}
        if not np.isfinite(list(figures.values())).all():
            raise SystemExit(
                f"the loss is not finite at step {self.step - 1}; the last checkpoint is intact: "
                "lower the learning rate and resume"
            )
        return figures

    def images(self, stage: Stage) -> Tensor:
        """All pictures on the device, at the size at which a stage augments them."""
        size = self._size(stage)
        if self._images is None or tuple(self._images.shape[1:3]) != size:
            self._images = None  # before the next ones are there: they are large
            self._images = self.data.resized(*size).to(self.device)
        return self._images

    def scenes(self) -> Tensor:
        """All places without people, on the device."""
        if self._scenes is None:
            self._scenes = torch.from_numpy(np.array(self.data.scenes)).to(self.device)
        return self._scenes

    def _size(self, stage: Stage) -> tuple[int, int]:
        """The size at which pictures are augmented: the teacher's, if it looks on."""
        if stage.teacher == "loop":
            height, width = self.data.images.shape[1:3]
            return height, width
        return stage.height, stage.width

    def train_step(self) -> dict[str, Tensor]:
        """One step; the parts of its loss, still on the device."""
        index, inner = self.recipe.stage_of(self.step)
        stage = self.recipe.stages[index]
        for group in self.optimiser.param_groups:
            group["lr"] = stage.rate_at(inner)
        rows, pictures, own, teacher = self._batch(stage, inner)
        x = normalise(validation.shrink(pictures, stage.height, stage.width))
        self.student.train()
        with autocast(self.device):
            raw = self._run(x)
        embeddings = functional.normalize(raw.float())
        parts = {}
        if teacher is not None:
            parts["embedding"] = losses.embedding_distance(self.heads(embeddings), teacher)
            parts["similarity"] = losses.similarity_distance(embeddings, teacher)
        # Who it is can be asked only where one person is seen.
        alone = np.flatnonzero(own.numpy())
        weights = self.recipe.weights_of(stage)
        if len(alone):
            embeddings = embeddings[self._place(alone)]
            labels = self._place(self.data.labels[rows, 0][alone].astype(np.int64))
            parts["identity"], accuracy = self.classifier(embeddings, labels)
            # A running mean: a single batch says little.
            self.accuracy.lerp_(accuracy, 0.01)
            parts["triplet"] = losses.batch_hard_triplet(embeddings, labels)
            if weights.get("circle"):
                parts["circle"] = losses.circle(embeddings, labels)
        weighed = [weights.get(name, 0.0) * part for name, part in parts.items()]
        total = torch.stack(weighed).sum()
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimiser.step()
        self._averaging.update(self.recipe.averaging_of(stage))
        return {name: part.detach() for name, part in parts.items()}

    def _place(self, values: NDArray[Any]) -> Tensor:
        """Send an array to the device without waiting for it."""
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def _batch(self, stage: Stage, inner: int) -> _Batch:
        """The batch of a stage's step: a new one, or an echo of one that was answered before."""
        if inner == 0:
            self._echo.clear()
        if inner % stage.echo:
            again = self._echo.draw(self.generator)
            if again is not None:
                return again
        rows, chosen = self.batches.draw(stage.identities)
        batch = (rows, *self._views(stage, rows, chosen))
        return self._echo.add(batch) if stage.echo > 1 else batch

    def _views(
        self, stage: Stage, rows: NDArray[np.int64], chosen: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Augmented pictures, whether each is its own person as they are, the teacher's answers."""
        settings = self.recipe.augmentation_of(stage)
        picked = self.images(stage)[self._place(rows)]
        mirrored = self._place(views.MIRRORED[chosen])
        scenes = self.scenes() if settings.scene else None
        if stage.teacher == "prepared":
            assert self.data.teacher is not None  # `preflight` has checked
            boxes = self.data.boxes[rows, chosen].to(self.device)
            pictures, own = augment(picked, boxes, mirrored, settings, self.generator, scenes)
            return pictures, own, self.data.teacher[rows, chosen].float().to(self.device)
        whole = self._place(np.tile(_WHOLE, (len(rows), 1)))
        pictures, own = augment(picked, whole, mirrored, settings, self.generator, scenes)
        if stage.teacher == "none":
            return pictures, own, None
        assert self.teacher is not None  # `preflight` has checked
        return pictures, own, self.teacher(pictures)

    def _bookkeeping(self, parts: dict[str, float]) -> None:
        finished = self.step == self.recipe.steps
        if self.step % self.validate_every == 0 or finished:
            stage = self.recipe.stages[self.recipe.stage_of(self.step - 1)[0]]
            found = self.validate(self.held_out, stage.height, stage.width)
            self.history.append(
                {
                    "step": self.step,
                    **parts,
                    "train_accuracy": float(self.accuracy),
                    "rank1": found.rank1,
                    "mAP": found.mean_ap,
                }
            )
            curves.write(self.history, self.recipe, self.out)
        if self.step % CHECKPOINT_EVERY == 0:
            self.save()
            print(self.step, *(f"{k} {v:.3f}" for k, v in parts.items()), flush=True)

    def _settle(self) -> None:
        """Fit the average's batch norms to unchanged pictures."""
        self.settled = True
        if not self.recipe.settling:
            return
        stage = self.recipe.stages[-1]
        size = (stage.height, stage.width)
        validation.settle(
            self.average, self.data, self.batches, self.recipe.settling, size, self.device
        )
        found = self.validate(self.held_out, *size)
        self.history[-1] |= {"rank1": found.rank1, "mAP": found.mean_ap}
        curves.write(self.history, self.recipe, self.out)

    def validate(self, data: PreparedSet, height: int, width: int) -> metrics.Retrieval:
        """Cross-camera retrieval among the people of a set, by the averaged network."""
        return validation.retrieval(self.average, data, height, width, self.device)


def _decayed(module: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and kernels, none for biases and norms."""
    parameters = list(module.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _progress() -> Progress:
    return Progress(
        MofNCompleteColumn(), BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}")
    )
