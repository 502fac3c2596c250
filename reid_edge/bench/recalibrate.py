"""`--calibrate`: a model's scores and thresholds, fitted anew on the user's own people.

The graphs stay as they are, so neither onnx nor a training framework is needed: a new bundle is
a copy with another head and other thresholds.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import _card, bundle, calibration, datasets
from .._text import visible
from ..bundle import Bundle
from ..calibration import Calibration
from ..datasets import Sample
from ..errors import DatasetError, OptionError, ReportError, UnsuitableModelError
from ..evaluation import labels
from ..heads import CosineHead
from ..reid import ReId
from .accuracy import embed
from .cache import Cache

RATES = {"far_1e-2": 1e-2, "far_1e-3": 1e-3}
_FEW = 10  # false accepts
MOST = 4000  # pictures: pairs grow with their square


def recalibrate(
    reid: ReId, spec: str, out: Path, cache: Cache, advance: Callable[[int], None]
) -> dict[str, Any]:
    """Fit head and thresholds on labelled pictures, and write a bundle that has them.

    Args:
        reid: the model; its bundle is copied.
        spec: a folder of `PID_cCAM_*` pictures, or `LAYOUT:PATH` with layout folder or pku.
        out: the new bundle's folder; it must not exist.
        cache: embeddings of earlier runs.
        advance: called with the number of pictures just embedded.

    Returns:
        The report's `calibration` section.

    Raises:
        OptionError: an `out` that exists.
        UnsuitableModelError: a model whose head cannot be fitted.
        DatasetError: pictures that are missing or named otherwise.
        InputError: too few people, cameras or pictures to fit anything.
        ReportError: the new bundle cannot be written.
    """
    check(reid, out)
    samples, total = _samples(spec)
    embedded = embed(reid, [sample.path for sample in samples], cache, advance)
    used = [sample for sample, kept in zip(samples, embedded.kept, strict=True) if kept]
    pids, camids = labels(used)
    found = calibration.fit(embedded.rows, pids, camids, RATES)
    before = reid.bundle.head
    assert isinstance(before, CosineHead)
    section = {
        "data": spec,
        "pictures": len(used),
        "pictures_found": total,
        **embedded.left_out,
        "identities": len(np.unique(pids)),
        "pairs_same": found.same,
        "pairs_different": found.different,
        "calibration_error": found.error,
        "head": asdict(found.head),
        "head_before": asdict(before),
        "thresholds": {name: asdict(value) for name, value in found.thresholds.items()},
        "bundle": str(out),
        "warnings": _warnings(found, len(embedded.skipped)),
    }
    _write(reid.bundle, out, section)
    return section


def _warnings(found: Calibration, skipped: int) -> list[str]:
    told = [f"unreadable pictures left out: {skipped}"] if skipped else []
    for name, rate in RATES.items():
        if (accepted := int(rate * found.different)) < _FEW:
            told.append(
                f"few pairs of two people ({found.different:,}): the threshold {name} lets "
                f"{accepted} of them pass, and hangs on these; add people"
            )
    return told


def check(reid: ReId, out: Path) -> None:
    """What can be refused before any picture is read.

    Raises:
        OptionError, UnsuitableModelError: as `recalibrate`.
    """
    if not isinstance(reid.bundle.head, CosineHead):
        raise UnsuitableModelError(
            f"model {reid.bundle.name!r} has the old library's pair head, whose scores are fixed; "
            "only models with a cosine head can be calibrated"
        )
    if out.exists() or out.is_symlink():
        raise OptionError(f"{out}: exists already; give a new folder as --out")


def _samples(spec: str) -> tuple[list[Sample], int]:
    """The pictures to fit on, and how many there are in all."""
    layout, separator, _ = spec.partition(":")
    if separator and layout in ("market1501", "cuhk03", "pairs"):
        raise DatasetError(
            f"{spec}: --calibrate takes a folder of PID_cCAM_* pictures, or pku:DIR; of a "
            "benchmark, give pictures outside its test, such as its folder bounding_box_train"
        )
    found = (datasets.pku if layout == "pku" and separator else datasets.folder)(_root(spec))
    found = [sample for sample in found if sample.pid > 0]  # 0 and -1 are nobody's number
    if len({sample.pid for sample in found}) < 4:
        raise DatasetError(
            f"{spec}: calibration needs four identities at least, two for each half; a few "
            "dozen make it worth while"
        )
    if len(found) <= MOST:
        return found, len(found)
    # Whole people, drawn by chance: pairs of one person need all of that person's pictures.
    people: dict[int, list[Sample]] = {}
    for sample in found:
        people.setdefault(sample.pid, []).append(sample)
    kept: list[Sample] = []
    for pid in np.random.default_rng(0).permutation(sorted(people)):
        if len(kept) + len(people[pid]) <= MOST:
            kept += people[pid]
    return kept, len(found)


def _root(spec: str) -> Path:
    layout, separator, path = spec.partition(":")
    return Path(path if separator and layout in ("folder", "pku") else spec).expanduser()


def _write(old: Bundle, out: Path, section: dict[str, Any]) -> None:
    described = dict(old.described)
    described["version"] = f"{old.version}+calibrated"
    described["head"] = {"type": "cosine", **section["head"]}
    described["thresholds"] = section["thresholds"]
    # Ranking and cosines do not depend on the head, but the decisions that flipped do.
    described["gates"] = {
        name: {"head": section["head_before"], **gate} for name, gate in described["gates"].items()
    }
    # The old figures were measured with the old scores.
    described["figures"] = {
        f"calibrated_on/{name}": section[name]
        for name in ("pictures", "identities", "calibration_error")
    }
    card = _card.read(old.path)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as name:
            folder = Path(name) / "bundle"
            folder.mkdir()
            for graph in old.graphs.values():
                (folder / graph.path.name).write_bytes(graph.read())
            if card is not None:
                notice = _notice(old, described["version"], section)
                (folder / _card.NAME).write_bytes(_card.noted(card, notice))
            (folder / "bundle.json").write_text(json.dumps(described, indent=2) + "\n", "utf-8")
            bundle.load(folder)
            os.rename(folder, out)
    except OSError as error:
        raise ReportError(
            f"{out}: cannot be written ({error.strerror}); give another --out"
        ) from error


def _notice(old: Bundle, version: str, section: dict[str, Any]) -> str:
    """What the copied card does not know; of the pictures' path only its end, as in the gates."""
    head, data = section["head"], visible(_root(section["data"]).resolve().name).replace("`", "'")
    rates = [
        f"| {100 * RATES[name]:g} % | {at['score']:.3f} | {at['low']:.3f} … {at['high']:.3f} |"
        for name, at in section["thresholds"].items()
    ]
    return "\n".join(
        [
            f"**Calibrated: {old.name} {version}.** Head and thresholds were fitted anew on "
            f"{section['pictures']:,} pictures of {section['identities']:,} people, `{data}`: "
            f"scale {head['scale']:.3f}, bias {head['bias']:.3f}. Expected calibration error on "
            "people other than those fitted on (two folds): "
            f"{section['calibration_error']:.3f}. Scores that a share of pairs of different people "
            "reach, with 95 % intervals:",
            "",
            "| false accept rate | score | 95 % interval |",
            "|---|---|---|",
            *rates,
            "",
            f"**Below is the card of {old.name} {old.version}**, of which this is a copy with the "
            "same graphs and licence: the scores, thresholds and calibration errors in its tables "
            "are of the model before this calibration. Its links lead from where that model lies.",
        ]
    )
