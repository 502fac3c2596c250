"""The command line: predict, info, evaluate, gallery, video, build.

Exit codes: 0 done; 1 an error, explained in the last line of standard error, wrong pictures,
datasets and models included; 2 wrong usage: an option or a value that does not exist here, or does
not go with another; 130 interrupted.  With --json, standard output holds one JSON
object and nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._command import finish, prepare
from ._text import visible
from ._unreadable import NAMED, embed_all
from ._version import __version__
from .engine_options import BuildOptions
from .errors import OptionError
from .gallery import command as gallery_command
from .reid import ReId

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from .bundle import Threshold


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
    return finish(lambda: arguments.run(arguments))


def _predict(arguments: argparse.Namespace) -> int:
    first, others = arguments.pictures[0], arguments.pictures[1:]
    with _model(arguments) as reid:
        info = reid.info()
        threshold = _threshold(arguments.threshold, info["thresholds"])
        embeddings = embed_all(reid, arguments.pictures)
        scores = reid.score(embeddings[:1], embeddings[1:])
    rows = [
        {"picture": path, "score": round(float(score), 6), "same": bool(score > threshold)}
        for path, score in zip(others, scores, strict=True)
    ]
    if arguments.json:
        about = ("model", "version", "licence", "backend", "device", "precision", "thresholds")
        described = {name: info[name] for name in about}
        decided = {"reference": first, "threshold": threshold, "results": rows}
        _print_json({**described, **decided})
        return 0
    table = _table(f"compared with {first}", "picture", "score", "verdict")
    for row in rows:
        table.add_row(
            _text(row["picture"]),
            f"{row['score']:.3f}",
            "[green]same person[/]" if row["same"] else "[red]different[/]",
        )
    _console().print(table)
    _console().print(
        _text(
            f"model {info['model']} {info['version']}, {info['licence']}; "
            f"{info['backend']} {info['precision']} on {info['device']}"
            + (f"; same person over {threshold:.6g}" if arguments.threshold else "")
        ),
        style="dim",
    )
    if arguments.threshold is None and (hint := _stricter(reid.bundle.thresholds)):
        _console().print(_text(hint), style="dim")
    return 0


def _stricter(thresholds: Mapping[str, Threshold]) -> str | None:
    """A line, where 0.5 surely takes more than 1 % of pairs of different people for the same."""
    found = thresholds.get("far_1e-2")
    if found is None or found.low <= 0.5:
        return None
    return (
        f"hint: 0.5 is lenient for this model; --threshold far_1e-2 ({found.score:.3f}) is stricter"
    )


def _threshold(given: str | None, named: dict[str, float]) -> float:
    """The score over which pictures show the same person: a number, or one of the model's own.

    Raises:
        OptionError: neither a score in 0...1, 1 exclusive, nor a name that this model has.
    """
    if given is None:
        return 0.5
    if given in named:
        return named[given]
    try:
        found = float(given)
    except ValueError:
        found = math.nan
    if not 0 <= found < 1:
        names = f", or {', '.join(named)}" if named else "; this model has none of its own"
        raise OptionError(f"--threshold {given}: give a score from 0 to below 1{names}")
    return found


def _info(arguments: argparse.Namespace) -> int:
    with _model(arguments) as reid:
        info = {"reid_edge": __version__, **reid.info()}
    if arguments.json:
        _print_json(info)
        return 0
    table = _table(None, "", "")
    table.show_header = False
    for name, value in info.items():
        table.add_row(name, _text(_plain(value)))
    _console().print(table)
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from rich.progress import Progress

    from . import datasets, evaluation

    test = datasets.open_test(arguments.dataset)
    with _model(arguments) as reid, Progress(console=_console(stderr=True)) as progress:
        task = progress.add_task("embed", total=len(test.query) + len(test.gallery))
        figures, embedded = evaluation.evaluate_readable(
            reid, test, lambda done: progress.advance(task, done)
        )
        info = reid.info()
    _tell_left_out(embedded.skipped)
    if arguments.json:
        _print_json(
            {
                "model": info["model"],
                "licence": info["licence"],
                "precision": info["precision"],
                "dataset": arguments.dataset,
                "figures": figures,
                **embedded.left_out,
            }
        )
        return 0
    about = f"{info['model']} ({info['licence']}; {info['precision']})"
    table = _table(f"{about} on {arguments.dataset}", "figure", "")
    for name, value in figures.items():
        label = evaluation.LABELS.get(name, name)
        table.add_row(label, f"{value:.4f}" if isinstance(value, float) else f"{value:,}")
    table.add_row("left out, unreadable", f"{len(embedded.skipped):,}")
    _console().print(table)
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
        _print_json(answer.record)
    elif answer.columns:
        table = _table(answer.title, *answer.columns)
        for row in answer.rows:
            table.add_row(*map(_text, row))
        _console().print(table)
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
        _print_json({"engine": str(engine.path), "graph": engine.graph, "built": engine.is_new})
        return 0
    print(f"{'built' if engine.is_new else 'up to date'}: {visible(str(engine.path))}")
    return 0


def _video(arguments: argparse.Namespace) -> int:
    from .video.command import run

    return run(arguments, lambda: _model(arguments))


def _parser() -> argparse.ArgumentParser:
    from .video.options import add as add_video_options

    parser = argparse.ArgumentParser(
        prog="reid-edge" if Path(sys.argv[0]).name == "reid-edge" else "python -m reid_edge",
        description="Person re-identification at the edge.",
        epilog="Speed and accuracy in one report: python -m reid_edge.bench",
    )
    parser.add_argument("--version", action="version", version=f"reid_edge {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(
        name: str, run: Any, about: str, prints_json: bool = True
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.set_defaults(run=run)
        added.add_argument("--model", help="a shipped model's name or a bundle's folder")
        added.add_argument(
            "--backend",
            default="auto",
            help="auto, openvino, onnxruntime, tensorrt or tensorrt_rtx",
        )
        added.add_argument(
            "--precision",
            default="auto",
            help="auto, fp32, fp16 or int8, as far as model and device have it",
        )
        added.add_argument("--device", help="cpu, cuda or cuda:N")
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
    build = command("build", _build, "Build a TensorRT engine before it is first used.")
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


def _model(arguments: argparse.Namespace) -> ReId:
    """Start the model.

    Raises:
        OptionError: `--max-batch` for a backend that would ignore it; and as `ReId`.
    """
    given = arguments.max_batch
    if given is not None and arguments.backend in ("openvino", "onnxruntime"):
        raise OptionError(
            f"--max-batch is of TensorRT engines, and --backend {arguments.backend} builds none; "
            "leave it out"
        )
    reid = ReId(
        arguments.model,
        arguments.backend,
        arguments.precision,
        arguments.device,
        allow_unverified=arguments.allow_unverified,
        max_batch=_max_batch(arguments),
    )
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


def _console(stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def _table(title: str | None, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=_text(title) if title else None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _text(value: str) -> Text:
    """Shown as it is: file names may hold what rich would take for mark-up or for an emoji."""
    from rich.text import Text

    return Text(visible(value))


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name}: {number:.4f}" for name, number in value.items()) or "none"
    return str(value)


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=2))
