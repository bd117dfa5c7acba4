"""The hash of an account's password: whether there is one, and what ends when it changes.

Owns that one field. Refuses to know passwords themselves and how they are hashed: that is `cases.passwords`.
"""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dermaloop.cases.account_tables import AccountRow
from dermaloop.cases.accounts import Account, account_of, drop_links, end_sign_ins, row_of, tell
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import now
from dermaloop.cases.roles import Role


def stored_password(session: Session, account_id: str) -> str | None:
    """The hash of an enabled account's password; None where there is none."""
    row = session.get(AccountRow, account_id)
    return None if row is None or row.disabled_at is not None else row.password_hash


def someone_has_a_password(session: Session) -> bool:
    """Whether anybody can sign in by password."""
    wanted = select(AccountRow.id).where(AccountRow.password_hash.isnot(None), AccountRow.disabled_at.is_(None))
    return session.scalar(wanted.limit(1)) is not None


def an_admin_has_a_password(session: Session) -> bool:
    """Whether an administrator can sign in by password."""
    wanted = select(AccountRow.id).where(
        AccountRow.password_hash.isnot(None), AccountRow.disabled_at.is_(None), AccountRow.role == Role.ADMIN.value
    )
    return session.scalar(wanted.limit(1)) is not None


def set_password(session: Session, actor: Actor, account_id: str, password_hash: str) -> Account:
    """Stores a new password. Every sign-in and one-time link of the account ends: whoever else was in is out.

    Args:
        session: A transaction that may write.
        actor: Who sets it.
        account_id: Whose.
        password_hash: By `passwords.hash_password`, after `passwords.check_rules`.

    Raises:
        NoSuchAccountError: There is none.
    """
    row = row_of(session, account_id)
    first = row.password_hash is None
    row.password_hash, row.password_at = password_hash, now()
    end_sign_ins(session, row.id)
    drop_links(session, row.id)
    tell(session, actor, "account.password_set", row, {"first": first})
    return account_of(row)


def renew_hash(session: Session, account_id: str, before: str, after: str) -> None:
    """Stores the same password under newer parameters, unless it was changed since."""
    session.execute(
        update(AccountRow)
        .where(AccountRow.id == account_id, AccountRow.password_hash == before)
        .values(password_hash=after)
    )
