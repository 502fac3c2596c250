"""Augmentation of a whole batch at once, on whatever device the batch is.

The geometry (the teacher's view, a little more jitter, the resize to the training size) is
one affine resampling; colours, blur, coarse resolution and erasing follow.  All draws come
from one generator, so that a resumed run goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# ImageNet's mean and standard deviation, in 0...255: what every exported graph applies inside.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)

Draw = Callable[..., Tensor]
"""Uniform numbers in -1...1, of the shape that is asked for."""


@dataclass(frozen=True)
class Augmentation:
    """How strongly pictures are changed; each field is a probability or a half-width."""

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


def normalise(images: Tensor) -> Tensor:
    """0...255 RGB (n, 3, h, w) to zero mean and unit variance, channels last."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def augment(
    images: Tensor,
    boxes: Tensor,
    mirrored: Tensor,
    settings: Augmentation,
    generator: torch.Generator,
) -> Tensor:
    """Change a batch at random.

    Args:
        images: uint8 (n, h, w, 3) RGB.
        boxes: float32 (n, 4), the teacher's view: y0, x0, y1, x1 as fractions.
        mirrored: bool (n,), whether the teacher saw the mirror image.
        settings: how strongly.
        generator: the source of all draws, on the CPU.

    Returns:
        float32 (n, 3, h, w), normalised, channels last.
    """
    _, height, width, _ = images.shape
    device = images.device

    def draw(*shape: int) -> Tensor:
        return (torch.rand(*shape, generator=generator) * 2 - 1).to(device)

    x = images.permute(0, 3, 1, 2).float()
    x = functional.grid_sample(
        x,
        _grid(boxes, mirrored, settings, draw, height, width),
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    x = _coarsen(x, draw, settings.coarse)
    x = _recolour(x, draw, settings).clamp_(0, 255)
    x = normalise(x)
    _erase(x, draw, settings)
    return x


def _grid(
    boxes: Tensor, mirrored: Tensor, settings: Augmentation, draw: Draw, height: int, width: int
) -> Tensor:
    """The affine sampling grid: view box, mirror, shift, zoom and a small rotation."""
    count = len(boxes)
    y0, x0, y1, x1 = boxes.unbind(1)
    zoom = 1 + draw(count) * settings.zoom
    angle = draw(count) * settings.rotate
    half_h, half_w = (y1 - y0) * zoom, (x1 - x0) * zoom
    centre_y = y0 + y1 - 1 + draw(count) * settings.shift
    centre_x = x0 + x1 - 1 + draw(count) * settings.shift
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


def _coarsen(x: Tensor, draw: Draw, probability: float) -> Tensor:
    """Some pictures go down to half the resolution and up again: far-away people, blur."""
    chosen = torch.nonzero(draw(len(x)) < 2 * probability - 1).flatten()
    if len(chosen):
        small = functional.avg_pool2d(x[chosen], 2)
        x[chosen] = functional.interpolate(small, scale_factor=2, mode="bilinear")
    return x


def _recolour(x: Tensor, draw: Draw, settings: Augmentation) -> Tensor:
    """Brightness, contrast, saturation and a tint: other cameras and other light."""
    count = len(x)
    gain = 1 + draw(count, 1, 1, 1) * settings.brightness
    gain = gain * (1 + draw(count, 3, 1, 1) * settings.tint)
    contrast = 1 + draw(count, 1, 1, 1) * settings.contrast
    saturation = 1 + draw(count, 1, 1, 1) * settings.saturation
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * contrast + mean
    grey = x.mean(1, keepdim=True)
    coloured: Tensor = ((x - grey) * saturation + grey) * gain
    return coloured


def _erase(x: Tensor, draw: Draw, settings: Augmentation) -> None:
    """Random erasing (Zhong et al., AAAI 2020), in place: a rectangle of noise hides a part."""
    count, _, height, width = x.shape
    low, high = settings.erase_area
    area = low + (draw(count) + 1) / 2 * (high - low)
    ratio = (draw(count) * 1.2).exp()
    tall = (area * ratio).sqrt().clamp(max=0.9)
    wide = (area / ratio).sqrt().clamp(max=0.9)
    top = (draw(count) + 1) / 2 * (1 - tall)
    left = (draw(count) + 1) / 2 * (1 - wide)
    colour = draw(count, 3)
    for index in torch.nonzero(draw(count) < 2 * settings.erase - 1).flatten().tolist():
        y, h = int(top[index] * height), max(1, int(tall[index] * height))
        z, w = int(left[index] * width), max(1, int(wide[index] * width))
        x[index, :, y : y + h, z : z + w] = colour[index].view(3, 1, 1)
