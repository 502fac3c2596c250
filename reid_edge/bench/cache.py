"""Embeddings on disk, so that measuring again is quick.

An entry's name is a hash of all that its rows depend on: the model's graph, the engine and its
version, how pictures are resized, and the content of each picture.  Entries are plain .npy files
without pickle, and what is read is checked as a stranger's.  Embeddings of people are private:
the folder is its owner's alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._files import read_regular, write_whole
from .._version import __version__
from ..reid import ReId
from .machine import versions

MOST_BYTES = 1 << 30
_FORMAT = 1  # of an entry's name and content
_HEADER = 4096  # more than a .npy header takes


def folder() -> Path:
    """Where embeddings are kept: `REID_EDGE_CACHE`, else the user's cache folder."""
    given = os.environ.get("REID_EDGE_CACHE")
    if given:
        return Path(given).expanduser() / "embeddings"
    import platformdirs

    return Path(platformdirs.user_cache_path("reid_edge")) / "embeddings"


class Cache:
    """Embeddings of groups of pictures, for one running model.

    Args:
        reid: the model.
        root: the folder; None keeps nothing.
        most_bytes: the oldest entries are removed until all are no larger together.

    Attributes:
        hits, misses: pictures found, and pictures not found, so far.
        problem: why entries are not kept, or None.
    """

    def __init__(self, reid: ReId, root: Path | None, most_bytes: int = MOST_BYTES) -> None:
        info = reid.info()
        graph = graph_name(reid)
        key = [
            _FORMAT,
            __version__,
            versions(),
            reid.bundle.graph(graph).sha256,
            info["backend"],
            info["device"],
            info["precision"],
            info["input_size"],
            reid.bundle.resize,
        ]
        self._key = json.dumps(key).encode()
        self._size = reid.bundle.embedding_size
        self.problem = _objection(root) if root is not None else None
        self._root, self._most_bytes = None if self.problem else root, most_bytes
        self.hits = self.misses = 0

    def find(self, hashes: Sequence[bytes]) -> NDArray[np.float32] | None:
        """The embeddings (n, d) of pictures of these SHA-256, or None."""
        found = self._read(self._path(hashes), len(hashes)) if self._root else None
        if found is None:
            self.misses += len(hashes)
        else:
            self.hits += len(hashes)
        return found

    def keep(self, hashes: Sequence[bytes], embeddings: NDArray[np.float32]) -> None:
        """Write an entry; a folder that cannot be written is a `problem`, not an error."""
        if self._root is None or self.problem is not None:
            return
        content = io.BytesIO()
        np.save(content, np.ascontiguousarray(embeddings, np.float32), allow_pickle=False)
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path(hashes), content.getvalue(), 0o600)
            self._shrink()
        except OSError as error:
            self.problem = f"{self._root}: embeddings cannot be kept ({error.strerror})"

    def _path(self, hashes: Sequence[bytes]) -> Path:
        assert self._root is not None
        name = hashlib.sha256(self._key + b"".join(hashes)).hexdigest()
        return self._root / f"{name}.npy"

    def _read(self, path: Path, count: int) -> NDArray[np.float32] | None:
        try:
            content = read_regular(path, 4 * count * self._size + _HEADER)
            found = np.load(io.BytesIO(content), allow_pickle=False)
            os.utime(path)  # used now: the last to be removed
        except (OSError, ValueError, EOFError, SyntaxError, MemoryError, OverflowError):
            return None
        fits = (
            isinstance(found, np.ndarray)
            and found.dtype == np.float32
            and found.shape == (count, self._size)
            and np.isfinite(found).all()
        )
        return np.ascontiguousarray(found) if fits else None

    def _shrink(self) -> None:
        assert self._root is not None
        entries = []
        for path in self._root.glob("*.npy"):
            try:
                status = path.stat()
            except OSError:  # another process was quicker
                continue
            entries.append((status.st_mtime_ns, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size


def _objection(root: Path) -> str | None:
    """Why a folder is no place for embeddings: others could read them, or put theirs there."""
    try:
        status = root.stat()
    except OSError:  # not there yet, or told when something is to be written
        return None
    if status.st_uid == os.geteuid() and not status.st_mode & 0o077:
        return None
    return f"{root}: embeddings are not kept, for others may enter it; chmod 700 or remove it"


def graph_name(reid: ReId) -> str:
    """The graph that a model runs: `int8+fp32` is the `int8` graph with float32 around it."""
    return str(reid.info()["precision"]).partition("+")[0]
