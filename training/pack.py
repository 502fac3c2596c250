"""Training pictures as a few archives, to carry to a machine that has no data.

An archive holds `train/SOURCE/NAME.jpg`, `held_out/SOURCE/NAME.jpg` and `scenes/NUMBER.jpg`, in
plain tar; unpacked one over another they make the folder that `prepare --packed` reads.  Small
pictures go in as they are, larger ones are shrunk to what training uses of them.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from reid_edge import datasets
from reid_edge.datasets import Sample
from reid_edge.errors import DatasetError
from reid_edge.image_files import read_image
from reid_edge.images import fill

from .scenes import squares
from .teacher import HEIGHT, WIDTH

SPLITS = ("train", "held_out")
SCENES = "scenes"
_BLOCK = 512  # a file's header, and what its content is rounded up to
_END = 2 * 10_240  # the end mark, and what an archive is rounded up to


def pack(
    splits: dict[str, dict[str, list[Sample]]],
    out: Path,
    part_bytes: int,
    quality: int = 92,
    scenes: Sequence[Path] = (),
) -> list[Path]:
    """Write `part00.tar`, `part01.tar`, ... of at most `part_bytes` each into `out`.

    Args:
        splits: of `SPLITS`, name -> source -> samples.
        out: a folder; made if it is not there.
        part_bytes: the largest archive's size.
        quality: of the JPEGs that larger pictures and scenes become, 1 to 100.
        scenes: pictures without people (`scenes.py`).

    Raises:
        DatasetError: two pictures of one source have one name, or one is larger than a part.
        ImageFileError: a picture that cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    total = sum(len(samples) for sources in splits.values() for samples in sources.values())
    entries = chain(track(_entries(splits, quality), "pack", total), _scenes(scenes, quality))
    return [
        _write(out / f"part{number:02}.tar", group)
        for number, group in enumerate(_groups(entries, part_bytes))
    ]


def unpacked(folder: Path) -> dict[str, dict[str, list[Sample]]]:
    """What `pack` was given, from the folder into which its archives were unpacked.

    Raises:
        DatasetError: a split is missing, or a folder holds no such pictures.
    """
    found: dict[str, dict[str, list[Sample]]] = {}
    for split in SPLITS:
        sources = sorted(path for path in folder.glob(f"{split}/*") if path.is_dir())
        if not sources:
            raise DatasetError(f"{folder / split}: no pictures; unpack all parts into {folder}")
        found[split] = {path.name: datasets.folder(path) for path in sources}
    return found


def _groups(
    entries: Iterable[tuple[str, bytes]], part_bytes: int
) -> Iterator[list[tuple[str, bytes]]]:
    """Names and contents, in archives that stay within the limit."""
    group: list[tuple[str, bytes]] = []
    used = _END
    for name, content in entries:
        size = _BLOCK + -(-len(content) // _BLOCK) * _BLOCK
        if _END + size > part_bytes:
            raise DatasetError(f"{name} alone is larger than a part; raise --part-size")
        if used + size > part_bytes:
            yield group
            group, used = [], _END
        group.append((name, content))
        used += size
    if group:
        yield group


def _write(path: Path, group: list[tuple[str, bytes]]) -> Path:
    # USTAR has no extra headers, so that sizes are what they were counted as.
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in group:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def _entries(
    splits: dict[str, dict[str, list[Sample]]], quality: int
) -> Iterator[tuple[str, bytes]]:
    for split, sources in splits.items():
        for source, samples in sources.items():
            seen: set[str] = set()
            for sample in samples:
                # Names that every layout's reader takes, whatever the source's own look like.
                name = f"{sample.pid:06}_c{sample.camid}_{sample.path.stem}.jpg"
                if name in seen:
                    raise DatasetError(f"{sample.path}: {source} has another picture of this name")
                seen.add(name)
                yield f"{split}/{source}/{name}", _content(sample.path, quality)


def _scenes(files: Sequence[Path], quality: int) -> Iterator[tuple[str, bytes]]:
    for number, (file, square) in enumerate(squares(files)):
        yield f"{SCENES}/{number:05}.jpg", _jpeg(square, quality, file)


def _content(path: Path, quality: int) -> bytes:
    """The file itself if it is a small JPEG, else one of at most the training size."""
    picture = read_image(path)
    content = path.read_bytes()
    if content.startswith(b"\xff\xd8") and picture.shape[0] <= HEIGHT and picture.shape[1] <= WIDTH:
        return content
    if picture.shape[0] > HEIGHT or picture.shape[1] > WIDTH:
        small = np.empty((1, HEIGHT, WIDTH, 3), np.uint8)
        fill(small, [picture], "area")
        picture = small[0]
    return _jpeg(picture, quality, path)


def _jpeg(picture: NDArray[np.uint8], quality: int, path: Path) -> bytes:
    bgr = np.ascontiguousarray(picture[:, :, ::-1])
    done, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise DatasetError(f"{path}: cannot be encoded as JPEG")
    return encoded.tobytes()
