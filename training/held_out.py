"""The split of Market-1501's training people: who is trained on, and who never is.

The split is a file in `splits/`.  Everything that is chosen or fitted (recipes, calibration,
thresholds) is chosen and fitted on the held-out people; the official query and gallery are
only measured on.
"""

from __future__ import annotations

from pathlib import Path

from reid_edge.datasets import Sample

_FILE = Path(__file__).parent / "splits" / "market1501_held_out.txt"


def held_out_pids() -> frozenset[int]:
    """The 100 held-out identities."""
    lines = _FILE.read_text().splitlines()
    return frozenset(int(line) for line in lines if line and not line.startswith("#"))


def split(samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Samples of Market-1501's training split: those to train on, and the held-out ones."""
    pids = held_out_pids()
    return (
        [sample for sample in samples if sample.pid not in pids],
        [sample for sample in samples if sample.pid in pids],
    )
