"""Names for tracks, from a gallery of known people; unknown is an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .tracker import Track

if TYPE_CHECKING:
    from ..gallery import Gallery

_EVERY = 16  # views, after which a track's mean may have become another


class Names:
    """Names tracks by their mean embedding: at their 1st, 2nd, 4th, 8th and each 16th view.

    The last answer counts, and it may be unknown again.

    Args:
        gallery: of the same model as the embeddings.
        fpir: how many single pictures of people whom it does not know may be given a name,
            1e-9...0.5; of tracks it is more (docs/video.md).
    """

    def __init__(self, gallery: Gallery, fpir: float) -> None:
        self._gallery = gallery
        self._fpir = fpir

    def name(self, tracks: Sequence[Track]) -> None:
        """Set `identity` and `identity_score` of the tracks of one frame."""
        due = [
            (track, track.embedding)
            for track in tracks
            if track.embedding is not None
            and (track.views % _EVERY == 0 or track.views in (1, 2, 4, 8))
        ]
        if due:
            rows = np.stack([embedding for _, embedding in due])
            results = self._gallery.identify(rows, top=1, fpir=self._fpir)
            for (track, _), result in zip(due, results, strict=True):
                track.identity, track.identity_score = result.identity, None
                if result.identity is not None:
                    track.identity_score = float(result.candidates[0].score)
        self._once(tracks)

    @staticmethod
    def _once(tracks: Sequence[Track]) -> None:
        """Nobody is in one frame twice: the better score keeps the name."""
        best: dict[str, Track] = {}
        for track in tracks:
            if track.identity is None:
                continue
            other = best.setdefault(track.identity, track)
            if other is track:
                continue
            loser, winner = sorted((other, track), key=lambda t: t.identity_score or 0)
            best[track.identity] = winner
            loser.identity = loser.identity_score = None
