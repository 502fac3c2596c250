"""How well the people of a video are told apart across time: retrieval and verification.

    python -m benchmarks.video_people V GT                        # GT: MOT text

Of each true box, every so often, the embedding is taken.  Time is cut into blocks that stand in for
cameras in the protocol of Market-1501: each person's first picture of each block asks, and only
pictures of other blocks count as matches, so that nobody is found by the frame just before.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from reid_edge import ReId, evaluation
from reid_edge.datasets import Sample, one_query_per_camera
from reid_edge.errors import DatasetError, OptionError

from ._measure import report
from .tracking import from_video


def run(
    video: Path,
    truth: Path,
    every: float = 1.0,
    block: float = 10.0,
    precision: str = "auto",
    model: str | None = None,
) -> dict[str, Any]:
    """The figures of `reid_edge evaluate`, on a video's people.

    Args:
        video: what OpenCV reads.
        truth: MOT text with true ids, from 1 up; confidence 0 marks what is no person.
        every: seconds between two pictures.
        block: seconds of a block.
        precision, model: as in `ReId`.

    Raises:
        DatasetError: nobody is seen in two blocks, or the video is shorter than `every`.
        OptionError: `every` or `block` are not over 0.
        VideoError, BoxFileError: files that cannot be read.
    """
    for name, value in (("every", every), ("block", block)):
        if not 0 < value < np.inf:
            raise OptionError(f"--{name} must be over 0 seconds, not {value:g}")
    with ReId(model, precision=precision) as reid:
        moments, _ = from_video(reid, video, truth, every)
        if not moments:
            raise DatasetError(
                f"{video}: is shorter than {every:g} seconds: give a smaller --every"
            )
        embeddings = np.concatenate([moment.embeddings for moment in moments])
        samples = [
            Sample(Path(f"{moment.frame}/{pid}"), pid, int(moment.seconds // block))
            for moment in moments
            for pid in moment.found.ids.tolist()
        ]
        try:
            test = one_query_per_camera(samples)
        except DatasetError as error:
            raise DatasetError("nobody is seen in two blocks: give a smaller --block") from error
        place = {sample.path: row for row, sample in enumerate(samples)}
        query, gallery = (
            embeddings[[place[sample.path] for sample in part]]
            for part in (test.query, test.gallery)
        )
        found = evaluation.figures(test, reid.score_grid(query, gallery))
        return {
            "model": reid.info()["model"],
            "precision": reid.info()["precision"],
            "people": len({sample.pid for sample in samples}),
            **found.values,
        }


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("video", type=Path, metavar="V")
    parser.add_argument("truth", type=Path, metavar="GT", help="MOT text with the true ids")
    parser.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds, 1")
    parser.add_argument("--block", type=float, default=10.0, metavar="S", help="seconds, 10")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--model", metavar="M", help="a shipped model's name or a bundle's folder")


if __name__ == "__main__":
    report(__doc__, run, _options)
