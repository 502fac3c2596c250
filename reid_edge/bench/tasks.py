"""What accuracy is measured on: a retrieval test, or a list of labelled pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .. import datasets
from ..datasets import LabelledPair, QueryGallery
from ..errors import DatasetError
from ..evaluation import Figures, figures, labels, verification
from ..reid import ReId
from . import openset

Embeddings = NDArray[np.float32]
_ROWS = 64  # queries at a time, where two models are compared
_PAIRS = 1 << 16
LAYOUTS = (*datasets.LAYOUTS, "pairs")


class Task(Protocol):
    """Pictures, and what to make of their embeddings."""

    @property
    def paths(self) -> list[Path]:
        """The pictures; embeddings are given in this order."""

    def only(self, kept: NDArray[np.bool_]) -> Task:
        """The task without the pictures that could not be read; `kept` is (len(paths),).

        Raises:
            DatasetError: nothing can be measured with what is left.
        """

    def figures(self, reid: ReId, embeddings: Embeddings) -> Figures:
        """Measure a model."""

    def scores(self, reid: ReId, embeddings: Embeddings) -> Iterator[NDArray[np.float32]]:
        """The scores of all counted pairs, part by part, in an order of the task's own."""


def open_task(spec: str) -> Task:
    """A task from `LAYOUT:PATH`: those of `datasets.open_test`, and `pairs:FILE`.

    Raises:
        DatasetError: it is missing, laid out in another way, or nothing can be measured on it.
    """
    layout, _, path = spec.partition(":")
    if layout == "pairs":
        return PairsTask.of(datasets.pairs(Path(path).expanduser()))
    try:
        return RetrievalTask.of(datasets.open_test(spec))
    except DatasetError as error:
        if layout in datasets.LAYOUTS:
            raise
        raise DatasetError(
            f"{spec!r}: give LAYOUT:PATH, where LAYOUT is {', '.join(datasets.LAYOUTS)} or pairs"
        ) from error


@dataclass(frozen=True)
class RetrievalTask:
    """Each query is looked up in the gallery."""

    test: QueryGallery

    @classmethod
    def of(cls, test: QueryGallery) -> RetrievalTask:
        """Checked before anything is embedded.

        Raises:
            DatasetError: nothing can be measured on it, see `QueryGallery.check`.
        """
        test.check()
        return cls(test)

    @property
    def paths(self) -> list[Path]:
        """See `Task.paths`."""
        return self.test.paths

    def only(self, kept: NDArray[np.bool_]) -> RetrievalTask:
        """See `Task.only`."""
        return RetrievalTask(self.test.only(kept))

    def figures(self, reid: ReId, embeddings: Embeddings) -> Figures:
        """See `Task.figures`."""
        count = len(self.test.query)
        grid = reid.score_grid(embeddings[:count], embeddings[count:])
        found = figures(self.test, grid)
        open_set = openset.figures(reid, self.test, embeddings, grid)
        return replace(found, values={**found.values, **open_set})

    def scores(self, reid: ReId, embeddings: Embeddings) -> Iterator[NDArray[np.float32]]:
        """See `Task.scores`."""
        count = len(self.test.query)
        query_pids, query_camids = labels(self.test.query)
        pids, camids = labels(self.test.gallery)
        for start in range(0, count, _ROWS):
            rows = slice(start, min(start + _ROWS, count))
            grid = reid.score_grid(embeddings[rows], embeddings[count:])
            itself = (query_pids[rows, None] == pids) & (query_camids[rows, None] == camids)
            yield grid[~itself & (pids != -1)]


@dataclass(frozen=True)
class PairsTask:
    """Each pair is decided by itself."""

    pairs: Sequence[LabelledPair]

    @classmethod
    def of(cls, pairs: Sequence[LabelledPair]) -> PairsTask:
        """Checked before anything is embedded.

        Raises:
            DatasetError: pairs of one kind only.
        """
        if len({pair.same for pair in pairs}) < 2:
            raise DatasetError("the pairs are of one kind; give some of one person and some of two")
        return cls(pairs)

    @cached_property
    def _places(self) -> dict[Path, int]:
        every = (path for pair in self.pairs for path in (pair.a, pair.b))
        return {path: place for place, path in enumerate(dict.fromkeys(every))}

    @property
    def paths(self) -> list[Path]:
        """See `Task.paths`; each picture once."""
        return list(self._places)

    def only(self, kept: NDArray[np.bool_]) -> PairsTask:
        """See `Task.only`."""
        places = self._places
        return self.of(
            [pair for pair in self.pairs if kept[places[pair.a]] and kept[places[pair.b]]]
        )

    def figures(self, reid: ReId, embeddings: Embeddings) -> Figures:
        """See `Task.figures`; there is no ranking."""
        scores = np.concatenate(list(self.scores(reid, embeddings)))
        truth = np.array([pair.same for pair in self.pairs])
        same, different = scores[truth], scores[~truth]
        return Figures(verification(same, different), np.empty(0), same, different)

    def scores(self, reid: ReId, embeddings: Embeddings) -> Iterator[NDArray[np.float32]]:
        """See `Task.scores`."""
        first = np.array([self._places[pair.a] for pair in self.pairs])
        second = np.array([self._places[pair.b] for pair in self.pairs])
        for start in range(0, len(first), _PAIRS):
            rows = slice(start, start + _PAIRS)
            yield reid.score(embeddings[first[rows]], embeddings[second[rows]])
