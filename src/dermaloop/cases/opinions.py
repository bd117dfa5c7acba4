"""What people say of a case: what clinicians think and do, and what the lesion was in the end.

Owns the append-only entries: impressions, confirmed diagnoses, sign-offs; and keeps what a case carries of them
current. Whether an impression was taken down before or after its author saw an answer is decided here, from what was
shown, and never asked. Refuses to judge what is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, fields
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.errors import ConflictError, InvalidRecordError
from dermaloop.cases.records import ConfirmationEntry, Impression, SignOff, record
from dermaloop.cases.rows import find, of_case, require_open
from dermaloop.cases.tables import (
    CaseRow,
    ConfirmationRow,
    ImpressionRow,
    PredictionViewRow,
    SignOffRow,
    VisitRow,
)
from dermaloop.cases.words import Management, SignOffKind, Timing
from dermaloop.core.manifest import Confirmation
from dermaloop.core.taxonomy import ENTRIES, Diagnosis, Malignancy


def add_impression(
    session: Session, actor: Actor, case_id: str, *, management: str, diagnosis: str = "", text: str = ""
) -> Impression:
    """Writes down what a clinician thinks and does. Another one later is another entry; the latest counts.

    Args:
        session: From `Database.begin`.
        actor: Whose it is.
        case_id: Of which case.
        management: One of `words.Management`.
        diagnosis: One of the taxonomy's, or empty.
        text: Free text; needed where there is no diagnosis.

    Raises:
        RecordNotFoundError: There is no such case.
        InvalidRecordError: A field cannot be kept.
        ConflictError: The case is signed off.
    """
    case = find(session, CaseRow, case_id, "case")
    known = fields.word(diagnosis, Diagnosis, "diagnosis") if diagnosis else None
    words = fields.note(text, "text")
    if known is None and not words:
        raise InvalidRecordError("the impression is empty", where="diagnosis", way_out="Choose one, or write a text.")
    decided = fields.word(management, Management, "management")
    require_open(case)
    seen = session.scalar(
        sa.select(PredictionViewRow.prediction_id)
        .where(
            PredictionViewRow.case_id == case.id,
            PredictionViewRow.actor_kind == actor.person[0],
            PredictionViewRow.actor_id == actor.person[1],
        )
        .order_by(PredictionViewRow.seen_at.desc(), PredictionViewRow.prediction_id)
        .limit(1)
    )
    row = ImpressionRow(
        id=new_id(),
        patient_id=case.patient_id,
        case_id=case.id,
        made_at=now(),
        actor_kind=actor.person[0],
        actor_id=actor.person[1],
        actor_name=actor.name,
        diagnosis=known,
        text=words,
        management=decided,
        timing=Timing.BEFORE if seen is None else Timing.AFTER,
        seen_prediction_id=seen,
    )
    session.add(row)
    case.management = decided
    session.flush()
    about = {"case": case.id, "patient": case.patient_id, "timing": str(row.timing)}
    audit.append(session, actor, "impression.made", "impression", row.id, about)
    return record(Impression, row)


def sign_off(session: Session, actor: Actor, case_id: str) -> SignOff:
    """Signs a case off on its latest impression. A signed case takes no picture and no impression until it is reopened.

    Raises:
        RecordNotFoundError: There is no such case.
        ConflictError: It is signed already, or has no impression.
    """
    case = find(session, CaseRow, case_id, "case")
    require_open(case)
    impressions = of_case(session, ImpressionRow, case)
    if not impressions:
        raise ConflictError(
            "the case has no impression to sign", where=case.id, way_out="Write down your impression first."
        )
    row = _sign_off_row(actor, case, SignOffKind.SIGNED, "", impressions[-1].id)
    session.add(row)
    case.signed_at = row.made_at
    session.flush()
    audit.append(session, actor, "case.signed_off", "case", case.id, {"patient": case.patient_id, "entry": row.id})
    return record(SignOff, row)


def reopen(session: Session, actor: Actor, case_id: str, *, reason: str) -> SignOff:
    """Opens a signed case again; the reason is kept.

    Raises:
        RecordNotFoundError: There is no such case.
        InvalidRecordError: There is no reason.
        ConflictError: The case is open.
    """
    case = find(session, CaseRow, case_id, "case")
    why = fields.note(reason, "reason")
    if not why:
        raise InvalidRecordError("the reason is missing", where="reason", way_out="Say why the case is opened again.")
    if case.signed_at is None:
        raise ConflictError("the case is open", where=case.id, way_out="There is nothing to open again.")
    row = _sign_off_row(actor, case, SignOffKind.REOPENED, why, None)
    session.add(row)
    case.signed_at = None
    session.flush()
    audit.append(session, actor, "case.reopened", "case", case.id, {"patient": case.patient_id, "entry": row.id})
    return record(SignOff, row)


def _sign_off_row(actor: Actor, case: CaseRow, kind: SignOffKind, reason: str, impression_id: str | None) -> SignOffRow:
    return SignOffRow(
        id=new_id(),
        patient_id=case.patient_id,
        case_id=case.id,
        made_at=now(),
        actor_kind=actor.person[0],
        actor_id=actor.person[1],
        actor_name=actor.name,
        kind=kind,
        reason=reason,
        impression_id=impression_id,
    )


def add_confirmation(
    session: Session,
    actor: Actor,
    case_id: str,
    *,
    confirmation: str,
    confirmed_on: date,
    diagnosis: str = "",
    term: str = "",
    malignancy: str = "",
    confirmed_by: str = "",
    note: str = "",
    document: str = "",
    corrects_id: str | None = None,
) -> ConfirmationEntry:
    """Writes down what the lesion was. It answers this case and the lesion's cases of earlier visits.

    Args:
        session: From `Database.begin`.
        actor: Who writes it down.
        case_id: The case that the finding belongs to, e.g. at whose visit the lesion was taken out.
        confirmation: How it was confirmed, one of `core.manifest.Confirmation`, not unknown.
        confirmed_on: The day of the finding.
        diagnosis: One of the taxonomy's; empty where it has no place for the finding.
        term: The source's own word; needed without a diagnosis.
        malignancy: benign, indeterminate or malignant; needed without a diagnosis, else taken from the taxonomy.
        confirmed_by: Who confirmed it, e.g. a laboratory.
        note: Free text.
        document: Reference of the source document.
        corrects_id: The standing entry that this one corrects.

    Raises:
        RecordNotFoundError: There is no such case or entry.
        InvalidRecordError: A field cannot be kept.
        ConflictError: The entry to correct was corrected already.
    """
    case = find(session, CaseRow, case_id, "case")
    how = fields.word(confirmation, Confirmation, "confirmation")
    if how is Confirmation.UNKNOWN:
        raise InvalidRecordError(
            "it is not said how the diagnosis was confirmed", where="confirmation", way_out="Choose one."
        )
    known = fields.word(diagnosis, Diagnosis, "diagnosis") if diagnosis else None
    word = fields.line(term, "term", longest=200, required=known is None)
    side = ENTRIES[known].malignancy if known else fields.word(malignancy, Malignancy, "malignancy")
    row = ConfirmationRow(
        id=new_id(),
        patient_id=case.patient_id,
        lesion_id=case.lesion_id,
        case_id=case.id,
        made_at=now(),
        actor_kind=actor.person[0],
        actor_id=actor.person[1],
        actor_name=actor.name,
        diagnosis=known,
        term=word,
        malignancy=side,
        confirmation=how,
        confirmed_on=fields.day(confirmed_on, "confirmed_on"),
        confirmed_by=fields.line(confirmed_by, "confirmed_by", longest=200),
        note=fields.note(note, "note"),
        document=fields.line(document, "document", longest=200),
        corrects_id=None if corrects_id is None else _correctable(session, case.lesion_id, corrects_id).id,
        retracted=False,
    )
    return _add_confirmation(
        session, actor, row, "confirmation.made" if corrects_id is None else "confirmation.corrected"
    )


def retract_confirmation(session: Session, actor: Actor, confirmation_id: str, *, note: str) -> ConfirmationEntry:
    """Takes a confirmation back, e.g. one that was entered for the wrong lesion; the reason is kept.

    Raises:
        RecordNotFoundError: There is no such entry.
        InvalidRecordError: There is no reason.
        ConflictError: It was corrected already.
    """
    entry = find(session, ConfirmationRow, confirmation_id, "confirmation")
    former = _correctable(session, entry.lesion_id, confirmation_id)
    why = fields.note(note, "note")
    if not why:
        raise InvalidRecordError("the reason is missing", where="note", way_out="Say why the entry is taken back.")
    row = ConfirmationRow(
        id=new_id(),
        patient_id=former.patient_id,
        lesion_id=former.lesion_id,
        case_id=former.case_id,
        made_at=now(),
        actor_kind=actor.person[0],
        actor_id=actor.person[1],
        actor_name=actor.name,
        diagnosis=None,
        term="",
        malignancy=None,
        confirmation=former.confirmation,
        confirmed_on=former.confirmed_on,
        confirmed_by="",
        note=why,
        document="",
        corrects_id=former.id,
        retracted=True,
    )
    return _add_confirmation(session, actor, row, "confirmation.retracted")


def _correctable(session: Session, lesion_id: str, confirmation_id: str) -> ConfirmationRow:
    former = find(session, ConfirmationRow, confirmation_id, "confirmation")
    if former.lesion_id != lesion_id:
        raise InvalidRecordError(
            "the entry to correct is of another lesion", where="corrects_id", way_out="Choose one of this lesion."
        )
    corrected = sa.select(ConfirmationRow.id).where(ConfirmationRow.corrects_id == former.id)
    if former.retracted or session.scalar(corrected) is not None:
        raise ConflictError(
            "the entry was corrected or taken back already", where="corrects_id", way_out="Correct the latest entry."
        )
    return former


def _add_confirmation(session: Session, actor: Actor, row: ConfirmationRow, action: str) -> ConfirmationEntry:
    session.add(row)
    session.flush()
    update_confirmed(session, row.lesion_id)
    about = {"case": row.case_id, "lesion": row.lesion_id, "patient": row.patient_id, "corrects": row.corrects_id}
    audit.append(session, actor, action, "confirmation", row.id, about)
    return record(ConfirmationEntry, row)


def standing(entries: Iterable[ConfirmationEntry]) -> tuple[ConfirmationEntry, ...]:
    """The entries that count: neither corrected nor taken back; in their order, so that the last is the latest."""
    found = tuple(entries)
    corrected = {entry.corrects_id for entry in found}
    return tuple(entry for entry in found if not entry.retracted and entry.id not in corrected)


def update_confirmed(session: Session, lesion_id: str) -> None:
    """Brings `CaseRow.confirmed` of a lesion's cases up to date: a finding answers its own visit and those before."""
    rows = session.execute(
        sa.select(CaseRow, VisitRow.visited_on)
        .join(VisitRow, VisitRow.id == CaseRow.visit_id)
        .where(CaseRow.lesion_id == lesion_id)
    ).all()
    days = {case.id: visited_on for case, visited_on in rows}
    entries = session.scalars(sa.select(ConfirmationRow).where(ConfirmationRow.lesion_id == lesion_id)).all()
    known = standing(record(ConfirmationEntry, entry) for entry in entries)
    answered = max((days[entry.case_id] for entry in known), default=None)
    for case, visited_on in rows:
        case.confirmed = answered is not None and visited_on <= answered
    session.flush()
