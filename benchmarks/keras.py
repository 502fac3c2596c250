"""`ReId.predict` against the original way: a Keras Siamese network's `Model.predict` on pairs.

Both have the same weights: random ones, or those of --weights FILE, converted by the export.
The scores are compared before anything is timed.  Needs tensorflow-cpu beside '.[export]'.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from export.convert import convert
from export.wish import Wish
from reid_edge import ReId
from reid_edge.bench.pictures import save
from reid_edge.errors import ReportError

from ._crops import crops
from ._measure import cpu_precisions, report, say, side_by_side
from ._siamese import Original

_ONE_AGAINST_MANY, _DISJOINT = 10.0, 4.0  # targets
_AGREE = 1e-3  # FP32 scores of both; the engines add in another order
_CALIBRATION = 64


def run(
    weights: Path | None = None,
    many: int = 64,
    disjoint: int = 32,
    rounds: int = 5,
    calibration: int = _CALIBRATION,
) -> dict[str, Any]:
    """One person against `many`, and `disjoint` pairs of different pictures."""
    original = Original()
    pictures = crops(max(many + 1, 2 * disjoint))
    one, others = pictures[0], pictures[1 : many + 1]
    first, second = pictures[:disjoint], pictures[disjoint : 2 * disjoint]
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if weights is None:
            original.draw()
            weights = folder / "random.h5"
            original.save(weights)
        else:
            original.load(weights)
        _convert(weights, folder, calibration)
        expected = original.predict(first, second)
        for precision in cpu_precisions():
            with ReId(folder / "bundle", "openvino", precision, allow_unverified=True) as reid:
                difference = float(np.abs(reid.predict(first, second) - expected).max())
                _check(precision, difference)
                figures[f"one against {many}, {precision} against Keras"] = side_by_side(
                    partial(reid.predict, one, others),
                    partial(original.predict, [one] * len(others), others),
                    rounds,
                    _ONE_AGAINST_MANY,
                )
                figures[f"{disjoint} disjoint pairs, {precision} against Keras"] = {
                    **side_by_side(
                        partial(reid.predict, first, second),
                        partial(original.predict, first, second),
                        rounds,
                        _DISJOINT,
                    ),
                    "largest_difference_of_scores": difference,
                }
    return figures


def _convert(weights: Path, folder: Path, calibration: int) -> None:
    """Write `folder/bundle`; INT8's loss is not judged here, for what is compared is FP32."""
    wish = Wish()
    if "int8" in cpu_precisions():
        (folder / "crops").mkdir()
        save(crops(calibration, seed=1), folder / "crops")
        wish = Wish(("int8",), calibration=str(folder / "crops"), calibration_size=calibration)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        convert(weights, folder / "bundle", "original", wish=wish)


def _check(precision: str, difference: float) -> None:
    say(f"{precision}: the scores differ by at most {difference:.2e} from those of Keras")
    if precision == "fp32" and not difference < _AGREE:
        raise ReportError(
            f"scores differ by {difference:.2e} from those of Keras: these are not two ways to "
            "compute one thing, so their speeds are not compared"
        )


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="a Keras .h5 of the original library"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="turns of each way")


if __name__ == "__main__":
    report(__doc__, run, _options)
