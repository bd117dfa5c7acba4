"""The dataset recipe: which sources go into a manifest, what each may be used for, and how they are split.

Owns reading and checking the TOML. Every unknown key is refused by name, because a misspelt ratio that is silently
ignored changes every later result.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dermaloop.core.errors import RecipeError
from dermaloop.core.manifest import Confirmation, ImageType, Split
from dermaloop.core.quality import MEASURES
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.curation.sources import SOURCES, Settings

Use = Literal["split", "train", "external"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ratios(_Part):
    """Shares of the images of each stratum; they sum to 1."""

    train: float = Field(default=0.70, ge=0, le=1, description="Share to train on.")
    validation: float = Field(default=0.08, ge=0, le=1, description="Share to choose the model by.")
    calibration: float = Field(default=0.07, ge=0, le=1, description="Share to fit temperature and thresholds on.")
    test: float = Field(default=0.15, ge=0, le=1, description="Share to measure on, never to tune on.")

    @model_validator(mode="after")
    def _sum(self) -> Ratios:
        total = self.train + self.validation + self.calibration + self.test
        if abs(total - 1) > 1e-6:  # noqa: PLR2004 - rounding of decimal fractions
            raise ValueError(f"the ratios sum to {total:g}, not to 1")
        return self

    def by_split(self) -> dict[Split, float]:
        """The shares by split, in the order in which ties are broken."""
        return {
            Split.TRAIN: self.train,
            Split.TEST: self.test,
            Split.VALIDATION: self.validation,
            Split.CALIBRATION: self.calibration,
        }


class SourceRecipe(_Part):
    """One source of the recipe."""

    importer: str = Field(default="", description="Name in the registry; the source's own name if empty.")
    folder: str = Field(default="", description="Below the data folder; the source's own name if empty.")
    use: Use = Field(default="split", description="split: by the ratios; train: only for training; external: held out.")
    licence: str = Field(default="", description="Put into the rows instead of the importer's own.")
    pixel_aspect: float | None = Field(
        default=None, gt=0, description="Width of a stored pixel over its height: 1.333 undoes a squash from 4:3."
    )
    pixel_aspect_by_label: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict, description="The same by label, where labels come from differently made pictures."
    )
    image_type: ImageType | None = Field(default=None, description="dermoscopic or clinical; else the importer's own.")
    confirmation: Confirmation = Field(
        default=Confirmation.UNKNOWN, description="How diagnoses were confirmed, for the importers labels and folders."
    )
    image_column: str = Field(default="image", description="For labels: the column that names the picture.")
    label_column: str = Field(default="label", description="For labels: the column with the diagnosis.")
    labels: dict[str, tuple[Diagnosis, ...]] = Field(
        default_factory=dict, description="For labels and folders: diagnosis codes that each word leaves possible."
    )

    def settings(self, name: str) -> Settings:
        """What the importer is told."""
        return Settings(
            name=name,
            licence=self.licence,
            pixel_aspect=self.pixel_aspect,
            pixel_aspect_by_label=self.pixel_aspect_by_label,
            image_type=self.image_type,
            confirmation=self.confirmation,
            image_column=self.image_column,
            label_column=self.label_column,
            labels=self.labels,
        )


class Exclusion(_Part):
    """One image left out by hand, and why."""

    source: str = Field(description="Its source.")
    image_id: str = Field(description="The image left out.")
    reason: str = Field(min_length=3, description="Why, for whoever reads the recipe later.")


class Recipe(_Part):
    """A dataset recipe."""

    seed: int = Field(default=0, ge=0, description="Changes which groups go where; nothing else.")
    ratios: Ratios = Ratios()
    sources: dict[str, SourceRecipe] = Field(min_length=1)
    exclusions: tuple[Exclusion, ...] = ()
    quality: dict[str, tuple[float | None, float | None]] = Field(
        default_factory=dict, description="Accepted range by quality measure: { least = ..., most = ... }."
    )

    @field_validator("quality", mode="before")
    @classmethod
    def _limits(cls, value: dict[str, dict[str, float]]) -> dict[str, tuple[float | None, float | None]]:
        limits = {}
        for name, ends in value.items():
            if name not in MEASURES:
                raise ValueError(f"there is no measure {name!r}; known: {', '.join(MEASURES)}")
            if not isinstance(ends, dict) or not set(ends) <= {"least", "most"}:
                raise ValueError(f"{name}: write {{ least = ..., most = ... }}, or one of them")
            limits[name] = (ends.get("least"), ends.get("most"))
        return limits

    @model_validator(mode="after")
    def _importers(self) -> Recipe:
        for name, part in self.sources.items():
            if (part.importer or name) not in SOURCES:
                raise ValueError(
                    f"source {name!r}: there is no importer {part.importer or name!r}; known: {', '.join(SOURCES)}"
                )
        return self

    def uses(self) -> dict[str, Use]:
        """What each source may be used for."""
        return {name: part.use for name, part in self.sources.items()}


def read_recipe(path: Path) -> Recipe:
    """Reads a dataset recipe.

    Raises:
        RecipeError: The file is missing, is no TOML, or has an unknown key or a value out of range.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(
            "there is no such recipe", where=str(path), way_out="Start from recipes/curation.toml."
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(
            f"this is not a readable TOML file ({error})", where=str(path), way_out="Correct it."
        ) from error
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        what = "this key is unknown" if first["type"] == "extra_forbidden" else first["msg"]
        raise RecipeError(
            f"{key + ': ' if key else ''}{what}", where=str(path), way_out="See docs/curation.md for the keys."
        ) from error
