"""Augmentation of a whole batch at once, on whatever device the batch is.

The geometry (the view, jitter like a bad detector's, the resize to the training size) is one
affine resampling.  Other surroundings and clothes follow (`novelty.py`), then the camera's and
the light's colours (`colours.py`), then what stands in front and what small or bad pictures lose
(`mixing.py`, `degrade.py`).  All draws come from one generator, so that a resumed run goes on
with the draws that it would have made.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from . import degrade, mixing, novelty
from .colours import recolour
from .draws import Draw, constant, uniform

# ImageNet's mean and standard deviation, in 0...255: what every exported graph applies inside.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Augmentation:
    """How strongly pictures are changed; each field is a probability or a half-width.

    The upper half suits a student whose teacher saw the unchanged picture; the lower half, off
    unless a recipe turns it on, a teacher that sees the same picture as the student.
    """

    shift: float = 0.05
    zoom: float = 0.08
    rotate: float = 0.07  # radians
    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.3
    tint: float = 0.08
    coarse: float = 0.2
    erase: float = 0.4
    erase_area: tuple[float, float] = (0.04, 0.3)
    stretch: float = 0.0  # of the aspect ratio
    hue: float = 0.0  # radians
    grey: float = 0.0  # probability of a picture without colour
    gamma: float = 0.0  # half-width of the exponent's logarithm
    blur: float = 0.0
    rescale: float = 0.0  # probability of a small original: 48 to 160 pixels high
    compress: float = 0.0  # probability of JPEG's losses
    noise: float = 0.0
    occlude: float = 0.0  # probability of a rectangle out of another picture
    mixup: float = 0.0
    cutmix: float = 0.0
    dye: float = 0.0  # probability of other colours for the upper or the lower part
    backdrop: float = 0.0  # probability of another picture's surroundings
    scene: float = 0.0  # probability of a scene's surroundings; needs `prepare --scenes`


STRANGERS = ("mixup", "cutmix", "dye")
"""Those behind which a picture no longer shows its own person alone and in their own clothes."""


def normalise(pictures: Tensor) -> Tensor:
    """0...255 RGB (n, 3, h, w) to zero mean and unit variance, channels last."""
    mean = constant(MEAN, pictures.device).view(1, 3, 1, 1)
    std = constant(STD, pictures.device).view(1, 3, 1, 1)
    return ((pictures - mean) / std).contiguous(memory_format=torch.channels_last)


def augment(
    images: Tensor,
    boxes: Tensor,
    mirrored: Tensor,
    settings: Augmentation,
    generator: torch.Generator,
    scenes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Change a batch at random.

    Args:
        images: uint8 (n, h, w, 3) RGB.
        boxes: float32 (n, 4), the view: y0, x0, y1, x1 as fractions.
        mirrored: bool (n,), whether the view is the mirror image.
        settings: how strongly.
        generator: the source of all draws, on the CPU.
        scenes: uint8 (m, 256, 256, 3) RGB, where `settings.scene` is over 0.

    Returns:
        float32 (n, 3, h, w) RGB in 0...255, and bool (n,) on the CPU: whether the picture still
        shows its own person only, in their own clothes.
    """
    draw = uniform(generator, images.device)
    x = images.permute(0, 3, 1, 2).float()
    x = functional.grid_sample(
        x,
        _grid(boxes, mirrored, settings, draw, *x.shape[2:]),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    x = novelty.backdrop(x, draw, settings.backdrop)
    if settings.scene:
        assert scenes is not None  # `preflight` has checked
        x = novelty.elsewhere(x, draw, settings.scene, scenes)
    x, own = novelty.dye(x, draw, settings.dye)
    x = degrade.halve(x, draw, settings.coarse)
    x = recolour(
        x,
        draw,
        brightness=settings.brightness,
        contrast=settings.contrast,
        saturation=settings.saturation,
        tint=settings.tint,
        hue=settings.hue,
        grey=settings.grey,
    ).clamp_(0, 255)
    if settings.gamma:
        exponent = (draw(len(x), 1, 1, 1) * settings.gamma).exp()
        x = (x / 255).pow_(exponent).mul_(255)
    mixing.occlude(x, draw, settings.occlude, settings.erase_area)
    x, unmixed = mixing.mix(x, draw, settings.mixup, settings.cutmix)
    x = degrade.blur(x, draw, settings.blur)
    x = degrade.rescale(x, draw, settings.rescale, settings.compress)
    x = degrade.add_noise(x, draw, settings.noise)
    mixing.erase(x, draw, settings.erase, settings.erase_area, MEAN, STD)
    return x.clamp_(0, 255), own & unmixed


def _grid(
    boxes: Tensor, mirrored: Tensor, settings: Augmentation, draw: Draw, height: int, width: int
) -> Tensor:
    """The affine sampling grid: view box, mirror, shift, zoom, stretch and a small rotation."""
    count = len(boxes)
    y0, x0, y1, x1 = boxes.unbind(1)
    zoom = 1 + draw(count) * settings.zoom
    angle = draw(count) * settings.rotate
    half_h, half_w = (y1 - y0) * zoom, (x1 - x0) * zoom
    centre_y = y0 + y1 - 1 + draw(count) * settings.shift
    centre_x = x0 + x1 - 1 + draw(count) * settings.shift
    if settings.stretch:
        half_w = half_w * (1 + draw(count) * settings.stretch)
    sign = torch.where(mirrored, -1.0, 1.0)
    aspect = height / width
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack(
        [
            torch.stack([half_w * cos * sign, -half_w * sin * aspect, centre_x], 1),
            torch.stack([half_h * sin / aspect * sign, half_h * cos, centre_y], 1),
        ],
        1,
    )
    return functional.affine_grid(theta, [count, 3, height, width], align_corners=False)
