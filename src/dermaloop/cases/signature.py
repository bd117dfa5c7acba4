"""Signing a decision at the command line: who decides is a person with a password, not whoever holds the files.

Owns the check of name and password, counted like any attempt to sign in. Refuses to judge what is signed.
"""

from __future__ import annotations

from dermaloop.cases import account_passwords, accounts, attempts, audit, passwords
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Database
from dermaloop.core.errors import DermaloopError


class SignatureError(DermaloopError):
    """Name and password do not fit, or there were too many attempts."""

    code = "wrong_password"


def signed_by(database: Database, name: str, password: str, *, address: str) -> Actor:
    """The person whose name and password these are, as who acts.

    Args:
        database: Where the accounts are.
        name: As typed.
        password: As typed.
        address: Where it was typed, for counting attempts and for the log.

    Raises:
        SignatureError: They do not fit, or there were too many attempts. Which of the ways to fail it was is not told.
    """
    key = accounts.name_key(name)
    with database.begin() as session:
        admission = attempts.admit(session, key, address)
        try:
            account: accounts.Account | None = accounts.find_by_name(session, name)
        except accounts.NoSuchAccountError:
            account = None
        stored = None if account is None else account_passwords.stored_password(session, account.id)
    if not admission.admitted:
        minutes = -(-admission.retry_after_s // 60)
        raise SignatureError("there were too many attempts", where=name, way_out=f"Try again in {minutes} minutes.")
    right = passwords.verify(stored, password).ok
    with database.begin() as session:
        if right and account is not None:
            attempts.forgive(session, key, address)
            return Actor("account", account.id, account.name, address)
        subject = "unknown" if account is None else account.id
        actor = Actor("system", "sign-in", "sign-in", address)
        audit.append(session, actor, "account.sign_in_failed", accounts.SUBJECT, subject)
    raise SignatureError(
        "the name and the password do not fit",
        where=name,
        way_out="An account signs by its password; one without chooses it on the page 'My account'.",
    )
