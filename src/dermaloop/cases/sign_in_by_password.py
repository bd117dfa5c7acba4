"""Signing in by name and password: the order of counting, checking and writing down.

Owns that order, and that every way of failing looks and lasts alike: an unknown name, a wrong password, an account
without a password and a disabled one. Refuses to know cookies and pages. Slow on purpose; runs in a worker thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from dermaloop.cases import account_passwords, accounts, attempts, audit, passwords, sign_ins
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Database
from dermaloop.cases.passwords import Verified
from dermaloop.cases.sign_ins import Lifetime

_NOBODY = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt.

    Attributes:
        secret: For the browser to carry; empty where the attempt failed.
        retry_after_s: Seconds to wait where there were too many attempts; else 0.
    """

    secret: str = ""
    retry_after_s: int = 0


def sign_in(database: Database, name: str, password: str, *, address: str, browser: str, lifetime: Lifetime) -> Outcome:
    """Signs a browser in, or says that name and password do not fit, or that it must wait.

    The attempt is counted in a first transaction and judged in a second; the slow check lies between the two, where it
    holds up nobody.

    Args:
        database: Where the accounts are.
        name: As typed.
        password: As typed.
        address: Where the attempt comes from.
        browser: What the browser calls itself.
        lifetime: How long the sign-in lasts.
    """
    key = accounts.name_key(name)
    with database.begin() as session:
        admission = attempts.admit(session, key, address)
        account, stored = _stored(session, name)
    if not admission.admitted:
        return Outcome(retry_after_s=admission.retry_after_s)
    verified = passwords.verify(stored, password)
    with database.begin() as session:
        if account is None or not _still_right(session, account, stored, verified):
            _tell_failure(session, account, address, locked=admission.just_locked)
            return Outcome()
        attempts.forgive(session, key, address)
        if verified.renewed and stored:
            account_passwords.renew_hash(session, account.id, stored, verified.renewed)
        actor = Actor("account", account.id, account.name, address)
        return Outcome(sign_ins.begin(session, actor, account.id, lifetime, browser=browser, how="password"))


def _stored(session: Session, name: str) -> tuple[accounts.Account | None, str | None]:
    try:
        account = accounts.find_by_name(session, name)
    except accounts.NoSuchAccountError:
        return None, None
    return account, account_passwords.stored_password(session, account.id)


def _still_right(session: Session, account: accounts.Account, stored: str | None, verified: Verified) -> bool:
    """Whether the password was right and still is: it may have been changed, or the account disabled, meanwhile."""
    return verified.ok and stored is not None and account_passwords.stored_password(session, account.id) == stored


def _tell_failure(session: Session, account: accounts.Account | None, address: str, *, locked: bool) -> None:
    """Into the audit log; a name that nobody has is not kept, since people type their password there by mistake."""
    actor = Actor("system", "sign-in", "sign-in", address)
    subject = _NOBODY if account is None else account.id
    audit.append(session, actor, "account.sign_in_failed", accounts.SUBJECT, subject)
    if locked:
        audit.append(session, actor, "account.locked_out", accounts.SUBJECT, subject)
