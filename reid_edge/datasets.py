"""Person re-identification datasets on disk: which file shows whom, from which camera.

Only names are read here, no pictures.  A `Sample` carries the field's standard terms:
`pid` is the identity and `camid` the camera; in Market-1501, pid -1 is a junk detection
and pid 0 a distractor.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ._files import read_regular
from .errors import DatasetError, LabelError

LAYOUTS = ("market1501", "cuhk03", "folder", "pku")  # of `open_test`
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_NAME = re.compile(r"(?P<pid>-?\d{1,9})_c(?P<camid>\d{1,9})(?:s\d+)?_")
_MAX_PAIRS_BYTES = 1 << 27
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

    @property
    def paths(self) -> list[Path]:
        """The pictures: those of the queries, then those of the gallery."""
        return [sample.path for sample in (*self.query, *self.gallery)]

    def check(self) -> None:
        """What can be refused before a picture is read.

        Raises:
            DatasetError: no query, one identity, or no query with a match from another camera.
        """
        if not self.query or not self.gallery:
            raise DatasetError("the dataset has no query, or no gallery; check its folders")
        if len({sample.pid for sample in (*self.query, *self.gallery)}) < 2:
            raise DatasetError(
                "the dataset shows one identity only; two are needed to tell people apart"
            )
        seen: dict[int, set[int]] = {}
        for sample in self.gallery:
            seen.setdefault(sample.pid, set()).add(sample.camid)
        if not any(seen.get(sample.pid, set()) - {sample.camid} for sample in self.query):
            raise DatasetError("no query has a match from another camera; nothing can be measured")

    def only(self, kept: NDArray[np.bool_]) -> QueryGallery:
        """The test with some of its pictures; `kept` is (len(paths),).

        Raises:
            DatasetError: nothing can be measured with what is left, see `check`.
        """
        chosen = [
            [sample for sample, keep in zip(samples, flags, strict=True) if keep]
            for samples, flags in zip(
                (self.query, self.gallery), np.split(kept, [len(self.query)]), strict=True
            )
        ]
        part = QueryGallery(*chosen)
        part.check()
        return part


@dataclass(frozen=True)
class LabelledPair:
    """Two pictures, and whether they show one person."""

    a: Path
    b: Path
    same: bool


def open_test(spec: str) -> QueryGallery:
    """A retrieval test from `LAYOUT:PATH`, such as `market1501:data/Market-1501-v15.09.15`.

    `market1501` is the official test, `cuhk03` that of CUHK03-NP; `folder` (any
    `PID_cCAM_*.jpg`) and `pku` ask as `one_query_per_camera` says.

    Raises:
        DatasetError: another layout, or a folder that is not laid out so.
    """
    layout, separator, path = spec.partition(":")
    root = Path(path).expanduser()  # no shell does it behind a colon
    if not separator or layout not in LAYOUTS:
        raise DatasetError(
            f"{spec!r}: give LAYOUT:PATH, where LAYOUT is {', '.join(LAYOUTS[:-1])} or "
            f"{LAYOUTS[-1]}, such as folder:crops"
        )
    if layout == "market1501":
        return market1501_test(root)
    if layout == "cuhk03":
        return cuhk03_test(root)
    return one_query_per_camera(pku(root) if layout == "pku" else folder(root))


def folder(path: str | Path) -> list[Sample]:
    """Pictures named `PID_cCAM_*.jpg`, searched deeply: Market-1501, DukeMTMC, CUHK03, VIPeR.

    Returns:
        One sample a picture, in the order of their paths.

    Raises:
        DatasetError: no such folder, or no picture in it.
        LabelError: a name of another form.
    """
    samples = []
    for file in pictures(Path(path)):
        match = _NAME.match(file.name)
        if match is None:
            raise LabelError(
                f"{file}: expected a name like 0002_c1s1_000451_03.jpg (PID_cCAM_*), which says "
                "who is shown; rename the file or move it out of the folder"
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


def cuhk03_test(root: str | Path) -> QueryGallery:
    """The test of CUHK03-NP (Zhong et al., CVPR 2017): 1,400 queries of 700 people.

    Args:
        root: the folder `labeled` or `detected` of cuhk03-np, with `query` and
            `bounding_box_test` in it; or any folder of `PID_cCAM_*` pictures of CUHK03, which is
            split by `one_query_per_camera`.
    """
    root = Path(root)
    if (root / "query").is_dir() and (root / "bounding_box_test").is_dir():
        return QueryGallery(folder(root / "query"), folder(root / "bounding_box_test"))
    if (root / "labeled").is_dir() or (root / "detected").is_dir():
        raise DatasetError(
            f"{root}: give its folder labeled or detected: boxes drawn by hand, or by a detector"
        )
    return one_query_per_camera(folder(root))


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
            raise LabelError(
                f"{file}: expected <pid>/<cam>_<orientation>.png; move other files elsewhere"
            )
        samples.append(Sample(file, int(file.parent.name), int(match["camid"])))
    return samples


def pairs(path: str | Path) -> list[LabelledPair]:
    """A pairs file: lines `A,B,1` for one person, `A,B,0` for two; UTF-8, comma-separated.

    Paths are relative to the file's folder.  Empty lines, lines that start with `#` and the
    header `a,b,same` are skipped.

    Raises:
        DatasetError: no such file, a line of another form (it is shown), or no pair.
    """
    path = Path(path)
    try:
        text = read_regular(path, _MAX_PAIRS_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be read ({error.strerror}); give a file of lines A,B,1 or A,B,0"
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: is no UTF-8 text ({error.reason}); save it as UTF-8") from None
    found = []
    try:
        for row in csv.reader(text.splitlines(), strict=True, skipinitialspace=True):
            fields = [field.strip() for field in row]
            if not any(fields) or fields[0].startswith("#") or fields == ["a", "b", "same"]:
                continue
            if len(fields) != 3 or not fields[0] or not fields[1] or fields[2] not in ("0", "1"):
                raise csv.Error(f"found {','.join(row)[:80]!r}")
            found.append(
                LabelledPair(path.parent / fields[0], path.parent / fields[1], fields[2] == "1")
            )
    except csv.Error as error:
        raise DatasetError(f"{path}: expected lines A,B,1 or A,B,0; {error}") from None
    if not found:
        raise DatasetError(f"{path}: holds no pair; give lines A,B,1 or A,B,0")
    return found


def one_query_per_camera(samples: list[Sample]) -> QueryGallery:
    """Split labelled pictures as Market-1501 does.

    Each identity's first picture from each camera asks; all other pictures are the gallery.
    Of an identity with a single picture from each of its cameras, as in VIPeR, only the first asks
    and the others are found.
    Identities seen by one camera only stay in the gallery, where they are distractors, as do all
    pictures of pid 0, which is nobody's number.  Junk detections (pid -1) are dropped.

    Raises:
        DatasetError: no identity was seen by two cameras.
    """
    samples = [sample for sample in samples if sample.pid != -1]
    cameras: dict[int, Counter[int]] = defaultdict(Counter)
    for sample in samples:
        cameras[sample.pid][sample.camid] += 1
    asked: set[tuple[int, int | None]] = set()
    query, gallery = [], []
    for sample in samples:
        seen = cameras[sample.pid]
        one_each = max(seen.values()) == 1
        key = (sample.pid, None if one_each else sample.camid)
        if sample.pid != 0 and len(seen) > 1 and key not in asked:
            asked.add(key)
            query.append(sample)
        else:
            gallery.append(sample)
    if not query:
        raise DatasetError(
            "no identity was seen by two cameras, so nothing can be asked across cameras; "
            "check that the names are PID_cCAM_* with the camera's number behind the c"
        )
    return QueryGallery(query, gallery)


def pictures(root: Path) -> Iterator[Path]:
    """The picture files in a folder and below it, in the order of their paths.

    Raises:
        DatasetError: no such folder, or none in it.
    """
    if not root.is_dir():
        raise DatasetError(f"{root}: no such folder; give the folder that holds the pictures")
    files = sorted(
        file
        for file in root.rglob("*")
        # Broken links and pipes, too: whoever reads them finds out, and they are not lost silently.
        if file.suffix.lower() in _SUFFIXES and not file.is_dir() and not file.name.startswith(".")
    )
    if not files:
        raise DatasetError(
            f"{root}: no pictures ({', '.join(sorted(_SUFFIXES))}) in this folder; "
            "give the one that holds them"
        )
    return iter(files)


def _market_folder(root: Path, name: str) -> Path:
    for base in (root, root / "Market-1501-v15.09.15"):
        if (base / name).is_dir():
            return base / name
    raise DatasetError(
        f"{root}: no {name} here; give the folder that holds "
        "bounding_box_train, query and bounding_box_test of Market-1501"
    )
