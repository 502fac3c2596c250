"""`python -m reid_edge.bench`: speed and accuracy of a model on this machine.

Exit codes are those of `python -m reid_edge`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from .._command import Parser, finish, output, prepare
from .._show import console
from .._text import visible
from ..errors import OptionError
from ..reid import ReId
from . import files, run
from .cache import Cache, folder
from .run import DEFAULT_PRECISIONS, SCENARIOS, Options


def main(argv: list[str] | None = None) -> int:
    """Run the command and give its exit code."""
    arguments = _parser().parse_args(argv)
    prepare()
    work = _calibrate if arguments.calibrate is not None else _measure
    return finish(lambda: work(arguments))


def _measure(arguments: argparse.Namespace) -> int:
    if arguments.out is not None:
        raise OptionError("--out is the new bundle of --calibrate; use --json or --html here")
    if arguments.galleries and arguments.html is None:
        raise OptionError("--galleries are shown in the page: give --html FILE")
    if arguments.json is not None and arguments.json == arguments.html:
        raise OptionError("--json and --html are two files: give them two names")
    options = Options(**{name: getattr(arguments, name) for name in Options.__dataclass_fields__})
    options.check()
    earlier = files.read(arguments.compare) if arguments.compare else None
    for path in (arguments.json, arguments.html):
        if path is not None:
            files.check_writable(path)
    from . import compare, table

    with _Display() as display:
        report, sheets = run.run(options, display)
    shown = console()
    table.show(report, shown)
    changes = compare.changes(earlier, report) if earlier is not None else []
    doubts = compare.doubts(earlier, report) if earlier is not None else []
    if earlier is not None:
        table.show_changes(changes, doubts, shown)
    if arguments.json is not None:
        files.write(arguments.json, files.dump(report))
    if arguments.html is not None:
        from .html import page

        # Pictures of people are for whoever asked for them.
        mode = 0o600 if sheets else 0o644
        files.write(arguments.html, page(report, sheets, changes, doubts), mode)
    return 0


def _calibrate(arguments: argparse.Namespace) -> int:
    if arguments.out is None:
        raise OptionError("--calibrate writes a new bundle: give its folder as --out DIR")
    for name in ("dataset", "compare", "html"):
        if getattr(arguments, name) is not None:
            raise OptionError(f"--calibrate measures nothing else; run again with --{name} alone")
    if len(arguments.precision) > 1 and arguments.precision != DEFAULT_PRECISIONS:
        raise OptionError("--calibrate fits one precision: give --precision fp32, or another one")
    if arguments.json is not None:
        files.check_writable(arguments.json)
    from . import recalibrate, table, threads

    if arguments.threads is not None:
        threads.limit(arguments.threads)
    with (
        ReId(
            arguments.model,
            arguments.backend,
            arguments.precision[0],
            arguments.device,
            allow_unverified=arguments.allow_unverified,
        ) as reid,
        _Display() as display,
    ):
        display.step("embedding")
        kept = Cache(reid, folder() if arguments.cache else None)
        section = recalibrate.recalibrate(
            reid, arguments.calibrate, arguments.out, kept, display.pictures(0)
        )
    table.show_calibration(section, console())
    if arguments.json is not None:
        files.write(arguments.json, files.dump(section))
    return 0


class _Display:
    """Progress on standard error, which stays out of what the command prints."""

    def __init__(self) -> None:
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        shown = console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            console=shown,
            transient=True,
            disable=not shown.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, count="")

    def __enter__(self) -> _Display:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def step(self, text: str) -> None:
        self._progress.update(self._task, description=visible(text), count="")

    def pictures(self, total: int) -> Callable[[int], None]:
        done = 0

        def advance(more: int) -> None:
            nonlocal done
            done += more
            count = f"{done:,} of {total:,}" if total else f"{done:,}"
            self._progress.update(self._task, count=count)

        return advance


def _parser() -> Parser:
    parser = Parser(
        prog="python -m reid_edge.bench",
        description="Measure speed, and accuracy with --dataset, of a model on this machine. "
        "Without options: the default model on generated pictures, in less than a minute.",
    )
    add = parser.add_argument
    add("--model", help="a shipped model's name or a bundle's folder")
    add("--backend", default="auto", help="auto, openvino, onnxruntime, tensorrt or tensorrt_rtx")
    add(
        "--precision",
        nargs="+",
        default=DEFAULT_PRECISIONS,
        help="one or several of fp32, fp16, int8 and auto (fp32 and auto)",
    )
    add("--device", help="cpu, cuda or cuda:N")
    add(
        "--batch",
        nargs="+",
        type=int,
        default=(1, 8, 32),
        metavar="N",
        help="batch sizes of the throughput scenario (1 8 32)",
    )
    add(
        "--dataset",
        metavar="LAYOUT:PATH",
        help="market1501:PATH, cuhk03:PATH, folder:PATH (PID_cCAM_*.jpg), pku:PATH, or pairs:FILE "
        "(lines A,B,1 or A,B,0)",
    )
    add("--scenario", choices=SCENARIOS, default="all")
    add(
        "--duration",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="the least time of each measurement, beside its warm-up (1)",
    )
    add("--threads", type=int, metavar="N", help="keep the process on N processors (Linux)")
    add(
        "--allow-unverified",
        action="store_true",
        help="run a precision whose accuracy gate was not passed",
    )
    add("--no-cache", dest="cache", action="store_false", help="keep no embeddings on disk")
    add(
        "--json",
        type=output,
        metavar="FILE",
        help="write the report, as docs/bench.md describes it",
    )
    add(
        "--html",
        type=output,
        metavar="FILE",
        help="write one page with plots, which needs no network",
    )
    add(
        "--galleries",
        type=int,
        default=0,
        metavar="N",
        help="show the ranked galleries of N queries in the page: it then holds their pictures",
    )
    add("--compare", type=Path, metavar="OLD.json", help="set beside an earlier report")
    add(
        "--calibrate",
        metavar="FOLDER",
        help="fit scale, bias and thresholds on labelled pictures (PID_cCAM_*.jpg) into the "
        "bundle --out; nothing else is measured",
    )
    add("--out", type=Path, metavar="DIR", help="the new bundle of --calibrate")
    return parser


if __name__ == "__main__":
    sys.exit(main())
