"""Exact search: the embeddings in one matrix, one product for each query.

An identity is as alike as its most similar picture.  Nothing is sorted but the few best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .rows import Rows

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)

# Numbers of one temporary array: 16 MiB of float32, one query against 4 million pictures.
_TILE = 1 << 22
# Comparisons of one estimate: 1,000 strangers against 100,000 pictures, about a second.
_COMPARISONS = 10**8
_MOST_PROBES = 2000


@dataclass(frozen=True)
class Found:
    """The best identities of each query, best first; each array (q, k).

    Attributes:
        owners: ids of the identities.
        cosines: of their most similar pictures, float32.
        places: of these pictures, for `Index.picture`.
    """

    owners: Ints
    cosines: Floats
    places: Ints


class Index:
    """Embeddings to search in; they can only be added.

    Args:
        size: numbers of one embedding.
    """

    def __init__(self, size: int) -> None:
        self._matrix = np.empty((0, size), np.float32)
        self._owners, self._ids = np.empty(0, np.int64), np.empty(0, np.int64)
        self._times = np.empty(0)
        self._cameras: list[str | None] = []
        self._count = 0
        self._groups: _Groups | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def last(self) -> int:
        """The highest id of a picture; 0 for none."""
        return int(self._ids[self._count - 1]) if self._count else 0

    @property
    def groups(self) -> _Groups:
        """The pictures by identity."""
        if self._groups is None:
            self._groups = _Groups.of(self._owners[: self._count])
        return self._groups

    @property
    def embeddings(self) -> Floats:
        """float32 (n, d), in the order of their ids; not to be changed."""
        return self._matrix[: self._count]

    @property
    def owners(self) -> Ints:
        """Ids of their identities, (n,)."""
        return self._owners[: self._count]

    def append(self, rows: Rows) -> None:
        """Take in pictures whose ids are above `last`."""
        count = self._count + len(rows.ids)
        if count > len(self._matrix):
            room = max(count, 64, len(self._matrix) * 3 // 2)
            self._matrix = _grown(self._matrix, room)
            self._owners, self._ids = _grown(self._owners, room), _grown(self._ids, room)
            self._times = _grown(self._times, room)
        place = slice(self._count, count)
        self._matrix[place], self._owners[place] = rows.embeddings, rows.owners
        self._ids[place], self._times[place] = rows.ids, rows.times
        self._cameras += rows.cameras
        self._count, self._groups = count, None

    def picture(self, place: int) -> tuple[int, str | None, float | None]:
        """Id, camera and time of a picture."""
        time = float(self._times[place])
        return int(self._ids[place]), self._cameras[place], None if math.isnan(time) else time

    def search(self, queries: Floats, top: int) -> Found:
        """The `top` most alike identities of each query, fewer if there are fewer.

        Args:
            queries: (q, d); the index is not empty.
            top: 1 or more.
        """
        groups = self.groups
        count = min(top, len(groups.owners))
        owners, places = (np.empty((len(queries), count), np.int64) for _ in range(2))
        cosines = np.empty((len(queries), count), np.float32)
        for block in _blocks(len(queries), self._count):
            for row, similar in enumerate(self._cosines(queries[block]), block.start):
                grouped = groups.gathered(similar)
                best = groups.highest(grouped)
                chosen = _highest(best, count)
                owners[row], cosines[row] = groups.owners[chosen], best[chosen]
                for column, group in enumerate(chosen):
                    members = grouped[groups.starts[group] : groups.ends[group]]
                    places[row, column] = groups.order[groups.starts[group] + members.argmax()]
        return Found(owners, cosines, places)

    def strangers(self) -> Floats:
        """How alike pictures of one identity are to the most alike picture of all others.

        That is what a stranger gets who is seen as the enrolled are: leave one identity out.
        Of many pictures an even share is taken, so that it takes a second at most.

        Returns:
            float32 (n,) cosines; of two identities or more.
        """
        groups = self.groups
        probes = min(_MOST_PROBES, max(100, _COMPARISONS // self._count))
        chosen = groups.order[self._share(probes)]
        found = np.empty(len(chosen), np.float32)
        for block in _blocks(len(chosen), self._count):
            cosines = self._cosines(self._matrix[chosen[block]])
            for row, place in enumerate(chosen[block]):
                cosines[row, groups.members(int(self._owners[place]))] = -np.inf
            found[block] = cosines.max(1)
        return found

    def neighbours(self) -> list[tuple[int, int, float]]:
        """The most alike other identity of each, by the cosine of their most similar pictures.

        Of more than some 30,000 pictures an even share is held against all: a pair is missed
        of which neither is in it.

        Returns:
            (id, id, cosine) for each identity, the most alike first; none for one identity.
        """
        groups = self.groups
        if len(groups.owners) < 2:
            return []
        nearest = np.full(len(groups.owners), -np.inf, np.float32)
        other = np.zeros(len(groups.owners), np.int64)
        chosen = self._share(10 * _COMPARISONS // self._count)
        for block in _blocks(len(chosen), self._count):
            cosines = self._cosines(self._matrix[groups.order[chosen[block]]])
            mine = np.searchsorted(groups.ends, chosen[block], "right")
            for row, group in enumerate(mine):
                best = groups.highest(groups.gathered(cosines[row]))
                best[group] = -np.inf
                winner = int(best.argmax())
                if best[winner] > nearest[group]:
                    nearest[group], other[group] = best[winner], winner
                nearer = best > nearest  # for them, too, it may be the nearest
                nearest[nearer], other[nearer] = best[nearer], group
        return [
            (int(groups.owners[group]), int(groups.owners[other[group]]), float(nearest[group]))
            for group in np.argsort(-nearest, kind="stable")
            if np.isfinite(nearest[group])
        ]

    def _share(self, most: int) -> Ints:
        """Places along the order of `groups`, so that every identity has its share."""
        count = min(self._count, most)
        return np.arange(count, dtype=np.int64) * self._count // count

    def _cosines(self, queries: Floats) -> Floats:
        if len(queries) == 1:  # a matrix times a vector reads the matrix just once
            return np.asarray(self.embeddings @ queries[0])[None]
        return np.asarray(queries @ self.embeddings.T)


@dataclass(frozen=True)
class _Groups:
    """Pictures by identity: `order` brings them together, each group from a start to an end."""

    owners: Ints
    order: Ints
    starts: Ints
    ends: Ints
    in_order: bool

    @classmethod
    def of(cls, owners: Ints) -> _Groups:
        order = np.argsort(owners, kind="stable")
        names, starts = np.unique(owners[order], return_index=True)
        ends = np.append(starts[1:], len(owners))
        in_order = bool((order[1:] > order[:-1]).all())
        return cls(names, order, starts, ends, in_order)

    def gathered(self, cosines: Floats) -> Floats:
        return cosines if self.in_order else np.asarray(cosines[self.order])

    def highest(self, grouped: Floats) -> Floats:
        """Of each group, (groups,)."""
        if len(self.owners) == len(grouped):
            return np.array(grouped)
        best: Floats = np.maximum.reduceat(grouped, self.starts)
        return best

    def members(self, owner: int) -> Ints:
        group = int(np.searchsorted(self.owners, owner))
        return self.order[self.starts[group] : self.ends[group]]


def _highest(values: Floats, count: int) -> Ints:
    """Places of the `count` highest, highest first; of equals the first."""
    least = np.partition(values, len(values) - count)[len(values) - count]
    chosen = np.flatnonzero(values >= least)
    order: Ints = chosen[np.argsort(-values[chosen], kind="stable")]
    return order[:count]


def _blocks(count: int, width: int) -> list[slice]:
    size = max(1, _TILE // width)
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _grown(array: NDArray[Number], room: int) -> NDArray[Number]:
    larger = np.empty((room, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
