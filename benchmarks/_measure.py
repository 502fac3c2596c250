"""Side-by-side timing: the ways take turns, and ratios are taken turn by turn."""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reid_edge import bundle
from reid_edge._command import Parser, finish, prepare
from reid_edge.backends import _processor
from reid_edge.backends._choose import graph_for
from reid_edge.bench import files
from reid_edge.bench import machine as package_machine
from reid_edge.errors import PrecisionUnavailableError

# Thread pools such as ONNX Runtime's spin for a while after their work, waiting for more, and
# would take a processor from whatever runs right behind them.
_REST_SECONDS = 0.1
_PACKAGES = (*package_machine.PACKAGES, "torch", "pillow", "tensorflow-cpu", "tensorflow", "keras")


def seconds(run: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def by_turns(ways: Mapping[str, Callable[[], object]], rounds: int = 9) -> dict[str, list[float]]:
    """Seconds of each way, turn by turn.

    In each turn a way rests until the threads of the one before sleep, runs once untimed, and is
    timed then.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            time.sleep(_REST_SECONDS)
            run()
            found[name].append(seconds(run))
    return found


def compare(
    ours: Sequence[float], theirs: Sequence[float], target: float | None = None
) -> dict[str, Any]:
    """Median seconds of both, and the median, lowest and highest of theirs / ours by turn.

    With a target, also that, and whether the median reaches it.
    """
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    found = {
        "ours_seconds": statistics.median(ours),
        "theirs_seconds": statistics.median(theirs),
        "speedup": statistics.median(ratios),
        "speedup_lowest": min(ratios),
        "speedup_highest": max(ratios),
    }
    if target is not None:
        found |= {"target": target, "reached": found["speedup"] >= target}
    return found


def side_by_side(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int = 9,
    target: float | None = None,
) -> dict[str, Any]:
    """`compare` of two ways that take turns."""
    found = by_turns({"ours": ours, "theirs": theirs}, rounds)
    return compare(found["ours"], found["theirs"], target)


def cpu_precisions() -> tuple[str, ...]:
    """What bundles of the present export can do on this CPU: INT8 needs x86 and AVX2."""
    able = _processor.has_fast_int8() or _processor.has_avx2()
    return ("fp32", "int8") if able else ("fp32",)


def offered(model: bundle.Bundle) -> tuple[str, ...]:
    """Which of fp32 and int8 `ReId` runs from a bundle on this CPU, through OpenVINO."""
    found = []
    for precision in ("fp32", "int8"):
        with contextlib.suppress(PrecisionUnavailableError):
            graph_for(model, precision, "openvino", "cpu", allow_unverified=False)
            found.append(precision)
    return tuple(found)


def machine() -> dict[str, Any]:
    """The package's description of the machine, with the versions of what is compared here.

    The system's name is left out: a kernel's build says more of the place than of the speed.
    """
    found = package_machine.describe()
    del found["system"]
    return {**found, "packages": package_machine.versions(_PACKAGES)}


def say(text: str) -> None:
    """Tell how far it is; standard output is for the figures."""
    print(text, file=sys.stderr, flush=True)


def model_option(parser: argparse.ArgumentParser) -> None:
    """Which model is timed; the keyword `model` of a benchmark's `run`."""
    parser.add_argument("--model", help="a shipped one's name or a bundle's folder (the default)")


def report(
    about: str | None,
    run: Callable[..., dict[str, Any]],
    add_options: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
) -> None:
    """Run a benchmark from the command line: print its figures, keep them with --json.

    Args:
        about: the benchmark's docstring.
        run: gives the figures; called with the options as keywords.
        add_options: adds options beside --json.
    """
    parser = Parser(
        prog=f"python -m benchmarks.{Path(sys.argv[0]).stem}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    add_options(parser)
    options = vars(parser.parse_args())
    path: Path | None = options.pop("json")
    prepare()

    def measure() -> int:
        if path is not None:
            files.check_writable(path)
        described = machine()
        warning = package_machine.busy(described)
        if warning is not None:
            say(f"warning: {warning}")
        figures = run(**options)
        warnings = [] if warning is None else [warning]
        models = {name: bundle.load(bundle.find(name)).version for name in bundle.shipped()}
        kept = {"machine": described, "models": models, "warnings": warnings, "figures": figures}
        text = files.dump(kept)
        print(text, end="")
        if path is not None:
            files.write(path, text)
        return 0

    sys.exit(finish(measure))
