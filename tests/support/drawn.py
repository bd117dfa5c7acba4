"""A small manifest of drawn lesions with outlines, for tests that need pictures and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from dermaloop.core.manifest import ManifestRow, from_rows
from dermaloop.core.synthetic import draw_lesion
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis

ANY_BUT_MELANOMA = "|".join(code for code in Diagnosis if code != "MEL")


def drawn_manifest(folder: Path, n: int = 48, *, splits: tuple[str, ...] = ("test",), broken: int = 0) -> Path:
    """Writes `n` pictures of two sources and their manifest; two pictures per lesion, every ninth label coarse.

    Args:
        folder: Where to write.
        n: Pictures.
        splits: Dealt out by lesion in turn.
        broken: So many more rows whose file is no picture.
    """
    pictures = Path(folder) / "pictures"
    pictures.mkdir(parents=True)
    rng = np.random.default_rng(0)
    outline = Image.new("L", (96, 96))
    ImageDraw.Draw(outline).ellipse((24, 24, 72, 72), fill=255)
    outline.save(pictures / "outline.png")
    rows = []
    for i in range(n + broken):
        code = list(Diagnosis)[rng.choice(8, p=[0.2, 0.4, 0.1, 0.06, 0.12, 0.04, 0.04, 0.04])]
        path = pictures / f"{i}.png"
        if i < n:
            draw_lesion(500 + i, size_px=96, malignant=code in MALIGNANT).save(path)
        else:
            path.write_bytes(b"not a picture")
        coarse = i % 9 == 0
        source = "clinic_b" if (i // 2) % 2 == 0 else "clinic_a"
        rows.append(
            ManifestRow(
                image_id=f"DRAWN_{i}",
                source=source,
                path=f"pictures/{i}.png",
                lesion_id=f"{source}:{i // 2}",
                diagnosis=None if coarse else code,
                candidates=("MEL" if code == "MEL" else ANY_BUT_MELANOMA) if coarse else str(code),
                sex=("female", "male")[i % 2],
                mask_path="pictures/outline.png",
                split=splits[(i // 2) % len(splits)],
            )
        )
    path = Path(folder) / "manifest.parquet"
    from_rows(rows, folder).write(path)
    return path
