"""The reference bundle that ships with the package.

Owns where it lies. Refuses to download or to guess: where none ships, it says so.
"""

from __future__ import annotations

from pathlib import Path

import dermaloop
from dermaloop.core.bundle import SUFFIX
from dermaloop.core.errors import BundleError


def default_bundle_path(folder: Path | None = None) -> Path:
    """Path of the bundle that ships with the package.

    Args:
        folder: Where to look; None for the package's own `models` folder.

    Raises:
        BundleError: None ships, or more than one does.
    """
    # The package is installed as plain files (it holds no zip-safe promise), so its folder is a real one.
    folder = Path(dermaloop.__file__).parent / "models" if folder is None else folder
    found = sorted(folder.glob(f"*{SUFFIX}"))
    if not found:
        raise BundleError(
            "this installation has no reference bundle",
            where=str(folder),
            way_out="Name one with --bundle, or make one with 'dermaloop train'.",
        )
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise BundleError(
            f"there is more than one reference bundle ({names})", where=str(folder), way_out="Name one with --bundle."
        )
    return found[0]
