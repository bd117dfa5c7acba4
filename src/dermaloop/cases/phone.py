"""Links by which a phone adds pictures to one open case, without signing in.

Owns their life: made at random, stored as a hash, for one case and one kind of picture, ended by time, by hand, by the
next link for the case, and with the account in whose name it works. Such a link opens nothing: who holds it sees what
the lesion is called and the day, and can add pictures. Refuses to know addresses and QR codes.

Tries with a secret that opens nothing are counted by address and refused beyond a limit, as wrong passwords are; the
secret itself, 256 random bits, cannot be guessed anyway.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import sqlalchemy as sa
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy.orm import Session

from dermaloop.cases import accounts, audit, fields, secret
from dermaloop.cases.actor import Actor
from dermaloop.cases.attempts import DatabaseStorage, place_of
from dermaloop.cases.database import new_id, now
from dermaloop.cases.errors import ConflictError
from dermaloop.cases.links import LinkError
from dermaloop.cases.phone_tables import PhoneLinkRow
from dermaloop.cases.roles import Role
from dermaloop.cases.rows import find, require_open
from dermaloop.cases.tables import CaseRow, LesionRow, PatientRow, VisitRow
from dermaloop.cases.words import PictureType

SUBJECT = "phone_link"
LIFETIME = timedelta(minutes=10)
"""How long a link can be used."""
MOST_PICTURES = 30
"""Pictures by one link."""
WRONG: RateLimitItem = RateLimitItemPerMinute(20, 10, namespace="phone")
"""Tries with links that do not work, from one address; a whole clinic may share one."""


@dataclass(frozen=True, slots=True)
class PhoneLink:
    """A link, without its secret. Times in UTC."""

    id: str
    case_id: str
    image_type: PictureType
    account_id: str
    made_at: datetime
    ends_at: datetime
    revoked_at: datetime | None
    pictures: int

    @property
    def works(self) -> bool:
        """Whether it is neither over nor ended."""
        return self.revoked_at is None and self.ends_at > now()


@dataclass(frozen=True, slots=True)
class Opened:
    """What who holds a link may know and do.

    Attributes:
        link: The link.
        lesion_number: Of the lesion, within its patient.
        lesion_label: The clinic's own word for the lesion.
        visited_on: Day of the visit.
        actor: As whom it adds.
    """

    link: PhoneLink
    lesion_number: int
    lesion_label: str
    visited_on: date
    actor: Actor


def make(session: Session, actor: Actor, case_id: str, *, image_type: str) -> tuple[str, PhoneLink]:
    """Makes a link and gives its secret, which is never shown again. The case's earlier links end.

    Args:
        session: From `Database.begin`.
        actor: A person, or a program in a person's name.
        case_id: For which case.
        image_type: What its pictures are, one of `words.PictureType`.

    Raises:
        RecordNotFoundError: There is no such case.
        ConflictError: It is signed off.
        InvalidRecordError: There is no such kind of picture.
        accounts.NoSuchAccountError: The actor is nobody's account.
    """
    case = find(session, CaseRow, case_id, "case")
    require_open(case)
    account = accounts.find(session, actor.person[1])
    kind = fields.word(image_type, PictureType, "image_type")
    present = now()
    _end(session, case.id)
    raw = secret.make()
    row = PhoneLinkRow(
        id=new_id(),
        secret_hash=secret.hashed(raw),
        case_id=case.id,
        patient_id=case.patient_id,
        image_type=kind,
        account_id=account.id,
        made_at=present,
        ends_at=present + LIFETIME,
        revoked_at=None,
        pictures=0,
    )
    session.add(row)
    session.flush()
    audit.append(session, actor, "phone_link.made", SUBJECT, row.id, {"case": case.id, "patient": case.patient_id})
    return raw, _link(row)


def revoke(session: Session, actor: Actor, case_id: str) -> int:
    """Ends every link of a case; gives how many worked until now.

    Raises:
        RecordNotFoundError: There is no such case.
    """
    case = find(session, CaseRow, case_id, "case")
    ended = _end(session, case.id)
    for link_id in ended:
        audit.append(session, actor, "phone_link.revoked", SUBJECT, link_id, {"case": case.id})
    return len(ended)


def _end(session: Session, case_id: str) -> list[str]:
    present = now()
    rows = session.scalars(
        sa.select(PhoneLinkRow).where(
            PhoneLinkRow.case_id == case_id, PhoneLinkRow.revoked_at.is_(None), PhoneLinkRow.ends_at > present
        )
    ).all()
    for row in rows:
        row.revoked_at = present
    session.flush()
    return [row.id for row in rows]


def state(session: Session, case_id: str, link_id: str) -> PhoneLink:
    """How a link stands, for the screen that shows its code. Nobody's data: reading it is not logged.

    Raises:
        LinkError: The case has no such link.
    """
    row = session.get(PhoneLinkRow, link_id) if accounts.is_id(link_id) else None
    if row is None or row.case_id != case_id:
        raise _over()
    return _link(row)


def look(session: Session, raw: str, address: str) -> Opened:
    """What a link opens, without using it.

    Args:
        session: Any.
        raw: The secret.
        address: Where it is used from.

    Raises:
        LinkError: It does not work.
    """
    row = _working(session, raw)
    account = accounts.find(session, row.account_id)
    case = session.get_one(CaseRow, row.case_id)
    lesion = session.get_one(LesionRow, case.lesion_id)
    visit = session.get_one(VisitRow, case.visit_id)
    actor = Actor("link", row.id, f"{account.name} / phone", address, account.id)
    return Opened(_link(row), lesion.number, lesion.label, visit.visited_on, actor)


def count(session: Session, raw: str, pictures: int) -> PhoneLink:
    """Counts pictures that came by a link, in the transaction that adds them: a link that ended meanwhile adds none.

    Raises:
        LinkError: It does not work any more.
        ConflictError: So many pictures have come by it that it takes no more.
    """
    row = _working(session, raw)
    if row.pictures + pictures > MOST_PICTURES:
        raise ConflictError(
            f"{MOST_PICTURES} pictures have come by this link", where="pictures", way_out="Show a new code."
        )
    row.pictures += pictures
    session.flush()
    return _link(row)


def refuse_guesses(session: Session, address: str) -> int:
    """Counts a try with a link that does not work.

    Args:
        session: From `Database.begin`.
        address: Where it came from.

    Returns:
        Seconds to wait where there were too many; 0 where there were not.
    """
    limiter = FixedWindowRateLimiter(DatabaseStorage(session))
    place = place_of(address)
    if limiter.hit(WRONG, place):
        return 0
    return max(1, math.ceil(limiter.get_window_stats(WRONG, place).reset_time - time.time()))


def _working(session: Session, raw: str) -> PhoneLinkRow:
    known = len(raw) <= secret.MOST_LENGTH
    row = (
        session.scalar(sa.select(PhoneLinkRow).where(PhoneLinkRow.secret_hash == secret.hashed(raw))) if known else None
    )
    if row is None or not _link(row).works:
        raise _over()
    account = accounts.find(session, row.account_id)
    patient = session.get_one(PatientRow, row.patient_id)
    case = session.get_one(CaseRow, row.case_id)
    allowed = account.enabled and account.role.covers(Role.CLINICIAN)
    if not allowed or patient.deleted_at is not None or case.signed_at is not None:
        raise _over()
    return row


def _over() -> LinkError:
    return LinkError("this link is over", way_out="Show a new code on the screen and scan it.")


def _link(row: PhoneLinkRow) -> PhoneLink:
    return PhoneLink(
        row.id, row.case_id, row.image_type, row.account_id, row.made_at, row.ends_at, row.revoked_at, row.pictures
    )
