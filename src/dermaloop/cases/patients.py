"""Patients, their lesions and their visits.

Owns making, changing and showing them, each with its audit entry in the same transaction. Refuses to ask for a name: a
patient is the clinic's own pseudonym. Deleting is `cases.deletion`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, fields
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.errors import ConflictError, InvalidRecordError
from dermaloop.cases.records import Case, Image, Lesion, Patient, Visit, record, records
from dermaloop.cases.rows import find
from dermaloop.cases.tables import CaseRow, ImageRow, LesionRow, PatientRow, VisitRow
from dermaloop.cases.words import Consent, Sex, View
from dermaloop.core.manifest import SITES

OLDEST_YEARS = 120
Changed = TypeVar("Changed", Patient, Lesion)


@dataclass(frozen=True, slots=True)
class PatientFile:
    """A patient with all that a page about them shows; lesions by number, visits and cases newest first."""

    patient: Patient
    lesions: tuple[Lesion, ...]
    visits: tuple[Visit, ...]
    cases: tuple[Case, ...]


def make_patient(
    session: Session,
    actor: Actor,
    *,
    pseudonym: str,
    birth_year: int | None = None,
    sex: str = "",
    skin_type: int | None = None,
    training_consent: str = Consent.NOT_GIVEN,
    note: str = "",
) -> Patient:
    """Makes a patient.

    Args:
        session: From `Database.begin`.
        actor: Who.
        pseudonym: The clinic's own; no other patient may have it, in any case or Unicode form.
        birth_year: Four digits, or None.
        sex: One of `words.Sex`.
        skin_type: Fitzpatrick, 1 to 6, or None.
        training_consent: Whether the pictures may train a model, one of `words.Consent`.
        note: Free text.

    Raises:
        InvalidRecordError: A field cannot be kept.
        ConflictError: The pseudonym is taken.
    """
    row = PatientRow(id=new_id(), made_at=now(), deleted_at=None)
    given: dict[str, Any] = {
        "birth_year": birth_year,
        "sex": sex,
        "skin_type": skin_type,
        "training_consent": training_consent,
    }
    _fill_patient(session, row, pseudonym=pseudonym, note=note, **given)
    session.add(row)
    session.flush()
    audit.append(session, actor, "patient.made", "patient", row.id)
    return record(Patient, row)


def change_patient(
    session: Session,
    actor: Actor,
    patient_id: str,
    *,
    pseudonym: str,
    birth_year: int | None,
    sex: str,
    skin_type: int | None,
    note: str,
    training_consent: str | None = None,
) -> Patient:
    """Changes a patient's fields; the audit log says which, never to what; but of consent, what it became.

    Without `training_consent` that stays as it is.

    Raises:
        RecordNotFoundError: There is no such patient.
        InvalidRecordError: A field cannot be kept.
        ConflictError: The pseudonym is taken.
    """
    row = find(session, PatientRow, patient_id, "patient")
    before = record(Patient, row)
    consent = before.training_consent if training_consent is None else training_consent
    given: dict[str, Any] = {"birth_year": birth_year, "sex": sex, "skin_type": skin_type, "training_consent": consent}
    _fill_patient(session, row, pseudonym=pseudonym, note=note, **given)
    return _changed(session, actor, before, row)


def _fill_patient(
    session: Session,
    row: PatientRow,
    *,
    pseudonym: str,
    birth_year: int | None,
    sex: str,
    skin_type: int | None,
    training_consent: str,
    note: str,
) -> None:
    name = fields.line(pseudonym, "pseudonym", required=True)
    year = fields.whole(birth_year, "birth_year", now().year - OLDEST_YEARS, now().year)
    known_sex = fields.word(sex, Sex, "sex")
    skin = fields.whole(skin_type, "skin_type", 1, 6)
    consent = fields.word(training_consent, Consent, "training_consent")
    text = fields.note(note, "note")
    key = fields.fold(name)
    with session.no_autoflush:
        taken = session.scalar(sa.select(PatientRow.id).where(PatientRow.pseudonym_key == key))
    if taken is not None and taken != row.id:
        raise ConflictError(
            "another patient has this pseudonym already",
            where="pseudonym",
            way_out="Open that patient, or use another.",
        )
    row.pseudonym, row.pseudonym_key, row.birth_year = name, key, year
    row.sex, row.skin_type, row.training_consent, row.note = known_sex, skin, consent, text


def show_patient(session: Session, actor: Actor, patient_id: str) -> PatientFile:
    """A patient with lesions, visits and cases.

    Raises:
        RecordNotFoundError: There is no such patient.
    """
    row = find(session, PatientRow, patient_id, "patient")
    audit.append(session, actor, "patient.seen", "patient", row.id)
    lesions = session.scalars(sa.select(LesionRow).where(LesionRow.patient_id == row.id).order_by(LesionRow.number))
    visits = session.scalars(
        sa.select(VisitRow)
        .where(VisitRow.patient_id == row.id)
        .order_by(VisitRow.visited_on.desc(), VisitRow.made_at.desc())
    )
    cases = session.scalars(
        sa.select(CaseRow)
        .join(VisitRow, VisitRow.id == CaseRow.visit_id)
        .where(CaseRow.patient_id == row.id)
        .order_by(VisitRow.visited_on.desc(), CaseRow.made_at.desc(), CaseRow.id)
    )
    return PatientFile(record(Patient, row), records(Lesion, lesions), records(Visit, visits), records(Case, cases))


def make_lesion(
    session: Session,
    actor: Actor,
    patient_id: str,
    *,
    site: str = "",
    view: str | None = None,
    x: float | None = None,
    y: float | None = None,
    label: str = "",
    note: str = "",
) -> Lesion:
    """Makes a lesion; it gets the patient's next number.

    Args:
        session: From `Database.begin`.
        actor: Who.
        patient_id: Whose.
        site: One of `core.manifest.SITES`, or empty.
        view: Side of the body map, `front` or `back`; with `x` and `y` or not at all.
        x: From the map's left edge, in [0, 1].
        y: From its top, in [0, 1].
        label: The clinic's own word for it.
        note: Free text.

    Raises:
        RecordNotFoundError: There is no such patient.
        InvalidRecordError: A field cannot be kept.
    """
    patient = find(session, PatientRow, patient_id, "patient")
    last = session.scalar(sa.select(sa.func.max(LesionRow.number)).where(LesionRow.patient_id == patient.id))
    row = LesionRow(id=new_id(), patient_id=patient.id, number=(last or 0) + 1, made_at=now())
    _fill_lesion(row, site=site, view=view, x=x, y=y, label=label, note=note)
    session.add(row)
    session.flush()
    audit.append(session, actor, "lesion.made", "lesion", row.id, {"patient": patient.id})
    return record(Lesion, row)


def change_lesion(
    session: Session,
    actor: Actor,
    lesion_id: str,
    *,
    site: str,
    view: str | None,
    x: float | None,
    y: float | None,
    label: str,
    note: str,
) -> Lesion:
    """Changes a lesion's place, label and note.

    Raises:
        RecordNotFoundError: There is no such lesion.
        InvalidRecordError: A field cannot be kept.
    """
    row = find(session, LesionRow, lesion_id, "lesion")
    before = record(Lesion, row)
    _fill_lesion(row, site=site, view=view, x=x, y=y, label=label, note=note)
    return _changed(session, actor, before, row)


def _fill_lesion(
    row: LesionRow, *, site: str, view: str | None, x: float | None, y: float | None, label: str, note: str
) -> None:
    point = (view or None, x, y)
    if any(part is None for part in point) and any(part is not None for part in point):
        raise InvalidRecordError(
            "a point on the body map needs its side, x and y", where="view", way_out="Give all three, or none."
        )
    row.site = fields.one_of(site, SITES, "site")
    row.view = None if not view else fields.word(view, View, "view")
    row.x, row.y = fields.number(x, "x", 0, 1), fields.number(y, "y", 0, 1)
    row.label, row.note = fields.line(label, "label"), fields.note(note, "note")


def make_visit(session: Session, actor: Actor, patient_id: str, *, visited_on: date, note: str = "") -> Visit:
    """Makes a visit.

    Raises:
        RecordNotFoundError: There is no such patient.
        InvalidRecordError: The day lies in the future or long past, or the note cannot be kept.
    """
    patient = find(session, PatientRow, patient_id, "patient")
    row = VisitRow(
        id=new_id(),
        patient_id=patient.id,
        visited_on=fields.day(visited_on, "visited_on"),
        note=fields.note(note, "note"),
        made_at=now(),
    )
    session.add(row)
    session.flush()
    audit.append(session, actor, "visit.made", "visit", row.id, {"patient": patient.id})
    return record(Visit, row)


def show_lesion(session: Session, actor: Actor, lesion_id: str) -> tuple[Lesion, tuple[tuple[Visit, Image], ...]]:
    """A lesion and its pictures over time, oldest visit first: what the follow-up view compares.

    Raises:
        RecordNotFoundError: There is no such lesion.
    """
    row = find(session, LesionRow, lesion_id, "lesion")
    audit.append(session, actor, "lesion.seen", "lesion", row.id)
    pairs: Sequence[Any] = session.execute(
        sa.select(VisitRow, ImageRow)
        .join(ImageRow, ImageRow.visit_id == VisitRow.id)
        .where(ImageRow.lesion_id == row.id, ImageRow.deleted_at.is_(None))
        .order_by(VisitRow.visited_on, ImageRow.made_at, ImageRow.id)
    ).all()
    return record(Lesion, row), tuple((record(Visit, visit), record(Image, image)) for visit, image in pairs)


def _changed(session: Session, actor: Actor, before: Changed, row: Any) -> Changed:
    """Writes the change and its entry, which names the fields; nothing where nothing changed."""
    after = record(type(before), row)
    names = [
        field.name for field in dataclasses.fields(after) if getattr(before, field.name) != getattr(after, field.name)
    ]
    if names:
        what = type(after).__name__.lower()
        session.flush()
        detail: dict[str, Any] = {"fields": names}
        if "training_consent" in names:  # an auditor must see when the pictures could train, and since when not
            detail["training_consent"] = str(row.training_consent)
        audit.append(session, actor, f"{what}.changed", what, row.id, detail)
    return after
