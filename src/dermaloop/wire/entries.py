"""What is sent to the server, other than pictures.

Owns those shapes and the closest limits that can be stated by type; the records' own rules are `cases`'s and come
second. Refuses to know what is done with an entry.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from dermaloop.wire.base import (
    SITES,
    ConfirmationKind,
    Consent,
    Day,
    Diagnosis,
    Entry,
    Fraction,
    Line,
    Malignancy,
    Management,
    Note,
    PictureType,
    Role,
    Sex,
    Verdict,
    View,
    Whole,
)

_LONG_LINE = 200
_LONG_REASON = 300
_LONGEST_DECISION = 2000
_LONGEST_PASSWORD = 1000
_SITES: dict[str, JsonValue] = {"enum": ["", *SITES]}


class PatientEntry(Entry):
    """A patient's facts. No name is asked for, and none belongs here."""

    pseudonym: Annotated[str, Field(min_length=1, max_length=100)] = Field(
        description="The clinic's own; no other patient may have it.", examples=["P-0174"]
    )
    birth_year: Whole | None = Field(default=None, ge=1850, le=2200, examples=[1957])
    sex: Sex = Field(default="", description="Empty where not stated.")
    skin_type: Whole | None = Field(default=None, ge=1, le=6, description="Fitzpatrick.")
    training_consent: Consent | None = Field(
        default=None,
        description="Whether the pictures may train a model. Left out, it stays as it is (of a new patient: not "
        "given): a program that does not know of consent neither gives nor withdraws it.",
    )
    note: Note = ""


class LesionEntry(Entry):
    """A lesion's place on the body, and the clinic's own words for it."""

    site: str = Field(
        default="", description="Body site; empty where not stated.", examples=["torso"], json_schema_extra=_SITES
    )
    view: View | None = Field(default=None, description="Side of the body map; with x and y, or not at all.")
    x: Fraction | None = Field(default=None, description="From the map's left edge.")
    y: Fraction | None = Field(default=None, description="From the map's top.")
    label: Line = ""
    note: Note = ""

    @model_validator(mode="after")
    def _whole_point(self) -> Self:
        if len({part is None for part in (self.view, self.x, self.y)}) > 1:
            raise ValueError("a point on the body map needs view, x and y together")
        return self


class ImpressionEntry(Entry):
    """What a clinician thinks and does: a diagnosis or a text, and the management."""

    management: Management
    diagnosis: Diagnosis | None = None
    text: Note = Field(default="", description="Needed where there is no diagnosis.")


class ReasonEntry(Entry):
    """Why something is undone; kept."""

    reason: Annotated[str, Field(min_length=1, max_length=10_000)]


class ConfirmationEntry(Entry):
    """What the lesion was, and how that is known."""

    confirmation: ConfirmationKind = Field(description="How it was confirmed: the ISIC archive's words.")
    confirmed_on: Day
    diagnosis: Diagnosis | None = Field(default=None, description="Null where the taxonomy has no place for it.")
    term: Annotated[str, Field(max_length=_LONG_LINE)] = Field(
        default="", description="The source's own word; needed without a diagnosis."
    )
    malignancy: Malignancy | None = Field(default=None, description="Needed without a diagnosis.")
    confirmed_by: Annotated[str, Field(max_length=_LONG_LINE)] = Field(default="", examples=["Laboratory"])
    note: Note = ""
    document: Annotated[str, Field(max_length=_LONG_LINE)] = Field(
        default="", description="Reference of the source document.", examples=["H-77/26"]
    )
    corrects_id: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="The standing entry that this one corrects."
    )


class DeletionEntry(Entry):
    """That a patient's record is to be deleted. Cannot be undone."""

    pseudonym: Annotated[str, Field(max_length=100)] = Field(
        description="The patient's, once more: a slip must not delete the wrong one."
    )
    reason: Annotated[str, Field(min_length=1, max_length=_LONG_REASON)] = Field(
        description="Kept in the audit log, so nothing that identifies.", examples=["request by letter"]
    )


class PracticeSettings(Entry):
    """The practice's own settings."""

    name: Line = Field(description="For reports.")
    hide_answer_until_impression: Annotated[bool, Field(strict=True)] = Field(
        description="Whether a clinician sees the model's answer in an open case only after their own impression."
    )
    show_answer_on_phone: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="Whether a phone that adds pictures to a case says what the model says of them."
    )


class FilingEntry(Entry):
    """To which lesion a picture of a screening list belongs."""

    lesion_id: Annotated[str, Field(min_length=1, max_length=40)]
    visited_on: Day = Field(description="The day it was taken.")
    image_type: Literal["dermoscopic", "clinical: close-up"] = "dermoscopic"


class PhoneLinkEntry(Entry):
    """What the pictures will be that a phone adds."""

    image_type: PictureType = "clinical: close-up"


class FlagReviewEntry(Entry):
    """What a lead decides about a doubted confirmation."""

    verdict: Verdict = Field(description="Accepted: it is right and may train. Rejected: it may not.")
    reason: Annotated[str, Field(min_length=1, max_length=10_000)]


class AlarmReviewEntry(Entry):
    """What is behind an alarm of the watch."""

    outcome: Literal["passed", "stays"] = Field(
        description="Passed: a fault that is mended, or chance. Stays: the change is known, compare anew."
    )
    note: Annotated[str, Field(min_length=1, max_length=2000)] = Field(description="What was found and done.")


class DecisionEntry(Entry):
    """A lead's decision about a model, with its reason."""

    reason: Annotated[str, Field(min_length=1, max_length=_LONGEST_DECISION)] = Field(description="Kept.")
    password: Annotated[str, Field(max_length=_LONGEST_PASSWORD, repr=False)] = Field(
        default="",
        description="The person's present password, as their signature: needed with a token, which by itself decides "
        "nothing, and for a promotion. Neither kept nor logged.",
    )


class PromotionEntry(DecisionEntry):
    """That a model is to answer."""

    without_gates: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="Acknowledges that no plan stands behind it. Never helps where a gate failed."
    )


class ShadowEntry(DecisionEntry):
    """That a model is to answer silently beside the champion, or not any more."""

    reason: Annotated[str, Field(max_length=_LONGEST_DECISION)] = Field(default="", description="Kept.")


class PersonEntry(Entry):
    """A new account."""

    name: Annotated[str, Field(min_length=1, max_length=64)] = Field(description="As it is typed to sign in.")
    role: Role


class RoleEntry(Entry):
    """Another role for an account."""

    role: Role
