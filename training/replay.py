"""Batches that the teacher has answered already, to be learnt from again.

Where a step's teacher costs as much as its student does, as on a CPU, each answered batch is used
several times.  The student is far from fitting any of them by heart: what it lacks is steps.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import torch

Batch = TypeVar("Batch")


class Replay(Generic[Batch]):
    """The last `size` new batches, out of which old ones are drawn evenly.

    It is not part of a checkpoint: a resumed run starts with an empty one.
    """

    def __init__(self, size: int = 32) -> None:
        self._kept: deque[Batch] = deque(maxlen=size)

    def add(self, batch: Batch) -> Batch:
        """Keep a new batch, for the oldest one where there are `size`, and give it back."""
        self._kept.append(batch)
        return batch

    def draw(self, generator: torch.Generator) -> Batch | None:
        """A kept batch; None if there is none."""
        if not self._kept:
            return None
        return self._kept[int(torch.randint(len(self._kept), (), generator=generator))]

    def clear(self) -> None:
        """Forget all: another stage has other pictures."""
        self._kept.clear()
