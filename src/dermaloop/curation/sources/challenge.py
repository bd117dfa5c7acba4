"""What the layouts of the ISIC challenges share: ground truth with one column per class."""

from __future__ import annotations

from collections.abc import Iterable

from dermaloop.core.errors import ManifestError
from dermaloop.core.taxonomy import CODES, Label, from_code

LICENCE = "CC BY-NC 4.0"
"""Of the challenges' data sets, as challenge.isic-archive.com states."""
NONE_OF_THESE = "UNK"
"""The 2019 challenge's class for whatever is none of the others."""


def class_columns(columns: Iterable[str]) -> list[str]:
    """The columns of a ground truth that are classes."""
    return [name for name in columns if name in CODES["isic_challenge"] or name == NONE_OF_THESE]


def one_hot(values: dict[str, str], place: str) -> Label:
    """The label of a row with one column per class, 1.0 in one of them.

    Raises:
        ManifestError: `contradiction`: not just one is set; `bad_value`: a value is neither 0 nor 1.
    """
    chosen = []
    for name in class_columns(values):
        try:
            value = float(values[name])
        except ValueError:
            value = -1.0
        if value not in (0.0, 1.0):
            raise ManifestError(
                "bad_value",
                f"{name} is {values[name]!r}, neither 0 nor 1",
                where=place,
                way_out="Download the table again.",
            )
        if value:
            chosen.append(name)
    if len(chosen) != 1:
        raise ManifestError(
            "contradiction",
            f"{len(chosen)} classes are set ({', '.join(chosen) or 'none'}), not one",
            where=place,
            way_out="Download the table again.",
        )
    return Label(chosen[0], frozenset()) if chosen[0] == NONE_OF_THESE else from_code("isic_challenge", chosen[0])
