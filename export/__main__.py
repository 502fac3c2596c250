"""`python -m export`: a bundle from a weight file."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import NoReturn

from reid_edge._command import finish
from reid_edge.errors import (
    OptionError,
    PrecisionUnavailableError,
    UnknownPrecisionError,
)

PRECISIONS = ("fp32", "fp16", "int8")

_DESCRIPTION = """\
Turn a weight file into a bundle that reid_edge runs: bundle.json and its ONNX graphs.

The weight file is a Keras .h5 of the original person_reid library (the whole model or its
weights only), or a .safetensors checkpoint of training/.  No code in it is ever run.
"""
_EPILOG = """\
examples:
  python -m export --weights model_heavy_89acc.h5 --out bundles/heavy
  python -m export --weights runs/edge/final.safetensors --out bundles/edge --name edge
"""


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage as all other errors are reported."""

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message} (see python -m export --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m export",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--weights", type=Path, required=True, metavar="FILE", help="the .h5 or .safetensors file"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="the bundle's folder; made if missing",
    )
    parser.add_argument(
        "--name", help="the model's name (default: the checkpoint's, or the file's name)"
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        default=["fp32"],
        metavar="P",
        help="which graphs to write: fp32 (default; the only one of this version)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FOLDER",
        help="pictures to calibrate on; goes with --precision int8 only",
    )
    parser.add_argument(
        "--force", action="store_true", help="write over a bundle that is already in DIR"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0 done, 1 an error, 2 wrong usage, 130 after Ctrl-C.
    """
    return finish(lambda: _export(argv))


def _export(argv: list[str] | None) -> int:
    options = _parser().parse_args(argv)
    _check_precisions(options.precision, options.calibration)
    # Imported late: --help and wrong usage need neither numpy nor onnx.
    from .convert import convert

    files = convert(options.weights, options.out, options.name, options.force)
    for path in files:
        print(f"wrote {path} ({_size(path.stat().st_size)})")
    print(f"next: python -m reid_edge predict --model {shlex.quote(str(options.out))} a.jpg b.jpg")
    return 0


def _check_precisions(precisions: list[str], calibration: Path | None) -> None:
    for name in precisions:
        if name not in PRECISIONS:
            raise UnknownPrecisionError(
                f"no precision {name[:40]!r}; the precisions are {', '.join(PRECISIONS)}"
            )
    if calibration is not None and "int8" not in precisions:
        raise OptionError("--calibration goes with --precision int8 only; leave it out")
    for name in precisions:
        if name != "fp32":
            raise PrecisionUnavailableError(
                f"{name} is not exported yet by this version; leave --precision out, or say fp32"
            )


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


if __name__ == "__main__":
    sys.exit(main())
