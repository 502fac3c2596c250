"""OpenVINO IR files of raw BGR pictures in INT8, by NNCF: opponents of our own INT8.

    python -m benchmarks.quantise --models FOLDER… --pictures PEOPLE --out FOLDER

writes NAME-int8.xml and .bin for `benchmarks.peers`.  Needs `pip install nncf`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reid_edge import datasets, images, read_image
from reid_edge._command import Parser, finish, prepare
from reid_edge.errors import OptionError

from ._contenders import ir_files
from ._packages import require

_PICTURES = 300  # NNCF's own default


def quantise(models: Sequence[Path], pictures: Path, out: Path) -> list[Path]:
    """Write each network of the folders in INT8, calibrated on pictures of a folder.

    Args:
        models: folders of IR files whose input is float (1, 3, H, W), BGR in 0...255.
        pictures: files named `PID_cCAM_*`, evenly chosen.
        out: a folder; files of the same names are replaced.

    Returns:
        The `.xml` files.

    Raises:
        OptionError: no such file, two of one name, a network with another input, or `out` is
            one of the folders.
    """
    nncf, openvino = require("nncf", "nncf"), require("openvino", "openvino")
    samples = datasets.folder(pictures)
    chosen = np.linspace(0, len(samples) - 1, min(_PICTURES, len(samples))).astype(int)
    files = ir_files(models)
    if any(path.parent.resolve() == out.resolve() for path in files):
        raise OptionError(f"--out {out}: is among --models; name another, or they are found again")
    core, written = openvino.Core(), []
    out.mkdir(parents=True, exist_ok=True)
    for path in files:
        network = core.read_model(path)
        taken = network.inputs[0].partial_shape
        if len(network.inputs) != 1 or not taken.is_static or list(taken)[:2] != [1, 3]:
            raise OptionError(f"{path}: is no network of pictures (1, 3, H, W), but of {taken}")
        size = network.inputs[0].shape[2], network.inputs[0].shape[3]

        def picture(place: int, size: tuple[int, int] = size) -> Any:
            rgb = np.empty((1, *size, 3), np.uint8)
            images.fill(rgb, [read_image(samples[place].path)], "area")
            return rgb[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)

        data = nncf.Dataset(list(chosen), picture)
        made = nncf.quantize(network, data, subset_size=len(chosen))
        written.append(out / f"{path.stem}-int8.xml")
        openvino.save_model(made, written[-1])
    return written


def _main() -> int:
    parser = Parser(
        prog="python -m benchmarks.quantise",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", type=Path, nargs="+", required=True, metavar="FOLDER")
    parser.add_argument("--pictures", type=Path, required=True, metavar="PEOPLE")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    options = parser.parse_args()
    prepare()
    for path in quantise(options.models, options.pictures, options.out):
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(finish(_main))
