"""Random changes of a whole batch at once, as tensor operations on the training device.

Fit for dermoscopy: no direction is up, colour and light differ by camera, the frame may be squashed, hair, rulers and
dark surrounds cover parts. Every picture of a batch gets its own draw from the generator given, so a step's changes
are a function of its seed. Considered and not used: torchvision's v2 transforms (one draw a batch) and kornia (a
dependency for what is forty lines of tensor algebra here, and no hair or dermatoscope surround).
"""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from dermaloop.training.recipe import Augment

_LUMA = (0.299, 0.587, 0.114)
# From what a messenger leaves of a photograph to what a camera stores.
_JPEG_QUALITY = (15, 80)


def augment(
    pictures: Tensor, size_px: int, how: Augment, generator: torch.Generator, *, masks: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Changes each picture at random.

    Args:
        pictures: uint8 (N, S, S, 3).
        size_px: Side of the result.
        how: Strengths.
        generator: Source of all randomness, on the CPU.
        masks: uint8 (N, M, M), 255 on the lesion; they follow the geometry, nothing else.

    Returns:
        float32 (N, 3, size_px, size_px) in [0, 1], channels last in memory; and the masks as float32
        (N, 1, size_px // 4, size_px // 4) in [0, 1], None where none were given.
    """
    images = pictures.permute(0, 3, 1, 2).to(torch.float32).div_(255)
    theta = _placement(images, how, generator)
    images = _place(images, theta, size_px)
    placed = None
    if masks is not None:
        placed = _place(masks[:, None].to(torch.float32).div_(255), theta, size_px // 4)
    images = _colour(images, how, generator)
    images = _light(images, how, generator)
    images = _blur(images, how, generator)
    images = _cover(images, how, generator)
    if how.noise:
        images = _noise(images, how, generator)
    images = images.clamp_(0, 1)
    if how.jpeg:
        images = _jpeg(images, how, generator)
    return images.contiguous(memory_format=torch.channels_last), placed


def plain(pictures: Tensor, size_px: int) -> Tensor:
    """The unchanged pictures at another size. uint8 (N, S, S, 3) → float32 (N, 3, size_px, size_px) in [0, 1]."""
    images = pictures.permute(0, 3, 1, 2).to(torch.float32).div_(255)
    if images.shape[-1] != size_px:
        images = functional.interpolate(
            images, (size_px, size_px), mode="bilinear", antialias=True, align_corners=False
        )
    return images.contiguous(memory_format=torch.channels_last)


def _uniform(shape: tuple[int, ...], low: float, high: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.rand(shape, generator=generator) * (high - low) + low).to(like.device)


def _chosen(number: int, probability: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.rand(number, generator=generator) < probability).to(like.device)


def _placement(images: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    """Rotation, flip, scale, stretch and shift of each picture as one affine map (N, 2, 3)."""
    number = len(images)
    angle = _uniform((number,), 0, 2 * math.pi if how.rotate else 0, images, generator)
    flip = torch.where(_chosen(number, 0.5 if how.rotate else 0, images, generator), -1.0, 1.0)
    log_scale = _uniform((number,), math.log(how.scale[0]), math.log(how.scale[1]), images, generator)
    stretch = _uniform((number,), -how.aspect / 2, how.aspect / 2, images, generator)
    cos, sin = torch.cos(angle), torch.sin(angle)
    # Stretch acts in the picture's own axes, where a squashed frame squashes, hence after the rotation of the grid.
    x_scale, y_scale = torch.exp(log_scale + stretch), torch.exp(log_scale - stretch)
    theta = torch.zeros(number, 2, 3, device=images.device)
    theta[:, 0, 0], theta[:, 0, 1] = x_scale * cos * flip, -x_scale * sin
    theta[:, 1, 0], theta[:, 1, 1] = y_scale * sin * flip, y_scale * cos
    theta[:, :, 2] = _uniform((number, 2), -2 * how.shift, 2 * how.shift, images, generator)
    return theta


def _place(images: Tensor, theta: Tensor, size_px: int) -> Tensor:
    """One resampling by the affine maps; outside the picture its mirror image."""
    grid = functional.affine_grid(theta, [*images.shape[:2], size_px, size_px], align_corners=False)
    source = images
    if images.shape[-1] >= 2 * size_px:  # avoids aliasing where the result is much smaller
        source = functional.interpolate(images, scale_factor=0.5, mode="area")
    return functional.grid_sample(
        source.contiguous(memory_format=torch.channels_last),
        grid,
        mode="bilinear",
        padding_mode="reflection",
        align_corners=False,
    )


def _colour(images: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    """Saturation, hue, white balance, contrast and brightness as one affine map of colours, then gamma."""
    number = len(images)
    luma = torch.tensor(_LUMA, device=images.device)
    grey = luma.expand(3, 3)  # every row takes the luma
    saturation = 1 + _uniform((number, 1, 1), -how.saturation, how.saturation, images, generator)
    matrix = saturation * torch.eye(3, device=images.device) + (1 - saturation) * grey  # (N, 3, 3)
    turn = 2 * math.pi * _uniform((number,), -how.hue, how.hue, images, generator)
    matrix = _hue_rotation(turn) @ matrix
    gain = torch.exp(_uniform((number, 3, 1), -how.white_balance, how.white_balance, images, generator))
    contrast = 1 + _uniform((number, 1, 1), -how.contrast, how.contrast, images, generator)
    brightness = 1 + _uniform((number, 1, 1), -how.brightness, how.brightness, images, generator)
    mean = images.mean(dim=(2, 3))[..., None]  # (N, 3, 1)
    matrix = gain * matrix * contrast * brightness
    offset = gain * brightness * (1 - contrast) * mean
    flat = images.permute(0, 2, 3, 1).reshape(number, -1, 3)
    changed = torch.baddbmm(offset.transpose(1, 2), flat, matrix.transpose(1, 2))
    changed = changed.clamp_(1e-4, 1)
    if how.gamma:  # powers are dear: every second picture
        exponent = torch.exp(_uniform((number, 1, 1), -how.gamma, how.gamma, images, generator))
        changed[::2] = changed[::2].pow_(exponent[::2])
    return changed.reshape(number, *images.shape[2:], 3).permute(0, 3, 1, 2)


def _hue_rotation(turn: Tensor) -> Tensor:
    """Rotation of RGB about the grey axis by `turn` radians, (N,) → (N, 3, 3). Source: Rodrigues' formula."""
    third = 1 / math.sqrt(3)
    cross = third * torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=turn.device)
    outer = torch.full((3, 3), 1 / 3, device=turn.device)
    cos, sin = torch.cos(turn)[:, None, None], torch.sin(turn)[:, None, None]
    return cos * torch.eye(3, device=turn.device) + sin * cross + (1 - cos) * outer


def _plane(size_px: int, like: Tensor) -> tuple[Tensor, Tensor]:
    axis = torch.linspace(-1, 1, size_px, device=like.device)
    return axis[None, :, None], axis[None, None, :]  # y (1, S, 1), x (1, 1, S)


def _light(images: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    """A gradient of illumination, and the dark surround of a dermatoscope."""
    number, size = len(images), images.shape[-1]
    y, x = _plane(size, images)
    factor = torch.ones(number, size, size, device=images.device)
    if how.light:
        slope = _uniform((number, 2, 1, 1), -how.light / 2, how.light / 2, images, generator)
        factor = factor + slope[:, 0] * y + slope[:, 1] * x
    if how.vignette:
        chosen = _chosen(number, how.vignette, images, generator)
        radius = _uniform((number, 1, 1), 0.85, 1.25, images, generator)
        centre = _uniform((number, 2, 1, 1), -0.12, 0.12, images, generator)
        softness = _uniform((number, 1, 1), 15, 60, images, generator)
        distance = torch.sqrt((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2)
        inside = torch.sigmoid((radius - distance) * softness)
        factor = torch.where(chosen[:, None, None], factor * inside, factor)
    return images * factor[:, None]


def _blur(images: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    """Gaussian blur of some pictures, all of them with one strength a batch."""
    chosen = _chosen(len(images), how.blur, images, generator)
    sigma = float(torch.rand(1, generator=generator)) * 1.2 + 0.4
    if not how.blur or not bool(chosen.any()):
        return images
    offsets = torch.arange(-3, 4, device=images.device, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, 7)
    some = functional.pad(images[chosen], (3, 3, 3, 3), mode="reflect")
    some = functional.conv2d(functional.conv2d(some, kernel, groups=3), kernel.transpose(2, 3), groups=3)
    images[chosen] = some
    return images


def _noise(images: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    """Sensor noise on every third picture."""
    some = images[::3]
    sigma = _uniform((len(some), 1, 1, 1), 0, how.noise, images, generator)
    images[::3] = some + sigma * torch.randn(some.shape, generator=generator).to(images.device)
    return images


def _jpeg(images: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    """Some pictures written as JPEG and read again: blocks and lost colour, as cameras and messengers leave them."""
    chosen = torch.nonzero(_chosen(len(images), how.jpeg, images, generator))[:, 0]
    quality = torch.randint(_JPEG_QUALITY[0], _JPEG_QUALITY[1] + 1, (len(chosen),), generator=generator).tolist()
    for row, level in zip(chosen.tolist(), quality, strict=True):
        eight_bit = (images[row].permute(1, 2, 0) * 255).round_().to(torch.uint8).cpu().numpy()
        stream = io.BytesIO()
        Image.fromarray(eight_bit).save(stream, "JPEG", quality=level)
        with Image.open(stream) as read:
            images[row] = torch.from_numpy(np.array(read)).permute(2, 0, 1).to(images) / 255
    return images


def _cover(images: Tensor, how: Augment, generator: torch.Generator) -> Tensor:
    """Hairs or ruler marks, and one covered rectangle."""
    number, size = len(images), images.shape[-1]
    y, x = _plane(size, images)
    if how.hair:
        chosen = torch.nonzero(_chosen(number, how.hair, images, generator))[:, 0]
        some = (len(chosen), 1, 1)
        left_free = torch.ones(len(chosen), size, size, device=images.device)
        for _ in range(6 if len(chosen) else 0):
            angle = _uniform(some, 0, math.pi, images, generator)
            offset = _uniform(some, -1, 1, images, generator)
            bend = _uniform(some, -0.5, 0.5, images, generator)
            width = _uniform(some, 0.004, 0.012, images, generator)
            along = x * torch.cos(angle) + y * torch.sin(angle)
            across = -x * torch.sin(angle) + y * torch.cos(angle) - offset - bend * along**2
            left_free *= (0.5 + (across.abs() - width) * 100).clamp_(0, 1)
        shade = _uniform((len(chosen), 1, 1, 1), 0.0, 0.35, images, generator)
        images[chosen] = images[chosen] * left_free[:, None] + shade * (1 - left_free[:, None])
    if how.erase:
        chosen = torch.nonzero(_chosen(number, how.erase, images, generator))[:, 0]
        some = (len(chosen), 1, 1)
        inside = torch.ones(len(chosen), size, size, dtype=torch.bool, device=images.device)
        for axis in (y, x):
            centre = _uniform(some, -1, 1, images, generator)
            inside &= (axis - centre).abs() < _uniform(some, 0.1, 0.35, images, generator)
        colour = _uniform((len(chosen), 3, 1, 1), 0, 1, images, generator)
        images[chosen] = torch.where(inside[:, None], colour, images[chosen])
    return images
