"""Pictures to calibrate and to judge on: which files, and how they become batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from reid_edge import datasets, images
from reid_edge._text import visible
from reid_edge._unreadable import problem
from reid_edge.datasets import Sample
from reid_edge.errors import DatasetError, LabelError
from reid_edge.image_files import read_image

Item = TypeVar("Item")

_IDENTITIES = 16

_LABELLED = {
    # Its query and gallery are for the final measurement: nothing is chosen by them.
    "market1501": datasets.market1501_train,
    "folder": datasets.folder,
    "pku": datasets.pku,
}


@dataclass(frozen=True)
class PictureSet:
    """Picture files, in a fixed order.

    Attributes:
        name: how bundle.json calls it: printable, and without the path, which is nobody's
            business.
        samples: one a picture; the labels mean nothing unless `labelled`.
        labelled: whether it is known who is on which picture.
    """

    name: str
    samples: list[Sample]
    labelled: bool


@dataclass(frozen=True)
class Frame:
    """What a network takes: height and width in pixels, and `Bundle.resize`."""

    height: int
    width: int
    resize: str


def open_set(spec: str) -> PictureSet:
    """Pictures from `LAYOUT:PATH` (market1501, folder or pku), or from any folder, unlabelled.

    Of Market-1501 it is the training split; junk detections (pid -1) are left out.

    Raises:
        DatasetError: no such folder, no picture in it, or another layout.
        LabelError: a name that holds no label.
    """
    layout, separator, path = spec.partition(":")
    if separator and layout in _LABELLED:
        root = Path(path).expanduser()  # no shell does it behind a colon
        try:
            samples = [sample for sample in _LABELLED[layout](root) if sample.pid != -1]
        except LabelError as error:
            if layout != "folder":  # a benchmark's other files are not for this
                raise
            raise LabelError(
                f"{error}; or give the folder alone, without 'folder:' before it, where pictures "
                "need no labels"
            ) from error
        return PictureSet(f"{layout}:{visible(root.resolve().name)}", samples, True)
    root = Path(spec)
    if separator and not root.is_dir():
        known = ", ".join(_LABELLED)
        raise DatasetError(f"{spec}: no such folder, and no layout {layout!r} (there are {known})")
    files = datasets.pictures(root)
    return PictureSet(visible(root.resolve().name), [Sample(file, 0, 0) for file in files], False)


class Readable:
    """Leaves out what cannot be read; each file is looked at once, whoever asks for it."""

    def __init__(self) -> None:
        self._reasons: dict[Path, str | None] = {}

    @property
    def skipped(self) -> list[str]:
        """What was wrong with each file that was left out; the messages name the files."""
        return [reason for reason in self._reasons.values() if reason]

    def only(self, samples: Sequence[Sample]) -> list[Sample]:
        """Those that can be read."""
        for sample in samples:
            if sample.path not in self._reasons:
                self._reasons[sample.path] = problem(sample.path)
        return [sample for sample in samples if not self._reasons[sample.path]]

    def evenly(self, samples: Sequence[Sample], count: int) -> tuple[list[Sample], list[Sample]]:
        """As the function `evenly`, of those that can be read.

        In the place of each that cannot, another one is taken, while there are any.

        Returns:
            All that were looked at; and those of them that can be read, `count` at most.  Always
            the same.
        """
        picked = evenly(samples, count)
        chosen = self.only(picked)
        if len(chosen) == count:
            return picked, chosen
        known = {id(sample) for sample in picked}
        others = [sample for sample in samples if id(sample) not in known]
        # In an order of chance, though a fixed one: the next in line may show the same person.
        for place in np.random.default_rng(0).permutation(len(others)):
            if len(chosen) == count:
                break
            picked.append(others[place])
            chosen += self.only([others[place]])
        return picked, chosen


def opened(given: str | PictureSet) -> PictureSet:
    """A set that is there already, or `open_set`."""
    return given if isinstance(given, PictureSet) else open_set(given)


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of them, spread evenly over all; always the same."""
    count = min(count, len(items))
    return [items[place * len(items) // count] for place in range(count)]


def whole_identities(samples: Sequence[Sample], count: int) -> list[Sample]:
    """About `count` at most, of some identities, spread evenly over all of them.

    Of each identity and camera all pictures are taken, unless they are so many that fewer than
    16 identities would fit: then so many that those do, and two at least.
    """
    views: dict[tuple[int, int], list[Sample]] = {}
    for sample in samples:
        views.setdefault((sample.pid, sample.camid), []).append(sample)
    cameras = max(Counter(pid for pid, _ in views).values())
    most = max(2, count // (_IDENTITIES * cameras))
    thinned = {id(sample) for view in views.values() for sample in evenly(view, most)}
    pids = sorted({pid for pid, _ in views})
    kept = set(evenly(pids, max(2, len(pids) * count // len(thinned))))
    return [sample for sample in samples if sample.pid in kept and id(sample) in thinned]


def batches(samples: Sequence[Sample], frame: Frame, size: int = 16) -> Iterator[NDArray[np.uint8]]:
    """Decode and resize as the runtime does: uint8 (size or fewer, height, width, 3).

    Raises:
        ImageFileError: a file that cannot be read as a picture; it is named.
        InputError: a picture that the runtime would refuse.
    """
    for start in range(0, len(samples), size):
        part = samples[start : start + size]
        batch = np.empty((len(part), frame.height, frame.width, 3), np.uint8)
        for row, sample in enumerate(part):
            picture = read_image(sample.path)
            images.check(picture, str(sample.path))
            images.fill(batch[row : row + 1], [picture], frame.resize)
        yield batch
