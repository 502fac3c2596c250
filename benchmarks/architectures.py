"""Images/s of edge networks of other sizes beside the shipped one's, in INT8 on the CPU.

What a size costs is measured before a training is spent on it: the networks are untrained, as
speed does not depend on the weights.

    python -m benchmarks.architectures [--sizes FILE]

FILE is JSON: a name -> what differs from the first entry, which is whole.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from reid_edge import bundle
from reid_edge.backends.openvino import OpenVinoBackend
from reid_edge.bench import pictures

from ._measure import by_turns, compare, cpu_precisions, report, say
from ._packages import require

SIZES = Path(__file__).with_suffix(".json")
_HEIGHT, _WIDTH = 256, 128
_PICTURES = 32
ROUNDS = 15  # the differences looked for are small
_SETTLING = 4  # batches through the untrained batch norms, so that activations keep their scale


def run(sizes: Path = SIZES) -> dict[str, Any]:
    """Parameters, images/s and time relative to the first network's, at batches of 1 and 16.

    Args:
        sizes: as the module says; fields are `training.model.Architecture`'s.
    """
    precision = cpu_precisions()[-1]
    given: dict[str, dict[str, Any]] = json.loads(sizes.read_text())
    first = next(iter(given.values()))
    figures: dict[str, Any] = {"precision": precision}
    started: dict[str, OpenVinoBackend] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        pictures.save(pictures.generate(_PICTURES), folder / "pictures")
        for each, changes in given.items():
            say(f"makes {each}")
            path = folder / f"{len(started)}"
            figures[each] = {"parameters": _export({**first, **changes}, precision, path)}
            started[each] = OpenVinoBackend(bundle.load(path), precision)
    for size in (1, 16):
        batch = np.random.default_rng(0).integers(0, 256, (size, _HEIGHT, _WIDTH, 3), np.uint8)
        ways = {each: partial(_through, backend, batch) for each, backend in started.items()}
        seconds = by_turns(ways, ROUNDS)
        for each, found in seconds.items():
            against = compare(next(iter(seconds.values())), found)
            figures[each][f"batch {size}"] = {
                "images_per_second": _PICTURES / against["theirs_seconds"],
                "time": against["speedup"],
                "time_lowest": against["speedup_lowest"],
                "time_highest": against["speedup_highest"],
            }
    return figures


def _through(backend: OpenVinoBackend, batch: Any) -> None:
    for _ in range(_PICTURES // len(batch)):
        backend.run(batch)


def _export(fields: Mapping[str, Any], precision: str, out: Path) -> int:
    """An untrained network as a bundle, calibrated on the pictures beside `out`; its size."""
    torch = require("torch", "'reid-edge[train]'")
    from export.convert import convert
    from export.wish import Wish
    from training.model import Architecture, build
    from training.publish import published, save

    torch.manual_seed(0)
    network = build(Architecture.from_json(dict(fields)))
    network.train()
    with torch.no_grad():
        for _ in range(_SETTLING):
            network(torch.randn(8, 3, _HEIGHT, _WIDTH))
    described = {
        "name": "untrained",
        "version": "0",
        "description": "untrained",
        "licence": {"name": "none", "summary": "untrained"},
        "input": {"height": _HEIGHT, "width": _WIDTH, "resize": "area"},
        "head": {"type": "cosine", "scale": 1.0, "bias": 0.0},
        "thresholds": {},
        "figures": {},
    }
    weights = out.with_suffix(".safetensors")
    architecture = network.architecture.to_json()
    save(published(network.state_dict()), architecture, described, weights)
    wish = Wish() if precision == "fp32" else Wish((precision,), str(out.parent / "pictures"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of few pictures, and of no gate
        convert(weights, out, wish=wish)
    return sum(each.numel() for each in network.parameters())


def _sizes_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--sizes", type=Path, default=SIZES, help="a JSON file of networks")


if __name__ == "__main__":
    report(__doc__, run, _sizes_option)
