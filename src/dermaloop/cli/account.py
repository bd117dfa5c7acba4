"""`dermaloop account`: accounts from the command line, for whoever holds the store's files: also when locked out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from dermaloop.cases.roles import Role

if TYPE_CHECKING:
    from dermaloop.cases.database import Database

app = typer.Typer(no_args_is_help=True, add_completion=False)

_USUAL = "http://127.0.0.1:8000"
"""Where a server is unless its port was taken or it was told otherwise."""
STORE = typer.Option(None, help="Folder of the records. [default: the user's data folder]")
NAME = typer.Argument(help="The account's name.")


@contextmanager
def _database(store: Path | None) -> Iterator[Database]:
    from dermaloop.cases.store import open_store
    from dermaloop.web.settings import read_settings

    settings = read_settings(store=store)
    held = open_store(settings.store_folder, database_url=settings.database_url, images_url=settings.images_url)
    try:
        yield held.database
    finally:
        held.close()


def _say(text: str) -> None:
    Console(highlight=False, soft_wrap=True).print(text, markup=False)


def _read_password(name: str) -> str:
    """Asks for a password twice; from a pipe, takes the first line.

    Raises:
        PasswordError: It is not taken.
    """
    from dermaloop.cases import passwords

    if sys.stdin.isatty():
        password: str = typer.prompt("Password", hide_input=True, confirmation_prompt="The same again")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    passwords.check_rules(password, name)
    return passwords.hash_password(password)


@app.command()
def create(
    name: str = NAME,
    role: Role = typer.Option(Role.CLINICIAN, help="What the account may do."),
    store: Path | None = STORE,
) -> None:
    """Create an account; its password is asked for, or read from a pipe."""
    from dermaloop.cases import accounts
    from dermaloop.cases.actor import system

    with _database(store) as database:
        hashed = _read_password(accounts.check_name(name))
        with database.begin() as transaction:
            made = accounts.create(transaction, system("account create"), name, role, password_hash=hashed)
    _say(f"Created the account {made.name!r} with the role {made.role.value!r}.")


@app.command("list")
def list_accounts(store: Path | None = STORE) -> None:
    """List all accounts."""
    from dermaloop.cases import accounts

    with _database(store) as database, database.read() as transaction:
        found = accounts.listing(transaction)
    table = Table("Name", "Role", "Password", "Last signed in (UTC)", "State")
    for one in found:
        table.add_row(
            one.name,
            one.role.value,
            "yes" if one.has_password else "no",
            "never" if one.last_sign_in_at is None else f"{one.last_sign_in_at:%Y-%m-%d %H:%M}",
            "enabled" if one.enabled else "disabled",
        )
    Console(highlight=False).print(table)


@app.command()
def password(name: str = NAME, store: Path | None = STORE) -> None:
    """Set an account's password, which signs it out everywhere, and lift its lock-out."""
    from dermaloop.cases import account_passwords, accounts, attempts
    from dermaloop.cases.actor import system

    with _database(store) as database:
        with database.read() as transaction:
            account = accounts.find_by_name(transaction, name)
        hashed = _read_password(account.name)
        with database.begin() as transaction:
            account_passwords.set_password(transaction, system("account password"), account.id, hashed)
            attempts.unlock(transaction)
    _say(f"Set the password of {account.name!r}.")


@app.command()
def role(
    name: str = NAME, role: Role = typer.Argument(help="What the account may do."), store: Path | None = STORE
) -> None:
    """Give an account another role."""
    from dermaloop.cases import accounts
    from dermaloop.cases.actor import system

    with _database(store) as database, database.begin() as transaction:
        account = accounts.find_by_name(transaction, name)
        accounts.set_role(transaction, system("account role"), account.id, role)
    _say(f"{account.name!r} now has the role {role.value!r}.")


@app.command()
def disable(name: str = NAME, store: Path | None = STORE) -> None:
    """Disable an account: its sign-ins and tokens end at once, its records stay."""
    from dermaloop.cases import accounts
    from dermaloop.cases.actor import system

    with _database(store) as database, database.begin() as transaction:
        account = accounts.find_by_name(transaction, name)
        accounts.disable(transaction, system("account disable"), account.id)
    _say(f"Disabled {account.name!r}.")


@app.command()
def enable(name: str = NAME, store: Path | None = STORE) -> None:
    """Let a disabled account sign in again."""
    from dermaloop.cases import accounts
    from dermaloop.cases.actor import system

    with _database(store) as database, database.begin() as transaction:
        account = accounts.find_by_name(transaction, name)
        accounts.enable(transaction, system("account enable"), account.id)
    _say(f"Enabled {account.name!r}.")


@app.command()
def unlock(store: Path | None = STORE) -> None:
    """Lift every lock-out after failed attempts to sign in."""
    from dermaloop.cases import attempts, audit
    from dermaloop.cases.actor import system

    with _database(store) as database, database.begin() as transaction:
        attempts.unlock(transaction)
        audit.append(transaction, system("account unlock"), "account.lock_outs_lifted", "account", "all")
    _say("Lifted every lock-out.")


@app.command()
def link(
    address: str | None = typer.Option(
        None, help="Address of the running server. [default: as the server has noted it in the store's folder]"
    ),
    store: Path | None = STORE,
) -> None:
    """Print a link that signs the owner in once, within an hour."""
    from dermaloop.cases import links
    from dermaloop.cases.actor import system
    from dermaloop.cli.noted import addresses
    from dermaloop.web.settings import read_settings

    running = [] if address else addresses(read_settings(store=store).store_folder)
    with _database(store) as database, database.begin() as transaction:
        secret = links.for_owner(transaction, system("account link"))
    _say(f"{(address or next(iter(running), _USUAL)).rstrip('/')}/enter/{secret}")
    if not address and len(running) != 1:
        told = (
            f"More than one server runs on these records: {', '.join(running)}. Choose one with --address."
            if running
            else f"No server runs here on these records. The link is for one at {_USUAL}; --address names another."
        )
        Console(stderr=True, highlight=False, soft_wrap=True).print(told, markup=False)
