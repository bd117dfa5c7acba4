"""`dermaloop account`: the way in for an administrator who is locked out."""

import json

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from dermaloop.cases import accounts, audit, passwords
from dermaloop.cases.roles import Role
from dermaloop.cases.sign_in_by_password import sign_in
from dermaloop.cases.store import open_store
from dermaloop.cli.app import app
from dermaloop.cli.noted import noted
from dermaloop.core.errors import DermaloopError
from dermaloop.web.settings import Settings
from support.people import PASSWORD, QUICK, add_account

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(passwords, "hasher", lambda: QUICK)
    passwords._decoy.cache_clear()
    yield
    passwords._decoy.cache_clear()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def run(path):
    def call(*words, given=""):
        environment = {"COLUMNS": "200", "DERMALOOP_STORE": str(path)}
        outcome = RUNNER.invoke(app, ["account", *words], input=given, env=environment)
        if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
            raise outcome.exception
        return outcome

    return call


@pytest.fixture
def store(path):
    opened = open_store(path)
    yield opened
    opened.close()


def _try(store, name="ada", password=PASSWORD):
    lifetime = Settings().lifetime
    return sign_in(store.database, name, password, address="192.0.2.1", browser="", lifetime=lifetime)


def test_an_account_is_made_listed_and_can_sign_in(run, store):
    made = run("create", "ada", "--role", "lead", given=PASSWORD + "\n")
    assert made.exit_code == 0, made.output
    assert PASSWORD not in made.output
    assert _try(store).secret
    listed = run("list").output
    for words in ("ada", "lead", "yes", "enabled"):
        assert words in listed


@pytest.mark.parametrize("given", ["short\n", "", "my name is ada yes\n", "x" * 300 + "\n"])
def test_a_bad_password_makes_no_account(run, store, given):
    with pytest.raises(passwords.PasswordError):
        run("create", "ada", given=given)
    with store.database.read() as transaction:
        assert accounts.listing(transaction) == ()


def test_a_locked_out_administrator_gets_in_again(run, store):
    add_account(store, Role.ADMIN, "ada", "another password that is lost")
    for _ in range(6):
        locked = _try(store)
    assert locked.retry_after_s > 0
    assert run("password", "ADA", given=PASSWORD + "\n").exit_code == 0
    assert _try(store).secret
    for _ in range(6):
        _try(store, password="wrong")
    assert _try(store).retry_after_s > 0
    assert run("unlock").exit_code == 0
    assert _try(store).secret


def test_roles_disabling_and_enabling(run, store):
    ada = add_account(store, Role.VIEWER, "ada", PASSWORD)
    add_account(store, Role.ADMIN, "root", PASSWORD)
    assert run("role", "ada", "clinician").exit_code == 0
    assert run("disable", "ada").exit_code == 0
    assert not _try(store).secret
    assert "disabled" in run("list").output
    assert run("enable", "ada").exit_code == 0
    assert _try(store).secret
    with store.database.read() as transaction:
        assert accounts.find(transaction, ada.id).role is Role.CLINICIAN
        rows = transaction.scalars(sa.select(audit.AuditRow).where(audit.AuditRow.actor_id.like("account %"))).all()
    assert [(row.actor_kind, row.action) for row in rows] == [
        ("system", "account.role_changed"),
        ("system", "account.disabled"),
        ("system", "account.enabled"),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("disable", "root"), "only administrator"),
        (("role", "root", "viewer"), "only administrator"),
        (("disable", "nobody"), "no account 'nobody'"),
        (("create", "root"), "already an account"),
    ],
)
def test_what_cannot_be_done_is_said(run, store, words, said):
    add_account(store, Role.ADMIN, "root", PASSWORD)
    with pytest.raises(DermaloopError, match=said):
        run(*words, given=PASSWORD + "\n")


def test_an_unknown_role_is_refused(run):
    outcome = run("create", "ada", "--role", "emperor", given=PASSWORD + "\n")
    assert outcome.exit_code == 2


def test_without_an_address_the_link_is_for_the_server_that_runs_or_says_what_it_assumed(run, store):
    assumed = run("link")
    assert assumed.stdout.startswith("http://127.0.0.1:8000/enter/")
    assert "No server runs here on these records" in assumed.stderr
    with noted(store.folder, "http://127.0.0.1:8003/"):
        known = run("link")
        assert known.stdout.startswith("http://127.0.0.1:8003/enter/")
        assert known.stderr == ""
        with noted(store.folder, "http://127.0.0.1:8004/"):
            several = run("link")
            assert "http://127.0.0.1:8003/" in several.stderr
            assert "--address" in several.stderr


def test_the_link_names_the_server_and_is_noted(run, store):
    said = run("link", "--address", "http://127.0.0.1:8001/").output.strip()
    assert said.startswith("http://127.0.0.1:8001/enter/")
    with store.database.read() as transaction:
        (row,) = transaction.scalars(sa.select(audit.AuditRow).where(audit.AuditRow.action == "link.made"))
        (owner,) = accounts.listing(transaction)
    assert json.loads(row.detail) == {"purpose": "enter"}
    assert (owner.name, owner.role) == ("owner", Role.ADMIN)
