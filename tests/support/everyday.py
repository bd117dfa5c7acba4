"""Pictures that are no skin lesion, made in code or taken from installed packages: what the model must decline.

`pictures` yields (kind, picture) pairs without end, the same for the same seed. Photographs are random crops of the
sample pictures that scikit-learn, scikit-image and matplotlib install; everything else is drawn here. Nothing that
looks like a round dark spot on skin is drawn: that is `core.synthetic`'s, and should be accepted.
"""

from __future__ import annotations

import functools
import importlib.util
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

Size = tuple[int, int]
_SKIN = ((233, 196, 172), (224, 172, 140), (198, 134, 100), (141, 94, 66), (92, 60, 44), (245, 214, 196))
_WORDS = [
    "the",
    "in",
    "it",
    "be",
    "he",
    "are",
    "or",
    "which",
    "all",
    "would",
    "been",
    "will",
    "out",
    "what",
    "into",
    "other",
    "could",
    "first",
    "like",
    "such",
    "date",
    "report",
    "number",
]
_PHOTOGRAPHS = {
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
    "skimage": (
        "data/astronaut.png",
        "data/brick.png",
        "data/camera.png",
        "data/chelsea.png",
        "data/clock_motion.png",
        "data/coffee.png",
        "data/coins.png",
        "data/grass.png",
        "data/gravel.png",
        "data/hubble_deep_field.jpg",
        "data/motorcycle_left.png",
        "data/moon.png",
        "data/page.png",
        "data/retina.jpg",
        "data/rocket.jpg",
        "data/text.png",
    ),
}


@functools.cache
def photographs() -> tuple[tuple[str, Image.Image], ...]:
    """The sample photographs of the installed packages, by name."""
    found = []
    for package, files in _PHOTOGRAPHS.items():
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        for file in files:
            path = Path(spec.origin).parent / file
            if path.is_file():
                found.append((f"{package}/{path.stem}", Image.open(path).convert("RGB")))
    return tuple(found)


def photograph(rng: np.random.Generator, size: Size) -> Image.Image:
    """A random crop of a photograph, mirrored, recoloured or sharpened at random."""
    _, source = photographs()[rng.integers(len(photographs()))]
    share = rng.uniform(0.35, 1.0)
    width, height = int(source.width * share), int(source.height * share)
    left, top = int(rng.integers(source.width - width + 1)), int(rng.integers(source.height - height + 1))
    picture = source.crop((left, top, left + width, top + height)).resize(size, Image.Resampling.BICUBIC)
    if rng.random() < 0.5:
        picture = ImageOps.mirror(picture)
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.7, 1.3))
    picture = ImageEnhance.Color(picture).enhance(rng.uniform(0.4, 1.6))
    if rng.random() < 0.2:
        picture = Image.merge("RGB", [picture.split()[place] for place in rng.permutation(3)])
    if rng.random() < 0.5:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=int(rng.integers(40, 95)))
        picture = Image.open(stream).convert("RGB")
    return picture


def document(rng: np.random.Generator, size: Size) -> Image.Image:
    """A page of text as a scanner or a phone sees it: tinted paper, slight rotation, uneven light."""
    width, height = size
    paper = np.array([255, 255, 255]) - rng.integers(0, 40, 3)
    page = Image.new("RGB", size, tuple(int(value) for value in paper))
    draw = ImageDraw.Draw(page)
    points = int(rng.integers(max(9, height // 40), max(12, height // 12)))
    font = ImageFont.load_default(points)
    margin, ink = int(rng.integers(5, max(6, width // 8))), tuple(int(v) for v in rng.integers(0, 90, 3))
    row = margin
    while row < height - points:
        line = " ".join(rng.choice(_WORDS, 30))
        end = width - margin if rng.random() < 0.8 else int(width * rng.uniform(0.3, 0.8))
        text = Image.new("L", (max(1, end - margin), int(points * 1.4)), 0)
        ImageDraw.Draw(text).text((0, 0), line, fill=255, font=font)
        page.paste(ink, (margin, row), text)
        row += int(points * rng.choice([1.4, 1.4, 1.4, 2.8]))
    if rng.random() < 0.3:
        for line in np.linspace(margin, height - margin, int(rng.integers(4, 12))):
            draw.line((margin, line, width - margin, line), fill=ink)
        for line in np.linspace(margin, width - margin, int(rng.integers(3, 7))):
            draw.line((line, margin, line, height - margin), fill=ink)
    page = page.rotate(rng.uniform(-6, 6), Image.Resampling.BICUBIC, fillcolor=tuple(int(v) for v in paper))
    return _light(page, rng) if rng.random() < 0.6 else page


def screenshot(rng: np.random.Generator, size: Size) -> Image.Image:
    """Windows, buttons, lists and text in flat colours."""
    width, height = size
    screen = Image.new("RGB", size, _colour(rng))
    draw = ImageDraw.Draw(screen)
    for _ in range(int(rng.integers(3, 12))):
        left, top = int(rng.integers(0, width * 3 // 4)), int(rng.integers(0, height * 3 // 4))
        right, bottom = left + int(rng.integers(20, width)), top + int(rng.integers(20, height))
        draw.rounded_rectangle((left, top, right, bottom), int(rng.integers(0, 12)), _colour(rng), _colour(rng))
        draw.rectangle((left, top, right, top + 14), _colour(rng))
        for line in range(top + 20, min(bottom, height), 18):
            draw.text((left + 6, line), " ".join(rng.choice(_WORDS, 6)), _colour(rng), ImageFont.load_default(12))
    return screen


def blank(rng: np.random.Generator, size: Size) -> Image.Image:
    """One colour (white, black, any), a gradient, or evenly lit skin without a lesion, with a little sensor noise."""
    kind = rng.integers(5)
    if kind == 0:
        colour = np.full(3, rng.choice([0, 255, 128]))
    elif kind in (1, 2):
        colour = np.asarray(_colour(rng))
    else:
        colour = np.asarray(_SKIN[rng.integers(len(_SKIN))]) + rng.normal(0, 6, 3)
    field = np.broadcast_to(colour.astype(np.float64), (size[1], size[0], 3)).copy()
    if kind == 2:
        slope = (
            np.linspace(0, 1, size[0])[None, :, None]
            if rng.random() < 0.5
            else np.linspace(0, 1, size[1])[:, None, None]
        )
        field = field * (1 - slope) + np.asarray(_colour(rng)) * slope
    if rng.random() < 0.7:
        field += rng.normal(0, rng.uniform(0.5, 4), field.shape)
    picture = _picture(field)
    return _light(picture, rng) if kind == 4 else picture


def noise(rng: np.random.Generator, size: Size) -> Image.Image:
    """White, coarse, cloudy or salt-and-pepper noise, in colour or grey."""
    width, height = size
    kind = rng.integers(4)
    channels = 3 if rng.random() < 0.7 else 1
    if kind == 0:
        field = rng.integers(0, 256, (height, width, channels)).astype(np.float64)
    elif kind == 1:
        field = 128 + rng.normal(0, rng.uniform(20, 80), (height, width, channels))
    elif kind == 2:  # clouds: octaves of upsampled noise
        field = np.zeros((height, width, channels))
        for octave in range(1, 7):
            coarse = rng.normal(size=(2**octave, 2**octave, channels))
            for channel in range(channels):
                layer = Image.fromarray(coarse[:, :, channel].astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
                field[:, :, channel] += np.asarray(layer) / 1.6**octave
        field = 128 + 110 * field
    else:
        field = np.full((height, width, channels), 128.0)
        field[rng.random((height, width)) < rng.uniform(0.05, 0.4)] = 255
        field[rng.random((height, width)) < rng.uniform(0.05, 0.4)] = 0
    return _picture(np.broadcast_to(field, (height, width, 3)))


def pattern(rng: np.random.Generator, size: Size) -> Image.Image:
    """Checkerboards, stripes, rings, bar codes and coloured tiles."""
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 60)
    kind = rng.integers(5)
    if kind == 0:
        mask = ((x // int(period) + y // int(period)) % 2).astype(np.float64)
    elif kind == 1:
        mask = (np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period) > 0).astype(np.float64)
    elif kind == 2:
        mask = (np.sin(np.hypot(x - width * rng.random(), y - height * rng.random()) * 2 * np.pi / period) + 1) / 2
    elif kind == 3:
        mask = np.broadcast_to((rng.random(width // 3 + 1) < 0.5).astype(np.float64).repeat(3)[:width], (height, width))
    else:
        tiles = rng.integers(0, 256, (int(rng.integers(2, 12)), int(rng.integers(2, 12)), 3), dtype=np.uint8)
        return Image.fromarray(tiles).resize(size, Image.Resampling.NEAREST)
    low, high = np.asarray(_colour(rng)), np.asarray(_colour(rng))
    return _picture(low + (high - low) * mask[:, :, None])


def drawing(rng: np.random.Generator, size: Size) -> Image.Image:
    """A child's drawing: face, house or plotted curves."""
    width, height = size
    sheet = Image.new("RGB", size, _colour(rng) if rng.random() < 0.5 else (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    thick = max(2, width // 80)
    kind = rng.integers(3)
    if kind == 0:
        draw.ellipse(
            (width * 0.15, height * 0.08, width * 0.85, height * 0.95),
            _SKIN[rng.integers(len(_SKIN))],
            _colour(rng),
            thick,
        )
        for eye in (0.38, 0.62):
            draw.ellipse(
                (width * (eye - 0.06), height * 0.38, width * (eye + 0.06), height * 0.45), "white", "black", thick
            )
            draw.ellipse((width * (eye - 0.02), height * 0.39, width * (eye + 0.02), height * 0.44), _colour(rng))
        draw.arc((width * 0.35, height * 0.6, width * 0.65, height * 0.78), 10, 170, _colour(rng), thick * 2)
        draw.polygon(
            [(width * 0.5, height * 0.45), (width * 0.46, height * 0.58), (width * 0.54, height * 0.58)],
            outline=_colour(rng),
        )
    elif kind == 1:
        draw.rectangle((0, height * 0.7, width, height), _colour(rng))
        draw.rectangle((width * 0.25, height * 0.4, width * 0.75, height * 0.8), _colour(rng), "black", thick)
        draw.polygon(
            [(width * 0.2, height * 0.4), (width * 0.5, height * 0.12), (width * 0.8, height * 0.4)],
            _colour(rng),
            "black",
        )
        draw.rectangle((width * 0.45, height * 0.6, width * 0.55, height * 0.8), _colour(rng))
    else:
        for _ in range(int(rng.integers(2, 6))):
            x = np.linspace(0.1, 0.9, 60)
            y = 0.5 + 0.3 * np.sin(x * rng.uniform(3, 30) + rng.uniform(0, 6)) * rng.uniform(0.2, 1)
            draw.line([(a * width, b * height) for a, b in zip(x, y, strict=True)], _colour(rng), thick)
        draw.line((width * 0.1, height * 0.9, width * 0.9, height * 0.9), "black", thick)
        draw.line((width * 0.1, height * 0.1, width * 0.1, height * 0.9), "black", thick)
    return sheet


KINDS: dict[str, Callable[[np.random.Generator, Size], Image.Image]] = {
    "photograph": photograph,
    "document": document,
    "screenshot": screenshot,
    "blank": blank,
    "noise": noise,
    "pattern": pattern,
    "drawing": drawing,
}
"""Generator by kind. `photograph` needs scikit-learn, scikit-image or matplotlib installed."""


def pictures(
    seed: int, *, kinds: tuple[str, ...] = tuple(KINDS), size: Size = (300, 240)
) -> Iterator[tuple[str, Image.Image]]:
    """Yields (kind, RGB picture), the kinds in turn, without end; the same for the same seed."""
    rng = np.random.default_rng(seed)
    available = [kind for kind in kinds if kind != "photograph" or photographs()]
    while True:
        for kind in available:
            yield kind, KINDS[kind](rng, size)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def _picture(field: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(field), 0, 255).astype(np.uint8))


def _light(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    corners = rng.uniform(0.6, 1.1, (2, 2)).astype(np.float32)
    light = np.asarray(Image.fromarray(corners).resize(picture.size, Image.Resampling.BICUBIC))[:, :, None]
    lit = _picture(np.asarray(picture, dtype=np.float64) * light)
    return lit.filter(ImageFilter.GaussianBlur(rng.uniform(0, 1.2)))
