"""ReId inside the trackers that people use: BoxMOT, DeepSORT, roboflow's supervision.

Nothing here imports those packages: the classes have the interfaces that they call.  All of them
hand over **BGR** frames, as OpenCV reads them, and so do the functions here take BGR; `ReId` itself
takes RGB.

A tracker must get something for a box that holds nothing (NaN, no area, outside of the frame).
NaN and zero vectors stop it, for a cosine divides by their length, and one fixed vector would make
all such boxes one person.  So each gets a random unit vector of its own, which is like nobody: its
cosine with any embedding is 0 but for a spread of 1 / sqrt(d).  The original DeepSORT takes random
pictures there.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import BoxError, OptionError
from .heads import CosineHead
from .images import MIN_SIDE, as_array
from .reid import ReId

__all__ = ["BoxMotEmbedder", "DeepSortEmbedder", "cosine_distance", "embed_detections"]

Embeddings = NDArray[np.float32]

# Columns of BoxMOT's rows: the corners, confidence and class, track number and index.
_BOXMOT_COLUMNS = (4, 6, 8)


def cosine_distance(reid: ReId, score: float = 0.5) -> float:
    """The cosine distance, 1 - cosine, at which two people get a score.

    Trackers have thresholds of this kind (`appearance_thresh`, `max_cos_dist`,
    `max_cosine_distance`), whose defaults were chosen for other models.

    Args:
        reid: with a cosine head.
        score: in 0...1, exclusive; 0.5, or one of `reid.info()["thresholds"]`.

    Raises:
        OptionError: another kind of head, or a score that it never gives.
    """
    head = _cosine_head(reid)
    if not isinstance(score, str) and 0 < score < 1:
        distance = 1 - (math.log(score / (1 - score)) - head.bias) / head.scale
        if 0 <= distance <= 2:
            return distance
    raise OptionError(
        f"score {score!r} is none that this model gives; take 0.5, or one of info()['thresholds']"
    )


class _Embedder:
    """Embeddings that trackers can compare by their cosine, whatever the boxes."""

    def __init__(self, reid: ReId, seed: int = 0) -> None:
        """Wrap a model, which stays the caller's to close.

        Args:
            reid: with a cosine head.
            seed: of the directions that boxes without a picture get.

        Raises:
            OptionError: the model has another kind of head.
        """
        _cosine_head(reid)
        self.reid = reid
        self._rng = np.random.default_rng(seed)

    def _of_boxes(self, bgr: Any, boxes: NDArray[Any]) -> Embeddings:
        rows = self.reid.embed(_flip(bgr, "frame"), boxes=boxes, on_bad_box="nan")
        return self._with_strangers(rows)

    def _with_strangers(self, rows: Embeddings) -> Embeddings:
        """Put random directions where NaN is; in place."""
        missing = np.isnan(rows[:, 0])
        if missing.any():
            directions = self._rng.normal(size=(int(missing.sum()), rows.shape[1]))
            rows[missing] = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        return rows


class BoxMotEmbedder(_Embedder):
    """What BoxMOT's trackers take as `reid_model`.

    >>> tracker = BotSort(reid_model=BoxMotEmbedder(ReId()))           # doctest: +SKIP
    """

    def get_features(self, xyxys: ArrayLike, img: Any) -> Embeddings:
        """Embed the people of a frame.

        Args:
            xyxys: (n, 4), (n, 6) or (n, 8), the corners x1, y1, x2, y2 first; or one such row.
            img: uint8 (H, W, 3), BGR.

        Returns:
            float32 (n, d), of unit length, in the order of the boxes; n may be 0.

        Raises:
            BoxError: oriented boxes (5, 7 or 9 columns), or what are no boxes.
            InputError, BackendError: as `ReId.embed`.
        """
        boxes = np.asarray(xyxys)
        if boxes.size == 0:
            boxes = np.empty((0, 4), np.float32)
        elif boxes.ndim == 1:
            boxes = boxes[None]
        if boxes.ndim != 2 or boxes.shape[1] not in _BOXMOT_COLUMNS:
            raise BoxError(
                f"boxes: shape {boxes.shape} is not (n, 4), (n, 6) or (n, 8); "
                "oriented boxes (5, 7 or 9 columns) are not supported, use is_obb=False"
            )
        return self._of_boxes(img, boxes[:, :4])


class DeepSortEmbedder(_Embedder):
    """What deep-sort-realtime takes as its `embedder`, and the original DeepSORT as its encoder.

    >>> tracker = DeepSort(embedder=None, max_cosine_distance=0.5)     # doctest: +SKIP
    >>> tracker.embedder = DeepSortEmbedder(ReId())                    # doctest: +SKIP
    """

    def predict(self, np_images: Any) -> list[Embeddings]:
        """Embed crops, as deep-sort-realtime asks for them.

        Args:
            np_images: a list of uint8 (h, w, 3), BGR; those under 2 pixels a side count as empty.

        Returns:
            For each its embedding, float32 (d,), of unit length.

        Raises:
            InputError, BackendError: as `ReId.embed`.
        """
        crops = [_flip(crop, f"np_images[{place}]") for place, crop in enumerate(np_images)]
        places = [place for place, crop in enumerate(crops) if not _is_empty(crop)]
        rows = np.full((len(crops), self.reid.bundle.embedding_size), np.nan, np.float32)
        if places:
            rows[places] = self.reid.embed([crops[place] for place in places])
        return list(self._with_strangers(rows))

    def __call__(self, image: Any, boxes: ArrayLike) -> Embeddings:
        """Embed the people of a frame, as the encoder of the original DeepSORT does.

        Args:
            image: uint8 (H, W, 3), BGR.
            boxes: (n, 4): left, top, width, height, in pixels.

        Returns:
            float32 (n, d), of unit length, in the order of the boxes.

        Raises:
            BoxError: the boxes are not (n, 4) numbers.
            InputError, BackendError: as `ReId.embed`.
        """
        found = np.asarray(boxes)
        if found.ndim == 2 and found.shape[1] == 4 and found.dtype.kind in "iuf":
            corners = found.astype(np.float64)
            corners[:, 2:] += corners[:, :2]
            found = corners
        return self._of_boxes(image, found)


class _Detections(Protocol):
    """What is used of `supervision.Detections`."""

    xyxy: NDArray[Any]
    data: dict[str, Any]


_Found = TypeVar("_Found", bound=_Detections)


def embed_detections(
    reid: ReId,
    frame_bgr: Any,
    detections: _Found,
    *,
    key: str = "embedding",
    on_bad_box: str = "raise",
) -> _Found:
    """Add embeddings to the detections of a frame.

    Args:
        reid: any model; with a cosine head the embeddings may also be compared by cosine.
        frame_bgr: uint8 (H, W, 3), BGR, as OpenCV and supervision read it.
        detections: a `supervision.Detections`, which stays as it is.
        key: under which they are kept in `data`.
        on_bad_box: `raise` or `nan`, as in `ReId.embed`.

    Returns:
        New detections with `data[key]`, float32 (n, d): selecting and merging detections selects
        and merges the embeddings with them.

    Raises:
        BoxError: detections that hold nothing, which its `indices` name; or what is no Detections.
        InputError, BackendError: as `ReId.embed`.
    """
    if not dataclasses.is_dataclass(detections) or not hasattr(detections, "xyxy"):
        raise BoxError(
            f"detections: {type(detections).__name__} is no supervision.Detections; "
            "make one of boxes with sv.Detections(xyxy=boxes)"
        )
    known: Any = detections
    rows = reid.embed(_flip(frame_bgr, "frame_bgr"), boxes=known.xyxy, on_bad_box=on_bad_box)
    found: _Found = dataclasses.replace(known, data={**known.data, key: rows})
    return found


def _cosine_head(reid: ReId) -> CosineHead:
    head = reid.bundle.head
    if not isinstance(head, CosineHead):
        raise OptionError(
            f"model {reid.bundle.name!r} compares people with a network of its own, and trackers "
            "compare them by cosine, which its embeddings are not made for; take another model, "
            "such as the default one"
        )
    return head


def _flip(bgr: Any, where: str) -> NDArray[Any]:
    """BGR as RGB, without a copy; what is no picture is left for `images.check` to refuse."""
    picture = as_array(bgr, where)
    return picture[:, :, ::-1] if picture.ndim == 3 and picture.shape[2] == 3 else picture


def _is_empty(crop: NDArray[Any]) -> bool:
    return crop.ndim == 3 and min(crop.shape[:2]) < MIN_SIDE
