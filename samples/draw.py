"""Draws the sample pictures of this folder: invented people in front of invented streets.

    python samples/draw.py

Pictures of real people are not ours to publish; these are drawn, free to use, and good
enough to try the package on.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH, SCALE = 256, 128, 4
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Person:
    """What stays the same from picture to picture (RGB colours)."""

    skin: Colour
    hair: Colour
    top: Colour
    legs: Colour
    shoes: Colour
    bag: Colour | None = None
    long_hair: bool = False
    skirt: bool = False


@dataclass(frozen=True)
class Shot:
    """What changes from picture to picture."""

    stride: float  # how far the legs are apart, -1...1
    light: float
    warmth: float
    street: Colour
    shift: int = 0
    zoom: float = 1.0


PEOPLE = {
    "anna": Person(
        (224, 172, 140), (60, 35, 20), (190, 30, 40), (35, 45, 80), (30, 30, 30), long_hair=True
    ),
    "ben": Person(
        (150, 100, 70), (20, 18, 16), (225, 225, 215), (90, 80, 60), (80, 50, 30), bag=(25, 90, 60)
    ),
    "cleo": Person(
        (235, 195, 170), (190, 150, 80), (40, 110, 170), (20, 20, 25), (200, 200, 200), skirt=True
    ),
}
SHOTS = [
    Shot(0.8, 1.05, 0.03, (150, 152, 150)),
    Shot(-0.5, 0.85, -0.05, (118, 122, 112), shift=5, zoom=0.93),
]


def draw(person: Person, shot: Shot, seed: int) -> np.ndarray:
    """One picture, uint8 (256, 128, 3) RGB."""
    rng = np.random.default_rng(seed)
    canvas = _street(shot, rng)

    def at(x: float, y: float) -> tuple[int, int]:
        x, y = 64 + (x + shot.shift) * shot.zoom, 128 + (y - 128) * shot.zoom
        return int(x * SCALE), int(y * SCALE)

    def limb(a: tuple[float, float], b: tuple[float, float], width: float, colour: Colour) -> None:
        cv2.line(canvas, at(*a), at(*b), colour, int(width * shot.zoom * SCALE), cv2.LINE_AA)

    def shape(points: list[tuple[float, float]], colour: Colour) -> None:
        cv2.fillPoly(canvas, [np.array([at(*point) for point in points])], colour, cv2.LINE_AA)

    def blob(x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        axes = (int(rx * shot.zoom * SCALE), int(ry * shot.zoom * SCALE))
        cv2.ellipse(canvas, at(x, y), axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    step = 14 * shot.stride
    darker = _darkened(person.top, 0.8)
    below = person.skin if person.skirt else person.legs
    blob(0, 246, 30, 5, _darkened(shot.street, 0.6))  # the shadow
    for side in (-1, 1):
        knee, foot = (side * 8 + side * step * 0.5, 188), (side * 9 + side * step, 236)
        limb((side * 8, 138), knee, 17, below)
        limb(knee, foot, 13, below)
        limb(foot, (foot[0] + 6, 241), 10, person.shoes)
    if person.skirt:
        shape([(-18, 130), (18, 130), (26, 186), (-26, 186)], person.legs)
    limb((-22, 66), (-27 - step * 0.4, 104), 12, darker)
    limb((-27 - step * 0.4, 104), (-24 - step * 0.7, 136), 9, person.skin)
    shape([(-25, 60), (25, 60), (20, 142), (-20, 142)], person.top)
    limb((22, 66), (28 + step * 0.4, 104), 12, darker)
    limb((28 + step * 0.4, 104), (25 + step * 0.7, 136), 9, person.skin)
    if person.bag:
        limb((-20, 62), (22, 118), 4, person.bag)
        shape([(14, 112), (34, 112), (34, 142), (14, 142)], person.bag)
    limb((0, 50), (0, 60), 11, person.skin)
    if person.long_hair:
        blob(0, 36, 18, 23, person.hair)
    blob(0, 36, 13, 17, person.skin)
    blob(0, 25, 14, 10, person.hair)
    return _photograph(canvas, shot, rng)


def _darkened(colour: Colour, share: float) -> Colour:
    red, green, blue = (int(c * share) for c in colour)
    return red, green, blue


def _street(shot: Shot, rng: np.random.Generator) -> np.ndarray:
    canvas = np.empty((HEIGHT * SCALE, WIDTH * SCALE, 3), np.uint8)
    canvas[:] = shot.street
    wall = int(HEIGHT * SCALE * 0.62)
    canvas[:wall] = [min(255, int(c * 1.18)) for c in shot.street]
    for _ in range(7):
        x, y = rng.integers(0, WIDTH * SCALE), rng.integers(0, wall)
        w, h = rng.integers(60, 220, 2)
        tone = int(rng.integers(70, 210))
        cv2.rectangle(canvas, (x, y), (x + w, min(wall, y + h)), (tone, tone, tone + 8), -1)
    return canvas


def _photograph(canvas: np.ndarray, shot: Shot, rng: np.random.Generator) -> np.ndarray:
    """Light from one side, white balance, blur and noise, as a camera would have them."""
    picture = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA).astype(np.float32)
    side = np.linspace(1.12, 0.88, WIDTH, dtype=np.float32)[None, :, None]
    balance = np.array([1 + shot.warmth, 1, 1 - shot.warmth], np.float32)
    folds = cv2.resize(rng.normal(1, 0.07, (32, 16)).astype(np.float32), (WIDTH, HEIGHT))
    picture *= side * balance * shot.light * folds[:, :, None]
    picture = cv2.GaussianBlur(picture, (0, 0), 0.8) + rng.normal(0, 4, picture.shape)
    found: np.ndarray = np.clip(picture, 0, 255).astype(np.uint8)
    return found


def main() -> None:
    """Write every person in every shot beside this file."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for number, (name, person) in enumerate(PEOPLE.items()):
        for index, shot in enumerate(SHOTS, 1):
            picture = draw(person, shot, seed=10 * number + index)
            path = Path(__file__).with_name(f"{name}_{index}.jpg")
            quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
            cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)


if __name__ == "__main__":
    main()
