"""The worklist: which cases wait for what, a page at a time.

Owns filters, orders and the cursor. A page is one query; the cursor holds the place where the last page ended (keyset),
so that pages neither repeat nor skip a case because others came or went in between. Refuses to show what the practice
hides: where an actor must write an impression first, the model's answer neither shows in a row, nor filters, nor sorts.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from dermaloop.cases import audit, fields
from dermaloop.cases.actor import Actor
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.feedback_tables import SuggestionRow
from dermaloop.cases.practice import read_practice
from dermaloop.cases.records import Case, record, without_answer
from dermaloop.cases.tables import CaseRow, ImageRow, ImpressionRow, LesionRow, PatientRow, PredictionRow, VisitRow
from dermaloop.cases.words import AWAITS_CONFIRMATION, CaseState, PictureType
from dermaloop.core.prediction import Decision

LARGEST_PAGE = 200
_DECIDED = {1: Decision.NO_REFERRAL, 2: Decision.REFER}


class Order(StrEnum):
    """How a worklist is sorted; equal ones by id, so that the order is total."""

    NEWEST = "newest"
    OLDEST = "oldest"
    SUSPICIOUS = "suspicious"


@dataclass(frozen=True, slots=True)
class Filter:
    """What a worklist shows. None and empty text mean any.

    Attributes:
        state: Where the case stands.
        declined: Whether the model declined on any of its pictures.
        search: Part of the patient's pseudonym, in any case.
        patient_id: Of one patient.
        order: How it is sorted.
        suggested: Only unconfirmed cases whose confirmation would teach the model most (`cases.suggestions`).
    """

    state: CaseState | None = None
    declined: bool | None = None
    search: str = ""
    patient_id: str = ""
    order: Order = Order.NEWEST
    suggested: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One case of a worklist.

    Attributes:
        case: The case; without the answer where that is hidden.
        pseudonym: The patient's.
        lesion_number: Within the patient.
        lesion_label: The clinic's own word for it.
        site: Body site.
        visited_on: Day of the visit.
        images: How many pictures it has.
        cover_image_id: Its first dermoscopic picture, else its first; None without pictures.
        answer_hidden: Whether the model's answer is hidden from who asked.
        decision: What the model decided: refer where it did so on any of the case's pictures; none where hidden.
    """

    case: Case
    pseudonym: str
    lesion_number: int
    lesion_label: str
    site: str
    visited_on: date
    images: int
    cover_image_id: str | None
    answer_hidden: bool
    decision: Decision


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a worklist; `cursor` leads to the next one, None at the end."""

    rows: tuple[Row, ...]
    cursor: str | None


def worklist(
    session: Session, actor: Actor, wanted: Filter | None = None, *, cursor: str | None = None, limit: int = 50
) -> Page:
    """A page of cases.

    Args:
        session: From `Database.begin`: who looked at which cases is logged.
        actor: Who looks.
        wanted: What to show; None shows all, newest first.
        cursor: Where the page before ended, as it was given; with the same order.
        limit: Cases on the page, 1 to 200.

    Raises:
        InvalidRecordError: The cursor was not given by this function for this order, or `limit` is out of range.
    """
    wanted = wanted or Filter()
    fields.whole(limit, "limit", 1, LARGEST_PAGE)
    hidden = _hidden(session, actor)
    key, descending = _key(wanted.order, hidden)
    query = (
        sa.select(CaseRow, PatientRow.pseudonym, LesionRow, VisitRow.visited_on, hidden, key, *_pictures(), _decision())
        .join(PatientRow, PatientRow.id == CaseRow.patient_id)
        .join(LesionRow, LesionRow.id == CaseRow.lesion_id)
        .join(VisitRow, VisitRow.id == CaseRow.visit_id)
        .where(*_conditions(wanted, hidden))
        .order_by(*((key.desc(), CaseRow.id.desc()) if descending else (key, CaseRow.id)))
        .limit(limit + 1)
    )
    if cursor is not None:
        value, last_id = _read_cursor(cursor, wanted.order)
        place = sa.tuple_(sa.literal(value, key.type), sa.literal(last_id))
        query = query.where(sa.tuple_(key, CaseRow.id) < place if descending else sa.tuple_(key, CaseRow.id) > place)
    found = session.execute(query).all()
    rows = tuple(_row(*one) for one in found[:limit])
    following = None
    if len(found) > limit:
        following = _write_cursor(wanted.order, found[limit - 1][5], rows[-1].case.id)
    detail = {"cases": [row.case.id for row in rows], "searched": bool(wanted.search)}
    audit.append(session, actor, "worklist.seen", "worklist", str(wanted.order), detail)
    return Page(rows, following)


def counts(session: Session, actor: Actor) -> dict[str, int]:
    """How many cases are open, await confirmation, are done, and were declined; for the heads of the lists."""
    hidden = _hidden(session, actor)
    found = {}
    for state in CaseState:
        query = sa.select(sa.func.count()).select_from(CaseRow).where(*_conditions(Filter(state=state), hidden))
        found[str(state)] = session.scalar(query) or 0
    declined = sa.select(sa.func.count()).select_from(CaseRow).where(*_conditions(Filter(declined=True), hidden))
    return {**found, "declined": session.scalar(declined) or 0}


def count_suggested(session: Session, actor: Actor) -> int:
    """How many suggested cases wait for their confirmation still."""
    query = sa.select(sa.func.count()).select_from(CaseRow)
    return session.scalar(query.where(*_conditions(Filter(suggested=True), _hidden(session, actor)))) or 0


def _row(  # noqa: PLR0917 - the query's columns, in its order
    case: CaseRow,
    pseudonym: str,
    lesion: LesionRow,
    visited_on: date,
    hidden: bool,  # noqa: FBT001
    _key_value: Any,
    images: int,
    cover: str | None,
    decided: int | None,
) -> Row:
    whole = record(Case, case)
    return Row(
        case=without_answer(whole) if hidden else whole,
        pseudonym=pseudonym,
        lesion_number=lesion.number,
        lesion_label=lesion.label,
        site=lesion.site,
        visited_on=visited_on,
        images=images,
        cover_image_id=cover,
        answer_hidden=bool(hidden),
        decision=Decision.NONE if hidden or not decided else _DECIDED[decided],
    )


def _hidden(session: Session, actor: Actor) -> sa.ColumnElement[bool]:
    """As `answers.answer_is_hidden`, for a query."""
    if not read_practice(session).hide_answer_until_impression:
        return sa.false()
    kind, person = actor.person
    own = sa.exists().where(
        ImpressionRow.case_id == CaseRow.id, ImpressionRow.actor_kind == kind, ImpressionRow.actor_id == person
    )
    return sa.and_(CaseRow.signed_at.is_(None), ~own)


def _key(order: Order, hidden: sa.ColumnElement[bool]) -> tuple[sa.ColumnElement[Any], bool]:
    """What an order sorts by, and whether from the top."""
    if order is Order.SUSPICIOUS:
        if isinstance(hidden, sa.False_):
            return CaseRow.suspicion.expression, True
        return sa.case((hidden, sa.literal(-1.0)), else_=CaseRow.suspicion), True
    return CaseRow.made_at.expression, order is Order.NEWEST


def _conditions(wanted: Filter, hidden: sa.ColumnElement[bool]) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = [CaseRow.deleted_at.is_(None)]
    waits = sa.and_(CaseRow.management.in_(AWAITS_CONFIRMATION), ~CaseRow.confirmed)
    if wanted.state is CaseState.OPEN:
        conditions.append(CaseRow.signed_at.is_(None))
    elif wanted.state is CaseState.AWAITING:
        conditions += [CaseRow.signed_at.is_not(None), waits]
    elif wanted.state is CaseState.DONE:
        conditions += [CaseRow.signed_at.is_not(None), sa.or_(CaseRow.management.is_(None), ~waits)]
    if wanted.declined is not None:
        conditions += [CaseRow.declined.is_(wanted.declined), ~hidden]
    if wanted.suggested:  # made from the model's uncertainty, so it is hidden with the answer
        conditions += [CaseRow.id.in_(sa.select(SuggestionRow.case_id)), ~CaseRow.confirmed, ~hidden]
    if wanted.patient_id:
        conditions.append(CaseRow.patient_id == wanted.patient_id)
    if wanted.search.strip():
        part = fields.fold(fields.line(wanted.search, "search"))
        owners = sa.select(PatientRow.id).where(PatientRow.pseudonym_key.contains(part, autoescape=True))
        conditions.append(CaseRow.patient_id.in_(owners))
    return conditions


def _pictures() -> tuple[sa.ScalarSelect[Any], sa.ScalarSelect[Any]]:
    """How many pictures a case has, and which one stands for it."""
    own = (ImageRow.case_id == CaseRow.id, ImageRow.deleted_at.is_(None))
    number = sa.select(sa.func.count()).select_from(ImageRow).where(*own).correlate(CaseRow).scalar_subquery()
    first = sa.case((ImageRow.image_type == PictureType.DERMOSCOPIC, 0), else_=1)
    cover = (
        sa.select(ImageRow.id)
        .where(*own)
        .order_by(first, ImageRow.made_at, ImageRow.id)
        .limit(1)
        .correlate(CaseRow)
        .scalar_subquery()
    )
    return number, cover


def _decision() -> sa.ScalarSelect[Any]:
    """What the model decided on a case, by its latest answer on each picture, as a key of `_DECIDED`."""
    later = aliased(PredictionRow)
    superseded = sa.exists().where(later.image_id == PredictionRow.image_id, later.made_at > PredictionRow.made_at)
    weight = sa.case(
        (PredictionRow.decision == Decision.REFER, 2), (PredictionRow.decision == Decision.NO_REFERRAL, 1), else_=0
    )
    return (
        sa.select(sa.func.max(weight))
        .where(PredictionRow.case_id == CaseRow.id, ~superseded)
        .correlate(CaseRow)
        .scalar_subquery()
    )


def _write_cursor(order: Order, value: float | datetime, last_id: str) -> str:
    plain = value.isoformat() if isinstance(value, datetime) else value
    return base64.urlsafe_b64encode(json.dumps([str(order), plain, last_id]).encode()).decode()


def _read_cursor(cursor: str, order: Order) -> tuple[float | datetime, str]:
    try:
        made_for, value, last_id = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        place = float(value) if order is Order.SUSPICIOUS else _aware(datetime.fromisoformat(value))
    except (ValueError, TypeError, binascii.Error) as error:
        raise _bad_cursor() from error
    if made_for != order or not (isinstance(last_id, str) and last_id.isascii() and last_id.isprintable()):
        raise _bad_cursor()
    return place, last_id


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time without zone")
    return value


def _bad_cursor() -> InvalidRecordError:
    return InvalidRecordError(
        "the cursor does not belong to this list", where="cursor", way_out="Begin at the first page."
    )
