"""Data echoing (Choi et al., 2019): batches are learnt from several times before they are dropped.

It is for a teacher whose answer costs about as much as the student's step, as on a CPU.  What is
echoed are augmented pictures with their answers, so that an echo costs no augmentation either.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import torch

Batch = TypeVar("Batch")


class Echo(Generic[Batch]):
    """The last `size` new batches, out of which old ones are drawn evenly.

    With a factor of 2, every second step draws: a batch is learnt from twice on average, at times
    once, at times more often.  At the teacher's size 64 pictures take 24 MiB, so that 32 batches
    take 0.8 GiB, where the training is.  They are not part of a checkpoint: a resumed run starts
    with none and so is not, step by step, what it would have been.
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
        """Drop all, where another stage asks for other pictures."""
        self._kept.clear()
