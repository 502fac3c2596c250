"""A gallery's search: one query against 1,000 to 1 million pictures, best five of all people.

On one thread, as `OMP_NUM_THREADS=1` does for most NumPy builds; set it before.  "Full sort" ranks
every picture and then takes the first five people, as a search without partition does.  People's
pictures lie scattered, as where they were added over time.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_edge.gallery.rows import Rows
from reid_edge.gallery.search import Index

from ._measure import report, seconds, side_by_side

SIZE, TOP, PICTURES = 256, 5, 5  # embedding; candidates; pictures of one person
MOST_MILLISECONDS, AT = 20.0, 100_000  # the target, on one core
COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)


def filled(count: int) -> tuple[Index, NDArray[np.float32]]:
    """An index of random embeddings, and a query."""
    rng = np.random.default_rng(0)
    index = Index(SIZE)
    for start in range(0, count, 50_000):
        places = np.arange(start, min(start + 50_000, count))
        rows = rng.normal(size=(len(places), SIZE)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        index.append(
            Rows(
                places + 1,
                places % (count // PICTURES),
                rows,
                [None] * len(places),
                np.zeros(len(places)),
            )
        )
    return index, index.embeddings[:1] * 1


def full_sort(index: Index, query: NDArray[np.float32]) -> list[int]:
    """Rank everything; the first five people of the ranking."""
    found: dict[int, None] = {}
    for place in np.argsort(-(index.embeddings @ query[0])):
        found[int(index.owners[place])] = None
        if len(found) == TOP:
            break
    return list(found)


def measured(count: int) -> dict[str, Any]:
    """One size, ours and the full sort taking turns; the estimate of the threshold beside it."""
    index, query = filled(count)
    assert index.search(query, TOP).owners[0].tolist() == full_sort(index, query)
    found = side_by_side(lambda: index.search(query, TOP), lambda: full_sort(index, query))
    estimates = [seconds(index.strangers) for _ in range(3)]
    milliseconds = 1000 * found["ours_seconds"]
    asked = {"most_milliseconds": MOST_MILLISECONDS, "reached": milliseconds <= MOST_MILLISECONDS}
    return {
        **(asked if count == AT else {}),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),  # None: as many as there are cores
        "search_milliseconds": milliseconds,
        "full_sort_milliseconds": 1000 * found["theirs_seconds"],
        "speedup": found["speedup"],
        "speedup_lowest": found["speedup_lowest"],
        "speedup_highest": found["speedup_highest"],
        "matrix_mebibytes": index.embeddings.nbytes / 2**20,
        "threshold_estimate_seconds": statistics.median(estimates),
    }


def draw(figures: dict[str, Any], path: Path) -> None:
    """The curve, with matplotlib (`pip install '.[train]'`)."""
    from matplotlib import pyplot

    counts = [int(count) for count in figures]
    for name, label in (("search", "Gallery"), ("full_sort", "full sort")):
        times = [one[f"{name}_milliseconds"] for one in figures.values()]
        pyplot.loglog(counts, times, "o-", label=label)
    pyplot.axhline(
        MOST_MILLISECONDS, color="grey", linestyle=":", label=f"{MOST_MILLISECONDS:g} ms"
    )
    pyplot.xlabel("pictures enrolled (256-d)")
    pyplot.ylabel("one query, milliseconds")
    pyplot.legend()
    pyplot.grid(alpha=0.3)
    pyplot.savefig(path, dpi=120, bbox_inches="tight")


def run(plot: Path | None = None, most: int = COUNTS[-1]) -> dict[str, Any]:
    """Each size; with `plot`, the curve drawn into that file."""
    figures = {f"{count}": measured(count) for count in COUNTS if count <= most}
    if plot is not None:
        draw(figures, plot)
    return figures


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curve into this file")
    parser.add_argument("--most", type=int, default=COUNTS[-1], metavar="N", help="largest gallery")


if __name__ == "__main__":
    report(__doc__, run, _options)
