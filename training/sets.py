"""Prepared sets in memory, and the draw of batches from them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from . import views


@dataclass(frozen=True)
class PreparedSet:
    """What `prepare` wrote, opened without reading the pictures yet."""

    images: NDArray[np.uint8]
    boxes: Tensor
    teacher: Tensor | None
    """None if it was prepared for stages that need no prepared answers."""
    labels: NDArray[np.int32]
    sources: list[str]
    pids: NDArray[np.int64]
    camids: NDArray[np.int64]
    scenes: NDArray[np.uint8] | None = None
    """Places without people, if there are any (`scenes.py`)."""

    @classmethod
    def open(cls, folder: Path) -> PreparedSet:
        """Open a prepared set."""
        try:
            index = json.loads((folder / "index.json").read_text())
        except FileNotFoundError:
            raise SystemExit(f"{folder}: run `python -m training prepare` first") from None
        taught, places = folder / "teacher.npy", folder / "scenes.npy"
        return cls(
            images=np.load(folder / "images.npy", mmap_mode="r"),
            boxes=torch.from_numpy(np.load(folder / "boxes.npy")),
            teacher=torch.from_numpy(np.load(taught)) if taught.is_file() else None,
            labels=np.load(folder / "labels.npy"),
            sources=index["sources"],
            pids=np.array([picture[1] for picture in index["pictures"]]),
            camids=np.array([picture[2] for picture in index["pictures"]]),
            scenes=np.load(places, mmap_mode="r") if places.is_file() else None,
        )

    @property
    def classes(self) -> int:
        """How many identities there are."""
        return int(self.labels[:, 0].max()) + 1

    def of(self, source: str, people: int) -> PreparedSet:
        """The first `people` identities of one source, to validate on what was left out."""
        if source not in self.sources:
            raise SystemExit(f"there is no {source} here, only {', '.join(self.sources)}")
        inside = self.labels[:, 1] == self.sources.index(source)
        rows = np.flatnonzero(inside & np.isin(self.pids, np.unique(self.pids[inside])[:people]))
        return replace(
            self,
            images=self.images[rows],
            boxes=self.boxes[rows],
            teacher=None if self.teacher is None else self.teacher[rows],
            labels=self.labels[rows],
            pids=self.pids[rows],
            camids=self.camids[rows],
        )

    def resized(self, height: int, width: int) -> Tensor:
        """All pictures at one size, in memory: uint8 (n, height, width, 3)."""
        if self.images.shape[1:3] == (height, width):
            return torch.from_numpy(np.array(self.images))
        found = np.empty((len(self.images), height, width, 3), np.uint8)
        for row, image in enumerate(self.images):
            cv2.resize(image, (width, height), dst=found[row], interpolation=cv2.INTER_AREA)
        return torch.from_numpy(found)


class Batches:
    """Draws P identities with K pictures each, and one view of each picture.

    A source is drawn first, by its share; then an identity of it, evenly; then its pictures,
    spread over as many cameras as there are.

    Raises:
        SystemExit: a source with a share is not among the data.
    """

    def __init__(
        self, data: PreparedSet, shares: dict[str, float], identities: int, pictures: int, seed: int
    ) -> None:
        absent = sorted(
            name for name, share in shares.items() if share and name not in data.sources
        )
        if absent:
            raise SystemExit(
                f"this recipe draws from {', '.join(absent)}, which these data lack: name the "
                f"pictures in `python -m training prepare` (there: {', '.join(data.sources)})"
            )
        self.rng = np.random.default_rng(seed)
        self._identities, self._pictures = identities, pictures
        weights = np.array([shares.get(name, 0.0) for name in data.sources])
        self._shares = weights / weights.sum()
        self._rows: dict[int, NDArray[np.int64]] = {
            label: np.flatnonzero(data.labels[:, 0] == label) for label in range(data.classes)
        }
        self._labels_of = [
            np.unique(data.labels[data.labels[:, 1] == source, 0])
            for source in range(len(data.sources))
        ]
        self._camids, self._sources = data.camids, data.sources

    def draw(self, identities: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows (P*K,) of the set, and the view 0...views-1 of each; P may differ from usual."""
        counts = self.rng.multinomial(identities or self._identities, self._shares)
        rows: list[int] = []
        for source, count in enumerate(counts):
            if count > len(self._labels_of[source]):
                there = f"{self._sources[source]} ({len(self._labels_of[source])})"
                raise SystemExit(
                    f"the recipe's batches ask for more people than there are in {there}: "
                    "lower its identities"
                )
            for label in self.rng.choice(self._labels_of[source], count, replace=False):
                rows.extend(self._pick(self._rows[int(label)]))
        return np.array(rows), self.rng.integers(0, views.COUNT, len(rows))

    def _pick(self, rows: NDArray[np.int64]) -> list[int]:
        rows = self.rng.permutation(rows)
        seen: dict[int, int] = {}
        turns = []
        for row in rows:
            camid = int(self._camids[row])
            turns.append(seen.get(camid, 0))
            seen[camid] = turns[-1] + 1
        ordered = rows[np.argsort(turns, kind="stable")]
        return [int(ordered[index % len(ordered)]) for index in range(self._pictures)]
