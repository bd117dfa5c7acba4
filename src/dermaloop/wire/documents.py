"""What the server answers that is more than one record: pages, files of a patient, lesion or case, reports.

Owns those shapes. Refuses to know single records: those are `wire.records`'s.
"""

from __future__ import annotations

from datetime import date, datetime

from pydantic import Field

from dermaloop.wire.assessment import ReasonModel, ResultModel
from dermaloop.wire.base import ID, Answer, Decision, Role
from dermaloop.wire.records import (
    Case,
    ConfirmedDiagnosis,
    Image,
    Impression,
    Lesion,
    Patient,
    SignOff,
    StoredPrediction,
    Visit,
)


class PatientPage(Answer):
    """A page of patients, newest first."""

    patients: list[Patient]
    next: str | None = Field(description="Send it as `cursor` for the next page; null at the end.")


class PatientFile(Answer):
    """A patient with lesions (by number) and visits (newest first). Their cases: `/api/v1/cases?patient_id=…`."""

    patient: Patient
    lesions: list[Lesion]
    visits: list[Visit]


class LesionPicture(Answer):
    """A picture of a lesion, when it was taken, and the latest answer on it."""

    visit: Visit
    image: Image
    prediction: StoredPrediction | None = Field(description="Null where there is none or it is hidden.")
    answer_hidden: bool


class LesionFile(Answer):
    """A lesion and its pictures, oldest visit first."""

    lesion: Lesion
    pictures: list[LesionPicture]


class CaseRow(Answer):
    """A case in a list."""

    case: Case
    pseudonym: str
    lesion_number: int
    lesion_label: str
    site: str
    visited_on: date
    images: int = Field(description="How many pictures it has.")
    cover_image_id: str | None = Field(description="Its first dermoscopic picture, else its first.")
    answer_hidden: bool
    decision: Decision | None = Field(description="Of the model; null where there is none or it is hidden.")


class CasePage(Answer):
    """A page of cases."""

    cases: list[CaseRow]
    next: str | None = Field(
        description="Send it as `cursor`, with the same order, for the next page; null at the end."
    )


class CaseCounts(Answer):
    """How many cases stand where."""

    open: int
    awaiting: int
    done: int
    declined: int = Field(description="On which the model declined; those whose answer is hidden do not count.")
    suggested: int = Field(default=0, description="Unconfirmed ones whose confirmation would teach the model most.")


class CaseFile(Answer):
    """A case with all its entries, oldest first."""

    case: Case
    patient: Patient
    lesion: Lesion
    visit: Visit
    images: list[Image]
    predictions: list[StoredPrediction] = Field(description="Empty while the answer is hidden.")
    answer_hidden: bool = Field(description="Whether there is an answer that is hidden until your impression is in.")
    impressions: list[Impression]
    confirmations: list[ConfirmedDiagnosis] = Field(description="On the lesion, of this case and of others.")
    standing_confirmation_ids: list[str] = Field(description="Those that count: neither corrected nor taken back.")
    signoffs: list[SignOff]


class TakenPicture(Answer):
    """A file that was taken."""

    name: str
    image_id: ID


class RefusedPicture(Answer):
    """A file that was not taken, and why."""

    name: str
    reasons: list[ReasonModel]


class UploadAnswer(Answer):
    """What became of a visit's pictures. The model's answer: `/api/v1/cases/{case_id}`."""

    case_id: ID
    visit_id: ID
    taken: list[TakenPicture]
    refused: list[RefusedPicture]


class Fact(Answer):
    """A named text of the report; an empty one is a line to write on."""

    name: str
    text: str


class ReportAnswer(Answer):
    """What the one-page report on a picture says, in English."""

    case_id: ID
    image_id: ID
    practice: str
    title: str = Field(description="The answer in a few words.")
    sentence: str
    caution: str
    result: ResultModel
    figures_shown: bool = Field(description="Whether the printed report shows probabilities and heatmap.")
    reasons: list[str]
    operating_point: list[str] = Field(description="What it is, and how it performed, on whom.")
    limits: list[str] = Field(description="What the answer cannot tell.")
    facts: list[Fact]
    impression: list[Fact]
    impression_text: str
    confirmed: str
    clinician: str
    signed: str
    licence: str
    version: str


class DeletionAnswer(Answer):
    """That a patient was deleted."""

    images_removed: int


class Practice(Answer):
    """The practice's own settings."""

    name: str
    hide_answer_until_impression: bool
    show_answer_on_phone: bool = False


class TokenAnswer(Answer):
    """The token that the request came with."""

    name: str
    scopes: list[str]
    ends_at: datetime
    account: str
    role: Role


class TokenRevoked(Answer):
    """That a token has ended."""

    name: str
