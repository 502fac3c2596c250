"""What keeping backbone and head apart is worth: pictures are embedded once, pairs are cheap."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from reid_edge import ReId

from ._measure import report, seconds, side_by_side


def run() -> dict[str, Any]:
    """One against many, a grid, and one query against a gallery of Market-1501's size."""
    rng = np.random.default_rng(0)
    reid = ReId()
    one = rng.integers(0, 256, (128, 64, 3), np.uint8)
    many = [rng.integers(0, 256, (128, 64, 3), np.uint8) for _ in range(63)]

    def both_sides() -> Any:
        """What a Siamese network does: the first picture again for every pair."""
        return reid.score(reid.embed([one.copy() for _ in many]), reid.embed(many))

    size = reid.bundle.embedding_size
    gallery = rng.normal(size=(19_732, size)).astype(np.float32)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    queries = gallery[:256]

    def row_by_row() -> Any:
        return [reid.score(np.broadcast_to(query, gallery.shape), gallery) for query in queries]

    query_times = [seconds(lambda: reid.score_grid(gallery[:1], gallery)) for _ in range(50)]
    return {
        "one_against_63_against_both_sides": side_by_side(
            lambda: reid.predict(one, many), both_sides
        ),
        "grid_256_by_19732_against_row_by_row": side_by_side(
            lambda: reid.score_grid(queries, gallery), row_by_row, rounds=3
        ),
        "one_query_against_19732_milliseconds": {
            "median": 1000 * statistics.median(query_times),
            "lowest": 1000 * min(query_times),
            "highest": 1000 * max(query_times),
        },
    }


if __name__ == "__main__":
    report(__doc__, run)
