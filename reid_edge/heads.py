"""Embeddings in, scores out: the two pair heads.

A head only sees embeddings, so that n pictures cost n backbone passes, however many pairs
are asked.  `pairs` scores row by row, `grid` everything against everything in tiles of
bounded memory.  Heads never normalise: embeddings are scored as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .errors import EmbeddingError

Floats = NDArray[np.float32]

# Numbers of one temporary array: 4 MiB of float32 stays in the cache of most processors.
_TILE = 1 << 20
_UNIT = 0.01  # how far from 1 a length may be: that of FP16 graphs is not exact
_NOT_UNIT = (
    "embeddings are not finite or not of unit length; "
    "pass what embed() of this model returned, unchanged"
)


class Head(Protocol):
    """What turns embeddings into scores."""

    @property
    def symmetric(self) -> bool:
        """Whether the score of (a, b) is the score of (b, a)."""

    def pairs(self, a: Floats, b: Floats) -> Floats:
        """Score (n, d) against (n, d) row by row; either may have one row: (n,) in 0...1."""

    def grid(self, a: Floats, b: Floats) -> Floats:
        """Score each of (n, d) against each of (m, d): (n, m) in 0...1."""


@dataclass(frozen=True)
class CosineHead:
    """score = sigmoid(scale * cosine + bias), for unit-norm embeddings.

    The two numbers are fitted as Platt scaling (Platt, 1999) on balanced pairs of people
    that were never trained on, so that a score is a probability.
    """

    scale: float
    bias: float

    @property
    def symmetric(self) -> bool:
        """Always: a cosine has no order."""
        return True

    def pairs(self, a: Floats, b: Floats) -> Floats:
        """See `Head.pairs`.

        Refused is what shows in the cosines: NaN, infinity, zeros only, and rows so long that a
        cosine is beyond 1.  Rows that are too short are not noticed, unlike in `grid`: their scores
        are wrong.  All lengths would cost as much as the products, or more.

        Raises:
            EmbeddingError: see above.
        """
        # One row against many is a matrix product, which reads the many just once.
        with np.errstate(invalid="ignore", over="ignore"):  # refused below
            if len(a) == 1:
                cosines = b @ a[0]
            elif len(b) == 1:
                cosines = a @ b[0]
            else:
                cosines = np.einsum("ij,ij->i", a, b)
        if (nothing := cosines == 0).any():
            for rows in (a, b):
                _refuse_zeros(rows if len(rows) == 1 else rows[nothing])
        # Written so that NaN fails it, too.
        if not (np.max(cosines) <= 1 + _UNIT and np.min(cosines) >= -1 - _UNIT):
            raise EmbeddingError(_NOT_UNIT)
        return self._calibrate(cosines)

    def grid(self, a: Floats, b: Floats) -> Floats:
        """See `Head.grid`.

        Raises:
            EmbeddingError: rows that are not finite or not of unit length.
        """
        # Of n + m rows, beside n * m products.
        if not (are_unit(a) and are_unit(b)):
            raise EmbeddingError(_NOT_UNIT)
        scores = np.empty((len(a), len(b)), np.float32)
        transposed = b.T
        for rows in _blocks(len(a), max(1, _TILE // len(b))):
            np.matmul(a[rows], transposed, out=scores[rows])
            self._calibrate(scores[rows])
        return scores

    def _calibrate(self, cosines: Floats) -> Floats:
        """In place."""
        cosines *= np.float32(self.scale)
        cosines += np.float32(self.bias)
        return _sigmoid(cosines)


class ConcatMlpHead:
    """The original library's head: sigmoid(w2 . relu(W1 . [a; b] + b1) + b2).

    W1 . [a; b] = Wa . a + Wb . b, and both products are taken in the graph: an embedding is
    [Wa . x, Wb . x].  The first picture of a pair uses the first half, the second the other,
    so the score of (a, b) differs from that of (b, a), as it did in the original.
    """

    def __init__(
        self, hidden_bias: Sequence[float], output_weights: Sequence[float], output_bias: float
    ) -> None:
        self._hidden_bias = np.array(hidden_bias, np.float32)
        self._output_weights = np.array(output_weights, np.float32)
        self._output_bias = np.float32(output_bias)
        self._hidden = len(self._hidden_bias)

    @property
    def symmetric(self) -> bool:
        """Never."""
        return False

    def pairs(self, a: Floats, b: Floats) -> Floats:
        """See `Head.pairs`."""
        first, second = self._halves(a, b)
        count = max(len(a), len(b))
        scores = np.empty(count, np.float32)
        first = np.broadcast_to(first, (count, self._hidden))
        second = np.broadcast_to(second, (count, self._hidden))
        for rows in _blocks(count, _TILE // self._hidden):
            scores[rows] = self._output(first[rows] + second[rows])
        return scores

    def grid(self, a: Floats, b: Floats) -> Floats:
        """See `Head.grid`."""
        first, second = self._halves(a, b)
        scores = np.empty((len(a), len(b)), np.float32)
        width = min(len(b), _TILE // self._hidden)
        for columns in _blocks(len(b), width):
            for rows in _blocks(len(a), max(1, _TILE // (self._hidden * width))):
                hidden = first[rows, None] + second[None, columns]
                scores[rows, columns] = self._output(hidden)
        return scores

    def _halves(self, a: Floats, b: Floats) -> tuple[Floats, Floats]:
        # A -inf would vanish in the relu, so the inputs themselves are checked.
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise EmbeddingError("embeddings contain NaN or infinity; pass what embed() returned")
        return a[:, : self._hidden] + self._hidden_bias, b[:, self._hidden :]

    def _output(self, hidden: Floats) -> Floats:
        np.maximum(hidden, 0, out=hidden)
        scores: Floats = hidden @ self._output_weights
        scores += self._output_bias
        return _sigmoid(scores)


def are_unit(rows: Floats) -> bool:
    """Whether all rows of (n, d) are finite and of unit length."""
    with np.errstate(all="ignore"):
        squares = np.einsum("ij,ij->i", rows, rows)
    # Written so that NaN fails it, too.
    return bool((np.abs(squares - 1) <= 2 * _UNIT).all())


def _refuse_zeros(rows: Floats) -> None:
    """Refuse embeddings of zeros only; they have no direction, and would score like strangers.

    Args:
        rows: (n, d), those whose cosine is 0: of others there is hardly one, so that this costs
            nothing.

    Raises:
        EmbeddingError: one of them is.
    """
    if not rows.any(axis=1).all():
        raise EmbeddingError(
            "embeddings of zeros only show nobody; pass what embed() of this model returned, "
            "unchanged"
        )


def _blocks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), in place; exp overflows to infinity where the result is 0 anyway."""
    np.negative(x, out=x)
    with np.errstate(over="ignore"):
        np.exp(x, out=x)
    x += 1
    return np.reciprocal(x, out=x)
