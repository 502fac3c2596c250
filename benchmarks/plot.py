"""Draw the kept results: every ratio with its range and target, and speed against accuracy.

    python -m benchmarks.plot [--results FOLDER]

reads the JSON files of each folder in results/, and writes ratios.png beside
them, and peers.png where there is a peers.json.  Needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid_edge._command import Parser, finish
from reid_edge.errors import ReportError

from ._labels import Box, place
from ._packages import require

_RESULTS = Path(__file__).parent / "results"
_OURS, _THEIRS, _MISSED = "#1b6ca8", "#777777", "#c0392b"
_RADIUS = 3.5  # of a network's mark, in points


@dataclass(frozen=True)
class Ratio:
    """One bar: how often as fast, from the slowest turn to the fastest."""

    name: str
    low: float
    median: float
    high: float
    target: float | None


def ratios(folder: Path) -> list[Ratio]:
    """All ratios in a folder's result files, in the order of their files.

    Raises:
        ReportError: a file that `--json` did not write.
    """
    return [
        Ratio(
            f"{path.stem}: {name.replace('_', ' ')}",
            found["speedup_lowest"],
            found["speedup"],
            found["speedup_highest"],
            found.get("target"),
        )
        for path, figures in _files(folder)
        for name, found in figures.items()
        if isinstance(found, dict) and "speedup" in found
    ]


def draw_ratios(found: Sequence[Ratio], out: Path) -> None:
    """A dot with its range for each ratio, and a mark at its target."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(
        figsize=(11, 1 + 0.32 * len(found)), layout="constrained", dpi=110
    )
    for row, ratio in enumerate(reversed(found)):
        missed = ratio.target is not None and ratio.median < ratio.target
        colour = _MISSED if missed else _OURS
        axes.plot([ratio.low, ratio.high], [row, row], color=colour, linewidth=2.5, alpha=0.5)
        axes.plot(ratio.median, row, "o", color=colour)
        if ratio.target is not None:
            axes.plot(ratio.target, row, "|", color="black", markersize=14, markeredgewidth=2)
    axes.axvline(1, color="grey", linestyle=":")
    axes.set_xscale("log")
    axes.set_yticks(range(len(found)), [ratio.name for ratio in reversed(found)], fontsize=8)
    axes.set_xlabel("times as fast: median of turns, lowest to highest; | is the target")
    axes.grid(axis="x", alpha=0.3, which="both")
    figure.savefig(out)
    pyplot.close(figure)


def draw_peers(figures: dict[str, Any], out: Path) -> None:
    """Images/s against mAP of each network, for both batch sizes."""
    pyplot, ticker = _pyplot(), require("matplotlib.ticker", "matplotlib")
    rows = figures["contenders"]
    short = short_names([row["name"] for row in rows if not row["ours"]])
    batches = sorted(rows[0]["images_per_second"], key=int, reverse=True)
    figure, every = pyplot.subplots(
        1,
        len(batches),
        figsize=(6.5 * len(batches), 5.5),
        sharey=True,
        layout="constrained",
        dpi=110,
    )
    for axes, batch in zip(every, batches, strict=True):
        for row in rows:
            at = (row["images_per_second"][batch], row["mAP"])
            colour = _OURS if row["ours"] else _THEIRS
            axes.plot(*at, "o" if row["ours"] else "s", color=colour, markersize=2 * _RADIUS)
        axes.set_xscale("log")
        # Plain numbers: powers of ten are wider, and run into each other.
        axes.xaxis.set_minor_formatter(ticker.LogFormatter(minor_thresholds=(2, 0.5)))
        axes.xaxis.set_major_formatter(ticker.LogFormatter())
        axes.tick_params(axis="x", which="both", length=3.5, pad=3.5)
        axes.margins(x=0.25, y=0.12)
        axes.set(title=f"batch {batch}", xlabel="images/s, OpenVINO on the CPU")
        axes.grid(alpha=0.3, which="both")
    whole = "official test" if figures["whole_protocol"] else "a part only, no protocol"
    every[0].set_ylabel(f"mAP, {figures['dataset']} ({whole})")
    figure.canvas.draw()  # now the axes have their places, and pixels a meaning
    for axes, batch in zip(every, batches, strict=True):
        labels = [
            axes.annotate(
                f"{short.get(row['name'], row['name'])} {row['precision']}",
                (row["images_per_second"][batch], row["mAP"]),
                xytext=(0, 0),
                textcoords="offset points",
                fontsize=8,
                color=_OURS if row["ours"] else _THEIRS,
                in_layout=False,
            )
            for row in rows
        ]
        _spread(axes, labels)
    figure.savefig(out)
    pyplot.close(figure)


def _spread(axes: Any, labels: Sequence[Any]) -> None:
    """Put labels where they cover nothing, with a line to its point from one that is far."""
    points = [tuple(axes.transData.transform(label.xy)) for label in labels]
    sizes = [
        (label.get_window_extent().width, label.get_window_extent().height) for label in labels
    ]
    room, per_pixel = Box(*axes.bbox.extents), 72 / axes.figure.dpi
    boxes = place(points, sizes, room, _RADIUS / per_pixel)
    for label, (x, y), box in zip(labels, points, boxes, strict=True):
        label.set_position(((box.left - x) * per_pixel, (box.bottom - y) * per_pixel))
        label.set_verticalalignment("bottom")
        end = box.nearest(x, y)
        if math.dist(end, (x, y)) * per_pixel > 3 * _RADIUS:
            axes.annotate(
                "",
                label.xy,
                xytext=((end[0] - x) * per_pixel, (end[1] - y) * per_pixel),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": label.get_color(), "linewidth": 0.5},
                in_layout=False,
            )


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Names without the parts, cut at "-", that all of them begin with; the last one stays."""
    parts = {name: name.split("-") for name in names}
    shared = 0
    while all(len(each) > shared + 1 for each in parts.values()) and (
        len({each[shared] for each in parts.values()}) == 1
    ):
        shared += 1
    return {name: "-".join(each[shared:]) for name, each in parts.items()}


def draw(folder: Path) -> list[Path]:
    """Draw what a folder of results holds; give the pictures.

    Raises:
        ReportError: no ratio there, or a file that `--json` did not write.
        MissingDependencyError: matplotlib is not installed.
    """
    found = ratios(folder)
    if not found:
        raise ReportError(f"{folder}: holds no results; write them with --json")
    written = [folder / "ratios.png"]
    draw_ratios(found, written[0])
    peers = {path.stem: figures for path, figures in _files(folder)}.get("peers")
    if peers is not None:
        written.append(folder / "peers.png")
        draw_peers(peers, written[1])
    return written


def kept() -> list[Path]:
    """The folders of results that the checkout has."""
    return sorted(path for path in _RESULTS.iterdir() if path.is_dir())


def _files(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield path, json.loads(path.read_text(encoding="utf-8"))["figures"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReportError(f"{path}: is no file that --json wrote ({error})") from error


def _pyplot() -> Any:
    require("matplotlib", "matplotlib").use("Agg")
    return require("matplotlib.pyplot", "matplotlib")


def _main() -> int:
    parser = Parser(
        prog="python -m benchmarks.plot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="draw this one alone")
    given: Path | None = parser.parse_args().results
    for folder in kept() if given is None else [given]:
        for path in draw(folder):
            print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(finish(_main))
