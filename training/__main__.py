"""`python -m training prepare | train | publish | ...`: see README.md beside this file."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from reid_edge._command import Parser, finish
from reid_edge.datasets import Sample
from reid_edge.errors import MissingDependencyError

from . import sources

if TYPE_CHECKING:
    from .recipe import Recipe
    from .train import Trainer

_HERE = Path(__file__).parent


def main(argv: list[str] | None = None) -> int:
    """Run one step and give its exit code."""
    arguments = _parser().parse_args(argv)
    return finish(
        lambda: _run(arguments), "interrupted; the same command goes on from the last checkpoint"
    )


def _run(arguments: argparse.Namespace) -> int:
    try:
        arguments.run(arguments)
    except ModuleNotFoundError as error:
        if error.name not in ("matplotlib", "onnx", "safetensors", "torch"):
            raise
        raise MissingDependencyError(
            f"{error.name} is not installed: pip install '.[train,export]'"
        ) from error
    return 0


def _prepare(arguments: argparse.Namespace) -> None:
    from . import scenes
    from .pack import SCENES, unpacked
    from .prepare import prepare

    packed = arguments.packed
    # Before the minutes of the teacher: a wrong folder is found at once.
    places = sources.scenes(arguments.scenes, packed and packed / SCENES)
    splits = _splits(arguments) if packed is None else unpacked(packed)
    for name in ("held_out", "train"):
        prepare(splits[name], arguments.teacher, arguments.out / name)
    out = arguments.out / "train" / "scenes.npy"
    if places and out.is_file():
        print(f"{out} is there already and stays: remove it to have it made anew")
    elif places:
        scenes.prepare(places, out)


def _leaves(arguments: argparse.Namespace) -> None:
    from . import leaves

    leaves.write(arguments.out, arguments.count)
    print(f"{arguments.out}: {arguments.count} scenes")


def _pack(arguments: argparse.Namespace) -> None:
    from .pack import pack

    parts = pack(
        _splits(arguments),
        arguments.out,
        arguments.part_size << 20,
        arguments.quality,
        sources.scenes(arguments.scenes),
    )
    for path in parts:
        print(f"wrote {path} ({path.stat().st_size / 2**20:.1f} MiB)")


def _splits(arguments: argparse.Namespace) -> dict[str, dict[str, list[Sample]]]:
    return sources.splits(arguments.market1501, arguments.cuhk03, arguments.synthetic)


def _recipe(path: Path) -> Recipe:
    from .recipe import Recipe

    try:
        return Recipe.load(path)
    except OSError as error:
        raise SystemExit(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise SystemExit(f"{path}: {error}") from None


def _trainer(arguments: argparse.Namespace) -> Trainer:
    from . import memory
    from .arithmetic import best_device
    from .sets import PreparedSet
    from .teacher import open_teachers
    from .train import Trainer

    memory.keep_freed()
    if not 0 < arguments.scale < math.inf:
        raise SystemExit(f"--scale is a number above 0, not {arguments.scale:g}")
    recipe = _recipe(arguments.recipe).scaled(arguments.scale)
    if arguments.teacher and len(arguments.teacher) != recipe.teachers:
        raise SystemExit(f"this recipe has {recipe.teachers} teacher(s): name as many --teacher")
    device, teacher = best_device(), None
    if arguments.teacher and any(stage.teacher == "loop" for stage in recipe.stages):
        teacher = open_teachers(arguments.teacher, device, arguments.compile)
    return Trainer(
        recipe,
        PreparedSet.open(arguments.data / "train"),
        PreparedSet.open(arguments.data / "held_out"),
        arguments.out,
        teacher,
        arguments.compile,
    )


def _train(arguments: argparse.Namespace) -> None:
    if (arguments.start is None) != (arguments.stage is None):
        raise SystemExit("--start and --stage go together: whose weights begin which stage")
    trainer = _trainer(arguments)
    if trainer.resume():
        aside = "" if arguments.start is None else "; --start is left aside"
        print(f"goes on from step {trainer.step} of {trainer.checkpoint_path}{aside}")
    elif arguments.start is not None:
        from .start import start

        start(trainer, arguments.start, arguments.stage)
    trainer.run(arguments.stop_after)


def _rate(arguments: argparse.Namespace) -> None:
    from .rate import measure

    rates = measure(_trainer(arguments), arguments.steps)
    for rate in rates:
        print(f"{rate.height}x{rate.width}: {rate.pictures:.0f} pictures/s, {rate.minutes:.1f} min")
    print(f"all stages: {sum(rate.minutes for rate in rates):.1f} min; --scale changes them alike")


def _light(arguments: argparse.Namespace) -> None:
    from . import light

    light.write(arguments.run_folder / "checkpoint.pt", arguments.out, arguments.average_only)
    print(f"wrote {arguments.out} ({arguments.out.stat().st_size / 2**20:.1f} MiB)")


def _soup(arguments: argparse.Namespace) -> None:
    from . import soup

    out = arguments.out / "checkpoint.pt"
    soup.write(arguments.run_folders, out)
    print(f"wrote {out}, to be published with --run {arguments.out}")


def _validate(arguments: argparse.Namespace) -> None:
    from . import validation
    from .arithmetic import best_device
    from .sets import PreparedSet

    recipe = _recipe(arguments.recipe)
    unseen = PreparedSet.open(arguments.data / "train").of(arguments.source, arguments.people)
    device = best_device()
    checkpoint = arguments.run_folder / "checkpoint.pt"
    network, step = validation.averaged(checkpoint, device)
    # A recipe of another network may be as long: its picture sizes would pass for this run's.
    if network.architecture != recipe.architecture:
        raise SystemExit(
            f"{checkpoint} holds another architecture than {arguments.recipe}: name the --recipe "
            "that it was trained by"
        )
    if step > recipe.steps:
        raise SystemExit(
            f"the run stands at step {step}, behind the recipe's end: name its --recipe"
        )
    stage = recipe.stages[recipe.stage_of(max(0, step - 1))[0]]
    found = validation.retrieval(network, unseen, stage.height, stage.width, device)
    print(f"{len(unseen.pids)} pictures: rank-1 {found.rank1:.3f}, mAP {found.mean_ap:.3f}")


def _publish(arguments: argparse.Namespace) -> None:
    from .publish import publish

    _, trained_on, kept = sources.split(arguments.market1501, arguments.synthetic)
    figures = publish(
        arguments.run_folder / "checkpoint.pt",
        json.loads(arguments.card.read_text()),
        trained_on,
        kept,
        arguments.test,
        arguments.weights,
        arguments.out,
        arguments.precision,
    )
    print(json.dumps(figures, indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="STEP")

    prepare = commands.add_parser("prepare", help="decode pictures and run the teacher, once")
    prepare.set_defaults(run=_prepare)
    _add_sources(prepare)
    prepare.add_argument("--packed", type=Path, help="instead: what pack wrote, unpacked")
    _add_teacher(prepare, "its OpenVINO .xml; needless if no stage's teacher is 'prepared'")
    prepare.add_argument("--out", type=Path, required=True, help="where the arrays go")

    pack = commands.add_parser("pack", help="the pictures as a few archives, to carry elsewhere")
    pack.set_defaults(run=_pack)
    _add_sources(pack)
    pack.add_argument("--out", type=Path, required=True, help="the archives' folder")
    pack.add_argument("--part-size", type=int, default=28, metavar="MIB", help="each at most (28)")
    pack.add_argument("--quality", type=int, default=92, help="JPEG's, of shrunk pictures (92)")

    leaves = commands.add_parser("leaves", help="scenes made of nothing, for --scenes")
    leaves.set_defaults(run=_leaves)
    leaves.add_argument("--out", type=Path, required=True, help="a folder for PNGs")
    leaves.add_argument("--count", type=int, default=800, help="how many (800)")

    train = commands.add_parser("train", help="train, or go on where the last run stopped")
    train.set_defaults(run=_train)
    _add_training(train)
    train.add_argument("--out", type=Path, required=True, help="checkpoint and curves")
    train.add_argument("--stop-after", type=float, metavar="SECONDS", help="then resume later")
    train.add_argument(
        "--start",
        type=Path,
        metavar="WEIGHTS",
        help="if --out is empty: what publish wrote, of this network or of one that grows into it",
    )
    train.add_argument("--stage", type=int, metavar="N", help="with --start: begin the Nth stage")

    rate = commands.add_parser("rate", help="measure how long a recipe's stages would take here")
    rate.set_defaults(run=_rate, out=Path())
    _add_training(rate)
    rate.add_argument("--steps", type=int, default=20, help="of each stage, as many untimed (20)")

    light = commands.add_parser("light", help="a checkpoint in fewer bits, to carry elsewhere")
    light.set_defaults(run=_light)
    light.add_argument("--run", type=Path, required=True, dest="run_folder", help="train's --out")
    light.add_argument("--out", type=Path, required=True, help="the file to write")
    light.add_argument("--average-only", action="store_true", help="what publish needs, no more")

    soup = commands.add_parser("soup", help="the mean of runs that began with the same weights")
    soup.set_defaults(run=_soup)
    soup.add_argument(
        "--run",
        type=Path,
        required=True,
        action="append",
        dest="run_folders",
        help="each --out; also the published weights (.safetensors) that they began with",
    )
    soup.add_argument("--out", type=Path, required=True, help="the folder to publish as a run")

    validate = commands.add_parser("validate", help="retrieval in a source that was left out")
    validate.set_defaults(run=_validate)
    validate.add_argument("--recipe", type=Path, default=_HERE / "recipes" / "edge.json")
    validate.add_argument("--data", type=Path, required=True, help="what prepare wrote")
    validate.add_argument(
        "--run", type=Path, required=True, dest="run_folder", help="train's --out"
    )
    validate.add_argument("--source", required=True, help="one whose share in the recipe is 0")
    validate.add_argument("--people", type=int, default=200)

    publish = commands.add_parser("publish", help="calibrate, measure and write the bundle")
    publish.set_defaults(run=_publish)
    publish.add_argument("--run", type=Path, required=True, dest="run_folder", help="train's --out")
    publish.add_argument("--card", type=Path, default=_HERE / "cards" / "edge.json")
    publish.add_argument("--market1501", type=Path, help="for the held-out people")
    publish.add_argument("--synthetic", type=Path, help="the same, if it was trained on alone")
    publish.add_argument("--test", action="append", default=[], metavar="LAYOUT:PATH")
    publish.add_argument("--weights", type=Path, default=_HERE / "weights" / "edge.safetensors")
    publish.add_argument("--out", type=Path, default=_HERE.parent / "reid_edge" / "models" / "edge")
    publish.add_argument(
        "--precision", nargs="+", default=["fp16", "int8"], metavar="P", help="beside fp32"
    )
    return parser


def _add_sources(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--market1501", type=Path, help="the unpacked archive")
    parser.add_argument("--cuhk03", type=Path, help="a folder of PID_cCAM_*.jpg")
    parser.add_argument("--synthetic", type=Path, help="a folder of PID_cCAM_*.jpg")
    parser.add_argument("--scenes", type=Path, help="a folder of pictures without people")


def _add_teacher(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--teacher",
        type=Path,
        action="append",
        default=[],
        metavar="XML",
        help=f"{what}; several are given one by one",
    )


def _add_training(parser: argparse.ArgumentParser) -> None:
    """What says which training it is."""
    parser.add_argument("--recipe", type=Path, default=_HERE / "recipes" / "edge.json")
    parser.add_argument("--data", type=Path, required=True, help="what prepare wrote")
    _add_teacher(parser, "its .xml, for stages that ask it in the loop")
    parser.add_argument("--scale", type=float, default=1.0, help="each stage's steps, times this")
    parser.add_argument("--compile", action="store_true", help="through torch.compile: slow start")


if __name__ == "__main__":
    sys.exit(main())
