"""`python -m export`: a bundle from a weight file or from another bundle."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import warnings
from pathlib import Path
from typing import Any, NoReturn, TextIO

from reid_edge._command import Parser, finish
from reid_edge._text import visible
from reid_edge.errors import DriverError, OptionError, PrecisionUnavailableError

_DESCRIPTION = """\
Turn weights into a bundle that reid_edge runs: bundle.json and its ONNX graphs.

The weights are a Keras .h5 of the original person_reid library (the whole model or its
weights only), a .safetensors checkpoint of training/, or the folder of a bundle that this
command wrote, such as the shipped reid_edge/models/edge: its fp32 graph is read, and its
description carried over.  No code in them is ever run.

int8 writes two graphs: int8 (FP32 or BF16 around it, for CPUs) and int8_fp16 (for TensorRT).  It is
calibrated on real pictures, and each graph's accuracy is held against fp32's; bundle.json
records the outcome, and a graph that fails is marked unusable.
"""
_EPILOG = """\
examples:
  python -m export --weights model_heavy_89acc.h5 --out bundles/heavy
  python -m export --weights training/weights/edge.safetensors --out bundles/edge --name edge
  python -m export --weights reid_edge/models/edge --out bundles/mine \\
      --precision fp16 int8 --calibration crops/ --gate folder:labelled/
"""


class _Parser(Parser):
    """Reports wrong usage as all other errors are reported."""

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message} (see python -m export --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m export",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--weights",
        type=Path,
        required=True,
        metavar="FILE",
        help="the .h5 or .safetensors file, or a bundle's folder",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="the bundle's folder; made if missing",
    )
    parser.add_argument(
        "--name",
        help="the model's name (default: the checkpoint's, the bundle's, or the file's name)",
    )
    parser.add_argument(
        "--precision",
        nargs="+",
        default=["fp32"],
        metavar="P",
        help="which graphs to write: fp32 (always), fp16, int8",
    )
    pictures = parser.add_argument_group(
        "pictures",
        "A folder, searched deeply, or LAYOUT:PATH with labels: folder (PID_cCAM_*.jpg), "
        "market1501 (its training split) or pku.",
    )
    pictures.add_argument(
        "--calibration", metavar="PICTURES", help="what INT8's ranges are measured on"
    )
    pictures.add_argument(
        "--calibration-size",
        type=int,
        default=512,
        metavar="N",
        help="how many of them at most (default: %(default)s)",
    )
    pictures.add_argument(
        "--calibration-method",
        metavar="METHOD",
        help="minmax, entropy or percentile-P (default: percentile-99.999)",
    )
    pictures.add_argument(
        "--gate",
        metavar="PICTURES",
        help="what accuracy is judged on (default: what was not calibrated on)",
    )
    parser.add_argument(
        "--keep",
        nargs="+",
        default=[],
        metavar="CONV",
        help="convolutions that int8 leaves as floats, such as transition1/conv",
    )
    engines = parser.add_argument_group(
        "engines", "Build TensorRT engines of the graphs, as python -m reid_edge build does."
    )
    engines.add_argument(
        "--engine",
        choices=("tensorrt", "tensorrt-rtx", "tensorrt_rtx"),
        metavar="BACKEND",
        help="tensorrt or tensorrt-rtx",
    )
    engines.add_argument(
        "--allow-unverified",
        action="store_true",
        help="of graphs, too, whose accuracy gate was not passed",
    )
    engines.add_argument(
        "--engine-dir",
        type=Path,
        metavar="DIR",
        help="where they are kept (default: engines/)",
    )
    engines.add_argument("--max-batch", type=int, metavar="N", help="the largest batch (32)")
    engines.add_argument(
        "--target", metavar="SM", help="for a GPU elsewhere, such as sm86 (tensorrt-rtx only)"
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
    # Imported late: --help and wrong usage need neither numpy nor onnx.
    from .convert import convert
    from .ranges import DEFAULT_METHOD
    from .wish import Wish

    _check_engine(options)
    wish = Wish(
        precisions=options.precision,
        calibration=options.calibration,
        calibration_size=options.calibration_size,
        method=options.calibration_method or DEFAULT_METHOD,
        gate=options.gate,
        keep=options.keep,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = _show_warning
        files = convert(options.weights, options.out, options.name, options.force, wish)
    for path in files:
        print(f"wrote {path} ({_size(path.stat().st_size)})")
    for name, gate in json.loads(files[-1].read_text())["gates"].items():
        print(f"gate of {name}: {_gate(gate)}")
    if options.engine is not None:
        _build(options)
    print(f"next: python -m reid_edge predict --model {shlex.quote(str(options.out))} a.jpg b.jpg")
    return 0


def _check_engine(options: argparse.Namespace) -> None:
    """Fill in the defaults, and fail before hours of work rather than after them."""
    if options.engine is None:
        for name in ("engine_dir", "max_batch", "target"):
            if getattr(options, name) is not None:
                flag = name.replace("_", "-")
                raise OptionError(f"--{flag} goes with --engine only; leave it out")
        return
    from reid_edge import building
    from reid_edge.backends import _cuda, _engine
    from reid_edge.engine_options import BuildOptions, module_of

    options.engine = module_of(options.engine)
    options.engine_dir = options.engine_dir or Path("engines")
    options.max_batch = 32 if options.max_batch is None else options.max_batch
    target = building.read_target(options.target, options.engine)
    BuildOptions(max_batch=options.max_batch, target=target)
    if target is None and not _cuda.driver_present():
        raise DriverError(building.NO_GPU)
    _engine.load(options.engine, ahead=target is not None)  # whether TensorRT is installed


def _build(options: argparse.Namespace) -> None:
    """An engine of each graph that `ReId` will run."""
    from reid_edge.building import build

    for precision in dict.fromkeys(options.precision):
        try:
            engine = build(
                options.out,
                options.engine,
                precision,
                max_batch=options.max_batch,
                target=options.target,
                out=options.engine_dir,
                allow_unverified=options.allow_unverified,
            )
        except PrecisionUnavailableError as error:
            print(f"warning: no engine: {visible(str(error))}", file=sys.stderr)
            continue
        print(f"{'built' if engine.is_new else 'up to date'}: {engine.path}")
        cache, model = shlex.quote(str(options.engine_dir)), shlex.quote(str(options.out))
        print(
            f"to run it: REID_EDGE_CACHE={cache} python -m reid_edge predict --model {model} "
            f"--backend {options.engine} --precision {precision} "
            f"--max-batch {options.max_batch} a.jpg b.jpg"
        )


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {visible(str(message))}", file=sys.stderr)


def _gate(gate: dict[str, Any]) -> str:
    """A gate's entry as one line."""
    skipped = ("passed", "data", "pictures", "arithmetic", "emulated", "activations")
    figures = [f"{name} {value}" for name, value in gate.items() if name not in skipped]
    outcome = "passed" if gate["passed"] else "FAILED"
    how = ", in emulated arithmetic" if gate.get("emulated") else ""
    on = visible(gate["data"]) + how
    return f"{outcome} on {gate['pictures']} pictures of {on}: {', '.join(figures)}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"


if __name__ == "__main__":
    sys.exit(main())
