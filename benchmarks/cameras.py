"""Accuracy through simulated cameras, of the default model and of other networks.

The 100 people of Market-1501 that no training of ours saw, once as they are and then as sets of
six simulated cameras show them, one in the place of each camera; each picture is searched among
all others from other cameras.  Other networks are OpenVINO IR files that take raw BGR pictures,
as in `benchmarks.peers`; theirs may have been trained on these people.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from reid_edge import bundle, images, metrics, read_image
from reid_edge.datasets import Sample, market1501_train
from reid_edge.errors import OptionError
from reid_edge.evaluation import labels
from reid_edge.images import Picture
from training import held_out

from ._cameras import Camera
from ._contenders import Contender, our_own, peers
from ._measure import model_option, report

_BATCH = 16

Shown = Callable[[Sample, Picture], Picture]


def run(
    market1501: Path, models: Sequence[Path] = (), sets: int = 3, model: str | None = None
) -> dict[str, Any]:
    """Rank-1 and mAP of each network, as the pictures are and through each set of cameras.

    Args:
        market1501: the dataset's folder.
        models: folders of IR files.
        sets: of simulated cameras, drawn anew each.
        model: ours, instead of the default one.

    Raises:
        OptionError: `sets` is less than 1.
    """
    if sets < 1:
        raise OptionError("--sets must be at least 1")
    _, people = held_out.split(market1501_train(market1501))
    ours = bundle.load(bundle.find(model))
    contenders = our_own(ours)
    if models:
        contenders += peers(models, (ours.height, ours.width), (1, _BATCH))
    ways: dict[str, Shown] = {"as they are": lambda sample, picture: picture}
    ways |= {f"cameras {seed}": through(people, seed) for seed in range(sets)}
    measured = {
        name: _measure(contenders, people, shown, ours, name) for name, shown in ways.items()
    }
    networks: dict[str, dict[str, Any]] = {}
    for one in contenders:
        by_way = {name: figures[one.label] for name, figures in measured.items()}
        simulated = [figures for name, figures in by_way.items() if name != "as they are"]
        mean = {key: float(np.mean([each[key] for each in simulated])) for key in simulated[0]}
        networks[one.label] = {**by_way, "mean of all cameras": mean}
    return {
        "people": len({sample.pid for sample in people}),
        "pictures": len(people),
        "networks": networks,
    }


def through(people: Sequence[Sample], seed: int) -> Shown:
    """A simulated camera in the place of each camera; the same seed draws the same pictures."""
    rng = np.random.default_rng(seed)
    cameras = {camid: Camera.draw(rng) for camid in sorted({one.camid for one in people})}
    return lambda sample, picture: cameras[sample.camid].shoot(picture, rng)


def _measure(
    contenders: Sequence[Contender],
    people: Sequence[Sample],
    shown: Shown,
    model: bundle.Bundle,
    what: str,
) -> dict[str, dict[str, float]]:
    embeddings: dict[str, list[NDArray[np.float32]]] = {one.label: [] for one in contenders}
    for start in track(range(0, len(people), _BATCH), what, transient=True):
        part = people[start : start + _BATCH]
        rgb = np.empty((len(part), model.height, model.width, 3), np.uint8)
        pictures = [shown(sample, read_image(sample.path)) for sample in part]
        images.fill(rgb, pictures, model.resize)
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        for one in contenders:
            embeddings[one.label].append(one.run(bgr if one.bgr else rgb).copy())
    pids, camids = labels(people)
    found = {}
    for one in contenders:
        rows = np.concatenate(embeddings[one.label])
        ranking = metrics.retrieval(one.grid(rows, rows), pids, camids, pids, camids)
        found[one.label] = {"rank1": ranking.rank1, "mAP": ranking.mean_ap}
    return found


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("market1501", type=Path, help="the folder of Market-1501")
    parser.add_argument(
        "--models", type=Path, nargs="+", default=(), metavar="FOLDER", help="of IR files"
    )
    parser.add_argument("--sets", type=int, default=3, metavar="N", help="of simulated cameras")
    model_option(parser)


if __name__ == "__main__":
    report(__doc__, run, _options)
