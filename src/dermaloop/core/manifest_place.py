"""Where a manifest may lie, and what file names one can hold.

Owns the refusals about places and names, so that they come before hours of work and not after. Refuses to know rows.
"""

from __future__ import annotations

import os
from pathlib import Path

from dermaloop.core.errors import ManifestError, OutputError
from dermaloop.core.files import probe


def kind_of(path: Path) -> str:
    """`parquet` or `csv`, by the ending.

    Raises:
        ManifestError: `unknown_format`: another ending.
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("parquet", "csv"):
        raise ManifestError(
            "unknown_format",
            f"the ending {path.suffix!r} is unknown",
            where=str(path),
            way_out="Name it .parquet or .csv.",
        )
    return kind


def require_writable(path: Path) -> None:
    """Refuses before the work what `Manifest.write` would refuse after it.

    Raises:
        OutputError: No file can be made there.
        ManifestError: The ending is neither `.parquet` nor `.csv`.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100
    kind_of(path)
    try:
        probe(path)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> OutputError:
    """The refusal of a place that cannot be written."""
    return OutputError(
        f"the manifest cannot be written ({error.strerror or error})",
        where=str(path),
        way_out="Free space or choose another place with --out.",
    )


def require_text(path: Path) -> None:
    """Refuses a file whose name no table could hold.

    Raises:
        ManifestError: `bad_value`: the name is not UTF-8 text.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ManifestError(
            "bad_value",
            "the name of this picture's file is not UTF-8 text",
            where=str(path).encode(errors="backslashreplace").decode(),
            way_out="Rename it, or move it out of the folder.",
        ) from error
