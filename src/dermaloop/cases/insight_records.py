"""What a practice can learn from its own records, as plain counts.

Owns the shape of the figures, and from how many cases on one is worth a percentage. Refuses to know how they are
counted (`cases.insights`) and worded. A figure is always its counts; shares and intervals follow from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from dermaloop.cases.comparison import Share

LEAST_CASES = 10
"""Fewer say nothing: Wilson's 95 % interval of 9 in 10 still spans 60 % to 98 %, and of 4 in 5, 38 % to 96 %."""


def says_something(share: Share) -> bool:
    """Whether a share rests on enough cases to be shown."""
    return share.n >= LEAST_CASES


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: visits from `since` to `until`, both included; one bundle's answers (empty: the newest's)."""

    since: date
    until: date
    bundle: str = ""


@dataclass(frozen=True, slots=True)
class BundleUse:
    """A bundle that answered in the period, and on how many pictures."""

    bundle: str
    pictures: int


@dataclass(frozen=True, slots=True)
class DayVolume:
    """The cases of one day by what the model said of them; `without` have no answer of it, or one that is hidden."""

    day: date
    referred: int
    below: int
    declined: int
    without: int

    @property
    def cases(self) -> int:
        """All of them."""
        return self.referred + self.below + self.declined + self.without


@dataclass(frozen=True, slots=True)
class Agreement:
    """Cases by whether the model and the clinician found them suspicious. Declined ones are not among them.

    Attributes:
        both: Both did.
        model_only: The model alone.
        clinician_only: The clinician alone.
        neither: Neither.
        same_diagnosis: Among the cases for which the clinician chose a diagnosis, those with the one that the model
            suggested.
    """

    both: int
    model_only: int
    clinician_only: int
    neither: int
    same_diagnosis: Share

    @property
    def share(self) -> Share:
        """How often they agreed."""
        agreed = self.both + self.neither
        return Share(agreed, agreed + self.model_only + self.clinician_only)


@dataclass(frozen=True, slots=True)
class Changes:
    """Cases for which one clinician wrote an impression before and another after seeing the answer.

    Attributes:
        kept: The second one says the same as to suspicion.
        towards: It turned to what the model says.
        away: It turned from what the model says.
    """

    kept: int
    towards: int
    away: int

    @property
    def cases(self) -> int:
        """All of them."""
        return self.kept + self.towards + self.away


@dataclass(frozen=True, slots=True)
class Rates:
    """How one judge did on the confirmed lesions.

    Attributes:
        sensitivity: Of the malignant lesions that it judged, those found suspicious.
        specificity: Of the benign ones that it judged, those not found suspicious.
        no_malignant: Malignant lesions that it did not judge: declined, or without an entry.
        no_benign: The same of the benign ones.
    """

    sensitivity: Share
    specificity: Share
    no_malignant: int
    no_benign: int


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Confirmed lesions, and how they had been judged before their diagnosis was known.

    Attributes:
        malignant: How many counted as malignant.
        benign: How many as benign.
        indeterminate: How many as neither; they are in no rate.
        by_kind: How many were confirmed how, the most frequent first.
        model: The model's decisions.
        diagnosis: The clinician's diagnoses: a malignant one is suspicious.
        decision: The clinician's decisions: so is biopsy, excision or referral, whatever the diagnosis.
    """

    malignant: int
    benign: int
    indeterminate: int
    by_kind: tuple[tuple[str, int], ...]
    model: Rates
    diagnosis: Rates
    decision: Rates

    @property
    def lesions(self) -> int:
        """All of them."""
        return self.malignant + self.benign + self.indeterminate


@dataclass(frozen=True, slots=True)
class Declines:
    """Pictures on which the model declined to answer; each may have several reasons, the most frequent first."""

    share: Share
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Duration:
    """How long something took, in seconds: half were done by `median_s`, nine in ten by `most_s`. None without any."""

    n: int
    median_s: float | None
    most_s: float | None


@dataclass(frozen=True, slots=True)
class Insights:
    """All of it.

    Attributes:
        wanted: What was asked for; `bundle` is the one whose answers were counted, empty where there is none.
        bundles: Every bundle that answered in the period, the newest answer first.
        volume: Each day with a case, in order.
        without_open: Whether open cases are in the volume only, because the practice hides the model's answers.
        before: Model and clinician, where the clinician had not seen an answer.
        after: The same, where they had seen this model's.
        changes: What seeing it changed.
        outcomes: On confirmed lesions.
        declines: On how many pictures the model declined, and why.
        to_answer: From a picture being stored to the first answer on it.
        to_sign_off: From a case being opened to its first sign-off.
        to_finding: From a case being opened to its first confirmed diagnosis being written down.
    """

    wanted: Wanted
    bundles: tuple[BundleUse, ...]
    volume: tuple[DayVolume, ...]
    without_open: bool
    before: Agreement
    after: Agreement
    changes: Changes
    outcomes: Outcomes
    declines: Declines
    to_answer: Duration
    to_sign_off: Duration
    to_finding: Duration

    @property
    def cases(self) -> int:
        """All cases of the period."""
        return sum(day.cases for day in self.volume)
