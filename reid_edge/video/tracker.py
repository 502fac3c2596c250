"""Boxes of each frame in, tracks out: overlap and calibrated appearance scores.

One greedy assignment a frame, after SORT (Bewley et al., 2016) and DeepSORT (Wojke et al., 2017),
with scores that are probabilities where those have distances: their thresholds are the model's,
not the tracker's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import BoxError, EmbeddingError, OptionError
from .matching import Floats, greedy, overlaps

ASSOCIATIONS = ("both", "iou", "appearance")

# All from reasoning, none fitted to a real video:
_MIN_IOU = 0.3  # SORT's
_HORIZON = 1.0  # seconds for which a place says who it is: ByteTrack keeps 30 frames of 30 a second
_LOG_ODDS_OF_IOU = 10.0  # between IoU 0.3 and 0.8 as much as between even odds and a score of 0.993
_CERTAIN = 1e-6  # scores are kept this far from 0 and 1, which float32 reaches
_NEAR, _SPEED = 0.5, 2.5  # heights, and heights a second: 4 m/s, a run
_COVERED = 0.5  # over this share of a box in another one, its crop may show the other person
_STEP = 0.5  # seconds, in which a walker goes about the width of a box
_VIEWS = 10  # the mean goes over about so many views
_STEADY = 0.5  # how much of a velocity is kept when it is measured again


@dataclass(frozen=True)
class Settings:
    """How to associate.

    Attributes:
        association: `iou`, by overlap alone; `appearance`, by score alone, wherever boxes are; or
            `both`.
        accept: the score over which appearance by itself makes two views one person; under
            1 - accept, `both` takes no overlap as proof.
        memory: seconds for which a lost track is kept, to be found again by appearance.
        max_lost: lost tracks that are kept at most; the longest lost go first.
    """

    association: str = "both"
    accept: float = 0.99
    memory: float = 60.0
    max_lost: int = 500

    def __post_init__(self) -> None:
        if self.association not in ASSOCIATIONS:
            raise OptionError(
                f"association {self.association!r} does not exist; use one of {ASSOCIATIONS}"
            )
        if not 0.5 <= self.accept < 1:
            raise OptionError(f"accept must lie in 0.5...1, not {self.accept}")
        if not self.memory >= 0 or self.max_lost < 0:
            raise OptionError("memory and max_lost must not be negative")


@dataclass
class Track:
    """One person, as far as the tracker knows; it changes with every frame.

    Attributes:
        id: 1, 2, ... in the order of appearance.
        box: float32 (4,), the last one seen.
        first, last: frame numbers.
        seconds: when it was seen last.
        views: how often.
        score: of the last box against the views before it; None without embeddings or views.
        embedding: float32 (d,) of unit length, the running mean; None without embeddings.
        identity, identity_score: the name from a gallery, None where unknown, and its score.
    """

    id: int
    box: Floats
    first: int
    last: int
    seconds: float
    embedding: Floats | None
    views: int = 0
    score: float | None = None
    identity: str | None = None
    identity_score: float | None = None
    velocity: Floats = field(default_factory=lambda: np.zeros(2, np.float32))
    clear_views: int = 0

    def predicted(self, seconds: float) -> Floats:
        """Where the box should be by now: it went on as before for one second, then stopped."""
        shift = self.velocity * np.float32(min(seconds - self.seconds, _HORIZON))
        moved: Floats = self.box + np.concatenate([shift, shift])
        return moved


class Tracker:
    """Associates boxes over frames.

    Memory is bounded: by the boxes of a frame and `Settings.max_lost`, never by the video.

    Args:
        score_grid: scores each of (n, d) against each of (m, d), as `ReId.score_grid` of a model
            with a symmetric head; not needed for `iou`.
        settings: how to associate.
        match: gives (row, column) pairs for an affinity matrix, -inf where there must be none.
    """

    def __init__(
        self,
        score_grid: Callable[[Floats, Floats], Floats] | None = None,
        settings: Settings | None = None,
        match: Callable[[Floats], Sequence[tuple[int, int]]] = greedy,
    ) -> None:
        self.settings = settings or Settings()
        if score_grid is None and self.settings.association != "iou":
            raise OptionError(
                f"association {self.settings.association!r} needs a model; use 'iou' without"
            )
        self._score_grid = score_grid
        self._match = match
        self._tracks: list[Track] = []
        self._numbers = itertools.count(1)
        self._frame, self._seconds = 0, -np.inf

    def update(
        self, frame: int, seconds: float, boxes: Floats, embeddings: Floats | None = None
    ) -> list[Track]:
        """Take in the boxes of the next frame.

        Args:
            frame: its number, from 1; larger than the last one.
            seconds: its time, not before the last one.
            boxes: float32 (n, 4), x1, y1, x2, y2; n may be 0.
            embeddings: float32 (n, d) of unit length, row by row; not needed for `iou`.

        Returns:
            The track of each box, in order.

        Raises:
            BoxError: boxes that are not (n, 4) finite numbers.
            EmbeddingError: not one embedding for each box, or none where this tracker has a
                `score_grid`; or those that `score_grid` refuses, NaN among them.
            OptionError: a frame or a time before the last one.
        """
        self._check(frame, seconds, boxes, embeddings)
        affinity, scores = self._affinity(seconds, boxes, embeddings)
        found: dict[int, Track] = {}
        for row, column in self._match(affinity):
            track = found[column] = self._tracks[row]
            track.score = None if scores is None else float(scores[row, column])
        return self._take(frame, seconds, boxes, embeddings, found)

    def follow(
        self,
        frame: int,
        seconds: float,
        boxes: Floats,
        embeddings: Floats | None,
        ids: NDArray[np.int64],
    ) -> list[Track]:
        """As `update`, with tracks that are known already: one for each id.

        `Track.score` stays None: nothing is associated.
        """
        self._check(frame, seconds, boxes, embeddings)
        if len(ids) != len(boxes) or len(np.unique(ids)) < len(ids):
            raise OptionError("ids: expected one for each box, no two alike in a frame")
        known = {track.id: track for track in self._tracks}
        found = {place: known[i] for place, i in enumerate(ids.tolist()) if i in known}
        return self._take(frame, seconds, boxes, embeddings, found, ids.tolist())

    def _check(self, frame: int, seconds: float, boxes: Floats, embeddings: Floats | None) -> None:
        if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
            raise BoxError(f"boxes: expected (n, 4) finite numbers, not these of {boxes.shape}")
        if embeddings is None:
            if self._score_grid is not None and len(boxes):
                raise EmbeddingError("embeddings are missing: pass one for each box")
        elif embeddings.ndim != 2 or len(embeddings) != len(boxes):
            raise EmbeddingError(
                f"embeddings: expected one row for each of {len(boxes)} boxes, not "
                f"{embeddings.shape}"
            )
        if frame <= self._frame or not seconds >= self._seconds:
            raise OptionError(
                f"frame {frame} at {seconds:g} s does not come after frame {self._frame} at "
                f"{self._seconds:g} s; use a Tracker for each video"
            )

    def _take(
        self,
        frame: int,
        seconds: float,
        boxes: Floats,
        embeddings: Floats | None,
        found: dict[int, Track],
        ids: Sequence[int] | None = None,
    ) -> list[Track]:
        """Bring the tracks that were found up to date, begin others, forget the long lost."""
        clear = _clear(boxes)
        tracks = []
        for place, box in enumerate(boxes):
            track = found.get(place)
            embedding = None if embeddings is None else embeddings[place].copy()
            if track is None:
                number = next(self._numbers) if ids is None else ids[place]
                track = Track(number, box.copy(), frame, frame, seconds, embedding)
                self._tracks.append(track)
            else:
                _move(track, box, seconds)
                _look(track, embedding, bool(clear[place]))
            track.last, track.seconds = frame, seconds
            track.views += 1
            track.clear_views += bool(clear[place])
            tracks.append(track)
        self._forget(frame, seconds)
        self._frame, self._seconds = frame, seconds
        return tracks

    def _affinity(
        self, seconds: float, boxes: Floats, embeddings: Floats | None
    ) -> tuple[Floats, Floats | None]:
        """How well each track goes with each box, -inf where not at all; and the scores."""
        if not self._tracks or not len(boxes):
            return np.empty((len(self._tracks), len(boxes)), np.float32), None
        predicted = np.stack([track.predicted(seconds) for track in self._tracks])
        overlap, _ = overlaps(predicted, boxes)
        away = np.array([seconds - track.seconds for track in self._tracks], np.float32)
        # With few frames a second, the frame before may be longer ago than the horizon.
        before = np.array([track.last == self._frame for track in self._tracks])
        overlap[(away > _HORIZON) & ~before] = 0
        scores = self._scores(embeddings)
        never = np.float32(-np.inf)
        if self.settings.association == "iou" or scores is None:
            return np.where(overlap >= _MIN_IOU, overlap, never), scores
        kept = np.clip(scores.astype(np.float64), _CERTAIN, 1 - _CERTAIN)
        log_odds = np.log(kept / (1 - kept)).astype(np.float32)
        sure = scores >= self.settings.accept
        if self.settings.association == "appearance":
            return np.where(sure, log_odds, never), scores
        # What a covered box shows may be another person: there, only the overlap has a say, as long
        # as nobody can have gone a step aside.
        blind = (away <= _STEP)[:, None] & ~_clear(boxes)
        log_odds[blind] = 0
        placed = (overlap >= _MIN_IOU) & ((scores >= 1 - self.settings.accept) | blind)
        reached = sure & self._reachable(away, boxes)
        return np.where(placed | reached, log_odds + _LOG_ODDS_OF_IOU * overlap, never), scores

    def _scores(self, embeddings: Floats | None) -> Floats | None:
        if self._score_grid is None or embeddings is None:
            return None
        means = [track.embedding for track in self._tracks if track.embedding is not None]
        return self._score_grid(np.stack(means), embeddings)

    def _reachable(self, away: Floats, boxes: Floats) -> NDArray[np.bool_]:
        """Whether a person could have gone from each track's last box to each box since."""
        last = np.stack([track.box for track in self._tracks])
        height = np.maximum(
            last[:, None, 3] - last[:, None, 1], boxes[None, :, 3] - boxes[None, :, 1]
        )
        apart = np.hypot(
            (last[:, None, 0] + last[:, None, 2] - boxes[None, :, 0] - boxes[None, :, 2]) / 2,
            last[:, None, 3] - boxes[None, :, 3],  # between the feet, where a height is a distance
        )
        return np.asarray(apart <= height * (_NEAR + _SPEED * away[:, None]))

    def _forget(self, frame: int, seconds: float) -> None:
        memory = self.settings.memory
        if self.settings.association == "iou":
            memory = min(memory, _HORIZON)  # after which nothing would find it again
        kept = [t for t in self._tracks if t.last == frame or seconds - t.seconds <= memory]
        lost = sorted((t for t in kept if t.last != frame), key=lambda track: track.seconds)
        gone = {id(track) for track in lost[: max(0, len(lost) - self.settings.max_lost)]}
        self._tracks = [track for track in kept if id(track) not in gone]


def _clear(boxes: Floats) -> NDArray[np.bool_]:
    """Boxes that no other one covers by more than half."""
    covered = overlaps(boxes, boxes)[1]
    np.fill_diagonal(covered, 0)
    return np.asarray(covered.max(axis=1, initial=0) <= _COVERED)


def _move(track: Track, box: Floats, seconds: float) -> None:
    elapsed = np.float32(max(seconds - track.seconds, 1e-3))
    step = ((box[:2] + box[2:]) - (track.box[:2] + track.box[2:])) / 2 / elapsed
    steady = np.float32(_STEADY if track.views > 1 else 0)
    track.velocity = steady * track.velocity + (1 - steady) * step
    track.box = box.copy()


def _look(track: Track, embedding: Floats | None, clear: bool) -> None:
    """Take a view into the running mean; one in which another person may stand, never."""
    if embedding is None or track.embedding is None or (not clear and track.clear_views):
        return
    if clear and not track.clear_views:  # the first view that surely shows this person
        track.embedding = embedding
        return
    weight = np.float32(max(1 / (track.clear_views + 1), 1 / _VIEWS))
    mean = track.embedding + weight * (embedding - track.embedding)
    length = np.linalg.norm(mean)
    if length > 0:
        track.embedding = (mean / length).astype(np.float32)
