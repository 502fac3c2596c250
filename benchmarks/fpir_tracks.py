"""How often `video` names strangers, whose tracks are looked up by the mean of their views.

    python -m benchmarks.fpir_tracks MARKET1501

The gallery's threshold is made for single pictures, each asked once.  A mean of ten views lies
nearer to everyone, the right one and the wrong ones, and a track is asked again as it grows.  Of
the people held out of the shipped model's training, half are enrolled with half of their pictures,
many times; a track is ten pictures of a person in a random order, so of any camera.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_edge import Gallery, ReId
from reid_edge.datasets import market1501_train
from reid_edge.evaluation import embed_files, labels
from training.held_out import split

from ._measure import report

RATES = (0.1, 0.01, 0.003, 0.002)
DRAWS, LONGEST = 20, 10
LOOKUPS = (1, 2, 4, 8, 10)  # views, about as `reid_edge.video.naming` asks


def means(views: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of unit length at each lookup, of views (n, d)."""
    found = np.stack([views[:count].mean(axis=0) for count in LOOKUPS if count <= len(views)])
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found


def drawn(
    reid: ReId, embeddings: NDArray[np.float32], pids: NDArray[Any], draws: int = DRAWS
) -> dict[str, Any]:
    """For each rate asked for, shares of strangers who got a name, and of known who got theirs."""
    rng = np.random.default_rng(0)
    names = ("strangers, single", "strangers, last", "strangers, ever", "known, single")
    seen: dict[float, dict[str, list[float]]] = {
        rate: {name: [] for name in (*names, "known, last")} for rate in RATES
    }
    for _ in range(draws):
        people = rng.permutation(np.unique(pids))
        enrolled = set(people[: len(people) // 2].tolist())
        rows = {pid: rng.permutation(np.flatnonzero(pids == pid)) for pid in people.tolist()}
        with Gallery(model=reid) as gallery:
            for pid in enrolled:
                kept = (len(rows[pid]) + 1) // 2
                gallery.add(str(pid), embeddings[rows[pid][:kept]])
                rows[pid] = rows[pid][kept:]
            for rate in RATES:
                for pid, asked in rows.items():
                    if not len(asked):
                        continue
                    views = embeddings[asked[:LONGEST]]
                    single, track = (
                        [found.identity for found in gallery.identify(given, top=1, fpir=rate)]
                        for given in (views, means(views))
                    )
                    here = seen[rate]
                    if pid in enrolled:
                        here["known, single"].append(
                            float(np.mean([n == str(pid) for n in single]))
                        )
                        here["known, last"].append(track[-1] == str(pid))
                    else:
                        here["strangers, single"].append(float(np.mean([bool(n) for n in single])))
                        here["strangers, last"].append(bool(track[-1]))
                        here["strangers, ever"].append(any(track))
    return {
        f"asked {rate:g}": {name: round(float(np.mean(shares)), 4) for name, shares in here.items()}
        for rate, here in seen.items()
    }


def run(market1501: Path, precision: str = "auto") -> dict[str, Any]:
    """`drawn`, of the people held out."""
    _, samples = split(market1501_train(market1501))
    with ReId(precision=precision) as reid:
        return drawn(reid, embed_files(reid, samples), labels(samples)[0])


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("market1501", type=Path, help="the unpacked archive")
    parser.add_argument("--precision", default="auto")


if __name__ == "__main__":
    report(__doc__, run, _options)
