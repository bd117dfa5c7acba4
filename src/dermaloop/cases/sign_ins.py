"""Sign-ins: which browsers are signed in as whom, since when and until when.

Owns the server's side of a session: a random secret that the browser carries and of which only the hash is stored, an
end that no use can put off and one that each use does. Refuses to know cookies and passwords. Called sign-ins, because
a session is the database's.

Source: OWASP Session Management Cheat Sheet (renewal at sign-in; idle and absolute time-outs; ending all).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from dermaloop.cases import accounts, audit, secret
from dermaloop.cases.account_tables import AccountRow, SignInRow
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now

_TOUCH = timedelta(seconds=60)
"""A use is written down at most this often, so that reading pages does not write all the time."""
_BROWSER_LENGTH = 200
_ADDRESS_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a sign-in lasts.

    Attributes:
        idle: Without any use.
        absolute: With use.
    """

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True)
class SignIn:
    """One browser that is signed in. Times in UTC."""

    id: str
    account_id: str
    begun_at: datetime
    seen_at: datetime
    ends_at: datetime
    address: str
    browser: str


def begin(session: Session, actor: Actor, account_id: str, lifetime: Lifetime, *, browser: str, how: str) -> str:
    """Signs a browser in and gives the secret that it shall carry.

    Args:
        session: A transaction that may write.
        actor: The account itself, with its address.
        account_id: Whose.
        lifetime: How long it lasts.
        browser: What the browser calls itself; shown to its owner to tell sign-ins apart.
        how: `password` or `link`, for the audit log.
    """
    present = now()
    session.execute(delete(SignInRow).where(SignInRow.ends_at < present - timedelta(days=1)))
    raw = secret.make()
    row = SignInRow(
        id=new_id(),
        secret_hash=secret.hashed(raw),
        account_id=account_id,
        begun_at=present,
        seen_at=present,
        ends_at=present + lifetime.absolute,
        address=(actor.address or "")[:_ADDRESS_LENGTH],
        browser="".join(one for one in browser if one.isprintable())[:_BROWSER_LENGTH],
    )
    session.add(row)
    session.execute(update(AccountRow).where(AccountRow.id == account_id).values(last_sign_in_at=present))
    session.flush()
    audit.append(session, actor, "account.signed_in", accounts.SUBJECT, account_id, {"how": how, "sign_in": row.id})
    return raw


def resolve(session: Session, raw: str, lifetime: Lifetime) -> tuple[accounts.Account, SignIn, bool] | None:
    """Who carries this secret, if the sign-in still holds. Reads only.

    Returns:
        The account, the sign-in, and whether `touch` is due; None for a secret that opens nothing.
    """
    if len(raw) > secret.MOST_LENGTH:
        return None
    row = session.scalar(select(SignInRow).where(SignInRow.secret_hash == secret.hashed(raw)))
    return None if row is None else judge(accounts.find(session, row.account_id), _sign_in(row), lifetime)


def judge(
    account: accounts.Account, sign_in: SignIn, lifetime: Lifetime
) -> tuple[accounts.Account, SignIn, bool] | None:
    """What `resolve` gives for a sign-in that was read before; only right while no record has changed since."""
    present = now()
    if sign_in.ends_at <= present or sign_in.seen_at + lifetime.idle <= present or not account.enabled:
        return None
    return account, sign_in, sign_in.seen_at + _TOUCH <= present


def touch(session: Session, sign_in_id: str) -> None:
    """Writes down that a sign-in was used just now."""
    session.execute(update(SignInRow).where(SignInRow.id == sign_in_id).values(seen_at=now()))


def listing(session: Session, account_id: str, lifetime: Lifetime) -> tuple[SignIn, ...]:
    """An account's sign-ins that still hold, the latest used first."""
    present = now()
    rows = session.scalars(
        select(SignInRow)
        .where(
            SignInRow.account_id == account_id, SignInRow.ends_at > present, SignInRow.seen_at > present - lifetime.idle
        )
        .order_by(SignInRow.seen_at.desc(), SignInRow.id)
    )
    return tuple(_sign_in(row) for row in rows)


def end(session: Session, actor: Actor, account_id: str, sign_in_id: str) -> bool:
    """Signs one browser out. False where the account has no such sign-in: another's is never touched."""
    present = now()
    row = session.get(SignInRow, sign_in_id) if accounts.is_id(sign_in_id) else None
    if row is None or row.account_id != account_id or row.ends_at <= present:
        return False
    row.ends_at = present
    session.flush()
    audit.append(session, actor, "account.signed_out", accounts.SUBJECT, account_id, {"sign_in": sign_in_id})
    return True


def end_all(session: Session, actor: Actor, account_id: str) -> None:
    """Signs an account out everywhere."""
    present = now()
    session.execute(
        update(SignInRow).where(SignInRow.account_id == account_id, SignInRow.ends_at > present).values(ends_at=present)
    )
    audit.append(session, actor, "account.signed_out_everywhere", accounts.SUBJECT, account_id, {})


def _sign_in(row: SignInRow) -> SignIn:
    return SignIn(row.id, row.account_id, row.begun_at, row.seen_at, row.ends_at, row.address, row.browser)
