"""How often strangers are called known, against what was asked: Market-1501's training split.

People are drawn by chance into enrolled and strangers, many times: among those held out of the
shipped model's training, and among those it was trained on.  Give the folder of Market-1501.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_edge import ReId
from reid_edge.datasets import market1501_train
from reid_edge.evaluation import embed_files, labels
from reid_edge.gallery.rows import Rows
from reid_edge.gallery.search import Index
from reid_edge.gallery.threshold import cosine_at
from training.held_out import held_out_pids

from ._measure import report

SETTINGS = (("held out", 10), ("held out", 50), ("trained on", 100), ("trained on", 325))
RATES = (0.1, 0.01)
STRANGERS, DRAWS, PICTURES = 325, 40, (1, 3, 100)


def known(
    reid: ReId, embeddings: NDArray[np.float32], pids: Any, count: int, pictures: int, rng: Any
) -> list[float]:
    """One draw: the share of strangers over the threshold, for each rate."""
    people = rng.permutation(np.unique(pids))
    rows = [np.flatnonzero(pids == pid) for pid in people[:count]]
    rows = [rng.permutation(one)[:pictures] for one in rows]
    places = np.concatenate(rows)
    index = Index(embeddings.shape[1])
    none: list[str | None] = [None] * len(places)
    owners = np.repeat(np.arange(count), [len(one) for one in rows])
    index.append(
        Rows(np.arange(1, len(places) + 1), owners, embeddings[places], none, np.zeros(len(places)))
    )
    strangers = embeddings[np.isin(pids, people[count : count + STRANGERS])]
    highest = index.search(strangers, 1).cosines[:, 0]
    groups = index.groups
    alike, sizes = index.strangers(), groups.ends - groups.starts
    head: Any = reid.bundle.head
    return [
        float((highest > cosine_at(rate, alike, sizes, head, reid.bundle.thresholds)).mean())
        for rate in RATES
    ]


def run(market1501: Path) -> dict[str, Any]:
    """Mean and spread of the draws, by setting."""
    samples = market1501_train(market1501)
    with ReId() as reid:
        return drawn(reid, embed_files(reid, samples), labels(samples)[0])


def drawn(reid: ReId, embeddings: NDArray[np.float32], pids: Any) -> dict[str, Any]:
    """`run`, of embeddings."""
    is_held_out = np.isin(pids, list(held_out_pids()))
    figures = {}
    for kind, count in SETTINGS:
        chosen = is_held_out if kind == "held out" else ~is_held_out
        for pictures in PICTURES:
            rng = np.random.default_rng(0)
            draws = [
                known(reid, embeddings[chosen], pids[chosen], count, pictures, rng)
                for _ in range(DRAWS)
            ]
            figures[f"{count} {kind}, {pictures} pictures at most"] = {
                f"asked {rate:g}": {"mean": float(mean), "spread": float(spread)}
                for rate, mean, spread in zip(
                    RATES, np.mean(draws, 0), np.std(draws, 0), strict=True
                )
            }
    return figures


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("market1501", type=Path, help="the unpacked archive")


if __name__ == "__main__":
    report(__doc__, run, _options)
