"""Ranked galleries for some queries: who the model takes for whom.

They show people, so they are made only on request, and kept only in the page.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets import QueryGallery
from ..evaluation import labels
from ..image_files import read_image
from ..reid import ReId

_SHOWN = 10
_HEIGHT = 128


@dataclass(frozen=True)
class Candidate:
    """One picture of a sheet: a JPEG data URI; `score` and `right` are None for the query."""

    image: str
    title: str
    score: float | None = None
    right: bool | None = None


@dataclass(frozen=True)
class Sheet:
    """A query and the candidates that the model ranks first, as the protocol counts them."""

    query: Candidate
    ranked: list[Candidate]


def sheet(
    reid: ReId, test: QueryGallery, embeddings: NDArray[np.float32], count: int
) -> list[Sheet]:
    """Rank the gallery for `count` queries, spread evenly over the test.

    Args:
        reid: the model.
        test: what the embeddings are of, queries first.
        embeddings: float32 (queries + gallery, d).
        count: how many; fewer if there are fewer queries.
    """
    total = len(test.query)
    pids, camids = labels(test.gallery)
    sheets = []
    for place in np.unique(np.linspace(0, total - 1, min(count, total)).astype(int)):
        query = test.query[place]
        scores = reid.score_grid(embeddings[place : place + 1], embeddings[total:])[0]
        counted = ~((pids == query.pid) & (camids == query.camid)) & (pids != -1)
        best = np.flatnonzero(counted)[np.argsort(-scores[counted], kind="stable")[:_SHOWN]]
        ranked = [
            Candidate(
                thumbnail(test.gallery[index].path),
                f"{pids[index]}, camera {camids[index]}",
                float(scores[index]),
                bool(pids[index] == query.pid),
            )
            for index in best
        ]
        asked = Candidate(thumbnail(query.path), f"{query.pid}, camera {query.camid}")
        sheets.append(Sheet(asked, ranked))
    return sheets


def thumbnail(path: Path) -> str:
    """A picture file as a small JPEG data URI."""
    import cv2

    picture = read_image(path)
    width = max(1, min(2 * _HEIGHT, round(picture.shape[1] * _HEIGHT / picture.shape[0])))
    small = cv2.resize(picture, (width, _HEIGHT), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
