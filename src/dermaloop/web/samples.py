"""Pictures drawn by the program, so that a newcomer can try the page without a patient's picture.

Owns which pictures are offered and how they are called. They take the same way as an upload. Their seeds were chosen so
that the model that ships shows each of its three kinds of answer; most drawings it rightly declines, since they are not
photographs.
"""

from __future__ import annotations

import functools
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from dermaloop.core.synthetic import draw_lesion
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for

_SIDE_PX = 600
_SUPERSAMPLE = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """One offered picture. `title` and `text` are translated where they are shown."""

    name: str
    title: str
    text: str


SAMPLES: tuple[Sample, ...] = (
    Sample("even", N_("An even, round lesion"), N_("One colour, smooth border, symmetric.")),
    Sample("irregular", N_("An irregular lesion"), N_("Several colours, ragged border, asymmetric.")),
    Sample("everyday", N_("An everyday picture"), N_("A mug on a table: not skin, so it should be declined.")),
)
BY_NAME = {sample.name: sample for sample in SAMPLES}


@functools.cache
def sample_jpeg(name: str) -> bytes:
    """The sample as a JPEG file, drawn on first use.

    Raises:
        KeyError: There is no sample of that name.
    """
    pictures = {
        "even": lambda: draw_lesion(4, size_px=_SIDE_PX),
        "irregular": lambda: draw_lesion(71, malignant=True),
        "everyday": draw_mug,
    }
    stream = io.BytesIO()
    pictures[name]().save(stream, "JPEG", quality=90)
    return stream.getvalue()


def draw_mug() -> Image.Image:
    """A blue mug on a wooden table before a window: an everyday picture, drawn. RGB (600, 600)."""
    side = _SIDE_PX * _SUPERSAMPLE
    rng = np.random.default_rng(1)
    picture = Image.new("RGB", (side, side), (221, 226, 228))
    draw = ImageDraw.Draw(picture)

    def at(*fractions: float) -> list[float]:
        return [fraction * side for fraction in fractions]

    draw.rectangle(at(0.52, 0.0, 0.95, 0.48), fill=(188, 214, 236))
    draw.ellipse(at(0.58, 0.3, 0.9, 0.62), fill=(122, 158, 108))
    draw.rectangle(at(0.52, 0.46, 0.95, 0.5), fill=(245, 245, 242))
    for x in (0.51, 0.725, 0.94):
        draw.rectangle(at(x, 0.0, x + 0.02, 0.5), fill=(245, 245, 242))
    draw.rectangle(at(0.0, 0.66, 1.0, 1.0), fill=(158, 112, 72))
    for y in rng.uniform(0.67, 1.0, 40):
        shade = int(rng.integers(-14, 14))
        draw.line(at(0.0, y, 1.0, y + rng.uniform(-0.01, 0.01)), fill=(150 + shade, 105 + shade, 66 + shade), width=4)
    draw.ellipse(at(0.2, 0.83, 0.68, 0.92), fill=(112, 78, 50))
    draw.arc(at(0.52, 0.5, 0.74, 0.76), -110, 110, fill=(38, 84, 138), width=int(0.035 * side))
    draw.rounded_rectangle(at(0.24, 0.42, 0.62, 0.88), radius=0.06 * side, fill=(46, 98, 158))
    draw.rectangle(at(0.28, 0.46, 0.33, 0.82), fill=(96, 146, 200))
    draw.ellipse(at(0.24, 0.38, 0.62, 0.48), fill=(30, 66, 110))
    draw.ellipse(at(0.265, 0.395, 0.595, 0.47), fill=(74, 46, 30))
    picture = picture.filter(ImageFilter.GaussianBlur(1.2)).resize((_SIDE_PX, _SIDE_PX), Image.Resampling.LANCZOS)
    grain = rng.normal(0, 2.0, (_SIDE_PX, _SIDE_PX, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))
