"""ReId: two pictures of people in, the probability that they show one person out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import backends, bundle, frames, images
from .errors import (
    BundleGraphError,
    ClosedError,
    EmbeddingError,
    EmptyInputError,
    LengthMismatchError,
    OptionError,
)
from .image_files import read_image

__all__ = ["ReId"]

_PAIRS = 1 << 14


class ReId:
    """A person re-identification model, ready to run.

    >>> reid = ReId()
    >>> reid.predict(picture_a, picture_b)            # doctest: +SKIP
    array([0.93], dtype=float32)

    Scores lie in 0...1; over 0.5 means the same person.  All methods may be called from
    several threads at once.

    Args:
        model: None for the default model, the name of a shipped one, or a bundle's folder.
        backend: `auto`, `openvino`, `onnxruntime`, `tensorrt` or `tensorrt_rtx`.
        precision: `auto`, `fp32`, `fp16` or `int8`, as far as the model and the device have it.
        device: `cpu`, `cuda` or `cuda:N`; None takes the best that is there.
        allow_unverified: run a precision whose loss of accuracy was not measured, or was found
            too large.
        engine_dir: where built TensorRT engines are kept; None takes the folder in the
            environment variable REID_EDGE_CACHE, else the user's cache folder.
        max_batch: the largest batch of a TensorRT engine, 1...1024 pictures.
        cuda_graphs: replay recorded launches in TensorRT; off until it has been run on hardware.

    Raises:
        OptionError: a model, backend, precision or device that does not exist or go together.
        BundleError: the model's files are damaged or not what they claim to be.
        BackendError: the backend cannot be started (MissingDependencyError: not installed).
    """

    def __init__(
        self,
        model: str | Path | None = None,
        backend: str = "auto",
        precision: str = "auto",
        device: str | None = None,
        *,
        allow_unverified: bool = False,
        engine_dir: str | Path | None = None,
        max_batch: int = 32,
        cuda_graphs: bool = False,
    ) -> None:
        engine = backends.EngineOptions(
            engine_dir, backends.BuildOptions(max_batch=max_batch), cuda_graphs
        )
        self.bundle = bundle.load(bundle.find(model))
        self._backend: backends.Backend | None = backends.choose(
            self.bundle, backend, precision, device, allow_unverified, engine
        )

    def predict(self, a: Any, b: Any) -> NDArray[np.float32]:
        """Compare pictures item by item.

        Each picture object is embedded once per call, however often it occurs: one person
        against 1,000 others takes 1,001 backbone passes.

        Args:
            a, b: each one RGB picture (H, W, 3), uint8 or float in 0...255, of any size; or a
                list of them, or an array (n, H, W, 3).  One bare picture is compared with
                every item of the other list.

        Returns:
            float32 (n,), the scores in 0...1; n = 1 for two single pictures.

        Raises:
            EmptyInputError: an empty list.
            LengthMismatchError: two lists of different length.
            InputError: its other subclasses, for pictures that can't be scored.
            BackendError: the engine failed.
        """
        collector = images.Collector()
        first, first_bare = collector.add(a, "a")
        second, second_bare = collector.add(b, "b")
        if len(first) != len(second) and not (first_bare or second_bare):
            raise LengthMismatchError(
                f"a has {len(first)} pictures and b has {len(second)}; lists are compared item by "
                "item, so pass lists of one length, or one bare picture to compare with each"
            )
        embeddings = self._embed_pictures(collector.unique)
        count = max(len(first), len(second))
        scores = np.empty(count, np.float32)
        for start in range(0, count, _PAIRS):  # references are many times smaller than embeddings
            rows = slice(start, start + _PAIRS)
            scores[rows] = self.bundle.head.pairs(
                embeddings[first if len(first) == 1 else first[rows]],
                embeddings[second if len(second) == 1 else second[rows]],
            )
        return scores

    def embed(
        self, pictures: Any, boxes: Any = None, *, on_bad_box: str = "raise"
    ) -> NDArray[np.float32]:
        """Embed pictures, or the people in the boxes of one frame.

        Args:
            pictures: as in `predict`; with boxes, one RGB picture (H, W, 3), the frame.
            boxes: (n, 4), int or float: x1, y1, x2, y2 in pixels, right and lower edge exclusive.
                They are cut off at the frame's edges; a pixel belongs to a box if its centre does,
                so that whole numbers give `frame[y1:y2, x1:x2]`.  n may be 0.
            on_bad_box: what to do about boxes with NaN or infinity, with x1 >= x2 or y1 >= y2, or
                with fewer than two pixels each way inside the frame: `raise`, or `nan` for rows of
                NaN in their places, which `score` and `score_grid` refuse.

        Returns:
            float32 (n, d), one row a picture or box, in their order; of unit length for models
            with a cosine head.  Keep the rows as they are: `score` and `score_grid` take them
            back.

        Raises:
            BoxError: boxes that are not (n, 4) numbers, or bad boxes, which its `indices` name.
            OptionError: another `on_bad_box`.
            InputError, BackendError: as `predict`.
        """
        if on_bad_box not in ("raise", "nan"):
            raise OptionError(f"on_bad_box {on_bad_box!r} is unknown; take 'raise' or 'nan'")
        if boxes is not None:
            return self._embed_crops(frames.crops(pictures, boxes, on_bad_box == "raise"))
        collector = images.Collector()
        places, _ = collector.add(pictures, "pictures")
        embeddings = self._embed_pictures(collector.unique)
        return embeddings if places == list(range(len(embeddings))) else embeddings[places]

    def embed_files(self, paths: str | Path | Sequence[str | Path]) -> NDArray[np.float32]:
        """Embed picture files; they are decoded one at a time, so memory stays bounded.

        Args:
            paths: JPEG, PNG, BMP or WebP files; or one of them.

        Returns:
            float32 (n, d), as `embed`.

        Raises:
            EmptyInputError: no path.
            ImageFileError: a file that can't be read as a picture; it is named.
            ImageSizeError: a picture with a side under 2 pixels.
            BackendError: the engine failed.
        """
        if isinstance(paths, (str, Path)):
            paths = [paths]
        if not paths:
            raise EmptyInputError("there are no paths; pass at least one picture file")
        files = paths

        def fill(rows: NDArray[np.uint8], place: slice) -> None:
            for row, path in enumerate(files[place]):
                picture = read_image(path)
                images.check(picture, str(path))
                images.fill(rows[row : row + 1], [picture], self.bundle.resize)

        return self._embed(len(files), fill)

    def score(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
        """Score embeddings row by row.

        Args:
            a, b: float (n, d) from `embed`, or one row (d,) or (1, d) against all of the other:
                unlike in `predict`, one row in a list broadcasts, too.  Both of this model: rows of
                another of as many numbers cannot be told, and their scores mean nothing.

        Returns:
            float32 (n,), the scores in 0...1.

        Raises:
            EmbeddingError: wrong shapes or values; of rows that are not of unit length, only zeros
                and those that make a cosine beyond 1 are noticed here, and all in `score_grid`.
            EmptyInputError: no rows.
            LengthMismatchError: (n, d) against (m, d).
        """
        first, second = self._rows(a, "a"), self._rows(b, "b")
        if len(first) != len(second) and 1 not in (len(first), len(second)):
            raise LengthMismatchError(
                f"a has {len(first)} embeddings and b has {len(second)}; "
                "use score_grid to score each against each"
            )
        return self.bundle.head.pairs(first, second)

    def score_grid(self, a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
        """Score each embedding of a against each of b.

        Args:
            a: float (n, d) from `embed`.
            b: float (m, d) from `embed`.

        Returns:
            float32 (n, m), the scores in 0...1.

        Raises:
            EmbeddingError: wrong shapes or values.
            EmptyInputError: no rows.
        """
        return self.bundle.head.grid(self._rows(a, "a"), self._rows(b, "b"))

    def info(self) -> dict[str, Any]:
        """What runs: model, licence, backend; device and precision as the engine reports them."""
        backend = self._running()
        return {
            "model": self.bundle.name,
            "version": self.bundle.version,
            "description": self.bundle.description,
            "licence": self.bundle.licence,
            "licence_summary": self.bundle.licence_summary,
            "backend": backend.name,
            "device": backend.device,
            "precision": backend.precision,
            "input_size": (self.bundle.height, self.bundle.width),
            "embedding_size": self.bundle.embedding_size,
            "thresholds": {name: t.score for name, t in self.bundle.thresholds.items()},
            "path": str(self.bundle.path),
        }

    def close(self) -> None:
        """Free the engine.  The ReId can't be used afterwards; closing twice is fine."""
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def __enter__(self) -> ReId:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"{self._backend.name!r}" if self._backend else "closed"
        return f"<ReId model={self.bundle.name!r} backend={state}>"

    def _running(self) -> backends.Backend:
        if self._backend is None:
            raise ClosedError("this ReId is closed; make a new one")
        return self._backend

    def _embed_crops(self, crops: list[images.Picture | None]) -> NDArray[np.float32]:
        """As `_embed_pictures`, with rows of NaN where there is no crop."""
        self._running()  # also without a crop
        places = [place for place, crop in enumerate(crops) if crop is not None]
        rows = np.full((len(crops), self.bundle.embedding_size), np.nan, np.float32)
        if places:
            rows[places] = self._embed_pictures([crop for crop in crops if crop is not None])
        return rows

    def _embed_pictures(self, pictures: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        def fill(rows: NDArray[np.uint8], place: slice) -> None:
            images.fill(rows, pictures[place], self.bundle.resize)

        return self._embed(len(pictures), fill)

    def _embed(self, count: int, fill: backends.Fill) -> NDArray[np.float32]:
        """Embed `count` pictures, batch by batch; `fill` writes those of a place into its rows."""
        found = self._running().embed(count, fill)
        if not np.isfinite(found).all():
            raise BundleGraphError(
                f"{self.bundle.path}: the graph gives NaN or infinite embeddings; "
                "export the bundle again, or use precision='fp32'"
            )
        return found

    def _rows(self, embeddings: ArrayLike, name: str) -> NDArray[np.float32]:
        size = self.bundle.embedding_size
        try:
            rows = np.asarray(embeddings)
        except Exception as error:  # ragged lists, and objects whose own code raises
            raise EmbeddingError(
                f"{name}: {type(embeddings).__name__} does not turn into an array ({error}); "
                f"pass float (n, {size}) from embed()"
            ) from error
        if rows.size == 0:
            raise EmptyInputError(f"{name} holds no embeddings; pass at least one row")
        if rows.ndim == 1:
            rows = rows[None]
        if rows.ndim != 2 or rows.shape[1] != size or not np.issubdtype(rows.dtype, np.floating):
            raise EmbeddingError(
                f"{name}: {rows.dtype} {rows.shape} are no embeddings of model "
                f"{self.bundle.name!r}; pass float (n, {size}) from its embed()"
            )
        with np.errstate(over="ignore"):  # infinities are refused by the head
            return np.ascontiguousarray(rows, np.float32)
