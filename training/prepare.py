"""Decode every training picture once, and run the teacher over its fixed views.

A prepared set is a folder of up to four arrays and a list:

    images.npy    uint8   (n, 256, 128, 3) RGB
    boxes.npy     float32 (n, views, 4)
    teacher.npy   float16 (n, views, 256 a teacher), unit norm; not there without teachers
    scenes.npy    uint8   (m, 256, 256, 3) RGB, beside the training set only; not there without any
    labels.npy    int32   (n, 2): label 0...classes-1, source 0...sources-1
    index.json    sources, and path, pid and camid of each picture
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from reid_edge.datasets import Sample
from reid_edge.image_files import read_image
from reid_edge.images import fill

from . import views
from .arithmetic import best_device
from .teacher import HEIGHT, SIZE, WIDTH, open_teachers


def prepare(
    sources: dict[str, list[Sample]], teachers: Sequence[Path], out: Path, seed: int = 0
) -> None:
    """Write a prepared set of `sources` (name -> samples) into the folder `out`.

    Labels count over (source, pid), so that equal numbers in two datasets stay two people.
    A set that is there already is left alone.

    Raises:
        ImageFileError: a picture cannot be read.
    """
    if (out / "index.json").is_file():
        return
    out.mkdir(parents=True, exist_ok=True)
    rows = [(index, sample) for index, name in enumerate(sources) for sample in sources[name]]
    images = np.lib.format.open_memmap(
        out / "images.npy", "w+", np.uint8, (len(rows), HEIGHT, WIDTH, 3)
    )

    def decode(row: int) -> None:
        # As the runtime does it, so that training sees what users will run.
        fill(images[row : row + 1], [read_image(rows[row][1].path)], "area")

    # OpenCV decodes without the interpreter's lock; each row is written by one thread only.
    # As many as torch takes: the processors of this process, not all of the machine.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for _ in track(pool.map(decode, range(len(rows))), f"decode {out.name}", len(rows)):
            pass
    boxes = views.draw_boxes(len(rows), seed)
    np.save(out / "boxes.npy", boxes)
    keys = [(source, sample.pid) for source, sample in rows]
    label_of = {key: label for label, key in enumerate(sorted(set(keys)))}
    labels = np.array([(label_of[key], key[0]) for key in keys], np.int32)
    np.save(out / "labels.npy", labels)
    if teachers:
        np.save(out / "teacher.npy", _teach(images, boxes, teachers))
    index = {
        "sources": list(sources),
        "pictures": [(sample.path.name, sample.pid, sample.camid) for _, sample in rows],
    }
    # Written last: a set without its index is unfinished and is made anew.
    (out / "index.json").write_text(json.dumps(index))


def _teach(
    images: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    teachers: Sequence[Path],
    batch: int = 128,
) -> NDArray[np.float16]:
    """Unit-norm teacher embeddings of every view: float16 (n, views, 256 a teacher)."""
    device = best_device()
    teacher = open_teachers(teachers, device)
    total = len(images) * views.COUNT
    found = np.zeros((total, SIZE * len(teachers)), np.float16)
    for start in track(range(0, total, batch), "teacher"):
        flats = range(start, min(start + batch, total))
        block = np.empty((len(flats), HEIGHT, WIDTH, 3), np.uint8)
        for slot, flat in enumerate(flats):
            row, view = divmod(flat, views.COUNT)
            block[slot] = view_of(images[row], boxes[row, view], bool(views.MIRRORED[view]))
        pictures = torch.from_numpy(block).to(device).permute(0, 3, 1, 2).float()
        found[start : start + len(flats)] = teacher(pictures).cpu().numpy()
    return found.reshape(len(images), views.COUNT, -1)


def view_of(
    image: NDArray[np.uint8], box: NDArray[np.float32], mirrored: bool
) -> NDArray[np.uint8]:
    """One view of a prepared picture, at its full size: uint8 (256, 128, 3)."""
    y0, x0, y1, x1 = np.rint(box * (HEIGHT, WIDTH, HEIGHT, WIDTH)).astype(int)
    if (y0, x0, y1, x1) != (0, 0, HEIGHT, WIDTH):
        image = cv2.resize(image[y0:y1, x0:x1], (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(image[:, ::-1]) if mirrored else image
