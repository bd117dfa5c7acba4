"""A model's silent answers beside the answers that people were shown, case by case.

Owns the pairing, the counts and what the confirmed cases among them say. Refuses to judge: gates do that, on data that
was set aside for it. The unit is the case: a case is referred where any of its pictures is, as the worklist counts it.
Live cases are few and are not the frozen test set: intervals are given (Wilson's), and the exact test of McNemar for
the cases on which the two differ.

Source: Wilson 1927, doi:10.1080/01621459.1927.10502953; McNemar 1947, doi:10.1007/BF02295996 (exact binomial form).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import shadow
from dermaloop.cases.model_tables import SilentPredictionRow
from dermaloop.cases.opinions import standing
from dermaloop.cases.records import ConfirmationEntry, record
from dermaloop.cases.tables import CaseRow, ConfirmationRow, LesionRow, PredictionRow
from dermaloop.core.prediction import Decision, Status
from dermaloop.core.taxonomy import Diagnosis

_Z = 1.959963984540054  # of the 95 % interval


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `n`, with Wilson's 95 % interval; no share where n is 0."""

    count: int
    n: int

    @property
    def value(self) -> float | None:
        """The share in [0, 1]."""
        return self.count / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval."""
        if not self.n:
            return None
        share, z2 = self.count / self.n, _Z * _Z / self.n
        middle = (share + z2 / 2) / (1 + z2)
        half = _Z * math.sqrt(share * (1 - share) / self.n + z2 / (4 * self.n)) / (1 + z2)
        # Where all or none are counted the end is the edge itself, which rounding would miss by a hair.
        low = 0.0 if self.count == 0 else max(0.0, middle - half)
        high = 1.0 if self.count == self.n else min(1.0, middle + half)
        return low, high


@dataclass(frozen=True, slots=True)
class Side:
    """What one of the two said of a picture."""

    bundle: str
    status: Status
    probability: float | None
    decision: Decision
    top_diagnosis: Diagnosis | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Both answers on one picture. `malignant` is what was confirmed of its lesion; None where nothing is."""

    case_id: str
    image_id: str
    lesion_number: int
    made_at: datetime
    shown: Side
    silent: Side
    malignant: bool | None
    diagnosis: Diagnosis | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Confirmed cases of one side, assessed by both: how many each got right, and on how many only one did."""

    shown: Share
    silent: Share
    only_shown_right: int
    only_silent_right: int

    @property
    def p_value(self) -> float | None:
        """Two-sided exact McNemar test; None where the two never differ."""
        return mcnemar(self.only_shown_right, self.only_silent_right)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the silent answers of a model amount to.

    Attributes:
        pictures: Pictures with both answers.
        cases: Cases with both answers.
        agreement: Cases, among those assessed by both, with the same decision.
        to_refer: Cases that only the silent model would refer.
        to_none: Cases that only the shown model referred.
        declined_shown: Cases that the shown model declined.
        declined_silent: Cases that the silent model declined.
        malignant: Confirmed malignant cases: right is to refer.
        benign: Confirmed benign cases: right is not to refer.
        changed: Pictures of the cases whose decision changes, confirmed ones first, then the latest.
        took_s: Median time of a silent answer, in seconds; None without any.
        missed: Pictures that the shadow was not asked about, by reason.
    """

    pictures: int
    cases: int
    agreement: Share
    to_refer: int
    to_none: int
    declined_shown: Share
    declined_silent: Share
    malignant: Outcome
    benign: Outcome
    changed: tuple[Pair, ...]
    took_s: float | None
    missed: dict[str, int]


def compare(session: Session, model_id: str, *, most_changed: int = 100) -> Comparison:
    """Compares a model's silent answers with what people were shown of the same pictures.

    Args:
        session: Any.
        model_id: Of the model that answered silently.
        most_changed: How many pictures of changed cases to give.
    """
    pairs, took = _pairs(session, model_id)
    by_case: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_case.setdefault(pair.case_id, []).append(pair)
    decided = {case: (_decision(p.shown for p in ps), _decision(p.silent for p in ps)) for case, ps in by_case.items()}
    both = {case: two for case, two in decided.items() if Decision.NONE not in two}
    changed = {case for case, (shown, silent) in both.items() if shown != silent}
    shown_changes = sorted(
        (pair for pair in pairs if pair.case_id in changed),
        key=lambda pair: (pair.malignant is None, -pair.made_at.timestamp(), pair.image_id),
    )
    return Comparison(
        pictures=len(pairs),
        cases=len(by_case),
        agreement=Share(len(both) - len(changed), len(both)),
        to_refer=sum(both[case][1] is Decision.REFER for case in changed),
        to_none=sum(both[case][1] is Decision.NO_REFERRAL for case in changed),
        declined_shown=Share(sum(two[0] is Decision.NONE for two in decided.values()), len(decided)),
        declined_silent=Share(sum(two[1] is Decision.NONE for two in decided.values()), len(decided)),
        malignant=_outcome(by_case, both, malignant=True),
        benign=_outcome(by_case, both, malignant=False),
        changed=tuple(shown_changes[:most_changed]),
        took_s=median(took) if took else None,
        missed=shadow.missed(session, model_id),
    )


def mcnemar(one: int, other: int) -> float | None:
    """The exact two-sided p-value for two discordant counts; None where both are 0."""
    total = one + other
    if not total:
        return None
    tail = sum(math.comb(total, k) for k in range(min(one, other) + 1))
    return min(1.0, 2 * tail / (1 << total))


def _decision(sides: Iterable[Side]) -> Decision:
    said = {side.decision for side in sides}
    if Decision.REFER in said:
        return Decision.REFER
    return Decision.NO_REFERRAL if Decision.NO_REFERRAL in said else Decision.NONE


def _outcome(by_case: dict[str, list[Pair]], both: dict[str, tuple[Decision, Decision]], *, malignant: bool) -> Outcome:
    right = Decision.REFER if malignant else Decision.NO_REFERRAL
    found = [both[case] for case, pairs in by_case.items() if case in both and pairs[0].malignant is malignant]
    shown, silent = [two[0] is right for two in found], [two[1] is right for two in found]
    return Outcome(
        shown=Share(sum(shown), len(found)),
        silent=Share(sum(silent), len(found)),
        only_shown_right=sum(a and not b for a, b in zip(shown, silent, strict=True)),
        only_silent_right=sum(b and not a for a, b in zip(shown, silent, strict=True)),
    )


def _pairs(session: Session, model_id: str) -> tuple[list[Pair], list[float]]:
    query = (
        sa.select(SilentPredictionRow, PredictionRow, CaseRow, LesionRow.number)
        .join(PredictionRow, PredictionRow.id == SilentPredictionRow.beside_id)
        .join(CaseRow, CaseRow.id == SilentPredictionRow.case_id)
        .join(LesionRow, LesionRow.id == CaseRow.lesion_id)
        .where(SilentPredictionRow.model_id == model_id, CaseRow.deleted_at.is_(None))
        .options(sa.orm.defer(PredictionRow.record), sa.orm.defer(PredictionRow.heatmap))
        .order_by(SilentPredictionRow.made_at, SilentPredictionRow.id)
    )
    rows = session.execute(query).all()
    known = _confirmed(session, {case.lesion_id for _, _, case, _ in rows if case.confirmed})
    pairs = []
    for silent, shown, case, number in rows:
        entry = known.get(case.lesion_id) if case.confirmed else None
        pairs.append(
            Pair(
                case_id=case.id,
                image_id=silent.image_id,
                lesion_number=number,
                made_at=silent.made_at,
                shown=_side(shown, shown.bundle),
                silent=_side(silent, ""),
                malignant=None if entry is None else entry.counts_as_malignant,
                diagnosis=None if entry is None else entry.diagnosis,
            )
        )
    return pairs, [silent.took_s for silent, _, _, _ in rows]


def _side(row: PredictionRow | SilentPredictionRow, bundle: str) -> Side:
    return Side(bundle, row.status, row.malignant_probability, row.decision, row.top_diagnosis)


def _confirmed(session: Session, lesions: set[str]) -> dict[str, ConfirmationEntry]:
    """The latest standing confirmation of each lesion."""
    entries: dict[str, list[ConfirmationEntry]] = {}
    ids = sorted(lesions)
    for begin in range(0, len(ids), 500):  # databases limit how many values a statement may have
        part: Sequence[str] = ids[begin : begin + 500]
        query = sa.select(ConfirmationRow).where(ConfirmationRow.lesion_id.in_(part))
        for row in session.scalars(query.order_by(ConfirmationRow.made_at, ConfirmationRow.id)):
            entries.setdefault(row.lesion_id, []).append(record(ConfirmationEntry, row))
    found = {lesion: standing(of) for lesion, of in entries.items()}
    return {lesion: last[-1] for lesion, last in found.items() if last}
