"""The splits: which identities of a source no training sees.

They are files in `splits/`.  Everything that is chosen or fitted (recipes, calibration,
thresholds) is chosen and fitted on the held-out people; official queries and galleries are only
measured on.
"""

from __future__ import annotations

from pathlib import Path

from reid_edge.datasets import Sample

_FOLDER = Path(__file__).parent / "splits"


def held_out_pids(source: str = "market1501") -> frozenset[int]:
    """The 100 held-out identities of `market1501` or `synthetic`."""
    lines = (_FOLDER / f"{source}_held_out.txt").read_text().splitlines()
    return frozenset(int(line) for line in lines if line and not line.startswith("#"))


def split(samples: list[Sample], source: str = "market1501") -> tuple[list[Sample], list[Sample]]:
    """Samples of a source's training pictures: those to train on, and the held-out ones."""
    pids = held_out_pids(source)
    return (
        [sample for sample in samples if sample.pid not in pids],
        [sample for sample in samples if sample.pid in pids],
    )
