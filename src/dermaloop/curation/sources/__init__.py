"""One file per dataset layout, and the registry of them.

A new dataset is one module with a `SOURCE` and one line here.
"""

from dermaloop.core.errors import RecipeError
from dermaloop.curation.sources import ham10000, isic2017, labels, pad_ufes_20
from dermaloop.curation.sources.reading import Notes, Settings, Source

SOURCES: dict[str, Source] = {
    module.SOURCE.name: module.SOURCE for module in (ham10000, isic2017, pad_ufes_20, labels)
}
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
