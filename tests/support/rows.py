"""Made-up manifest rows for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dermaloop.core.manifest import Manifest, ManifestRow, from_rows


def row(image_id: str = "a", **values: Any) -> ManifestRow:
    """A sound row of a melanoma-free made-up source, some values replaced."""
    return ManifestRow(**{"image_id": image_id, "source": "made-up", "path": f"{image_id}.png", **values})


def manifest(*rows: ManifestRow, folder: Path | str = ".") -> Manifest:
    """A manifest of rows."""
    return from_rows(rows, Path(folder))
