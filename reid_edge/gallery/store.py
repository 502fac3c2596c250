"""Names and embeddings on disk: what was acknowledged stays, whatever happens to the process."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import (
    GalleryFileError,
    GalleryModelError,
    IdentityExistsError,
    UnknownIdentityError,
)
from . import connection as sqlite
from .results import Enrolled
from .rows import MOST_NAME, Rows, checked
from .space import Space, shipped_with

Floats = NDArray[np.float32]
THUMBNAIL = (96, 48, 3)  # raw RGB: nothing to decode, so nothing that a stranger could craft
_ROWS = 4096


class Store:
    """One gallery, in a file or in memory.

    Args:
        path: the file, made if it does not exist; None for memory.
        space: of the embeddings.

    Raises:
        GalleryFileError: no gallery, of a newer version, damaged, or not to be opened.
        GalleryModelError: it holds embeddings of another model.
        GalleryBusyError, GalleryWriteError: see there; from every method.
    """

    def __init__(self, path: Path | None, space: Space) -> None:
        self.path, self._size = path, space.size
        self._where = "the gallery" if path is None else str(path)
        parts = (space.fingerprint, space.model, space.size)
        self._db = sqlite.open_memory(*parts) if path is None else sqlite.open_file(path, *parts)
        self._place = None if path is None else sqlite.Place(path)
        self._writes = 0
        try:
            self._check_space(space)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closing twice is fine."""
        self._db.close()

    def add(
        self,
        name: str,
        embeddings: Floats,
        cameras: Sequence[str | None],
        times: Sequence[float | None],
        thumbnails: Sequence[bytes | None],
    ) -> list[int]:
        """Enrol pictures, all of them or none; when it returns, they are on the disk.

        Args:
            name: the identity's, new or enrolled already.
            embeddings: (n, d), checked.
            cameras, times, thumbnails: of each.

        Returns:
            Their ids, which are never given again.
        """
        blobs = [row.tobytes() for row in np.ascontiguousarray(embeddings, "<f4")]
        with self._writing():
            self._db.execute("INSERT OR IGNORE INTO identity (name) VALUES (?)", (name,))
            owner = self._owner(name)
            ids = []
            for values in zip(blobs, cameras, times, thumbnails, strict=True):
                done = self._db.execute(
                    "INSERT INTO picture (identity, embedding, camera, time, thumbnail) "
                    "VALUES (?, ?, ?, ?, ?)",
                    (owner, *values),
                )
                ids.append(int(done.lastrowid or 0))
        return ids

    def remove(self, name: str) -> int:
        """Forget an identity; gives the number of its pictures.

        Raises:
            UnknownIdentityError: not enrolled.
        """
        with self._edit():
            owner = self._owner(name)
            gone = self._db.execute("DELETE FROM picture WHERE identity = ?", (owner,)).rowcount
            self._db.execute("DELETE FROM identity WHERE id = ?", (owner,))
        # The log still holds the rows as they were written; a reader at work delays its end.
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return gone

    def merge(self, into: str, other: str) -> int:
        """Give the pictures of `other` to `into`, and forget `other`; gives their number.

        Raises:
            UnknownIdentityError: one of them is not enrolled.
        """
        with self._edit():
            owner, former = self._owner(into), self._owner(other)
            moved = self._db.execute(
                "UPDATE picture SET identity = ? WHERE identity = ?", (owner, former)
            ).rowcount
            if owner != former:
                self._db.execute("DELETE FROM identity WHERE id = ?", (former,))
        return moved

    def rename(self, old: str, new: str) -> None:
        """Call an identity by another name.

        Raises:
            UnknownIdentityError: `old` is not enrolled.
            IdentityExistsError: `new` is.
        """
        with self._edit():
            owner = self._owner(old)
            try:
                self._db.execute("UPDATE identity SET name = ? WHERE id = ?", (new, owner))
            except sqlite3.IntegrityError:
                raise IdentityExistsError(
                    f"{new!r} is enrolled already; merge {old!r} into {new!r} if the two are one"
                ) from None

    def version(self) -> tuple[int, int]:
        """It changes when this or another process has written, or has tried to."""
        with self._working():
            (others,) = self._db.execute("PRAGMA data_version").fetchone()
        return int(others), self._writes

    def holds(self, path: Path) -> bool:
        """Whether a path is this file, or one of those that SQLite keeps beside it."""
        return self._place is not None and self._place.holds(path)

    def read(self, after: int, edits: int) -> tuple[int, dict[int, str], Iterator[Rows]]:
        """What a reader lacks, as of one moment; call it within `snapshot`.

        Args:
            after: the last picture's id that it has.
            edits: the number of edits that it has seen; -1 for none.

        Returns:
            The number of edits; the names of all identities by id; and the pictures above
            `after`, or all pictures if there were edits since.

        Raises:
            GalleryFileError: a row that is damaged.
        """
        (count,) = self._db.execute("SELECT edits FROM gallery").fetchone()
        names = dict(self._db.execute("SELECT id, name FROM identity"))
        if not all(isinstance(name, str) and 0 < len(name) <= MOST_NAME for name in names.values()):
            raise self._damaged("an identity without a name")
        return int(count), names, self._rows(after if count == edits else 0, names)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read inside belongs to one moment."""
        with self._working(), sqlite.transaction(self._db, writes=False):
            yield

    def enrolled(self) -> list[Enrolled]:
        """Every identity, in the order of enrolment."""
        with self.snapshot():
            found = self._db.execute(
                "SELECT identity.id, name, count(picture.id), min(time), max(time) "
                "FROM identity LEFT JOIN picture ON picture.identity = identity.id "
                "GROUP BY identity.id ORDER BY identity.id"
            ).fetchall()
            cameras: dict[int, list[str]] = {}
            for owner, camera in self._db.execute(
                "SELECT DISTINCT identity, camera FROM picture WHERE camera IS NOT NULL "
                "ORDER BY camera"
            ):
                cameras.setdefault(owner, []).append(str(camera))
        return [
            Enrolled(str(name), count, tuple(cameras.get(owner, ())), _number(first), _number(last))
            for owner, name, count, first, last in found
        ]

    def thumbnails(self, names: Iterable[str]) -> dict[str, NDArray[np.uint8]]:
        """The first thumbnail of each of these identities that has one: uint8 `THUMBNAIL`, RGB."""
        kept = {}
        with self.snapshot():
            for name in names:
                found = self._db.execute(
                    "SELECT thumbnail FROM picture JOIN identity ON identity.id = identity "
                    "WHERE name = ? AND typeof(thumbnail) = 'blob' AND length(thumbnail) = ? "
                    "ORDER BY picture.id LIMIT 1",
                    (name, math.prod(THUMBNAIL)),
                ).fetchone()
                if found is not None:
                    kept[name] = np.frombuffer(found[0], np.uint8).reshape(THUMBNAIL)
        return kept

    @contextmanager
    def _edit(self) -> Iterator[None]:
        """A change of what readers have already; they notice by the number of edits."""
        with self._writing():
            yield
            self._db.execute("UPDATE gallery SET edits = edits + 1")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._writes += 1
        with self._working(), sqlite.transaction(self._db):
            yield

    @contextmanager
    def _working(self) -> Iterator[None]:
        if self._place is not None:
            self._place.check()
        with sqlite.errors(self._where):
            yield

    def _owner(self, name: str) -> int:
        found = self._db.execute("SELECT id FROM identity WHERE name = ?", (name,)).fetchone()
        if found is None:
            raise UnknownIdentityError(f"{name!r} is not enrolled; identities() lists who is")
        return int(found[0])

    def _rows(self, after: int, names: dict[int, str]) -> Iterator[Rows]:
        cursor = self._db.execute(
            "SELECT id, identity, embedding, camera, time FROM picture WHERE id > ? ORDER BY id",
            (after,),
        )
        while part := cursor.fetchmany(_ROWS):
            try:
                yield checked(part, self._size, names)
            except ValueError as error:
                raise self._damaged(str(error)) from None

    def _damaged(self, what: str) -> GalleryFileError:
        return GalleryFileError(
            f"{self._where}: is damaged, or was changed by another program: it holds {what}; "
            "restore a backup"
        )

    def _check_space(self, space: Space) -> None:
        with sqlite.errors(self._where):
            found = self._db.execute(
                "SELECT fingerprint, model, size, edits FROM gallery"
            ).fetchall()
        # An edit that could not be counted would go unnoticed.
        if len(found) != 1 or not isinstance(found[0][3], int) or not 0 <= found[0][3] < 1 << 62:
            raise self._damaged("no description of itself")
        fingerprint, model, size, _ = found[0]
        if fingerprint != space.fingerprint or size != space.size:
            shipped = shipped_with(fingerprint)
            given = "that bundle as model" if shipped is None else f"model={shipped!r}"
            raise GalleryModelError(
                f"{self._where}: holds embeddings of another model, {str(model)[:80]!r} "
                f"({str(fingerprint)[:12]}), not of {space.model!r} ({space.fingerprint[:12]}); "
                f"pass {given}, or enrol the people again in a new gallery",
                shipped,
            )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None
