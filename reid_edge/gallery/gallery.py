"""Gallery: enrol people under names, and ask who someone is."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import bundle as bundles
from ..errors import ClosedError, EmptyGalleryError, OptionError
from ..reid import ReId
from .results import Candidate, Enrolled, Identification

# SQLite is loaded with the first gallery, so that `import reid_edge` does without.
if TYPE_CHECKING:
    from .view import View

Floats = NDArray[np.float32]


class Gallery:
    """People known by name, in memory or in one file that outlives the process.

    >>> with Gallery("people.db") as gallery:                        # doctest: +SKIP
    ...     gallery.add("anna", [picture_1, picture_2], camera="door")
    ...     gallery.identify(picture_3)[0].identity
    'anna'

    Where pictures are taken, embeddings may be passed instead, so that a picture need be embedded
    only once: an array with one axis (d,) or two (n, d), or a list of arrays (d,), is taken
    for embeddings, one with three or four for pictures as in `ReId.predict`.

    Several processes may have one file open: they read side by side, writers take turns, and what
    one has written the others find at their next call.  All methods may be called from several
    threads; after a fork, open the file anew (GalleryError says so).

    Args:
        path: the file, made if it does not exist, readable by its owner only; None for memory.
        model: a running ReId, which stays the caller's to close; or a model as `ReId` takes it,
            which is started when the first picture is passed.

    Raises:
        GalleryFileError: no gallery, of a newer version, damaged, or not to be opened; the file
            is left as it is.  From every method: it was removed, renamed or replaced since.
        GalleryModelError: it holds embeddings of another model, or the model has an
            asymmetric head.
        GalleryBusyError, GalleryWriteError: another process holds it, or the disk is full; from
            every method.
        UnknownModelError, BundleError: as `ReId`.
    """

    def __init__(
        self, path: str | Path | None = None, model: str | Path | ReId | None = None
    ) -> None:
        from . import space
        from .store import Store
        from .view import View

        if isinstance(model, ReId):
            self._reid: ReId | None = model
            self._bundle = model.bundle
        else:
            self._reid = None  # until the first picture
            self._bundle = bundles.load(bundles.find(model))
        self._owns_reid = self._reid is None
        self._head = space.head(self._bundle)
        self._space = space.of(self._bundle)
        if path is not None and not isinstance(path, (str, Path)):
            raise OptionError(f"path: {path!r}; pass the gallery's path as str or Path, or None")
        self.path = None if path is None else Path(path)
        self._view: View | None = View(Store(self.path, self._space), self._space.size)
        self._lock = threading.RLock()

    def add(
        self,
        identity: str,
        pictures: Any,
        camera: Any = None,
        time: Any = None,
        *,
        keep_thumbnails: bool = False,
    ) -> list[int]:
        """Enrol pictures of one person: all of them or, after an error, none.

        When it returns, they are on the disk, whatever happens to the process or to its power.

        Args:
            identity: a new name or an enrolled one, 1 to 200 characters, with neither white space
                around it nor control characters.
            pictures: pictures or embeddings, see above.
            camera: a name or a number, kept as text; or one for each picture in a list.
            time: seconds (of the Unix epoch, by convention), a datetime with a time zone, or None;
                or one for each picture in a list.
            keep_thumbnails: keep a copy of 48x96 pixels of each picture for the contact sheet.
                Else no picture is kept.

        Returns:
            The ids of the pictures, which are never given again.

        Raises:
            InputError: pictures or embeddings that cannot be scored.
            OptionError: a name, a camera or a time that is none; thumbnails of embeddings.
            LengthMismatchError: a list of cameras or times of another length.
        """
        from . import inputs

        inputs.name(identity)
        rows = self._embedded(pictures)
        thumbnails: list[bytes | None] = [None] * len(rows)
        if keep_thumbnails:
            if inputs.is_embeddings(pictures):
                raise OptionError("keep_thumbnails needs pictures; embeddings show nobody")
            thumbnails = inputs.thumbnails(pictures, len(rows))
        return self._keep(identity, rows, camera, time, thumbnails)

    def identify(
        self,
        pictures: Any,
        top: int = 5,
        fpir: float = 0.01,
        *,
        threshold: float | None = None,
    ) -> list[Identification]:
        """Say who is shown, or that it is someone unknown.

        Args:
            pictures: pictures or embeddings, see above; each is a query of its own.
            top: the most candidates to give.
            fpir: the share of strangers that may be taken for someone enrolled, 1e-9...0.5; the
                threshold follows from it and from who is enrolled (`threshold`).
            threshold: the score to decide by instead, 0...1.

        Returns:
            One answer for each query.

        Raises:
            EmptyGalleryError: nobody is enrolled.
            InputError: pictures or embeddings that cannot be scored.
            OptionError: another option out of range, or as `threshold`.
        """
        from . import inputs

        inputs.check_top(top)
        if threshold is not None:
            inputs.check_share(threshold, "threshold", 1)
        queries = self._embedded(pictures)
        with self._lock:
            view = self._fresh()
            least = self.threshold(fpir) if threshold is None else float(threshold)
            found = view.index.search(queries, top)
            answers = []
            for owners, cosines, places in zip(
                found.owners, found.cosines, found.places, strict=True
            ):
                candidates = tuple(
                    self._candidate(view, int(owner), float(cosine), int(place))
                    for owner, cosine, place in zip(owners, cosines, places, strict=True)
                )
                answers.append(Identification(candidates, candidates[0].score > least, least))
            return answers

    def threshold(self, fpir: float = 0.01) -> float:
        """The score that a share `fpir` of strangers exceeds with any enrolled identity.

        It is estimated from the gallery itself and from the model's false accept rates
        (docs/gallery.md), and anew when the gallery has grown by 5 % or was edited.

        Raises:
            EmptyGalleryError: nobody is enrolled.
            OptionError: `fpir` under 1e-9 or over 0.5; or a model without false accept rates, and
                fewer than 20 identities.
        """
        from . import inputs
        from .threshold import LEAST_FPIR, MOST_FPIR, cosine_at

        inputs.check_share(fpir, "fpir", MOST_FPIR, LEAST_FPIR)
        with self._lock:
            view = self._fresh()
            groups = view.index.groups
            cosine = cosine_at(
                fpir,
                view.strangers(),
                groups.ends - groups.starts,
                self._head,
                self._bundle.thresholds,
            )
        return self._score(cosine)

    def remove(self, identity: str) -> int:
        """Forget an identity with all its pictures; gives their number.

        Their rows are overwritten in the file, and in the log beside it once no one is reading.

        Raises:
            UnknownIdentityError: not enrolled.
        """
        with self._lock:
            return self._open.store.remove(identity)

    def merge(self, into: str, other: str) -> int:
        """Take two identities for one: `other`'s pictures become `into`'s; gives their number.

        Raises:
            UnknownIdentityError: one of them is not enrolled.
            OptionError: the two are one already.
        """
        if into == other:
            raise OptionError(f"{into!r} cannot be merged with itself; give two names")
        with self._lock:
            return self._open.store.merge(into, other)

    def rename(self, old: str, new: str) -> None:
        """Give an identity another name.

        Raises:
            UnknownIdentityError: `old` is not enrolled.
            IdentityExistsError: `new` is; `merge` makes one of the two.
            OptionError: `new` is no name.
        """
        from . import inputs

        inputs.name(new)
        with self._lock:
            self._open.store.rename(old, new)

    def export(self, path: str | Path) -> None:
        """Write all embeddings with their names, cameras and times: .npz (no pickle) or .json.

        Raises:
            OptionError: another ending, or the gallery's own file.
            GalleryWriteError: it cannot be written.
        """
        from . import export

        target = self._not_itself(path)
        with self._lock:
            view = self._fresh(may_be_empty=True)
            export.write(target, view.index, view.names, self._space)

    def identities(self) -> list[str]:
        """The names of all identities, in the order of enrolment."""
        with self._lock:
            names = self._fresh(may_be_empty=True).names
            return [names[owner] for owner in sorted(names)]

    def enrolled(self) -> list[Enrolled]:
        """What is kept of each identity, in the order of enrolment."""
        with self._lock:
            return self._open.store.enrolled()

    def neighbours(self) -> list[tuple[str, str, float]]:
        """The most alike other identity of each, with the score of their most similar pictures.

        The most alike come first: those may be one person, enrolled twice.  Of more than some
        30,000 pictures an even share is held against all, so that a pair may be missed.
        """
        with self._lock:
            view = self._fresh(may_be_empty=True)
            names = view.names
            return [
                (names[one], names[other], self._score(cosine))
                for one, other, cosine in (view.index.neighbours() if len(view.index) else [])
            ]

    def thumbnails(self, identities: Iterable[str] | None = None) -> dict[str, NDArray[np.uint8]]:
        """The first thumbnail of each identity that has one: uint8 (96, 48, 3), RGB.

        Args:
            identities: of these only; None for all.
        """
        with self._lock:
            names = self.identities() if identities is None else identities
            return self._open.store.thumbnails(names)

    def info(self) -> dict[str, Any]:
        """What is kept, of which model, and where."""
        with self._lock:
            view = self._fresh(may_be_empty=True)
            return {
                "path": None if self.path is None else str(self.path),
                "model": self._bundle.name,
                "fingerprint": self._space.fingerprint,
                "embedding_size": self._space.size,
                "identities": len(view.names),
                "pictures": len(view.index),
            }

    def __len__(self) -> int:
        """How many identities are enrolled."""
        with self._lock:
            return len(self._fresh(may_be_empty=True).names)

    def __bool__(self) -> bool:
        """A gallery is there, even if nobody is in it."""
        return True

    def __contains__(self, identity: object) -> bool:
        return identity in self.identities()

    def close(self) -> None:
        """Close the file.  The Gallery can't be used afterwards; closing twice is fine."""
        with self._lock:
            view, self._view = self._view, None
            if view is not None:
                view.store.close()
            if self._owns_reid and self._reid is not None:
                self._reid.close()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "" if self._view else " closed"
        return f"<Gallery {str(self.path or 'in memory')!r}{state}>"

    def _keep(
        self, identity: str, rows: Floats, camera: Any, time: Any, thumbnails: list[bytes | None]
    ) -> list[int]:
        """The end of `add`, also for the command, which has embedded the pictures itself."""
        from . import inputs

        cameras, times = inputs.cameras(camera, len(rows)), inputs.times(time, len(rows))
        with self._lock:
            return self._open.store.add(identity, rows, cameras, times, thumbnails)

    @property
    def _open(self) -> View:
        if self._view is None:
            raise ClosedError("this Gallery is closed; open a new one")
        return self._view

    def _not_itself(self, path: str | Path) -> Path:
        """A path to write to, also for the command.

        Raises:
            OptionError: the gallery's own file, or one of those beside it.
        """
        target = Path(path)
        with self._lock:
            if self._open.store.holds(target):
                raise OptionError(f"{target}: is the gallery itself; give another file")
        return target

    def _embedded(self, pictures: Any) -> Floats:
        from . import inputs

        if inputs.is_embeddings(pictures):
            return inputs.embeddings(pictures, self._bundle)
        with self._lock:
            if self._reid is None:
                _ = self._open  # a closed gallery starts no model
                self._reid = ReId(self._bundle.path)
        return self._reid.embed(pictures)

    def _fresh(self, may_be_empty: bool = False) -> View:
        """With all that any process has written so far."""
        view = self._open
        view.refresh()
        if not len(view.index) and not may_be_empty:
            raise EmptyGalleryError(
                ("" if self.path is None else f"{self.path}: ")
                + "nobody is enrolled, so there is no one to compare with; add() someone first"
            )
        return view

    def _candidate(self, view: View, owner: int, cosine: float, place: int) -> Candidate:
        picture, camera, time = view.index.picture(place)
        return Candidate(view.names[owner], self._score(cosine), camera, time, picture)

    def _score(self, cosine: float) -> float:
        """As the head, in double precision: where a gallery is large, all decides close to 1."""
        return float(1 / (1 + np.exp(-(self._head.scale * cosine + self._head.bias))))
