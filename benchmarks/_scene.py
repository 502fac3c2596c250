"""A street with drawn people who walk through each other, to track without anyone's video."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_edge.video.boxes import Detections
from reid_edge.video.matching import overlaps
from samples.draw import Person, Shot, draw

WIDTH, HEIGHT, FPS = 960, 540, 10.0
_HIDDEN = 0.8  # of a box behind another one: no detector finds it
_STEPS = 8

Picture = NDArray[np.uint8]
Pictures = Callable[[int, int], Picture]  # (person, frame) -> RGB crop


def drawn_people(count: int, rng: np.random.Generator) -> Pictures:
    """People with clothes in random colours, in eight phases of a step each."""

    def tone(low: float, high: float) -> tuple[int, int, int]:
        hue, saturation, value = rng.random(), rng.uniform(0.1, 0.8), rng.uniform(low, high)
        red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
        return round(255 * red), round(255 * green), round(255 * blue)

    def person() -> Person:
        skin = round(rng.uniform(90, 235))
        return Person(
            (skin, int(skin * 0.77), int(skin * 0.63)),
            tone(0.1, 0.6),
            tone(0.15, 0.95),
            tone(0.1, 0.8),
            tone(0.1, 0.8),
            tone(0.2, 0.9) if rng.random() < 0.4 else None,
            bool(rng.random() < 0.5),
            bool(rng.random() < 0.3),
        )

    drawn = []
    for number in range(count):
        one = person()
        shots = [
            Shot(float(np.sin(2 * np.pi * phase / _STEPS)), 1.0, 0.0, (150, 152, 150))
            for phase in range(_STEPS)
        ]
        drawn.append([draw(one, shot, _STEPS * number + i) for i, shot in enumerate(shots)])
    return lambda number, frame: drawn[number][(frame + 3 * number) % _STEPS]


def scene(
    people: int, frames: int, pictures: Pictures, rng: np.random.Generator
) -> Iterator[tuple[Picture, Detections]]:
    """Frames, uint8 (540, 960, 3) RGB, and where each person is; ids are 1, 2, ..."""
    place = rng.uniform([0, 150], [WIDTH, HEIGHT], (people, 2))  # of the feet
    heading = rng.uniform(0, 2 * np.pi, people)
    speed = rng.uniform(0.4, 0.9, people)  # heights a second: a walk
    for frame in range(frames):
        height = 50 + 0.22 * place[:, 1]
        step = np.stack([np.cos(heading), 0.5 * np.sin(heading)], axis=1)
        place += step * (speed * height / FPS)[:, None]
        heading += rng.normal(0, 0.12, people)
        for axis, low, high in ((0, 20, WIDTH - 20), (1, 150, HEIGHT - 5)):
            out = (place[:, axis] < low) | (place[:, axis] > high)
            heading[out] = (np.pi - heading[out]) if axis == 0 else -heading[out]
            place[:, axis] = np.clip(place[:, axis], low, high)
        boxes = np.stack(
            [
                place[:, 0] - 0.2 * height,
                place[:, 1] - height,
                place[:, 0] + 0.2 * height,
                place[:, 1],
            ],
            axis=1,
        ).astype(np.float32)
        picture = np.full((HEIGHT, WIDTH, 3), (150, 152, 150), np.uint8)
        order = np.argsort(place[:, 1])  # the nearest last, over the others
        for number in order.tolist():
            _paste(picture, pictures(number, frame), boxes[number])
        behind = overlaps(boxes, boxes)[1] * (place[:, None, 1] < place[None, :, 1])
        seen = np.flatnonzero(behind.max(axis=1) < _HIDDEN)
        found = Detections(boxes, np.ones(people, np.float32), np.arange(1, people + 1))
        yield picture, found.select(seen).clipped(HEIGHT, WIDTH)


def _paste(picture: Picture, person: Picture, box: NDArray[np.float32]) -> None:
    x1, y1, x2, y2 = np.rint(box).astype(int).tolist()
    small = cv2.resize(person, (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, WIDTH), min(y2, HEIGHT)
    picture[top:bottom, left:right] = small[top - y1 : bottom - y1, left - x1 : right - x1]
