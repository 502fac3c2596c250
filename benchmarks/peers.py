"""Speed and accuracy of the default model beside other networks, on one chart.

Peers are OpenVINO IR files that take raw BGR pictures, such as Intel's
person-reidentification-retail-0277, 0286, 0287 and 0288 of the Open Model Zoo, in float32 and BF16.
All run on one OpenVINO with the same settings, from ready uint8 batches, by turns; accuracy
follows one protocol on the very same decoded and resized pictures.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from reid_edge import bundle, images, metrics, read_image
from reid_edge.datasets import QueryGallery, Sample, open_test
from reid_edge.errors import OptionError
from reid_edge.evaluation import labels

from ._contenders import Contender, Embeddings, our_own, peers
from ._measure import by_turns, compare, report

BATCHES = (1, 16)
STATEMENT = "no peer of equal or lower mAP is faster than ours"
_PICTURES = 64  # of one timed turn


def run(
    models: Sequence[Path], dataset: str, queries: int | None = None, rounds: int = 9
) -> dict[str, Any]:
    """Figures of each network, peers against ours, and what became of the statement.

    Args:
        models: folders of IR files.
        dataset: `LAYOUT:PATH`, as in `python -m reid_edge evaluate`.
        queries: for a trial: so many queries only, and of the gallery only the people asked for;
            None is the whole protocol.
        rounds: turns that each network takes.
    """
    test = open_test(dataset)
    if queries is not None:
        test = subset(test, queries)
    model = bundle.load(bundle.find(None))
    size = (model.height, model.width)
    contenders = [*our_own(model), *peers(models, size, BATCHES)]
    accuracy = measure_accuracy(contenders, test, model)
    times = {batch: _times(contenders, size, batch, rounds) for batch in BATCHES}
    rows = [
        {
            "name": one.name,
            "precision": one.precision,
            "ours": one.ours,
            **accuracy[one.label],
            "images_per_second": {
                str(batch): _PICTURES / statistics.median(times[batch][one.label])
                for batch in BATCHES
            },
        }
        for one in contenders
    ]
    figures: dict[str, Any] = {
        "contenders": rows,
        "dataset": dataset.partition(":")[0],
        "queries": len(test.query),
        "gallery": len(test.gallery),
        "whole_protocol": queries is None,
    }
    held = {}
    for batch in BATCHES:
        found, refuting = judge(rows, times[batch])
        figures |= {f"{name}, batch {batch}": ratio for name, ratio in found.items()}
        held[f"batch {batch}"] = {
            "holds": not refuting,
            "refuted_by": refuting,
            "peers_of_equal_or_lower_mAP": len(found),  # of none it says nothing
        }
    return {**figures, "statement": {"text": STATEMENT, **held}}


def subset(test: QueryGallery, queries: int) -> QueryGallery:
    """Evenly chosen queries, and the gallery's pictures of their people: easier than the test.

    Raises:
        OptionError: less than one query.
    """
    if queries < 1:
        raise OptionError("--queries must be at least 1")
    places = np.linspace(0, len(test.query) - 1, min(queries, len(test.query))).astype(int)
    asked = [test.query[place] for place in places]
    pids = {sample.pid for sample in asked}
    return QueryGallery(asked, [sample for sample in test.gallery if sample.pid in pids])


def measure_accuracy(
    contenders: Sequence[Contender], test: QueryGallery, model: bundle.Bundle
) -> dict[str, dict[str, float]]:
    """Each network's mAP and rank-1 by its label; a picture is decoded and resized once for all."""
    query = _embed(contenders, test.query, model, "query")
    gallery = _embed(contenders, test.gallery, model, "gallery")
    people = (*labels(test.query), *labels(test.gallery))
    found = {}
    for one in contenders:
        scores = one.grid(query[one.label], gallery[one.label])
        ranking = metrics.retrieval(scores, *people)
        found[one.label] = {"mAP": ranking.mean_ap, "rank1": ranking.rank1}
    return found


def judge(
    rows: Sequence[dict[str, Any]], times: dict[str, list[float]]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Hold peers that are not more accurate than ours against ours.

    Args:
        rows: as in the figures; each with `name`, `precision`, `ours` and `mAP`.
        times: seconds of each, by name and precision, turn by turn.

    Returns:
        The ratio of each such peer to the fastest of ours that is at least as accurate, and
        the peers that are faster than that, so refute the statement.
    """
    found, refuting = {}, []
    for peer in (row for row in rows if not row["ours"]):
        as_good = [row for row in rows if row["ours"] and row["mAP"] >= peer["mAP"]]
        if not as_good:
            continue
        best = min(as_good, key=lambda row: statistics.median(times[_label(row)]))
        ratio = compare(times[_label(best)], times[_label(peer)], target=1.0)
        found[f"{best['precision']} against {_label(peer)}"] = ratio
        if not ratio["reached"]:
            refuting.append(_label(peer))
    return found, refuting


def _label(row: dict[str, Any]) -> str:
    return f"{row['name']} {row['precision']}"


def _embed(
    contenders: Sequence[Contender], samples: Sequence[Sample], model: bundle.Bundle, what: str
) -> dict[str, Embeddings]:
    found: dict[str, list[Embeddings]] = {one.label: [] for one in contenders}
    starts = range(0, len(samples), max(BATCHES))
    for start in track(starts, what, transient=True):
        part = samples[start : start + max(BATCHES)]
        rgb = np.empty((len(part), model.height, model.width, 3), np.uint8)
        images.fill(rgb, [read_image(sample.path) for sample in part], model.resize)
        bgr = np.ascontiguousarray(rgb[..., ::-1])
        for one in contenders:
            found[one.label].append(one.run(bgr if one.bgr else rgb).copy())
    return {label: np.concatenate(parts) for label, parts in found.items()}


def _times(
    contenders: Sequence[Contender], size: tuple[int, int], batch: int, rounds: int
) -> dict[str, list[float]]:
    pictures = np.random.default_rng(0).integers(0, 256, (batch, *size, 3), np.uint8)
    return by_turns({one.label: _repeated(one.run, pictures) for one in contenders}, rounds)


def _repeated(run: Callable[..., object], pictures: NDArray[np.uint8]) -> Callable[[], None]:
    def repeated() -> None:
        for _ in range(_PICTURES // len(pictures)):
            run(pictures)

    return repeated


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, metavar="FOLDER", help="of IR files"
    )
    parser.add_argument(
        "--dataset", required=True, metavar="LAYOUT:PATH", help="such as market1501:PATH"
    )
    parser.add_argument(
        "--queries", type=int, metavar="N", help="a trial on so many queries; not the protocol"
    )
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="turns of each network")


if __name__ == "__main__":
    report(__doc__, run, _options)
