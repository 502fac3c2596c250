"""From a training run to a shipped bundle: average, export, calibrate, measure, describe.

The head is fitted on embeddings of the exported graph through the runtime itself, so that
what is calibrated is what users run.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from export import writing
from export.convert import convert
from export.pictures import PictureSet
from export.wish import Wish
from reid_edge import ReId, calibration, metrics
from reid_edge.datasets import QueryGallery, Sample, open_test
from reid_edge.errors import DatasetError
from reid_edge.evaluation import embed_files, evaluate, labels

from .saved import read_checkpoint

RATES = {"far_1e-2": 1e-2, "far_1e-3": 1e-3}


def publish(
    checkpoint: Path,
    card: dict[str, Any],
    trained_on: list[Sample],
    held_out: list[Sample],
    tests: list[str],
    weights: Path,
    out: Path,
    precisions: Sequence[str] = ("fp16", "int8"),
) -> dict[str, float]:
    """Write `weights` (FP16 safetensors) and the bundle `out`; give the figures.

    Args:
        checkpoint: `checkpoint.pt` of a run; its averaged weights are taken.
        card: name, version, description, licence and input of the bundle.
        trained_on: pictures of people trained on, to measure INT8's ranges on.
        held_out: pictures of people never trained on, to fit the head on, and to judge the FP16
            and INT8 graphs on.
        tests: `LAYOUT:PATH` of retrieval tests whose figures are recorded with the model.
        weights: the safetensors file to write.
        out: the bundle's folder; an existing bundle is replaced.
        precisions: of the graphs beside fp32.
    """
    writing.check_folder(out, force=True)
    state = read_checkpoint(checkpoint)
    tensors = published(state["average"])
    raw_head = {"type": "cosine", "scale": 1.0, "bias": 0.0}
    described: dict[str, Any] = {**card, "head": raw_head, "thresholds": {}, "figures": {}}
    opened = {spec.partition(":")[0]: open_test(spec) for spec in tests}
    if len(opened) < len(tests):
        raise DatasetError("two tests have the same layout; their figures would share a name")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def bundle(stage: str, wish: Wish | None = None) -> Path:
            save(tensors, state["architecture"], described, folder / weights.name)
            convert(folder / weights.name, folder / stage, wish=wish)
            return folder / stage

        with ReId(bundle("raw"), "openvino") as reid:
            head, figures = _calibrate(reid, held_out)
        described.update(head)
        with ReId(bundle("calibrated"), "openvino") as reid:
            for layout, test in opened.items():
                figures |= _measure(reid, layout, test)
        described["figures"] = {name: round(value, 5) for name, value in figures.items()}
        wish = Wish(
            precisions,
            calibration=PictureSet("people trained on", trained_on, True),
            gate=PictureSet("held-out people", held_out, True),
        )
        # Nothing is left half done: what ships appears only now.
        _put_in_place(bundle("final", wish), out, folder / weights.name, weights)
    return figures


def _put_in_place(bundle: Path, out: Path, made: Path, weights: Path) -> None:
    """Copy the bundle to `out` and the checkpoint that it was made of to `weights`."""
    described = json.loads((bundle / "bundle.json").read_text())
    entries = described.pop("graphs")
    graphs = {name: (bundle / entry["file"]).read_bytes() for name, entry in entries.items()}
    weights.parent.mkdir(parents=True, exist_ok=True)
    copy = weights.with_name(f".{weights.name}.new")
    try:
        shutil.copyfile(made, copy)
        writing.write(out, graphs, described, str(weights))
        os.replace(copy, weights)
    finally:
        copy.unlink(missing_ok=True)


def _calibrate(reid: ReId, held_out: list[Sample]) -> tuple[dict[str, Any], dict[str, float]]:
    """Head, thresholds and held-out figures."""
    embeddings = embed_files(reid, held_out)
    pids, camids = labels(held_out)
    grid = embeddings @ embeddings.T
    a, b = calibration.cross_camera_pairs(pids, camids)
    same = pids[a] == pids[b]
    fitted = calibration.fit(embeddings, pids, camids, RATES)
    scores = fitted.head.pairs(embeddings[a], embeddings[b])
    ranking = metrics.retrieval(grid, pids, camids, pids, camids)
    figures = {
        "held_out/rank1": ranking.rank1,
        "held_out/mAP": ranking.mean_ap,
        "held_out/calibration_error": fitted.error,
    }
    for name, rate in RATES.items():
        figures[f"held_out/tpr_at_{name}"] = metrics.tpr_at_far(scores[same], scores[~same], rate)[
            0
        ]
    return {
        "head": {"type": "cosine", "scale": fitted.head.scale, "bias": fitted.head.bias},
        "thresholds": {
            name: {"score": t.score, "low": t.low, "high": t.high}
            for name, t in fitted.thresholds.items()
        },
    }, figures


def _measure(reid: ReId, layout: str, test: QueryGallery) -> dict[str, float]:
    with Progress() as progress:
        task = progress.add_task(layout, total=len(test.query) + len(test.gallery))
        found = evaluate(reid, test, lambda done: progress.advance(task, done))
    return {f"{layout}/{name}": value for name, value in found.items()}


def published(average: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What is kept of an average's state: FP16, without counters."""
    return {
        name.removeprefix("module."): tensor.half().contiguous()
        for name, tensor in average.items()
        if name != "n_averaged" and not name.endswith("num_batches_tracked")
    }


def save(
    tensors: dict[str, torch.Tensor], architecture: Any, described: dict[str, Any], path: Path
) -> None:
    """Write a checkpoint as the export and `start` read it."""
    from safetensors.torch import save_file

    metadata = {"format": 1, "architecture": architecture, "bundle": described}
    save_file(tensors, path, {"reid_edge": json.dumps(metadata)})
