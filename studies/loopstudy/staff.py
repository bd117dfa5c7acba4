"""Who works in the study's practice: accounts and tokens, made by an administrator before the service starts.

Owns the people, and the file in which the study keeps what they prove themselves by. It has the rights of a secret
though nothing in the study's store is one.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from dermaloop.cases import account_passwords, accounts, passwords, tokens
from dermaloop.cases.accounts import Account, NoSuchAccountError
from dermaloop.cases.actor import system
from dermaloop.cases.database import Transaction
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.store import Store
from dermaloop.core.files import replacing
from loopstudy import ids

CLINICIANS = ("Dr. Adams", "Dr. Baker", "Dr. Costa", "Dr. Duarte")
LEAD = "Dr. Lead"
ADMIN = system("study")
_CLINICIANS_MAY = (Scope.CASES_READ, Scope.CASES_WRITE)
_LEAD_MAY = (Scope.CASES_READ, Scope.CLASSIFY, Scope.FEEDBACK_REVIEW, Scope.MODELS_READ, Scope.MODELS_DECIDE)


@dataclass(frozen=True)
class Credentials:
    """What a person proves themselves by.

    Attributes:
        token: For the API.
        password: The signature below a decision; empty for who decides nothing.
    """

    token: str
    password: str


def hired(store: Store, keep: Path) -> dict[str, Credentials]:
    """Everybody's credentials by name; accounts and tokens are made where those in the file do not work.

    The ids of the accounts are the same in every run: a confirmation bears its author's.

    Args:
        store: The practice's.
        keep: The file.
    """
    known = {name: Credentials(**one) for name, one in _read(keep).items()}
    with store.database.begin() as session, ids.replaced():
        if known and all(tokens.resolve(session, one.token) for one in known.values()):
            return known
        made = {name: _hire(session, name, Role.CLINICIAN) for name in CLINICIANS}
        made[LEAD] = _hire(session, LEAD, Role.LEAD)
        with replacing(keep) as temporary:  # before the transaction ends: a token that nobody knows is none
            temporary.touch(mode=0o600)
            temporary.write_text(json.dumps({name: asdict(one) for name, one in made.items()}), encoding="utf-8")
    return made


def _read(keep: Path) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(keep.read_text(encoding="utf-8")) if keep.is_file() else {}
    return found


def _hire(session: Transaction, name: str, role: Role) -> Credentials:
    password = secrets.token_urlsafe(24) if role is Role.LEAD else ""
    account = _account(session, name, role, password)
    scopes = _LEAD_MAY if role is Role.LEAD else _CLINICIANS_MAY
    token, _ = tokens.make(session, ADMIN, account.id, name="study", scopes=scopes, days=tokens.MOST_DAYS)
    return Credentials(token, password)


def _account(session: Transaction, name: str, role: Role, password: str) -> Account:
    hashed = passwords.hash_password(password) if password else None
    try:
        account = accounts.find_by_name(session, name)
    except NoSuchAccountError:
        with ids.drawn_from(name):
            return accounts.create(session, ADMIN, name, role, password_hash=hashed)
    return account if hashed is None else account_passwords.set_password(session, ADMIN, account.id, hashed)
