"""Which confirmed cases may train: one table of what confirms which diagnosis, and the rules around it.

Owns the table, the rules' order and their words. Refuses to open pictures (`refine.gather`) and to judge whether a
finding is right (`refine.checks`). A rule's word is what the count of excluded pictures is kept by; the first rule that
applies counts, so that the counts add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dermaloop.cases.feedback import FeedbackCase, FeedbackImage
from dermaloop.cases.records import ConfirmationEntry
from dermaloop.cases.words import Consent, PictureType
from dermaloop.core.manifest import Confirmation
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.refine.plan import Feedback

STRENGTH: tuple[Confirmation, ...] = (
    Confirmation.HISTOPATHOLOGY, Confirmation.CONFOCAL, Confirmation.FOLLOW_UP, Confirmation.CONSENSUS,
    Confirmation.SINGLE_CLINICIAN,
)  # fmt: skip
"""Strongest first: of several findings on a lesion the strongest counts, and of equally strong ones the latest."""


@dataclass(frozen=True, slots=True)
class Confirms:
    """One row of the table: what confirms these diagnoses, and why only that."""

    diagnoses: tuple[Diagnosis, ...]
    confirmations: tuple[Confirmation, ...]
    reason: str


TABLE: tuple[Confirms, ...] = (
    Confirms(
        (Diagnosis.MEL, Diagnosis.SCC, Diagnosis.AKIEC),
        (Confirmation.HISTOPATHOLOGY,),
        "A cancer, or its forerunner, is known from tissue only: what looked like one and was not examined teaches the"
        " look, not the disease.",
    ),
    Confirms(
        (Diagnosis.BCC,),
        (Confirmation.HISTOPATHOLOGY, Confirmation.CONFOCAL),
        "Tissue, or confocal microscopy, which finds this one cancer with a sensitivity of 0.92 and a specificity of"
        " 0.93 (Lupu et al. 2019, doi:10.3390/jcm8091462).",
    ),
    Confirms(
        (Diagnosis.NV,),
        (Confirmation.HISTOPATHOLOGY, Confirmation.CONFOCAL, Confirmation.FOLLOW_UP, Confirmation.CONSENSUS),
        "Few naevi are cut out: one that stayed as it was, or that several experts agree on, is the usual ground truth"
        " (Tschandl et al. 2018, doi:10.1038/sdata.2018.161).",
    ),
    Confirms(
        (Diagnosis.BKL, Diagnosis.DF, Diagnosis.VASC),
        (Confirmation.HISTOPATHOLOGY, Confirmation.CONFOCAL, Confirmation.CONSENSUS),
        "Plain benign lesions are not cut out; experts who agree are the usual ground truth. Follow-up alone tells them"
        " from a cancer, not from each other.",
    ),
)
"""What confirms what. A single clinician confirms nothing: that clinician may have seen the model's answer, and the
model would learn its own opinion."""

RULES: dict[str, str] = {
    "no_consent": "The patient has not agreed to training.",
    "consent_withdrawn": "The patient has withdrawn the agreement to training.",
    "not_confirmed": "Nothing says yet what the lesion was.",
    "outside_taxonomy": "The finding has no place among the diagnoses that the model knows.",
    "contradictory": "Two equally strong findings name different diagnoses.",
    "weak_confirmation": "This kind of confirmation does not count for this diagnosis.",
    "picture_too_old": "The picture was taken too long before the finding.",
    "picture_after_finding": "The picture was taken after the tissue was.",
    "follow_up_too_short": "The lesion was not watched for long enough after the picture.",
    "overview": "The picture shows a region of the body, not the lesion.",
    "unavailable": "The picture is missing from the store, or damaged.",
    "unreadable": "The picture cannot be read.",
    "poor_quality": "The picture's quality is outside what the model accepts.",
    "in_held_out": "The picture, or a near-duplicate, is in a test set.",
    "in_training": "The picture, or a near-duplicate, is in the original training data.",
    "twice": "The same picture of the same lesion is there already.",
    "held_back": "The confirmation was flagged, and no lead has looked at it yet.",
    "rejected": "A lead looked at the flagged confirmation and rejected it.",
}
"""Why a picture may not train, in the order in which the rules are asked."""


def confirms(confirmation: Confirmation, diagnosis: Diagnosis) -> bool:
    """Whether this kind of confirmation counts for this diagnosis."""
    return any(diagnosis in row.diagnoses and confirmation in row.confirmations for row in TABLE)


def finding_of(findings: Sequence[ConfirmationEntry]) -> ConfirmationEntry | None:
    """The finding that counts: the strongest, of equally strong ones the latest; None where there is none."""
    if not findings:
        return None
    return min(reversed(findings), key=lambda entry: _rank(entry.confirmation))


def _rank(confirmation: Confirmation) -> int:
    return STRENGTH.index(confirmation) if confirmation in STRENGTH else len(STRENGTH)


def judge_case(case: FeedbackCase, rules: Feedback) -> tuple[ConfirmationEntry | None, str]:
    """The finding that counts for a case, and the word of the first rule that excludes it; empty where none does.

    Args:
        case: With its standing findings.
        rules: Of the plan.
    """
    finding = finding_of(case.findings)
    return finding, next((word for word, holds in _broken(case, finding, rules) if holds), "")


def _broken(case: FeedbackCase, finding: ConfirmationEntry | None, rules: Feedback) -> Iterator[tuple[str, bool]]:
    """Each rule on the case and its finding, in order; asked for no longer than until one holds."""
    yield "consent_withdrawn", case.consent is Consent.WITHDRAWN
    yield "no_consent", case.consent is not Consent.GIVEN
    yield "not_confirmed", finding is None
    assert finding is not None
    diagnosis, how = finding.diagnosis, finding.confirmation
    yield "outside_taxonomy", diagnosis is None
    yield "contradictory", len({entry.diagnosis for entry in case.findings if entry.confirmation is how}) > 1
    yield "weak_confirmation", diagnosis is None or not confirms(how, diagnosis)
    days = (finding.confirmed_on - case.visited_on).days
    watched = how is Confirmation.FOLLOW_UP
    yield "follow_up_too_short", watched and days < rules.shortest_follow_up_days
    yield "picture_too_old", not watched and days > rules.longest_before_finding_days
    yield "picture_after_finding", how is Confirmation.HISTOPATHOLOGY and days < 0


def judge_image(image: FeedbackImage) -> str:
    """The word of the rule that excludes a picture by its record alone; empty where none does."""
    return "overview" if image.image_type is PictureType.OVERVIEW else ""
