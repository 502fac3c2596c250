"""The command line: predict, info, evaluate, gallery, video, build.

Exit codes: 0 done; 1 an error, explained in the last line of standard error, wrong pictures,
datasets and models included; 2 wrong usage: an option or a value that does not exist here, or does
not go with another; 130 interrupted.  With --json, standard output holds one JSON
object and nothing else.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ._command import Parser, finish, prepare
from ._show import about, console, model_line, print_json, print_table, say, table, text
from ._text import visible
from ._unreadable import NAMED
from ._version import __version__
from .engine_options import BuildOptions
from .errors import OptionError
from .gallery import command as gallery_command
from .reid import ReId


def main(argv: list[str] | None = None) -> int:
    """Run one command and give its exit code."""
    parser = _parser()
    given = sys.argv[1:] if argv is None else argv
    if not given:
        parser.exit(2, parser.format_help())  # what there is, rather than what is missing
    if given[0] == "bench":  # which argparse would call an invalid choice
        parser.error("the bench is a command of its own: python -m reid_edge.bench")
    arguments = parser.parse_args(given)
    prepare()
    return finish(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    _check_max_batch(arguments)  # also where no model is started
    code: int = arguments.run(arguments)
    return code


def _predict(arguments: argparse.Namespace) -> int:
    from ._predict import run

    return run(arguments, lambda: _model(arguments))


def _info(arguments: argparse.Namespace) -> int:
    with _model(arguments) as reid:
        info = {"reid_edge": __version__, **reid.info()}
    if arguments.json:
        print_json(info)
        return 0
    shown = table("", "")
    shown.show_header = False
    for name, value in info.items():
        shown.add_row(name, text(_plain(value)))
    print_table(shown)
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from rich.progress import Progress

    from . import datasets, evaluation

    test = datasets.open_test(arguments.dataset)
    shown = console(stderr=True)
    bar = Progress(console=shown, disable=not shown.is_terminal)  # none in a log
    with _model(arguments) as reid, bar as progress:
        task = progress.add_task("embed", total=len(test.query) + len(test.gallery))
        figures, embedded = evaluation.evaluate_readable(
            reid, test, lambda done: progress.advance(task, done)
        )
        info = reid.info()
    _tell_left_out(embedded.skipped)
    if arguments.json:
        print_json(
            {
                **about(info),
                "dataset": arguments.dataset,
                "figures": figures,
                **embedded.left_out,
            }
        )
        return 0
    shown = table("figure", "")
    for name, value in figures.items():
        label = evaluation.LABELS.get(name, name)
        shown.add_row(label, f"{value:.4f}" if isinstance(value, float) else f"{value:,}")
    shown.add_row("left out, unreadable", f"{len(embedded.skipped):,}")
    print_table(shown, f"{info['model']} {info['version']} on {arguments.dataset}")
    say(model_line(info), "dim")
    return 0


def _tell_left_out(reasons: list[str]) -> None:
    """Which pictures the figures are not of, and why."""
    if not reasons:
        return
    print(f"warning: unreadable pictures left out: {len(reasons):,}", file=sys.stderr)
    for reason in reasons[:NAMED]:
        print(visible(f"left out: {reason}"), file=sys.stderr)
    if (more := len(reasons) - NAMED) > 0:
        print(f"left out: {more:,} more", file=sys.stderr)


def _gallery(arguments: argparse.Namespace) -> int:
    answer = gallery_command.run(arguments, lambda: _model(arguments))
    if arguments.json:
        print_json(answer.record)
    elif answer.columns:
        shown = table(*answer.columns)
        for row in answer.rows:
            shown.add_row(*map(text, row))
        print_table(shown, answer.title)
    else:
        print(visible(answer.title))
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from .building import build

    engine = build(
        arguments.model,
        "tensorrt" if arguments.backend == "auto" else arguments.backend,
        arguments.precision,
        arguments.device or "cuda",
        max_batch=_max_batch(arguments),
        target=arguments.target,
        out=arguments.out,
        allow_unverified=arguments.allow_unverified,
    )
    if arguments.json:
        print_json({"engine": str(engine.path), "graph": engine.graph, "built": engine.is_new})
        return 0
    print(f"{'built' if engine.is_new else 'up to date'}: {visible(str(engine.path))}")
    return 0


def _video(arguments: argparse.Namespace) -> int:
    from .video.command import run

    return run(arguments, lambda: _model(arguments))


def _parser() -> Parser:
    from .video.options import add as add_video_options

    parser = Parser(
        prog="reid-edge" if Path(sys.argv[0]).name == "reid-edge" else "python -m reid_edge",
        description="Person re-identification at the edge.",
        epilog="Speed and accuracy in one report: python -m reid_edge.bench",
    )
    parser.add_argument("--version", action="version", version=f"reid_edge {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(
        name: str,
        run: Any,
        purpose: str,
        prints_json: bool = True,
        backends: str = "auto, openvino, onnxruntime, tensorrt or tensorrt_rtx",
        devices: str = "cpu, cuda or cuda:N",
    ) -> Parser:
        added = commands.add_parser(name, help=purpose, description=purpose)
        added.set_defaults(run=run)
        added.add_argument("--model", help="a shipped model's name or a bundle's folder")
        added.add_argument("--backend", default="auto", help=backends)
        added.add_argument(
            "--precision",
            default="auto",
            help="auto, fp32, fp16 or int8, as far as model and device have it",
        )
        added.add_argument("--device", help=devices)
        if prints_json:
            added.add_argument("--json", action="store_true", help="print one JSON object")
        added.add_argument(
            "--max-batch", type=int, metavar="N", help="of a TensorRT engine (32); others have none"
        )
        added.add_argument(
            "--allow-unverified",
            action="store_true",
            help="run a precision whose accuracy gate was not passed",
        )
        return added

    predict = command(
        "predict",
        _predict,
        "Compare pictures with the first one: a score over the threshold is the same person.",
    )
    predict.add_argument("pictures", nargs="+", metavar="PICTURE", action=_AtLeastTwo)
    predict.add_argument(
        "--threshold",
        metavar="SCORE",
        help="over which it is the same person: a score (0.5), or the model's far_1e-2 or far_1e-3",
    )
    command("info", _info, "Show the model, its licence, and what it runs on.")
    evaluate = command("evaluate", _evaluate, "Measure a model's accuracy on a dataset.")
    evaluate.add_argument(
        "dataset",
        metavar="LAYOUT:PATH",
        help="market1501:PATH, cuhk03:PATH, folder:PATH (PID_cCAM_*.jpg) or pku:PATH",
    )
    gallery_command.add_arguments(command("gallery", _gallery, gallery_command.ABOUT))
    build = command(
        "build",
        _build,
        "Build a TensorRT engine before it is first used.",
        backends="tensorrt (the default) or tensorrt_rtx",
        devices="the GPU to build on and for: cuda (the default) or cuda:N",
    )
    build.add_argument(
        "--target", metavar="SM", help="build for a GPU elsewhere, such as sm86 (tensorrt_rtx only)"
    )
    build.add_argument(
        "--out",
        metavar="DIR",
        help="where to keep it (default: REID_EDGE_CACHE, else the user's cache folder); "
        "run with REID_EDGE_CACHE=DIR",
    )
    add_video_options(
        command("video", _video, "Track the people of a video, and name them.", prints_json=False)
    )
    return parser


class _AtLeastTwo(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        if len(values) < 2:
            parser.error("give at least two pictures: the first is compared with each other one")
        setattr(namespace, self.dest, values)


def _check_max_batch(arguments: argparse.Namespace) -> None:
    """Refuse `--max-batch` out of range, or for a backend that would ignore it.

    Raises:
        OptionError: see above.
    """
    if arguments.max_batch is not None and arguments.backend in ("openvino", "onnxruntime"):
        raise OptionError(
            f"--max-batch is of TensorRT engines, and --backend {arguments.backend} builds none; "
            "leave one of the two out"
        )
    BuildOptions(max_batch=_max_batch(arguments))


def _model(arguments: argparse.Namespace) -> ReId:
    """Start the model; warns of a `--max-batch` that it does not use."""
    reid = ReId(
        arguments.model,
        arguments.backend,
        arguments.precision,
        arguments.device,
        allow_unverified=arguments.allow_unverified,
        max_batch=_max_batch(arguments),
    )
    given = arguments.max_batch
    if given is not None and not (runs := reid.info()["backend"]).startswith("tensorrt"):
        # No error: one command line serves machines with and without TensorRT.
        print(
            f"warning: --max-batch {given} is not used: it is of TensorRT engines, and {runs} "
            "runs here",
            file=sys.stderr,
        )
    return reid


def _max_batch(arguments: argparse.Namespace) -> int:
    return BuildOptions.max_batch if arguments.max_batch is None else int(arguments.max_batch)


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {number:.4f}" for name, number in value.items()) or "none"
    return str(value)
