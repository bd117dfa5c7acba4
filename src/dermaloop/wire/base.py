"""What all shapes share, and the words of their fields.

Owns the two kinds of shapes (entries that are sent to the server, answers that come from it) and the lists of words.
Refuses to know any single shape.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from dermaloop.core.manifest_row import SITES, Confirmation
from dermaloop.core.taxonomy import Diagnosis, Malignancy

Sex = Literal["female", "male", ""]
View = Literal["front", "back"]
PictureType = Literal["dermoscopic", "clinical: close-up", "clinical: overview"]
Management = Literal["no action", "follow-up", "biopsy", "excision", "referral", "treatment", "other"]
Timing = Literal["before", "after"]
ConfirmationKind = Literal["histopathology", "follow-up", "consensus", "confocal", "single clinician"]
SignOffKind = Literal["signed", "reopened"]
CaseState = Literal["open", "awaiting", "done"]
Order = Literal["newest", "oldest", "suspicious"]
Decision = Literal["refer", "no_referral"]
Role = Literal["viewer", "clinician", "lead", "admin"]
Consent = Literal["not given", "given", "withdrawn"]
FlagKind = Literal["label", "contributor", "same picture"]
Verdict = Literal["accepted", "rejected"]

__all__ = [
    "ID",
    "SITES",
    "Answer",
    "CaseState",
    "Confirmation",
    "ConfirmationKind",
    "Consent",
    "Day",
    "Decision",
    "Diagnosis",
    "Entry",
    "FlagKind",
    "Fraction",
    "Line",
    "Malignancy",
    "Management",
    "Moment",
    "Note",
    "Order",
    "PictureType",
    "Role",
    "Sex",
    "SignOffKind",
    "Timing",
    "Verdict",
    "View",
    "Whole",
]

ID = Annotated[str, Field(examples=["2f1c5d0e-7a53-4f0b-9d57-0b8f6d0f3a11"])]
"""Of a record: a UUID."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _plain_day(value: Any) -> Any:
    """A day is written as a day: neither as seconds since 1970 nor with a time."""
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise ValueError("a day is written as 2026-03-04")
    if not isinstance(value, str | date):
        raise ValueError("a day is a text, written as 2026-03-04")  # noqa: TRY004 - what pydantic takes for a refusal
    return value


Day = Annotated[date, BeforeValidator(_plain_day, json_schema_input_type=date), Field(examples=["2026-03-04"])]
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d.*")


def _plain_moment(value: Any) -> Any:
    """A moment is written with its day and time, not as seconds since 1970."""
    if isinstance(value, str) and not _MOMENT.fullmatch(value):
        raise ValueError("a moment is written as 2026-03-04T09:30:00Z")
    return value


Moment = Annotated[
    AwareDatetime, BeforeValidator(_plain_moment, json_schema_input_type=AwareDatetime),
    Field(examples=["2026-03-04T09:30:00Z"]),
]  # fmt: skip
"""A point in time, with its time zone."""
Whole = Annotated[int, Field(strict=True)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]
Line = Annotated[str, Field(max_length=100)]
"""One line of text, without control characters."""
Note = Annotated[str, Field(max_length=10_000)]
"""Free text of several lines, plain: what looks like HTML stays text."""


class Entry(BaseModel):
    """What is sent to the server. A field that it does not know is refused: it may be one that was meant."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """What the server sends. A field that an older client does not know is left out by it."""

    model_config = ConfigDict(extra="ignore", frozen=True)
