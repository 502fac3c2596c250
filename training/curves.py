"""Training and validation curves: a JSON file to compute with and a picture to look at."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

from . import losses
from .recipe import Recipe


def write(history: list[dict[str, float]], recipe: Recipe, out: Path) -> None:
    """Write `curves.json` and `curves.png` into `out`; without a history the plots are empty."""
    from matplotlib import pyplot

    (out / "curves.json").write_text(json.dumps(history, indent=1) + "\n")
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), layout="constrained")
    steps = [point["step"] for point in history]
    for name in losses.NAMES:
        # A loss that a stage lacks, or a figure that an earlier run lacked, is a gap in its line.
        values = [point.get(name, math.nan) for point in history]
        if not all(map(math.isnan, values)):
            left.plot(steps, values, label=name, marker=".")  # a point between gaps, too
    left.set(title="training losses", xlabel="step", yscale="log")
    for name, label in (
        ("rank1", "held-out people: rank-1"),
        ("mAP", "held-out people: mAP"),
        ("train_accuracy", "training people: identity, augmented"),
    ):
        right.plot(steps, [point.get(name, math.nan) for point in history], label=label, marker=".")
    right.set(title="accuracy", xlabel="step", ylim=(0, 1))
    edge = 0
    for stage in recipe.stages[:-1]:
        edge += stage.steps
        if steps and edge >= steps[0]:  # a run may begin with a later stage
            right.axvline(edge, linestyle=":", color="grey")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_lines():
            axes.legend()
    figure.savefig(out / "curves.png", dpi=110)
    pyplot.close(figure)
