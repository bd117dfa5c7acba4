"""Accounts: who there is, in which role, and what happens when that changes.

Owns the rules about accounts (names, the last administrator, what ends when an account is disabled) and writes the
audit entry of each change in the same transaction. Refuses to know passwords (`cases.account_passwords`), cookies and
pages.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from dermaloop.cases import audit
from dermaloop.cases.account_tables import AccountRow, LinkRow, SignInRow, TokenRow
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.provisioning import require_may_disable, require_may_give
from dermaloop.cases.roles import Role
from dermaloop.core.errors import DermaloopError

SUBJECT = "account"
OWNER_NAME = "owner"
MOST_NAME_LENGTH = 64
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class AccountError(DermaloopError):
    """Something about an account that cannot be done: a name taken, the last administrator."""

    code = "account"


class NoSuchAccountError(AccountError):
    """No account has this name or id."""

    code = "not_found"


@dataclass(frozen=True, slots=True)
class Account:
    """One person's account. Times in UTC."""

    id: str
    name: str
    role: Role
    has_password: bool
    created_at: datetime
    disabled_at: datetime | None
    last_sign_in_at: datetime | None

    @property
    def enabled(self) -> bool:
        """Whether it can be used at all."""
        return self.disabled_at is None


def name_key(name: str) -> str:
    """The name as it is compared: normalised, case-folded; two that look alike in case only are one.

    Takes anything that can be typed or sent, also what no database keeps: it then equals no name.
    """
    plain = name.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", plain.strip()).casefold())


def is_id(text: str) -> bool:
    """Whether a text can be the id of a record at all; anything else need not be looked up."""
    return _ID.fullmatch(text) is not None


def check_name(name: str) -> str:
    """The name as it is kept.

    Raises:
        AccountError: It is empty or overlong, or holds characters that nobody can see.
    """
    text = unicodedata.normalize("NFKC", name).strip()
    if not text or len(text) > MOST_NAME_LENGTH:
        raise AccountError(
            f"a name has 1 to {MOST_NAME_LENGTH} characters", where="name", way_out="Choose another one."
        )
    # isprintable() also refuses the marks that turn the direction of writing, with which one name can look like another
    if not text.isprintable():
        raise AccountError(
            "the name holds a character that cannot be seen", where="name", way_out="Type it instead of pasting it."
        )
    return text


def create(session: Session, actor: Actor, name: str, role: Role, *, password_hash: str | None = None) -> Account:
    """Makes an account.

    Args:
        session: A transaction that may write.
        actor: Who makes it.
        name: As it shall be shown and typed; unique but for case.
        role: What it may do.
        password_hash: By `passwords.hash_password`; None until the person has chosen one.

    Raises:
        AccountError: The name cannot be used or is taken.
        PersonNeededError: A program may not give this role.
    """
    require_may_give(actor, role)
    text = check_name(name)
    key = name_key(text)
    if session.scalar(select(AccountRow.id).where(AccountRow.name_key == key)):
        raise AccountError(f"there is already an account {text!r}", where="name", way_out="Choose another name.")
    present = now()
    row = AccountRow(
        id=new_id(),
        name=text,
        name_key=key,
        role=role.value,
        password_hash=password_hash,
        created_at=present,
        password_at=present if password_hash else None,
    )
    session.add(row)
    session.flush()
    tell(session, actor, "account.created", row, {"name": text, "role": role.value})
    return account_of(row)


def find(session: Session, account_id: str) -> Account:
    """The account of this id.

    Raises:
        NoSuchAccountError: There is none.
    """
    return account_of(row_of(session, account_id))


def find_by_name(session: Session, name: str) -> Account:
    """The account of this name, whatever its case.

    Raises:
        NoSuchAccountError: There is none.
    """
    row = session.scalar(select(AccountRow).where(AccountRow.name_key == name_key(name)))
    if row is None:
        raise NoSuchAccountError(
            f"there is no account {name!r}", where="name", way_out="'dermaloop account list' shows all."
        )
    return account_of(row)


def listing(session: Session) -> tuple[Account, ...]:
    """Every account by name, the disabled ones last."""
    rows = session.scalars(select(AccountRow).order_by(AccountRow.disabled_at.isnot(None), AccountRow.name_key))
    return tuple(account_of(row) for row in rows)


def owner(session: Session, actor: Actor) -> Account:
    """The administrator whom the first one-time link signs in: the oldest enabled one, made where there is none."""
    row = session.scalar(
        select(AccountRow)
        .where(AccountRow.role == Role.ADMIN.value, AccountRow.disabled_at.is_(None))
        .order_by(AccountRow.created_at, AccountRow.id)
        .limit(1)
    )
    return create(session, actor, OWNER_NAME, Role.ADMIN) if row is None else account_of(row)


def set_name(session: Session, actor: Actor, account_id: str, name: str) -> Account:
    """Renames an account.

    Raises:
        AccountError: The name cannot be used or is taken, or there is no such account.
    """
    row = row_of(session, account_id)
    text = check_name(name)
    key = name_key(text)
    if text == row.name:
        return account_of(row)
    taken = session.scalar(select(AccountRow.id).where(AccountRow.name_key == key, AccountRow.id != row.id))
    if taken:
        raise AccountError(f"there is already an account {text!r}", where="name", way_out="Choose another name.")
    before, row.name, row.name_key = row.name, text, key
    tell(session, actor, "account.renamed", row, {"from": before, "to": text})
    return account_of(row)


def set_role(session: Session, actor: Actor, account_id: str, role: Role) -> Account:
    """Gives another role. It holds from the next request on, for tokens too.

    Raises:
        AccountError: There is no such account, or it is the last administrator's.
    """
    row = row_of(session, account_id)
    require_may_give(actor, Role(row.role), role)
    if row.role == role.value:
        return account_of(row)
    if row.role == Role.ADMIN.value:
        _require_another_admin(session, row)
    before, row.role = row.role, role.value
    tell(session, actor, "account.role_changed", row, {"from": before, "to": role.value})
    return account_of(row)


def disable(session: Session, actor: Actor, account_id: str) -> Account:
    """Ends everything an account can do: its sign-ins, tokens and links; its records stay.

    Raises:
        AccountError: There is no such account, or it is the last administrator's.
    """
    row = row_of(session, account_id)
    require_may_disable(actor, Role(row.role))
    if row.disabled_at is not None:
        return account_of(row)
    if row.role == Role.ADMIN.value:
        _require_another_admin(session, row)
    present = now()
    row.disabled_at = present
    end_sign_ins(session, row.id)
    session.execute(
        update(TokenRow).where(TokenRow.account_id == row.id, TokenRow.revoked_at.is_(None)).values(revoked_at=present)
    )
    drop_links(session, row.id)
    tell(session, actor, "account.disabled", row, {})
    return account_of(row)


def enable(session: Session, actor: Actor, account_id: str) -> Account:
    """Lets an account sign in again, with the password it had. Its tokens stay revoked.

    Raises:
        NoSuchAccountError: There is none.
    """
    row = row_of(session, account_id)
    require_may_give(actor, Role(row.role))
    if row.disabled_at is not None:
        row.disabled_at = None
        tell(session, actor, "account.enabled", row, {})
    return account_of(row)


def end_sign_ins(session: Session, account_id: str) -> None:
    """Ends every sign-in of an account."""
    present = now()
    session.execute(
        update(SignInRow).where(SignInRow.account_id == account_id, SignInRow.ends_at > present).values(ends_at=present)
    )


def drop_links(session: Session, account_id: str) -> None:
    """Ends every unused one-time link of an account."""
    present = now()
    session.execute(
        update(LinkRow).where(LinkRow.account_id == account_id, LinkRow.used_at.is_(None)).values(used_at=present)
    )


def _require_another_admin(session: Session, row: AccountRow) -> None:
    others = session.scalar(
        select(func.count())
        .select_from(AccountRow)
        .where(AccountRow.role == Role.ADMIN.value, AccountRow.disabled_at.is_(None), AccountRow.id != row.id)
    )
    if not others:
        raise AccountError(
            f"{row.name!r} is the only administrator", where="role", way_out="Make somebody else one first."
        )


def row_of(session: Session, account_id: str) -> AccountRow:
    """The row of an account.

    Raises:
        NoSuchAccountError: There is none.
    """
    row = session.get(AccountRow, account_id) if is_id(account_id) else None
    if row is None:
        raise NoSuchAccountError("there is no such account", where="account", way_out="The list of people shows all.")
    return row


def account_of(row: AccountRow) -> Account:
    """A row as its record."""
    return Account(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        has_password=row.password_hash is not None,
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        last_sign_in_at=row.last_sign_in_at,
    )


def tell(session: Session, actor: Actor, action: str, row: AccountRow, detail: dict[str, object]) -> None:
    """Appends what was done with an account to the audit log."""
    audit.append(session, actor, action, SUBJECT, row.id, dict(detail))
