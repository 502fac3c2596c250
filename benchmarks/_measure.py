"""Side-by-side timing: the ways take turns, and ratios are taken turn by turn."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any


def seconds(run: Callable[[], object]) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def side_by_side(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int = 9
) -> dict[str, float]:
    """Median seconds of both, and the median, lowest and highest of theirs / ours."""
    ours(), theirs()  # warm-up
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ratios = [b / a for a, b in pairs]
    return {
        "ours_seconds": statistics.median(a for a, _ in pairs),
        "theirs_seconds": statistics.median(b for _, b in pairs),
        "speedup": statistics.median(ratios),
        "speedup_lowest": min(ratios),
        "speedup_highest": max(ratios),
    }


def machine() -> dict[str, str]:
    """The processor and the versions that a figure depends on."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        name = models[0].partition(":")[2].strip() if models else name
    versions = {}
    for package in ("numpy", "opencv-python-headless", "openvino", "onnxruntime"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": name,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **versions,
    }


def report(
    about: str | None, run: Callable[[], dict[str, Any]], argv: list[str] | None = None
) -> None:
    """Run a benchmark from the command line: print its figures, keep them with --json."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args(argv)
    result = {"machine": machine(), "figures": run()}
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
