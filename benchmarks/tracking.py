"""What embeddings add to tracking: overlap alone, looks alone, and both, on one video.

    python -m benchmarks.tracking                                 # people drawn for it
    python -m benchmarks.tracking --video V --truth GT            # GT: MOT text

The true boxes are the detections, so that all that can go wrong is who is who: IDF1, identity
switches and MOTA by motmetrics.  Three settings: every frame; each tenth frame, as a slow device
sees a scene; and people who are not detected for three seconds out of each ten.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid_edge import ReId
from reid_edge._command import Parser
from reid_edge.errors import BoxFileError, VideoError
from reid_edge.video import Settings, Tracker, boxes
from reid_edge.video.boxes import Detections
from reid_edge.video.command import accept
from reid_edge.video.reading import Video

from . import _scene
from ._measure import machine

_SEEN, _ABSENT = 7.0, 3.0  # seconds


@dataclass(frozen=True)
class Moment:
    """The people of a frame, with their embeddings."""

    frame: int
    seconds: float
    found: Detections
    embeddings: NDArray[np.float32]

    def select(self, rows: NDArray[Any]) -> Moment:
        """Some of its people."""
        return Moment(self.frame, self.seconds, self.found.select(rows), self.embeddings[rows])


def from_video(
    reid: ReId, path: Path, truth: Path, every: float = 0.0
) -> tuple[list[Moment], float]:
    """The people of a video; truth with a confidence of 0 is not to be tracked.

    Args:
        reid: embeds them.
        path: the video.
        truth: MOT text.
        every: seconds between two frames; 0 for all.

    Returns:
        The frames, and how many the video has a second.

    Raises:
        VideoError: it ends early, so that its figures would be of another video.
        BoxFileError: the truth's ids are not from 1 up, no two alike in a frame.
    """
    true = boxes.read(truth)
    for number, here in true.items():
        ids = here.ids[here.confidence > 0]
        if (ids < 1).any() or len(np.unique(ids)) < len(ids):
            raise BoxFileError(
                f"{truth}: frame {number}: the truth needs an id from 1 up for each person, no "
                "two alike in a frame"
            )
    moments = []
    with Video(path) as video:
        step = max(1, round(every * video.fps))
        for number, frame in video:
            if number % step:
                continue
            found = true.get(number, boxes.NONE)
            found = found.select(found.confidence > 0).clipped(video.height, video.width)
            embeddings = reid.embed(frame[:, :, ::-1], boxes=found.boxes)
            moments.append(Moment(number, video.seconds, found, embeddings))
        if not video.is_complete:
            raise VideoError(f"{path}: ends after {video.read:,} of {video.announced:,} frames")
        return moments, video.fps


def from_scene(reid: ReId, people: int, frames: int, seed: int) -> tuple[list[Moment], float]:
    """Drawn people."""
    rng = np.random.default_rng(seed)
    pictures = _scene.drawn_people(people, rng)
    moments = [
        Moment(number, number / _scene.FPS, found, reid.embed(frame, boxes=found.boxes))
        for number, (frame, found) in enumerate(_scene.scene(people, frames, pictures, rng), 1)
    ]
    return moments, _scene.FPS


def as_one(moments: Iterable[Moment], groups: Sequence[Sequence[int]]) -> list[Moment]:
    """The first id of a group for each of it.

    Truth files give somebody who leaves and comes back a new id, and so count it as a mistake to
    know them again.
    """
    first = {other: group[0] for group in groups for other in group}

    def renamed(moment: Moment) -> Moment:
        ids = [first.get(i, i) for i in moment.found.ids.tolist()]
        found = replace(moment.found, ids=np.array(ids, np.int64))
        return replace(moment, found=found)

    return [renamed(moment) for moment in moments]


def with_absences(moments: Iterable[Moment], seed: int = 0) -> Iterator[Moment]:
    """Each person is not detected for three seconds of each ten, each at other times."""
    rng = np.random.default_rng(seed)
    start: dict[int, float] = {}
    period = _SEEN + _ABSENT
    for moment in moments:
        ids = moment.found.ids.tolist()
        since = [
            moment.seconds - start.setdefault(i, moment.seconds - rng.uniform(0, period))
            for i in ids
        ]
        yield moment.select(np.array([s % period < _SEEN for s in since], bool))


def measure(moments: Sequence[Moment], tracker: Tracker) -> dict[str, Any]:
    """Track and judge against the true identities."""
    import motmetrics

    events = motmetrics.MOTAccumulator()
    tracks = set()
    for moment in moments:
        here = moment.found
        given = tracker.update(moment.frame, moment.seconds, here.boxes, moment.embeddings)
        ids = [track.id for track in given]
        tracks.update(ids)
        # The boxes are the same ones, so only IoU 1 on the diagonal is a match.
        distances = np.where(np.eye(len(ids), dtype=bool), 0.0, np.nan)
        events.update(here.ids.tolist(), ids, distances, frameid=moment.frame)
    names = ["idf1", "num_switches", "mota", "num_unique_objects"]
    found = motmetrics.metrics.create().compute(events, metrics=names, name="here").loc["here"]
    return {
        "IDF1": round(float(found["idf1"]), 4),
        "switches": int(found["num_switches"]),
        "MOTA": round(float(found["mota"]), 4),
        "tracks": len(tracks),
        "people": int(found["num_unique_objects"]),
    }


def optimal(affinity: NDArray[np.float32]) -> list[tuple[int, int]]:
    """The pairs of the largest sum (Hungarian method, by SciPy)."""
    from scipy.optimize import linear_sum_assignment

    never = ~(affinity > -np.inf)
    rows, columns = linear_sum_assignment(np.where(never, 1e6, -affinity))
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if not never[r, c]]


def run(reid: ReId, moments: Sequence[Moment], every: int, hungarian: bool) -> dict[str, Any]:
    """All ways in all settings."""
    settings = {
        "every frame": list(moments),
        f"each {every}th frame": list(moments[::every]),
        f"{_ABSENT:g} of {_SEEN + _ABSENT:g} seconds absent": list(with_absences(moments)),
    }
    figures: dict[str, Any] = {}
    for setting, chosen in settings.items():
        figures[setting] = {}
        for association in ("iou", "appearance", "both"):
            how = Settings(association, accept(reid))
            figures[setting][association] = measure(chosen, Tracker(reid.score_grid, how))
            if hungarian:
                figures[setting][f"{association}, Hungarian"] = measure(
                    chosen, Tracker(reid.score_grid, how, match=optimal)
                )
    return figures


def main() -> None:
    """Measure, print a table, keep the figures with --json."""
    parser = Parser(
        prog="python -m benchmarks.tracking",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--video", type=Path)
    parser.add_argument("--truth", type=Path, help="its true boxes and identities, MOT text")
    parser.add_argument(
        "--same",
        type=lambda text: [int(number) for number in text.split(",")],
        nargs="+",
        default=[],
        metavar="ID,ID",
        help="ids of the truth that are one person, who left and came back",
    )
    parser.add_argument("--every", type=int, default=10, metavar="K", help="also each Kth frame")
    parser.add_argument("--people", type=int, default=14, help="of the drawn scene (14)")
    parser.add_argument("--frames", type=int, default=600, help="of the drawn scene (600)")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn scene (0)")
    parser.add_argument(
        "--optimal", action="store_true", help="also the Hungarian method for our greedy one"
    )
    parser.add_argument("--model")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    if (arguments.video is None) != (arguments.truth is None):
        parser.error("--video and --truth go together")
    try:
        import motmetrics  # noqa: F401
    except ImportError:
        parser.exit(1, "error: motmetrics is not installed; pip install '.[test-trackers]'\n")
    with ReId(arguments.model, precision=arguments.precision) as reid:
        if arguments.video:
            moments, fps = from_video(reid, arguments.video, arguments.truth)
            moments = as_one(moments, arguments.same)
        else:
            moments, fps = from_scene(reid, arguments.people, arguments.frames, arguments.seed)
        figures = run(reid, moments, arguments.every, arguments.optimal)
        info = reid.info()
    about = {
        "video": arguments.video.name if arguments.video else f"drawn, seed {arguments.seed}",
        "frames": len(moments),
        "fps": fps,
        "boxes": sum(len(moment.found) for moment in moments),
        "model": f"{info['model']} {info['version']}",
        "precision": info["precision"],
    }
    _show(about, figures)
    if arguments.json:
        result = {"machine": machine(), "about": about, "figures": figures}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


def _show(about: dict[str, Any], figures: dict[str, Any]) -> None:
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    columns = ("IDF1", "switches", "MOTA", "tracks", "people")
    print(f"{'':32}{'':24}" + "".join(f"{name:>10}" for name in columns))
    for setting, ways in figures.items():
        for way, found in ways.items():
            print(f"{setting:32}{way:24}" + "".join(f"{found[name]:>10}" for name in columns))


if __name__ == "__main__":
    main()
