"""Model and clinician side by side, and both beside what the lesions were.

Owns these counts. Refuses to word them; the rules are `cases.insights`'s.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from dermaloop.cases.comparison import Share
from dermaloop.cases.insight_queries import (
    BELOW,
    DECLINED,
    MALIGNANT,
    REFERRED,
    impressions,
    latest_answers,
    said_of,
    suggested_of,
    timed,
)
from dermaloop.cases.insight_records import Agreement, Changes, Outcomes, Rates
from dermaloop.cases.tables import ConfirmationRow, ImpressionRow, PredictionRow
from dermaloop.cases.words import Timing
from dermaloop.core.taxonomy import Malignancy


def agreement(session: Session, pictures: sa.Subquery, timing: Timing, bundle: str) -> Agreement:
    """How often model and clinician agreed.

    Args:
        session: Any transaction.
        pictures: By `latest_answers`.
        timing: Before the clinician had seen an answer, or after they had seen this bundle's.
        bundle: Whose answers these are.
    """
    said, suggested = said_of(pictures), suggested_of(pictures)
    thought = impressions(*timed(timing, bundle))
    same = sa.case((thought.c.diagnosis == suggested.c.top_diagnosis, 1), else_=0)
    rows = session.execute(
        sa.select(
            said.c.weight,
            thought.c.suspicious,
            sa.func.count(),
            sa.func.count(thought.c.diagnosis),
            sa.func.sum(same),
        )
        .join(thought, thought.c.case_id == said.c.case_id)
        .outerjoin(suggested, suggested.c.case_id == said.c.case_id)
        .where(said.c.weight > DECLINED)
        .group_by(said.c.weight, thought.c.suspicious)
    ).all()
    cells = {(weight, suspicious): cases for weight, suspicious, cases, _, _ in rows}
    return Agreement(
        both=cells.get((REFERRED, 1), 0),
        model_only=cells.get((REFERRED, 0), 0),
        clinician_only=cells.get((BELOW, 1), 0),
        neither=cells.get((BELOW, 0), 0),
        same_diagnosis=Share(sum(row[4] for row in rows), sum(row[3] for row in rows)),
    )


def changes(session: Session, pictures: sa.Subquery, bundle: str) -> Changes:
    """What seeing the answer changed; arguments as for `agreement`."""
    said = said_of(pictures)
    person = (ImpressionRow.actor_kind, ImpressionRow.actor_id)
    first = impressions(*timed(Timing.BEFORE, bundle), by=person)
    second = impressions(*timed(Timing.AFTER, bundle), by=person)
    model = sa.case((said.c.weight == REFERRED, 1), else_=0)
    same_person = sa.and_(first.c.actor_kind == second.c.actor_kind, first.c.actor_id == second.c.actor_id)
    rows = session.execute(
        sa.select(first.c.suspicious, second.c.suspicious, model, sa.func.count())
        .select_from(said)
        .join(first, first.c.case_id == said.c.case_id)
        .join(second, sa.and_(second.c.case_id == said.c.case_id, same_person))
        .where(said.c.weight > DECLINED)
        .group_by(first.c.suspicious, second.c.suspicious, model)
    )
    kept = towards = away = 0
    for before, after, answer, count in rows:
        if before == after:
            kept += count
        elif after == answer:
            towards += count
        else:
            away += count
    return Changes(kept, towards, away)


def outcomes(session: Session, cases: sa.Select[Any], bundle: str) -> Outcomes:
    """How the confirmed lesions had been judged.

    Args:
        session: Any transaction.
        cases: By `inside_of`: the findings that belong to one of these count.
        bundle: Whose answers.
    """
    finding = _findings(cases)
    early = sa.exists().where(finding.c.case_id == PredictionRow.case_id, PredictionRow.made_at < finding.c.known_at)
    said = said_of(latest_answers(cases, bundle, early))
    in_time = sa.exists().where(finding.c.case_id == ImpressionRow.case_id, ImpressionRow.made_at < finding.c.known_at)
    thought = impressions(in_time)
    model = sa.case((said.c.weight == REFERRED, 1), (said.c.weight == BELOW, 0), else_=None)
    parts = (finding.c.malignant, finding.c.confirmation, model, thought.c.malignant, thought.c.suspicious)
    rows = session.execute(
        sa.select(*parts, sa.func.count())
        .select_from(finding)
        .outerjoin(said, said.c.case_id == finding.c.case_id)
        .outerjoin(thought, thought.c.case_id == finding.c.case_id)
        .group_by(*parts)
    ).all()
    sides: Counter[int | None] = Counter()
    kinds: Counter[str] = Counter()
    judged: tuple[Counter[tuple[int, int | None]], ...] = (Counter(), Counter(), Counter())
    for malignant, kind, *said_so, count in rows:
        sides[malignant] += count
        kinds[str(kind)] += count
        if malignant is not None:
            for cells, suspicious in zip(judged, said_so, strict=True):
                cells[malignant, suspicious] += count
    return Outcomes(sides[1], sides[0], sides[None], tuple(kinds.most_common()), *(_rates(cells) for cells in judged))


def _rates(cells: Counter[tuple[int, int | None]]) -> Rates:
    found, missed = cells[1, 1], cells[1, 0]
    cleared, alarmed = cells[0, 0], cells[0, 1]
    return Rates(Share(found, found + missed), Share(cleared, cleared + alarmed), cells[1, None], cells[0, None])


def _findings(cases: sa.Select[Any]) -> sa.Subquery:
    """The standing finding of each lesion, where it belongs to one of these cases; and since when one was known."""
    later = aliased(ConfirmationRow)
    corrected = sa.exists().where(later.corrects_id == ConfirmationRow.id)
    known_at = sa.func.min(ConfirmationRow.made_at).over(partition_by=ConfirmationRow.lesion_id)
    malignant = sa.case(
        (ConfirmationRow.diagnosis.in_(MALIGNANT), 1),
        (ConfirmationRow.diagnosis.is_not(None), 0),
        (ConfirmationRow.malignancy == Malignancy.MALIGNANT, 1),
        (ConfirmationRow.malignancy == Malignancy.BENIGN, 0),
        else_=None,
    )
    entries = sa.select(
        ConfirmationRow.id,
        ConfirmationRow.lesion_id,
        ConfirmationRow.case_id,
        ConfirmationRow.confirmation,
        ConfirmationRow.made_at,
        malignant.label("malignant"),
        known_at.label("known_at"),
        sa.case((sa.and_(ConfirmationRow.retracted.is_(False), ~corrected), 1), else_=0).label("stands"),
    ).subquery()
    place = sa.func.row_number().over(
        partition_by=entries.c.lesion_id, order_by=(entries.c.made_at.desc(), entries.c.id.desc())
    )
    ranked = sa.select(entries, place.label("place")).where(entries.c.stands == 1).subquery()
    return sa.select(ranked).where(ranked.c.place == 1, ranked.c.case_id.in_(cases)).subquery()
