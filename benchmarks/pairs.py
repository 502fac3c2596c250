"""What keeping backbone and head apart is worth: pictures are embedded once, pairs are cheap."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from reid_edge import ReId
from reid_edge.errors import ReportError

from ._measure import model_option, report, seconds, side_by_side


def run(
    model: str | None = None,
    others: int = 63,
    grid: tuple[int, int] = (8, 16),
    queries: int = 256,
    gallery: int = 19_732,
    rounds: int = 9,
) -> dict[str, Any]:
    """One against many, grids of pictures and of embeddings, and one query against a gallery.

    Args:
        model: as `ReId` takes it.
        others: how many the one is compared with.
        grid: sides of the grid of pictures.
        queries, gallery: sides of the grid of embeddings; 19,732 is Market-1501's gallery.
        rounds: turns that each way takes.
    """
    rng = np.random.default_rng(0)
    reid = ReId(model)
    pictures = [
        rng.integers(0, 256, (128, 64, 3), np.uint8) for _ in range(max(others + 1, sum(grid)))
    ]
    one, many = pictures[0], pictures[1 : others + 1]
    rows, columns = pictures[: grid[0]], pictures[grid[0] : sum(grid)]

    # What a Siamese network does: it knows pairs only, so a picture goes through it again for
    # every pair.  Copies are other pictures to `embed`.
    again = [one.copy() for _ in many]
    first = [row.copy() for row in rows for _ in columns]
    second = [column.copy() for _ in rows for column in columns]

    def both_sides() -> Any:
        return reid.score(reid.embed(again), reid.embed(many))

    def pair_by_pair() -> Any:
        return reid.score(reid.embed(first), reid.embed(second)).reshape(grid)

    def as_a_grid() -> Any:
        return reid.score_grid(reid.embed(rows), reid.embed(columns))

    if not np.allclose(as_a_grid(), pair_by_pair(), atol=1e-3):
        raise ReportError("both ways must give the same scores; the engine is at fault")
    size = reid.bundle.embedding_size
    kept = rng.normal(size=(gallery, size)).astype(np.float32)
    kept /= np.linalg.norm(kept, axis=1, keepdims=True)
    asked = kept[:queries]

    def row_by_row() -> Any:
        return [reid.score(np.broadcast_to(query, kept.shape), kept) for query in asked]

    few, some = kept[: grid[0]], kept[: 16 * grid[1]]

    def one_by_one() -> Any:
        return [reid.score(a, b) for a in few for b in some]

    query_times = [seconds(lambda: reid.score_grid(kept[:1], kept)) for _ in range(50)]
    return {
        f"one_against_{others}_against_both_sides": side_by_side(
            lambda: reid.predict(one, many), both_sides, rounds
        ),
        f"grid_of_{grid[0]}_by_{grid[1]}_pictures_against_passes_for_each_pair": side_by_side(
            as_a_grid, pair_by_pair, rounds
        ),
        f"grid_{len(few)}_by_{len(some)}_against_one_call_for_each_pair": side_by_side(
            lambda: reid.score_grid(few, some), one_by_one, rounds
        ),
        f"grid_{queries}_by_{gallery}_against_row_by_row": side_by_side(
            lambda: reid.score_grid(asked, kept), row_by_row, min(3, rounds)
        ),
        f"one_query_against_{gallery}_milliseconds": {
            "median": 1000 * statistics.median(query_times),
            "lowest": 1000 * min(query_times),
            "highest": 1000 * max(query_times),
        },
    }


if __name__ == "__main__":
    report(__doc__, run, model_option)
