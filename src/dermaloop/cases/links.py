"""Links that work once: the owner's first sign-in, and the one by which an invited person chooses a password.

Owns their life: made at random, stored as a hash, used once, ended by time. Refuses to know addresses: the server puts
the secret into one. Nothing is mailed; who makes a link hands it over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete
from sqlalchemy.orm import Session

from dermaloop.cases import accounts, audit, secret
from dermaloop.cases.account_tables import AccountRow, LinkRow
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import now
from dermaloop.cases.provisioning import require_may_give
from dermaloop.core.errors import DermaloopError

_KEPT = timedelta(days=30)


class Purpose(StrEnum):
    """What a link does."""

    ENTER = "enter"
    PASSWORD = "password"  # noqa: S105 - a purpose, not a secret


LIFETIME: dict[Purpose, timedelta] = {Purpose.ENTER: timedelta(hours=1), Purpose.PASSWORD: timedelta(days=3)}
"""How long a link can be used."""


class LinkError(DermaloopError):
    """A link that does not work (any more). The text is the same for used, ended and never made."""

    code = "link"


@dataclass(frozen=True, slots=True)
class Link:
    """A link that works now."""

    purpose: Purpose
    account: accounts.Account
    ends_at: datetime


def make(session: Session, actor: Actor, account_id: str, purpose: Purpose) -> str:
    """Makes a link and gives its secret, which is never shown again.

    A new link to choose a password ends the earlier ones.

    Raises:
        accounts.AccountError: There is no such account, or it is disabled.
        PersonNeededError: A program may not: who holds the link becomes that person.
    """
    account = accounts.find(session, account_id)
    require_may_give(actor, account.role)
    if not account.enabled:
        raise accounts.AccountError(
            f"{account.name!r} is disabled", where="account", way_out="Enable the account first."
        )
    present = now()
    session.execute(delete(LinkRow).where(LinkRow.ends_at < present - _KEPT))
    if purpose is Purpose.PASSWORD:
        accounts.drop_links(session, account_id)
    raw = secret.make()
    session.add(
        LinkRow(
            secret_hash=secret.hashed(raw),
            purpose=purpose.value,
            account_id=account_id,
            made_at=present,
            ends_at=present + LIFETIME[purpose],
        )
    )
    session.flush()
    audit.append(session, actor, "link.made", accounts.SUBJECT, account_id, {"purpose": purpose.value})
    return raw


def for_owner(session: Session, actor: Actor) -> str:
    """Makes a link that signs the owner in; where there is no administrator yet, the owner's account is made.

    Only for whoever holds the store's files anyway: the command line.
    """
    return make(session, actor, accounts.owner(session, actor).id, Purpose.ENTER)


def look(session: Session, raw: str, purpose: Purpose) -> Link:
    """The link of this secret, without using it.

    Raises:
        LinkError: It does not work.
    """
    return _working(session, raw, purpose)[1]


def use(session: Session, raw: str, purpose: Purpose) -> Link:
    """Uses the link; it does not work again, also for another request at the same moment.

    Raises:
        LinkError: It does not work.
    """
    row, link = _working(session, raw, purpose)
    row.used_at = now()
    session.flush()
    return link


def _working(session: Session, raw: str, purpose: Purpose) -> tuple[LinkRow, Link]:
    known = len(raw) <= secret.MOST_LENGTH
    row = session.get(LinkRow, secret.hashed(raw)) if known else None
    account = session.get(AccountRow, row.account_id) if row is not None else None
    if (
        row is None
        or account is None
        or row.purpose != purpose.value
        or row.used_at is not None
        or row.ends_at <= now()
        or account.disabled_at is not None
    ):
        ways = {
            Purpose.ENTER: "Make a new one on this computer with 'dermaloop account link', or sign in.",
            Purpose.PASSWORD: "Ask an administrator for a new one.",
        }
        raise LinkError("this link was used already, or its time is over", way_out=ways[purpose])
    return row, Link(purpose, accounts.find(session, row.account_id), row.ends_at)
