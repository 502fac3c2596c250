"""The options of `python -m reid_edge video`; apart, so that others import little."""

from __future__ import annotations

import argparse
from pathlib import Path

from .._command import output, share
from .tracker import ASSOCIATIONS


def add(parser: argparse.ArgumentParser) -> None:
    """Add them to the command's parser."""
    option = parser.add_argument
    # No Path, which would shorten the // of an address that is refused.
    option("video", metavar="VIDEO", help="a video file")
    option(
        "--boxes",
        type=Path,
        required=True,
        metavar="FILE",
        help="people's boxes in each frame: MOT text (frame,id,x,y,w,h,confidence), or .json",
    )
    option("--out", type=output, metavar="FILE", help="write the video, drawn on: .mp4 or .avi")
    option("--mot", type=output, metavar="FILE", help="write the tracks as MOT text")
    option("--json", type=output, metavar="FILE", help="write tracks, scores and names as JSON")
    option("--gallery", type=Path, metavar="FILE", help="name the people whom this gallery knows")
    option(
        "--fpir",
        type=share,
        metavar="RATE",
        help="with --gallery: false-positive identification rate of single pictures (0.01); of "
        "tracks, five to six times as many strangers are named, see docs/video.md",
    )
    option(
        "--association",
        choices=ASSOCIATIONS,
        default="both",
        help="how boxes become tracks: by overlap, by looks, or by both (both)",
    )
    option(
        "--use-ids",
        action="store_true",
        help="the ids in the boxes file are the tracks; only name and draw them",
    )
    option(
        "--min-confidence",
        type=float,
        metavar="C",
        help="leave out boxes under it; 0.5 for MOT truth files, where 0 marks what is no person",
    )
