"""Tokens: keys by which a program uses the API in somebody's name, within scopes and until a date.

Owns their life. Refuses to know HTTP. A token never does more than its account may at that moment: when the role
shrinks or the account is disabled, so does the token.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from dermaloop.cases import accounts, audit, secret
from dermaloop.cases.account_tables import TokenRow
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import new_id, now
from dermaloop.cases.roles import NEEDS, Scope, format_scopes, parse_scopes, scopes_for
from dermaloop.core.errors import DermaloopError

PREFIX = "dermaloop_"
"""Begins every token, so that a search for leaked secrets finds it."""
SUBJECT = "token"
MOST_DAYS = 366
_MOST_PER_ACCOUNT = 50
_MOST_NAME_LENGTH = 64
_TOUCH = timedelta(seconds=60)


class TokenError(DermaloopError):
    """A token that cannot be made as asked."""

    code = "token"


@dataclass(frozen=True, slots=True)
class Token:
    """One token, without its secret. Times in UTC."""

    id: str
    account_id: str
    name: str
    scopes: frozenset[Scope]
    made_at: datetime
    ends_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None

    @property
    def works(self) -> bool:
        """Whether it is neither revoked nor over."""
        return self.revoked_at is None and self.ends_at > now()


def make(
    session: Session, actor: Actor, account_id: str, *, name: str, scopes: Iterable[Scope], days: int
) -> tuple[str, Token]:
    """Makes a token and gives its secret, which is never shown again.

    Args:
        session: A transaction that may write.
        actor: Who makes it.
        account_id: In whose name it works.
        name: What it is for.
        scopes: At least one; each within the account's role.
        days: Until it ends, 1 to `MOST_DAYS`.

    Raises:
        TokenError: One of these cannot be used.
        accounts.NoSuchAccountError: There is no such account.
    """
    account = accounts.find(session, account_id)
    chosen = frozenset(scopes)
    text = _checked(name, chosen, days, account)
    held = [one for one in listing(session, account_id) if one.works]
    if len(held) >= _MOST_PER_ACCOUNT:
        raise TokenError(
            f"{account.name!r} has {len(held)} tokens already", where="token", way_out="Revoke those not used any more."
        )
    present = now()
    raw = secret.make(PREFIX)
    row = TokenRow(
        id=new_id(),
        secret_hash=secret.hashed(raw),
        account_id=account_id,
        name=text,
        scopes=format_scopes(chosen),
        made_at=present,
        ends_at=present + timedelta(days=days),
    )
    session.add(row)
    session.flush()
    detail = {"name": text, "scopes": row.scopes, "account": account_id, "ends": row.ends_at.isoformat()}
    audit.append(session, actor, "token.made", SUBJECT, row.id, detail)
    return raw, _token(row)


def _checked(name: str, scopes: frozenset[Scope], days: int, account: accounts.Account) -> str:
    text = name.strip()
    if not text or len(text) > _MOST_NAME_LENGTH or not text.isprintable():
        raise TokenError(
            f"a token's name has 1 to {_MOST_NAME_LENGTH} characters that can be seen",
            where="name",
            way_out="Say what the token is for.",
        )
    if not scopes:
        raise TokenError("no scope was chosen", where="scopes", way_out="Choose what the token may be used for.")
    beyond = [scope for scope in Scope if scope in scopes and scope not in scopes_for(account.role)]
    if beyond:
        raise TokenError(
            f"the scope {beyond[0].value!r} needs the role {NEEDS[beyond[0]].value!r}",
            where="scopes",
            way_out="Leave it out, or ask an administrator for the role.",
        )
    if not 1 <= days <= MOST_DAYS:
        raise TokenError(f"{days} days cannot be used", where="days", way_out=f"Choose 1 to {MOST_DAYS} days.")
    return text


def resolve(session: Session, raw: str) -> tuple[accounts.Account, Token, bool] | None:
    """Whose token this is, if it works. Reads only.

    Returns:
        The account, the token, and whether `touch` is due; None for a secret that opens nothing.
    """
    if len(raw) > secret.MOST_LENGTH or not raw.startswith(PREFIX):
        return None
    row = session.scalar(select(TokenRow).where(TokenRow.secret_hash == secret.hashed(raw)))
    return None if row is None else judge(accounts.find(session, row.account_id), _token(row))


def judge(account: accounts.Account, token: Token) -> tuple[accounts.Account, Token, bool] | None:
    """What `resolve` gives for a token that was read before; only right while no record has changed since."""
    if not token.works or not account.enabled:
        return None
    return account, token, token.used_at is None or token.used_at + _TOUCH <= now()


def touch(session: Session, actor: Actor, token_id: str) -> None:
    """Writes down that a token was used just now; its first use goes into the audit log."""
    present = now()
    first = session.execute(
        update(TokenRow).where(TokenRow.id == token_id, TokenRow.used_at.is_(None)).values(used_at=present)
    )
    if first.rowcount:  # type: ignore[attr-defined] # an UPDATE's result counts rows
        audit.append(session, actor, "token.first_used", SUBJECT, token_id, {})
    else:
        session.execute(update(TokenRow).where(TokenRow.id == token_id).values(used_at=present))


def revoke(session: Session, actor: Actor, account_id: str, token_id: str) -> bool:
    """Ends a token. False where the account has no such token: another's is never touched."""
    row = session.get(TokenRow, token_id) if accounts.is_id(token_id) else None
    if row is None or row.account_id != account_id or row.revoked_at is not None:
        return False
    row.revoked_at = now()
    session.flush()
    audit.append(session, actor, "token.revoked", SUBJECT, token_id, {"name": row.name})
    return True


def listing(session: Session, account_id: str) -> tuple[Token, ...]:
    """An account's tokens, the latest first, revoked and ended ones too."""
    rows = session.scalars(
        select(TokenRow).where(TokenRow.account_id == account_id).order_by(TokenRow.made_at.desc(), TokenRow.id)
    )
    return tuple(_token(row) for row in rows)


def _token(row: TokenRow) -> Token:
    return Token(
        row.id,
        row.account_id,
        row.name,
        parse_scopes(row.scopes),
        row.made_at,
        row.ends_at,
        row.used_at,
        row.revoked_at,
    )
