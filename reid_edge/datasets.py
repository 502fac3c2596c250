"""Person re-identification datasets on disk: which file shows whom, from which camera.

Only names are read here, no pictures.  A `Sample` carries the field's standard terms:
`pid` is the identity and `camid` the camera; in Market-1501, pid -1 is a junk detection
and pid 0 a distractor.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import DatasetError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_NAME = re.compile(r"(?P<pid>-?\d{1,9})_c(?P<camid>\d{1,9})(?:s\d+)?_")
_PKU_FOLDER = re.compile(r"\d{1,9}")
_PKU_NAME = re.compile(r"(?P<camid>\d{1,9})_\d+")


@dataclass(frozen=True)
class Sample:
    """One picture: its path, identity and camera."""

    path: Path
    pid: int
    camid: int


@dataclass(frozen=True)
class QueryGallery:
    """A retrieval test: each query picture is looked up in the gallery."""

    query: list[Sample]
    gallery: list[Sample]


def open_test(spec: str) -> QueryGallery:
    """A retrieval test from `LAYOUT:PATH`, such as `market1501:data/Market-1501-v15.09.15`.

    `market1501` is the official test; `folder` (any `PID_cCAM_*.jpg`) and `pku` ask with each
    identity's first picture from each camera.

    Raises:
        DatasetError: another layout, or a folder that is not laid out so.
    """
    layout, separator, path = spec.partition(":")
    root = Path(path).expanduser()  # no shell does it behind a colon
    if not separator or layout not in ("market1501", "folder", "pku"):
        raise DatasetError(f"{spec!r}: give LAYOUT:PATH, where LAYOUT is market1501, folder or pku")
    if layout == "market1501":
        return market1501_test(root)
    return one_query_per_camera(pku(root) if layout == "pku" else folder(root))


def folder(path: str | Path) -> list[Sample]:
    """Pictures named `PID_cCAM_*.jpg`, searched deeply: Market-1501, DukeMTMC, CUHK03, VIPeR.

    Returns:
        One sample a picture, in the order of their paths.

    Raises:
        DatasetError: no such folder, no picture in it, or a name of another form.
    """
    samples = []
    for file in pictures(Path(path)):
        match = _NAME.match(file.name)
        if match is None:
            raise DatasetError(
                f"{file}: expected a name like 0002_c1s1_000451_03.jpg (PID_cCAM_*); "
                "rename the file or move it out of the folder"
            )
        samples.append(Sample(file, int(match["pid"]), int(match["camid"])))
    return samples


def market1501_train(root: str | Path) -> list[Sample]:
    """The training split of Market-1501 (`bounding_box_train`): 12,936 pictures of 751 people."""
    return folder(_market_folder(Path(root), "bounding_box_train"))


def market1501_test(root: str | Path) -> QueryGallery:
    """The official test of Market-1501: 3,368 queries against `bounding_box_test`.

    Of its 19,732 pictures the 3,819 junk detections (pid -1) are dropped, as the protocol asks;
    the distractors (pid 0) stay.
    """
    gallery = [
        sample
        for sample in folder(_market_folder(Path(root), "bounding_box_test"))
        if sample.pid != -1
    ]
    return QueryGallery(folder(_market_folder(Path(root), "query")), gallery)


def pku(root: str | Path) -> list[Sample]:
    """PKU-Reid: `<pid>/<cam>_<orientation>.png` under `train` and `val/all_imgs`; 74 people.

    Its `val/query` and `val/gallery` repeat pictures of `val/all_imgs` and are left out.
    """
    samples = []
    for file in pictures(Path(root)):
        if file.parent.parent.name in ("query", "gallery"):
            continue
        match = _PKU_NAME.fullmatch(file.stem)
        if match is None or not _PKU_FOLDER.fullmatch(file.parent.name):
            raise DatasetError(
                f"{file}: expected <pid>/<cam>_<orientation>.png; move other files elsewhere"
            )
        samples.append(Sample(file, int(file.parent.name), int(match["camid"])))
    return samples


def one_query_per_camera(samples: list[Sample]) -> QueryGallery:
    """Split labelled pictures as Market-1501 does.

    Each identity's first picture from each camera asks; all other pictures are the gallery.
    Identities seen by one camera only stay in the gallery, where they are distractors.  Junk
    detections (pid -1) are dropped.
    """
    samples = [sample for sample in samples if sample.pid != -1]
    cameras: dict[int, set[int]] = {}
    for sample in samples:
        cameras.setdefault(sample.pid, set()).add(sample.camid)
    asked: set[tuple[int, int]] = set()
    query, gallery = [], []
    for sample in samples:
        key = (sample.pid, sample.camid)
        if len(cameras[sample.pid]) > 1 and key not in asked:
            asked.add(key)
            query.append(sample)
        else:
            gallery.append(sample)
    if not query:
        raise DatasetError(
            "no identity was seen by two cameras, so nothing can be asked across cameras; "
            "check that the names are PID_cCAM_* with the camera's number behind the c"
        )
    found = {(sample.pid, sample.camid) for sample in gallery}
    if not any(
        (sample.pid, camid) in found
        for sample in query
        for camid in cameras[sample.pid] - {sample.camid}
    ):
        raise DatasetError(
            "no query has a match in the gallery: each identity's first picture from each camera "
            "asks, so some identity needs a second picture from one of its cameras"
        )
    return QueryGallery(query, gallery)


def pictures(root: Path) -> Iterator[Path]:
    """The picture files in a folder and below it, in the order of their paths.

    Raises:
        DatasetError: no such folder, or none in it.
    """
    if not root.is_dir():
        raise DatasetError(
            f"{root}: no such folder; give the folder that holds the unpacked dataset"
        )
    files = sorted(
        file
        for file in root.rglob("*")
        if file.suffix.lower() in _SUFFIXES and file.is_file() and not file.name.startswith(".")
    )
    if not files:
        raise DatasetError(f"{root}: no pictures ({', '.join(sorted(_SUFFIXES))}) in this folder")
    return iter(files)


def _market_folder(root: Path, name: str) -> Path:
    for base in (root, root / "Market-1501-v15.09.15"):
        if (base / name).is_dir():
            return base / name
    raise DatasetError(
        f"{root}: no {name} here; give the folder that holds "
        "bounding_box_train, query and bounding_box_test of Market-1501"
    )
