"""Insights as the server sends them.

Owns those shapes. Every figure comes as its counts; a share and its interval are null where they rest on too few cases.
"""

from __future__ import annotations

from datetime import date

from pydantic import Field

from dermaloop.wire.base import Answer


class ShareAnswer(Answer):
    """A share with Wilson's 95 % interval."""

    count: int
    n: int
    share: float | None = Field(description="Null where n is too small to say anything.")
    low: float | None
    high: float | None


class BundleAnswer(Answer):
    """A bundle that answered in the period."""

    bundle: str
    pictures: int


class DayAnswer(Answer):
    """The cases of one day, by what the model said."""

    day: date
    referred: int
    below: int
    declined: int
    without: int = Field(description="Not assessed, or hidden still.")


class AgreementAnswer(Answer):
    """Cases by whether model and clinician found them suspicious."""

    both: int
    model_only: int
    clinician_only: int
    neither: int
    agreed: ShareAnswer
    same_diagnosis: ShareAnswer


class ChangesAnswer(Answer):
    """What seeing the answer changed in the same clinician's impression."""

    kept: int
    towards_model: int
    away_from_model: int


class RatesAnswer(Answer):
    """How one judge did on the confirmed lesions."""

    sensitivity: ShareAnswer
    specificity: ShareAnswer
    no_judgement_malignant: int
    no_judgement_benign: int


class OutcomesAnswer(Answer):
    """Confirmed lesions. Who gets a confirmed diagnosis is not random: sensitivity looks higher, specificity lower."""

    malignant: int
    benign: int
    indeterminate: int
    confirmed_by: dict[str, int]
    model: RatesAnswer
    clinician_diagnosis: RatesAnswer
    clinician_decision: RatesAnswer


class DeclinesAnswer(Answer):
    """Pictures on which the model declined, and why."""

    pictures: ShareAnswer
    reasons: dict[str, int] = Field(description="By code; a picture may have several.")


class DurationAnswer(Answer):
    """How long something took; null where there are too few to say anything."""

    n: int
    median_s: float | None
    nine_in_ten_s: float | None


class InsightsAnswer(Answer):
    """What a practice can learn from its own records in a period."""

    since: date
    until: date
    bundle: str = Field(description="Whose answers are counted; empty where none answered.")
    bundles: list[BundleAnswer]
    least_cases: int = Field(description="No share is given of fewer.")
    open_cases_left_out: bool = Field(description="Whether open cases are in the volume only: answers are hidden.")
    volume: list[DayAnswer]
    agreement_before: AgreementAnswer
    agreement_after: AgreementAnswer
    changes: ChangesAnswer
    outcomes: OutcomesAnswer
    declines: DeclinesAnswer
    to_answer: DurationAnswer
    to_sign_off: DurationAnswer
    to_finding: DurationAnswer
