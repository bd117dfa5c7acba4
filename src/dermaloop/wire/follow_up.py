"""A lesion's follow-up as the server sends it: two pictures laid over each other, and the answers over time.

Owns those shapes. Refuses to compare answers: those of two bundles, or at two thresholds, are two rulers, so each point
names its own. No figure is given for the change in area.
"""

from __future__ import annotations

from datetime import date

from pydantic import Field

from dermaloop.wire.base import ID, Answer
from dermaloop.wire.documents import LesionPicture


class Registration(Answer):
    """Where the second picture lies on the first, in pixels of the upright full-size pictures."""

    matrix: tuple[tuple[float, float, float], tuple[float, float, float]] = Field(
        description="Rows of a 2 x 3 matrix: a point (x, y) of the second lies at matrix · (x, y, 1) of the first."
    )
    scale: float = Field(description="Pixels of the first per pixel of the second.")
    degrees: float = Field(description="Clockwise turn of the second, as seen.")
    places: int = Field(description="Separate places of both pictures that agree on it.")
    overlap: float = Field(description="Share of the first picture that the second covers, in [0, 1].")
    agreement: float = Field(description="Correlation of their structure where both are, in [-1, 1].")
    true_scale: bool = Field(
        description="Whether the scale is that of the stated pixel sizes. Where it is not, a lesion that grew evenly "
        "can look unchanged."
    )
    measured_scale: float = Field(description="The scale that fits the pictures best.")


class ComparedPictures(Answer):
    """A pair, the older picture first, and what came of aligning it."""

    first: LesionPicture
    second: LesionPicture
    registration: Registration | None = Field(description="Null where they could not be aligned.")
    said: str = Field(description="What came of it, in English.")
    advice: str = Field(description="What it means for judging the lesion's size, or what to do.")


class ProbabilityPoint(Answer):
    """One answer on a picture of the lesion. Only points of one `bundle` and `threshold` are on one ruler."""

    visited_on: date
    image_id: ID
    prediction_id: ID
    bundle: str = Field(description="Identity of the model.")
    operating_point: str
    threshold: float | None
    malignant_probability: float | None = Field(description="Null where the model gave no estimate.")


class FollowUp(Answer):
    """A lesion over time."""

    lesion_id: ID
    compared: ComparedPictures | None = Field(description="Null where the lesion has fewer than two pictures.")
    probabilities: list[ProbabilityPoint] = Field(
        description="Oldest first; answers that are hidden are not among them."
    )
    answers_hidden: bool = Field(description="Whether an answer is hidden until your impression is in.")
