"""Images/s of edge networks of other sizes beside a first one, in INT8 where the CPU has it.

What a size costs is measured before a training is spent on it: the networks are untrained, as
speed does not depend on the weights.

    python -m benchmarks.architectures [--sizes FILE]

FILE is JSON: a name -> what differs from the first entry, which is whole.  In the checkout's own,
the first is the network of 2.0 M parameters that edge began as, and `edge` is the present one.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from reid_edge import bundle
from reid_edge.backends.openvino import OpenVinoBackend
from reid_edge.bench import pictures
from reid_edge.errors import OptionError

from ._measure import by_turns, compare, cpu_precisions, report, say
from ._packages import require

SIZES = Path(__file__).with_suffix(".json")
_HEIGHT, _WIDTH = 256, 128
_PICTURES = 32  # of one timed turn
_CALIBRATED_ON = 32
ROUNDS = 15  # the differences looked for are small


def run(sizes: Path = SIZES) -> dict[str, Any]:
    """Parameters, images/s and time relative to the first network's, at batches of 1 and 16.

    Args:
        sizes: as the module says; fields are `training.model.Architecture`'s.

    Raises:
        OptionError: a file that cannot be read so.
    """
    precision = cpu_precisions()[-1]
    networks = read(sizes)
    figures: dict[str, dict[str, Any]] = {}
    started: dict[str, OpenVinoBackend] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        pictures.save(pictures.generate(_CALIBRATED_ON), folder / "pictures")
        for each, network in networks.items():
            say(f"makes {each}")
            path = folder / f"{len(started)}"
            figures[each] = {"parameters": _export(network, precision, path)}
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
    return {"precision": precision, "networks": figures}


def read(sizes: Path) -> dict[str, Any]:
    """Untrained networks by their names.

    Raises:
        OptionError: no such file, no JSON as the module says, or sizes that make no network.
    """
    torch = require("torch", "'.[train]'")
    from training.model import Architecture, build

    try:
        given = json.loads(sizes.read_text(encoding="utf-8"))
        first = next(iter(given.values()), None)
        if first is None:
            raise ValueError("it names no network")
        torch.manual_seed(0)
        return {
            name: build(Architecture.from_json({**first, **changes}))
            for name, changes in given.items()
        }
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise OptionError(f"--sizes {sizes}: holds no sizes of networks ({error})") from error


def _through(backend: OpenVinoBackend, batch: Any) -> None:
    for _ in range(_PICTURES // len(batch)):
        backend.run(batch)


def _export(network: Any, precision: str, out: Path) -> int:
    """Write an untrained network as a bundle, calibrated on the pictures beside `out`.

    Returns:
        How many parameters it has.
    """
    import torch

    from export.convert import convert
    from export.wish import Wish
    from training.publish import published, save

    for each in network.modules():
        if isinstance(each, torch.nn.modules.batchnorm._BatchNorm):
            each.momentum = None  # one batch is enough to bring activations to one scale
    with torch.no_grad():
        network.train()(torch.randn(8, 3, _HEIGHT, _WIDTH))
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
