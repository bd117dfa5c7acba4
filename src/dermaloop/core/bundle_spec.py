"""What `bundle.json` says: the records that make a bundle more than a graph.

Owns their fields, ranges and how they must fit together. Refuses to know how a bundle is stored.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dermaloop.core.taxonomy import Diagnosis


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OperatingPoint(_Record):
    """A threshold on the calibrated probability of malignancy, with what was measured when it was chosen."""

    name: str
    target: str = Field(description="What it was chosen for, e.g. 'sensitivity >= 0.95'.")
    threshold: float = Field(ge=0, le=1)
    sensitivity: float = Field(ge=0, le=1)
    specificity: float = Field(ge=0, le=1)
    sensitivity_interval: tuple[float, float]
    specificity_interval: tuple[float, float]
    n_malignant: int
    n_benign: int
    measured_on: str = Field(description="Data and split, in words.")


class Calibration(_Record):
    """probabilities = softmax(logits / temperature + bias). Source: Alexandari et al. 2020 (BCTS)."""

    temperature: float = Field(gt=0)
    bias: tuple[float, ...]
    fitted_on: str


class Gate(_Record):
    """Limits beyond which the model declines to decide."""

    ood_limit: float = Field(description="Largest accepted feature-space distance.")
    ood_fitted_on: str
    ambiguous_low: float = Field(ge=0, le=1, description="Malignant probability from which a decision is ambiguous.")
    ambiguous_high: float = Field(ge=0, le=1, description="... up to which; equal to ambiguous_low means never.")
    ambiguous_fitted_on: str
    quality: dict[str, tuple[float | None, float | None]] = Field(
        default_factory=dict, description="Accepted range by quality measure (lowest, highest)."
    )


class Spec(_Record):
    """What `bundle.json` says."""

    format: Literal[1] = 1
    name: str = Field(min_length=1)
    version: str
    created: str = Field(description="ISO 8601, UTC.")
    classes: tuple[Diagnosis, ...]
    network: str
    size_px: int = Field(ge=16)
    preprocess_version: int = 1
    embedding_length: int
    calibration: Calibration
    operating_points: tuple[OperatingPoint, ...] = Field(min_length=1)
    default_operating_point: str
    gate: Gate
    top_diagnosis_log_weights: tuple[float, ...] = Field(
        description="Added to the log-probabilities before choosing the suggested diagnosis; zeros: the likeliest."
    )
    licence: str
    manifest_sha256: str
    recipe_sha256: str
    code_sha256: str
    sources: dict[str, int] = Field(description="Training images by source.")
    training: dict[str, Any] = Field(default_factory=dict, description="Recipe and run, for the card.")
    parts: dict[str, str] = Field(default_factory=dict, description="SHA-256 by part.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.classes)) != len(self.classes) or not self.classes:
            raise ValueError("classes must be different diagnoses, at least one")
        for name, values in (
            ("calibration.bias", self.calibration.bias),
            ("top_diagnosis_log_weights", self.top_diagnosis_log_weights),
        ):
            if len(values) != len(self.classes):
                raise ValueError(f"{name} has {len(values)} values for {len(self.classes)} classes")
        names = [point.name for point in self.operating_points]
        if self.default_operating_point not in names or len(set(names)) != len(names):
            raise ValueError("default_operating_point must be one of the operating points, whose names must differ")
        return self
