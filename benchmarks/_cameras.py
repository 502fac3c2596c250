"""Simulated cameras: what another sensor, lens, mounting and detector make of a picture.

What belongs to a camera is drawn once for it (colours, exposure, resolution, sharpening, noise,
compression, how far it looks down, how its detector cuts); a little is drawn for each picture.
As in benchmarks of corruptions (Chen et al., "Benchmarks for corruption invariant person
re-identification", NeurIPS 2021), but all at once and by camera, as it is in life.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reid_edge.images import Picture

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Camera:
    """One camera.

    Attributes:
        colours: 3 x 3, its sensor's colours from the picture's; rows sum to 1.
        gain: of each channel: exposure and white balance.
        gamma: exponent of its tone curve.
        black: level of black, -20...35 of 255.
        saturation: 1 is the picture's own.
        height: of a person in pixels.
        sharpening: 0 is none.
        noise: standard deviation, of 255.
        quality: of its JPEG.
        zoom: how much wider than the person the detector cuts, as a fraction.
        aspect: how much wider it cuts than it is high.
        shift: how far below the person it cuts, in heights.
        tilt: how much wider legs are than shoulders; below 0 it is seen from above.
    """

    colours: NDArray[np.float32]
    gain: NDArray[np.float32]
    gamma: float
    black: float
    saturation: float
    height: int
    sharpening: float
    noise: float
    quality: int
    zoom: float
    aspect: float
    shift: float
    tilt: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Camera:
        """Any camera."""
        colours = np.eye(3) + rng.normal(0, 0.1, (3, 3))
        return cls(
            colours=(colours / colours.sum(1, keepdims=True)).astype(np.float32),
            gain=np.exp(rng.uniform(-0.16, 0.16, 3) + rng.uniform(-0.5, 0.4)).astype(np.float32),
            gamma=float(np.exp(rng.uniform(-0.45, 0.45))),
            black=rng.uniform(-20, 35),
            saturation=rng.uniform(0.35, 1.4),
            height=int(rng.integers(48, 150)),
            sharpening=rng.uniform(0, 1.2),
            noise=rng.uniform(0, 8),
            quality=int(rng.integers(40, 91)),
            zoom=rng.uniform(-0.12, 0.2),
            aspect=rng.uniform(-0.15, 0.15),
            shift=rng.uniform(-0.06, 0.06),
            tilt=rng.uniform(-0.1, 0.1),
        )

    def shoot(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """What this camera would show: uint8 RGB (height, height / 2, 3)."""
        x = self._cut(picture, rng).astype(np.float32)
        grey = (x @ _LUMA)[..., None]
        x = (grey + self.saturation * (x - grey)) @ self.colours.T
        x = x * self.gain * np.exp(rng.normal(0, 0.12)) + self.black
        x = 255 * np.clip(x / 255, 0, 1) ** self.gamma
        x += self.sharpening * (x - cv2.GaussianBlur(x, (0, 0), 1.0))
        x += rng.normal(0, self.noise, x.shape)
        bgr = np.clip(x, 0, 255).astype(np.uint8)[..., ::-1]
        coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
        decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
        return np.ascontiguousarray(decoded[..., ::-1])

    def _cut(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """The detector's crop, through the camera's perspective, at its resolution."""
        high = 1 + self.zoom + rng.normal(0, 0.05)
        wide = high * (1 + self.aspect + rng.normal(0, 0.05))
        down, across = self.shift + rng.normal(0, 0.03), rng.normal(0, 0.04)
        lean = self.tilt + rng.normal(0, 0.03)
        corners = np.array([[-1 - lean, -1], [1 + lean, -1], [1 - lean, 1], [lean - 1, 1]])
        corners = corners * (wide, high) + (2 * across, 2 * down)
        rows, columns = picture.shape[:2]
        taken = ((corners + 1) / 2 * (columns, rows)).astype(np.float32)
        # A warp has no mean over areas, so it keeps the picture's size, and shrinking comes after.
        height = max(rows, self.height)
        width = max(columns, self.height // 2)
        shown = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        cut = cv2.warpPerspective(
            picture,
            cv2.getPerspectiveTransform(shown, taken),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        small = cv2.resize(cut, (self.height // 2, self.height), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)
