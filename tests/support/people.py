"""A store with people in it, and browsers and programs that are signed in there."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from dermaloop.cases import accounts, sign_ins, tokens
from dermaloop.cases.accounts import Account
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.store import Store, open_store

PASSWORD = "correct horse battery staple"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Argon2 with the least work: for tests in which the work is not the point."""


@functools.cache
def _template() -> Path:
    """A store as it is when new: its tables are made once, not once per test."""
    folder = Path(tempfile.mkdtemp(prefix="dermaloop-store-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    open_store(folder / "new").close()
    return folder / "new"


@contextmanager
def new_store(folder: Path) -> Iterator[Store]:
    """An open store in a folder that is not there yet."""
    shutil.copytree(_template(), folder)
    store = open_store(folder)
    try:
        yield store
    finally:
        store.close()


def add_account(store: Store, role: Role, name: str = "", password: str = "") -> Account:
    """Makes an account, or finds the one of that name."""
    with store.database.begin() as transaction:
        try:
            return accounts.find_by_name(transaction, name or role.value)
        except accounts.NoSuchAccountError:
            hashed = QUICK.hash(password) if password else None
            return accounts.create(transaction, system("test"), name or role.value, role, password_hash=hashed)


def begin(app: Any, account: Account) -> str:
    """Begins a sign-in of an account, and gives its secret."""
    desk = app.state.desk
    actor = Actor("account", account.id, account.name, "testclient")
    with desk.database.begin() as transaction:
        return sign_ins.begin(transaction, actor, account.id, desk.settings.lifetime, browser="A test", how="password")


def sign_in(client: Any, role: Role, name: str = "") -> Account:
    """Signs a test client in without its forms, and lets it send their token by header."""
    desk = client.app.state.desk
    account = add_account(desk.store, role, name)
    carry(client, begin(client.app, account))
    return account


def carry(client: Any, secret: str) -> None:
    """Lets a test client carry a sign-in's secret, and send the token of its forms by header."""
    cookies = client.app.state.desk.cookies
    client.cookies.set(cookies.sign_in_name, cookies.signed(secret), domain=client.base_url.host, path="/")
    client.headers["X-Form-Token"] = cookies.form_token(secret)


def cookie(app: Any, role: Role, address: str) -> dict[str, Any]:
    """The cookie of a signed-in browser as the server sets it, for Playwright."""
    desk = app.state.desk
    secret = begin(app, add_account(desk.store, role))
    return {
        "name": desk.cookies.sign_in_name,
        "value": desk.cookies.signed(secret),
        "url": address,
        "httpOnly": True,
        "sameSite": "Lax",
    }


def make_token(store: Store, account: Account, scopes: Iterable[Scope]) -> str:
    """A token of an account."""
    actor = Actor("account", account.id, account.name, "testclient")
    with store.database.begin() as transaction:
        return tokens.make(transaction, actor, account.id, name="test", scopes=scopes, days=7)[0]
