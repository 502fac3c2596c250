"""What one process has read of a store: embeddings to search in and names, brought up to date."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .search import Index
from .store import Store

_GROWTH = 1.05  # an estimate serves until the gallery has grown by 5 %


class View:
    """A store's content in memory.

    Args:
        store: which is read here, and written to by the caller.
        size: numbers of one embedding.

    Attributes:
        index: all pictures, as of the last `refresh`.
        names: of all identities, by their ids in the index.
    """

    def __init__(self, store: Store, size: int) -> None:
        self.store, self._size = store, size
        self.index, self.names = Index(size), dict[int, str]()
        self._edits, self._version = -1, (-1, -1)
        self._estimate: tuple[int, int, NDArray[np.float32]] | None = None

    def refresh(self) -> None:
        """Read what any process has written so far: additions by themselves, else everything."""
        version = self.store.version()
        if version == self._version:
            return
        with self.store.snapshot():
            edits, names, parts = self.store.read(self.index.last, self._edits)
            index = self.index if edits == self._edits else Index(self._size)
            for part in parts:
                index.append(part)
        self.index, self.names = index, names
        self._edits, self._version = edits, version

    def strangers(self) -> NDArray[np.float32]:
        """As `Index.strangers`, of one identity none; kept until much has changed."""
        if len(self.index.groups.owners) < 2:
            return np.empty(0, np.float32)
        if self._estimate is not None:
            edits, count, found = self._estimate
            if edits == self._edits and len(self.index) <= _GROWTH * count:
                return found
        found = self.index.strangers()
        self._estimate = self._edits, len(self.index), found
        return found
