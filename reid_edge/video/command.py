"""`python -m reid_edge video`: boxes and frames in; a drawn video, MOT text and JSON out."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._command import counted
from .._show import about
from .._text import visible
from ..errors import BoxFileError, OptionError, UnsuitableModelError, VideoError
from ..gallery.command import check_exists
from ..reid import ReId
from . import boxes
from .boxes import Detections
from .drawing import draw
from .naming import Names
from .reading import Video
from .terminal import progress_of, terminable
from .tracker import Settings, Track, Tracker
from .writing import JsonFile, MotFile, VideoFile

_FPIR = 0.01  # where --fpir is not given


@dataclass(slots=True)
class _Summary:
    """Of one track, for the end: small, whatever becomes of the track itself."""

    first: int
    last: int = 0
    views: int = 0
    identity: str | None = None
    score: float | None = None

    def see(self, track: Track) -> None:
        self.last, self.views = track.last, self.views + 1
        self.identity, self.score = track.identity, track.identity_score


def run(arguments: argparse.Namespace, open_model: Callable[[], ReId]) -> int:
    """Run the command.

    Args:
        arguments: of `options.add`.
        open_model: makes the ReId; called if embeddings are needed, after all else was checked.

    Returns:
        The exit code, 0.

    Raises:
        VideoError: the video cannot be read, ends early (what was read is kept), or an output
            cannot be written.
        BoxFileError: the boxes cannot be used.
        GalleryError: the gallery cannot.
        OptionError: options that do not go together.
        UnsuitableModelError: a model whose scores cannot be tracked by.
    """
    _check_paths(arguments)
    found = _select(boxes.read(arguments.boxes), arguments)
    with terminable(), contextlib.ExitStack() as stack:
        video = stack.enter_context(Video(arguments.video))
        if min(found) > video.announced > 0:
            raise BoxFileError(
                f"{arguments.boxes}: its first frame is {min(found):,}, and {arguments.video} has "
                f"{video.announced:,}; do the two belong together?"
            )
        looks = arguments.gallery is not None or (
            arguments.association != "iou" and not arguments.use_ids
        )
        reid = stack.enter_context(open_model()) if looks else None
        names = _names(arguments, reid, stack)
        work = _Work(arguments, video, found, reid, names)
        outputs = work.open_outputs(stack)
        progress, advance = progress_of(video)
        with progress:
            for number, frame in video:
                work.frame(number, video.seconds, frame)
                advance(number)
        if not video.read:
            raise VideoError(f"{video.path}: not one frame can be read; fetch or make it again")
        work.finish()
        for output in outputs:  # all of them, before the first takes its name
            output.complete()
        for output in outputs:
            output.keep()
    work.report()
    if not video.is_complete:
        kept = ", ".join(str(output.path) for output in outputs)
        promised = f"{video.announced:,}" if video.announced else "unknown many"
        raise VideoError(
            f"{video.path}: ends after {video.read:,} of {promised} frames, "
            f"damaged or cut off; what was read is in {kept}"
        )
    return 0


class _Work:
    """What is done with each frame."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        video: Video,
        found: dict[int, Detections],
        reid: ReId | None,
        names: Names | None,
    ) -> None:
        self._arguments, self._video, self._found = arguments, video, found
        self._reid, self._names = reid, names
        settings = Settings("iou" if reid is None else arguments.association)
        if reid is not None:
            if not reid.bundle.head.symmetric:
                raise UnsuitableModelError(
                    f"model {reid.bundle.name!r} scores (a, b) unlike (b, a), so that views have "
                    "no mean; take another model, or --association iou without --gallery"
                )
            settings = Settings(arguments.association, accept(reid))
            if arguments.use_ids:  # nothing is associated, and an id that comes back is the same
                settings = Settings(accept=settings.accept, memory=math.inf)
        self._tracker = Tracker(reid.score_grid if reid else None, settings)
        self._seen: dict[int, _Summary] = {}
        self._outside = 0
        self._video_file: VideoFile | None = None
        self._mot: MotFile | None = None
        self._json: JsonFile | None = None

    def open_outputs(self, stack: contextlib.ExitStack) -> list[VideoFile | MotFile | JsonFile]:
        """Begin the files that were asked for; left without `keep`, they vanish."""
        outputs: list[VideoFile | MotFile | JsonFile] = []
        video, asked = self._video, self._arguments
        if asked.out is not None:
            self._video_file = VideoFile(asked.out, video.fps, video.width, video.height)
            outputs.append(stack.enter_context(self._video_file))
        if asked.mot is not None:
            self._mot = stack.enter_context(MotFile(asked.mot))
            outputs.append(self._mot)
        if asked.json is not None:
            self._json = stack.enter_context(JsonFile(asked.json, self._about()))
            outputs.append(self._json)
        return outputs

    def frame(self, number: int, seconds: float, frame: Any) -> None:
        """Track, name, draw and write one frame, uint8 BGR; it is drawn on."""
        given = self._found.get(number, boxes.NONE)
        here = given.clipped(self._video.height, self._video.width)
        self._outside += len(given) - len(here)
        embeddings = None
        if self._reid is not None and len(here):
            embeddings = self._reid.embed(frame[:, :, ::-1], boxes=here.boxes)
        if self._arguments.use_ids:
            tracks = self._tracker.follow(number, seconds, here.boxes, embeddings, here.ids)
        else:
            tracks = self._tracker.update(number, seconds, here.boxes, embeddings)
        if self._names is not None:
            self._names.name(tracks)
        for track in tracks:
            self._seen.setdefault(track.id, _Summary(number)).see(track)
        if self._mot is not None:
            self._mot.write(number, here, tracks)
        if self._json is not None and tracks:
            self._json.write(number, here, tracks)
        if self._video_file is not None:
            draw(frame, here, tracks)
            self._video_file.write(frame)

    def finish(self) -> None:
        """What is written after the last frame."""
        if self._json is None:
            return
        tracks = [
            {
                "id": number,
                "identity": seen.identity,
                "identity_score": None if seen.score is None else round(seen.score, 4),
                "first_frame": seen.first,
                "last_frame": seen.last,
                "views": seen.views,
            }
            for number, seen in sorted(self._seen.items())
        ]
        complete = self._video.is_complete
        self._json.finish({"frames_read": self._video.read, "complete": complete, "tracks": tracks})

    def report(self) -> None:
        """Print what was found, and warn of boxes that were not used."""
        named = sorted({seen.identity for seen in self._seen.values() if seen.identity is not None})
        views = sum(seen.views for seen in self._seen.values())
        print(
            f"{counted(self._video.read, 'frame', 'frames')}, {counted(views, 'box', 'boxes')}, "
            f"{counted(len(self._seen), 'track', 'tracks')}"
        )
        if self._names is not None:
            unknown = sum(seen.identity is None for seen in self._seen.values())
            print(f"known: {visible(', '.join(named)) or 'nobody'}; unknown tracks: {unknown:,}")
        if not self._video.fps_known:
            _warn(f"the video names no frame rate; {self._video.fps:g} a second was taken")
        if self._outside:
            left_out = counted(self._outside, "box", "boxes")
            _warn(f"{left_out} outside the frame, or under two pixels: left out")
        beyond = sum(len(d) for number, d in self._found.items() if number > self._video.read)
        if beyond and self._video.is_complete:  # else there were such frames
            _warn(
                f"{counted(beyond, 'box', 'boxes')} of frames after {self._video.read:,}, the "
                "last one read: not used; do boxes and video belong together?"
            )

    def _about(self) -> dict[str, Any]:
        info = self._reid.info() if self._reid is not None else {}
        video = self._video
        return {
            "video": video.path.name,
            "width": video.width,
            "height": video.height,
            "fps": video.fps,
            "association": "ids" if self._arguments.use_ids else self._arguments.association,
            **about(info),
        }


def _names(
    arguments: argparse.Namespace, reid: ReId | None, stack: contextlib.ExitStack
) -> Names | None:
    if arguments.gallery is None or reid is None:
        return None
    from ..gallery import Gallery

    gallery = stack.enter_context(Gallery(arguments.gallery, model=reid))
    fpir = _FPIR if arguments.fpir is None else arguments.fpir
    gallery.threshold(fpir)  # says now what it would say at the first person
    return Names(gallery, fpir)


def accept(reid: ReId) -> float:
    """The score that 1 in 1,000 pairs of different people exceed, as far as the model says."""
    threshold = reid.info()["thresholds"].get("far_1e-3", Settings.accept)
    return float(np.clip(threshold, 0.5, 0.999))


def _select(found: dict[int, Detections], arguments: argparse.Namespace) -> dict[int, Detections]:
    least = arguments.min_confidence
    if least is not None:
        kept = {number: d.select(d.confidence >= least) for number, d in found.items()}
        found = {number: d for number, d in kept.items() if len(d)}
        if not found:
            raise BoxFileError(
                f"{arguments.boxes}: no box has a confidence of {least:g} or more; lower "
                "--min-confidence"
            )
    if arguments.use_ids:
        for number, here in found.items():
            if (here.ids < 0).any() or len(np.unique(here.ids)) < len(here):
                raise BoxFileError(
                    f"{arguments.boxes}: frame {number}: --use-ids needs an id from 0 up for each "
                    "box, no two alike in a frame; leave --use-ids out to track the boxes"
                )
    return found


def _check_paths(arguments: argparse.Namespace) -> None:
    """Refuse outputs that are missing, that are one file, or that would replace an input."""
    names = ("out", "mot", "json")
    outputs = {name: getattr(arguments, name) for name in names if getattr(arguments, name)}
    if not outputs:
        raise OptionError("nothing to write: give --out, --mot or --json")
    if arguments.gallery is not None:
        check_exists(arguments.gallery)
    elif arguments.fpir is not None:
        raise OptionError("--fpir goes with --gallery; give both, or leave it out")
    taken: dict[Path, str] = {}
    for name in ("video", "boxes", "gallery"):
        path = getattr(arguments, name)
        if path is not None:
            taken[Path(os.path.realpath(path))] = f"the {name}"
    if arguments.gallery is not None:  # what SQLite keeps beside it, now or later
        real = os.path.realpath(arguments.gallery)
        taken |= {Path(real + end): "the gallery" for end in ("-wal", "-shm", "-journal")}
    for name, path in outputs.items():
        real = Path(os.path.realpath(path))
        if real in taken:
            raise OptionError(f"--{name} {path} is {taken[real]}, too; give it a name of its own")
        taken[real] = f"--{name}"


def _warn(text: str) -> None:
    print(f"warning: {visible(text)}", file=sys.stderr)
