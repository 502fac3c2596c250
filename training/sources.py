"""Which pictures are trained on, and whose people are held out, by what was named."""

from __future__ import annotations

from pathlib import Path

from reid_edge import datasets
from reid_edge.datasets import Sample

from . import held_out


def splits(
    market1501: Path | None, cuhk03: Path | None, synthetic: Path | None
) -> dict[str, dict[str, list[Sample]]]:
    """Split ("train" and "held_out") -> source -> samples, of the sources that are named.

    Raises:
        DatasetError: a folder without such pictures.
        SystemExit: as `split`.
    """
    name, train, kept = split(market1501, synthetic)
    sources = {name: train}
    for other, folder in (("cuhk03", cuhk03), ("synthetic", synthetic)):
        if other != name and folder is not None:
            sources[other] = datasets.folder(folder)
    return {"train": sources, "held_out": {name: kept}}


def split(
    market1501: Path | None, synthetic: Path | None
) -> tuple[str, list[Sample], list[Sample]]:
    """The source whose people are held out, those to train on, and the held-out ones.

    Without Market-1501 it is the rendered pedestrians, so that a bundle made of them alone owes
    nothing to any other data, its head and its INT8 ranges included.

    Raises:
        DatasetError: a folder without such pictures.
        SystemExit: neither is named.
    """
    if market1501 is not None:
        return "market1501", *held_out.split(datasets.market1501_train(market1501))
    if synthetic is None:
        raise SystemExit("name --market1501, --synthetic or both: their people are held out")
    return "synthetic", *held_out.split(datasets.folder(synthetic), "synthetic")


def scenes(folder: Path | None, packed: Path | None = None) -> list[Path]:
    """The pictures without people: of a folder, or those that were packed; none if none are named.

    Raises:
        DatasetError: no such folder, or no pictures in it.
        SystemExit: both hold some.
    """
    if packed is not None and packed.is_dir():
        if folder is not None:
            raise SystemExit(f"{packed} holds scenes already: leave --scenes out, or remove it")
        folder = packed
    return [] if folder is None else list(datasets.pictures(folder))
