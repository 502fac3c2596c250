"""The training loop: resumable, with a validation on held-out people and curves to look at."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from reid_edge import metrics

from . import curves, losses, views
from .augment import augment, normalise
from .model import build
from .recipe import Recipe, Stage
from .sets import Batches, PreparedSet
from .teacher import Teacher

CHECKPOINT_EVERY = 250
VALIDATE_EVERY = 1000


class Trainer:
    """One run of a recipe: the student, its average, the optimiser and where they stand."""

    def __init__(
        self,
        recipe: Recipe,
        data: PreparedSet,
        held_out: PreparedSet,
        out: Path,
        teacher: Teacher | None = None,
    ) -> None:
        self.teacher = teacher
        torch.manual_seed(recipe.seed)
        self.recipe, self.data, self.held_out, self.out = recipe, data, held_out, out
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.student = build(recipe.architecture).to(self.device)
        self.student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(self.student, use_buffers=True)
        self.classifier = losses.CosineClassifier(recipe.architecture.embedding, data.classes).to(
            self.device
        )
        self.optimiser = torch.optim.AdamW(
            _decayed(nn.ModuleList([self.student, self.classifier]), recipe.weight_decay)
        )
        self.batches = Batches(
            data, recipe.sources, recipe.identities, recipe.pictures, recipe.seed
        )
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.settled = False
        self.accuracy = 0.0  # of the identity classifier on training pictures

    # -- state ---------------------------------------------------------------------------------

    @property
    def checkpoint_path(self) -> Path:
        """Where the state is written, and looked for at the start."""
        return self.out / "checkpoint.pt"

    def save(self) -> None:
        """Write everything that the next run needs, in one atomic step."""
        state = {
            "architecture": self.recipe.architecture.to_json(),
            "step": self.step,
            "history": self.history,
            "accuracy": self.accuracy,
            "settled": self.settled,
            "student": self.student.state_dict(),
            "average": self.average.state_dict(),
            "classifier": self.classifier.state_dict(),
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
        state: dict[str, Any] = torch.load(
            self.checkpoint_path, map_location=self.device, weights_only=True
        )
        if state["architecture"] != self.recipe.architecture.to_json():
            raise SystemExit(
                f"{self.checkpoint_path} holds another architecture; "
                "choose another --out or remove the file"
            )
        self.step, self.history = state["step"], state["history"]
        self.accuracy, self.settled = state.get("accuracy", 0.0), state.get("settled", False)
        self.student.load_state_dict(state["student"])
        self.average.load_state_dict(state["average"])
        self.classifier.load_state_dict(state["classifier"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"].cpu())
        self.batches.rng.bit_generator.state = state["batches"]
        return True

    # -- work ----------------------------------------------------------------------------------

    def run(self, stop_after: float | None = None) -> None:
        """Train to the recipe's end, or for `stop_after` seconds; then save."""
        if self.teacher is None and any(s.teacher == "loop" for s in self.recipe.stages):
            raise SystemExit("this recipe has its teacher in the loop: name it with --teacher")
        self.out.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with _progress() as progress:
            bar = progress.add_task("train", total=self.recipe.steps, completed=self.step)
            try:
                images, size = None, None
                while self.step < self.recipe.steps:
                    stage = self.recipe.stages[self.recipe.stage_of(self.step)[0]]
                    if images is None or size != self._size(stage):
                        size = self._size(stage)
                        images = None  # before the next ones are there: they are large
                        images = self.data.resized(*size).to(self.device)
                    parts = self._train_step(images)
                    self.step += 1
                    progress.update(
                        bar,
                        completed=self.step,
                        description=" ".join(f"{k} {v:.3f}" for k, v in parts.items()),
                    )
                    self._bookkeeping(parts)
                    if stop_after is not None and time.monotonic() - started > stop_after:
                        break
                if self.step == self.recipe.steps and not self.settled:
                    self._settle()
            except KeyboardInterrupt:
                self.save()
                raise
            self.save()

    def _size(self, stage: Stage) -> tuple[int, int]:
        """The size at which pictures are augmented: the teacher's, if it looks on."""
        if stage.teacher == "loop":
            height, width = self.data.images.shape[1:3]
            return height, width
        return stage.height, stage.width

    def _train_step(self, images: Tensor) -> dict[str, float]:
        index, inner = self.recipe.stage_of(self.step)
        stage = self.recipe.stages[index]
        for group in self.optimiser.param_groups:
            group["lr"] = stage.rate_at(inner)
        rows, chosen = self.batches.draw()
        labels = torch.from_numpy(self.data.labels[rows, 0]).long().to(self.device)
        pictures, own, teacher = self._views(stage, images, rows, chosen)
        x = normalise(_shrink(pictures, stage.height, stage.width))
        self.student.train()
        with torch.autocast(self.device.type, torch.bfloat16):
            raw = self.student(x)
        embeddings = functional.normalize(raw.float())
        parts = {
            "embedding": losses.embedding_distance(embeddings, teacher),
            "similarity": losses.similarity_distance(embeddings, teacher),
        }
        # Who it is can be asked only where one person is seen.
        embeddings, labels = embeddings[own], labels[own]
        parts["identity"], accuracy = self.classifier(embeddings, labels)
        parts["triplet"] = losses.batch_hard_triplet(embeddings, labels)
        weights = stage.weights or self.recipe.weights
        total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        if not torch.isfinite(total):
            raise SystemExit(
                f"the loss is not finite at step {self.step}; the last checkpoint is intact: "
                "lower the learning rate and resume"
            )
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
        self.optimiser.step()
        decay = stage.averaging or self.recipe.averaging
        self.average.multi_avg_fn = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self.average.update_parameters(self.student)
        # A running mean: a single batch of 64 says little.
        self.accuracy += 0.01 * (float(accuracy) - self.accuracy)
        return {name: float(part.detach()) for name, part in parts.items()}

    def _views(
        self, stage: Stage, images: Tensor, rows: NDArray[np.int64], chosen: NDArray[np.int64]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Augmented pictures, whether each shows its own person only, and the teacher's answers."""
        settings = stage.augmentation or self.recipe.augmentation
        picked = images[torch.from_numpy(rows).to(images.device)]
        mirrored = torch.from_numpy(views.MIRRORED[chosen]).to(self.device)
        if stage.teacher == "prepared":
            boxes = self.data.boxes[rows, chosen].to(self.device)
            pictures, own = augment(picked, boxes, mirrored, settings, self.generator)
            return pictures, own, self.data.teacher[rows, chosen].float().to(self.device)
        assert self.teacher is not None  # `run` has checked
        whole = torch.tensor([0.0, 0.0, 1.0, 1.0], device=self.device).expand(len(rows), 4)
        pictures, own = augment(picked, whole, mirrored, settings, self.generator)
        return pictures, own, self.teacher(pictures)

    def _bookkeeping(self, parts: dict[str, float]) -> None:
        finished = self.step == self.recipe.steps
        if self.step % VALIDATE_EVERY == 0 or finished:
            stage = self.recipe.stages[self.recipe.stage_of(self.step - 1)[0]]
            found = self.validate(self.held_out, stage.height, stage.width)
            self.history.append(
                {
                    "step": self.step,
                    **parts,
                    "train_accuracy": self.accuracy,
                    "rank1": found.rank1,
                    "mAP": found.mean_ap,
                }
            )
            curves.write(self.history, self.recipe, self.out)
        if self.step % CHECKPOINT_EVERY == 0:
            self.save()
            print(self.step, *(f"{k} {v:.3f}" for k, v in parts.items()), flush=True)

    @torch.inference_mode()
    def _settle(self) -> None:
        """Estimate the average's batch norms anew on unchanged pictures: what it will be shown."""
        self.settled = True
        if not self.recipe.settling:
            return
        stage = self.recipe.stages[-1]
        norms = [
            m for m in self.average.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))
        ]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over all batches
        self.average.train()
        for _ in range(self.recipe.settling):
            rows, _views = self.batches.draw()
            pictures = torch.from_numpy(self.data.images[rows]).to(self.device)
            x = _shrink(pictures.permute(0, 3, 1, 2).float(), stage.height, stage.width)
            with torch.autocast(self.device.type, torch.bfloat16):
                self.average(normalise(x))
        self.average.eval()
        found = self.validate(self.held_out, stage.height, stage.width)
        self.history[-1] |= {"rank1": found.rank1, "mAP": found.mean_ap}
        curves.write(self.history, self.recipe, self.out)

    @torch.inference_mode()
    def validate(self, data: PreparedSet, height: int, width: int) -> metrics.Retrieval:
        """Cross-camera retrieval among the people of a set, each picture against all others."""
        self.average.eval()
        images = data.resized(height, width)
        found = []
        for start in range(0, len(images), 64):
            block = images[start : start + 64].to(self.device).permute(0, 3, 1, 2).float()
            with torch.autocast(self.device.type, torch.bfloat16):
                found.append(self.average(normalise(block)).float().cpu())
        embeddings = functional.normalize(torch.cat(found)).numpy()
        pids, camids = data.pids, data.camids
        return metrics.retrieval(embeddings @ embeddings.T, pids, camids, pids, camids)


def _shrink(pictures: Tensor, height: int, width: int) -> Tensor:
    """The student's size, by the mean over areas as the runtime does it."""
    if pictures.shape[2:] == (height, width):
        return pictures
    return functional.interpolate(pictures, (height, width), mode="area")


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
