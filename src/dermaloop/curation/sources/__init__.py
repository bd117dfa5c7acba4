"""One file per dataset layout, and the registry of them.

A new dataset is one module with a `SOURCE` and one line here.
"""

from dermaloop.core.errors import RecipeError
from dermaloop.curation.sources import (
    folders,
    ham10000,
    isic2016,
    isic2017,
    isic2018,
    isic2019,
    isic2020,
    isic2024,
    isic_archive,
    labels,
    pad_ufes_20,
    ph2,
)
from dermaloop.curation.sources.reading import Notes, Settings, Source

_MODULES = (
    ham10000, isic_archive, isic2016, isic2017, isic2018, isic2019, isic2020, isic2024, pad_ufes_20, ph2, labels,
    folders,
)  # fmt: skip
SOURCES: dict[str, Source] = {module.SOURCE.name: module.SOURCE for module in _MODULES}
"""Every importer by name."""

__all__ = ["SOURCES", "Notes", "Settings", "Source", "source"]


def source(name: str) -> Source:
    """The importer of that name.

    Raises:
        RecipeError: There is none.
    """
    if name not in SOURCES:
        raise RecipeError(f"there is no importer {name!r}", way_out=f"Choose one of: {', '.join(SOURCES)}.")
    return SOURCES[name]
