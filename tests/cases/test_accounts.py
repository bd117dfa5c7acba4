"""Accounts and what hangs on them: names, roles, the last administrator, links, sign-ins, tokens, on both databases."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from dermaloop.cases import account_passwords, account_tables, accounts, audit, links, sign_ins, tokens
from dermaloop.cases.database import now
from dermaloop.cases.links import LinkError, Purpose
from dermaloop.cases.roles import NEEDS, Role, Scope, format_scopes, parse_scopes, scopes_for
from dermaloop.cases.sign_ins import Lifetime

LIFETIME = Lifetime(idle=timedelta(hours=2), absolute=timedelta(hours=12))
HASH = "$argon2id$not-a-real-one"


def _make(database, actor, name="ada", role=Role.CLINICIAN, **more):
    with database.begin() as session:
        return accounts.create(session, actor, name, role, **more)


def _log(database, action):
    with database.read() as session:
        rows = session.scalars(sa.select(audit.AuditRow).where(audit.AuditRow.action == action)).all()
        return [(row.subject_id, json.loads(row.detail)) for row in rows]


def _age(database, table, **changes):
    """Moves times of every row of a table, as if time had passed."""
    with database.begin() as session:
        session.execute(sa.update(table).values(**changes))


def test_roles_are_a_ladder():
    assert [role.rank for role in Role] == [0, 1, 2, 3]
    assert Role.ADMIN.covers(Role.VIEWER)
    assert not Role.VIEWER.covers(Role.CLINICIAN)
    assert Role.LEAD.covers(Role.LEAD)
    assert set(NEEDS) == set(Scope)
    assert scopes_for(Role.VIEWER) == (Scope.CLASSIFY, Scope.CASES_READ)
    assert scopes_for(Role.ADMIN) == tuple(Scope)


def test_scopes_are_stored_in_order_and_unknown_words_grant_nothing():
    text = format_scopes({Scope.CASES_WRITE, Scope.CLASSIFY})
    assert text == "classify cases:write"
    assert parse_scopes(text + " everything") == {Scope.CLASSIFY, Scope.CASES_WRITE}


@pytest.mark.parametrize("name", ["", "   ", "x" * 65, "a\x00b", "a\nb", "ada\u202elead", "a\u200bb"])
def test_names_that_cannot_be_read_are_refused(database, actor, name):
    with pytest.raises(accounts.AccountError):
        _make(database, actor, name)
    with database.read() as session:
        assert accounts.listing(session) == ()


@pytest.mark.parametrize("other", ["ADA", " ada ", "Ada", "ａｄａ"])  # noqa: RUF001 - full-width letters on purpose
def test_names_that_differ_in_case_or_width_only_are_one(database, actor, other):
    made = _make(database, actor, "ada")
    with pytest.raises(accounts.AccountError, match="already an account"):
        _make(database, actor, other)
    with database.read() as session:
        assert accounts.find_by_name(session, other) == made


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "<script>alert(1)</script>", "'; DROP TABLE accounts; --", "Ünsal"]
)
def test_a_name_is_kept_as_typed_whatever_it_means_elsewhere(database, actor, name):
    _make(database, actor, name)
    with database.read() as session:
        assert accounts.find_by_name(session, name).name == name


def test_every_change_is_in_the_audit_log_in_the_same_transaction(database, actor):
    made = _make(database, actor, "ada", Role.VIEWER)
    _make(database, actor, "root", Role.ADMIN)
    with database.begin() as session:
        accounts.set_role(session, actor, made.id, Role.LEAD)
        accounts.set_name(session, actor, made.id, "Ada L.")
        account_passwords.set_password(session, actor, made.id, HASH)
        accounts.disable(session, actor, made.id)
        accounts.enable(session, actor, made.id)
    assert _log(database, "account.created")[0] == (made.id, {"name": "ada", "role": "viewer"})
    assert _log(database, "account.role_changed") == [(made.id, {"from": "viewer", "to": "lead"})]
    assert _log(database, "account.renamed") == [(made.id, {"from": "ada", "to": "Ada L."})]
    assert _log(database, "account.password_set") == [(made.id, {"first": True})]
    assert len(_log(database, "account.disabled")) == len(_log(database, "account.enabled")) == 1

    def fail():
        with database.begin() as session:
            accounts.set_role(session, actor, made.id, Role.VIEWER)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(_log(database, "account.role_changed")) == 1


def test_a_change_that_changes_nothing_is_not_logged(database, actor):
    made = _make(database, actor, "ada", Role.LEAD)
    with database.begin() as session:
        accounts.set_role(session, actor, made.id, Role.LEAD)
        accounts.set_name(session, actor, made.id, "ada")
        accounts.enable(session, actor, made.id)
    assert not _log(database, "account.role_changed")
    assert not _log(database, "account.renamed")
    assert not _log(database, "account.enabled")


def test_the_last_administrator_stays(database, actor):
    first = _make(database, actor, "first", Role.ADMIN)
    for change in (accounts.disable, lambda *given: accounts.set_role(*given, Role.LEAD)):
        with pytest.raises(accounts.AccountError, match="only administrator"), database.begin() as session:
            change(session, actor, first.id)
    second = _make(database, actor, "second", Role.ADMIN)
    with database.begin() as session:
        accounts.disable(session, actor, first.id)
    with pytest.raises(accounts.AccountError, match="only administrator"), database.begin() as session:
        accounts.disable(session, actor, second.id)


def test_who_can_sign_in_by_password_is_known(database, actor):
    admin, viewer = _make(database, actor, "root", Role.ADMIN), _make(database, actor, "ada", Role.VIEWER)
    _make(database, actor, "other", Role.ADMIN)

    def known():
        with database.read() as session:
            return account_passwords.someone_has_a_password(session), account_passwords.an_admin_has_a_password(session)

    assert known() == (False, False)
    with database.begin() as session:
        account_passwords.set_password(session, actor, viewer.id, HASH)
    assert known() == (True, False)
    with database.begin() as session:
        account_passwords.set_password(session, actor, admin.id, HASH)
    assert known() == (True, True)
    with database.begin() as session:
        accounts.disable(session, actor, admin.id)
    assert known() == (True, False)


def test_the_owner_is_made_once(database, actor):
    with database.begin() as session:
        made = accounts.owner(session, actor)
    with database.begin() as session:
        assert accounts.owner(session, actor) == made
        assert len(accounts.listing(session)) == 1
    assert (made.role, made.has_password) == (Role.ADMIN, False)


# -- links ------------------------------------------------------------------------------------------------------------


def test_a_link_works_once_and_is_stored_as_a_hash(database, actor):
    made = _make(database, actor)
    with database.begin() as session:
        raw = links.make(session, actor, made.id, Purpose.ENTER)
    with database.begin() as session:
        assert links.look(session, raw, Purpose.ENTER).account == made
        assert links.use(session, raw, Purpose.ENTER).account == made
    with pytest.raises(LinkError, match="used already"), database.begin() as session:
        links.use(session, raw, Purpose.ENTER)
    with database.read() as session:
        stored = session.scalars(sa.select(account_tables.LinkRow.secret_hash)).one()
    assert raw not in stored


def test_of_many_requests_at_once_one_gets_in(database, actor):
    made = _make(database, actor)
    with database.begin() as session:
        raw = links.make(session, actor, made.id, Purpose.ENTER)

    def attempt(_):
        try:
            with database.begin() as session:
                links.use(session, raw, Purpose.ENTER)
        except LinkError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


@pytest.mark.parametrize("raw", ["", "x" * 43, "x" * 10_000, "a\x00b", "\ud800"])
def test_a_link_that_was_never_made_says_the_same_as_a_used_one(database, raw):
    with pytest.raises(LinkError, match="used already, or its time is over"), database.begin() as session:
        links.use(session, raw, Purpose.PASSWORD)


def test_a_link_ends_by_time_by_a_newer_one_by_a_password_and_by_disabling(database, actor):
    made = _make(database, actor)
    _make(database, actor, "root", Role.ADMIN)

    def new():
        with database.begin() as session:
            return links.make(session, actor, made.id, Purpose.PASSWORD)

    def works(raw, purpose=Purpose.PASSWORD):
        with database.begin() as session:
            try:
                links.look(session, raw, purpose)
            except LinkError:
                return False
            return True

    first = new()
    assert works(first)
    assert not works(first, Purpose.ENTER), "a link to choose a password signs nobody in"
    second = new()
    assert (works(first), works(second)) == (False, True)
    _age(database, account_tables.LinkRow, ends_at=now() - timedelta(seconds=1))
    assert not works(second)
    third = new()
    with database.begin() as session:
        account_passwords.set_password(session, actor, made.id, HASH)
    assert not works(third)
    fourth = new()
    with database.begin() as session:
        accounts.disable(session, actor, made.id)
    assert not works(fourth)
    with database.begin() as session:
        accounts.enable(session, actor, made.id)
    assert not works(fourth)


def test_a_disabled_account_gets_no_link(database, actor):
    made = _make(database, actor)
    with database.begin() as session:
        accounts.disable(session, actor, made.id)
    with pytest.raises(accounts.AccountError, match="disabled"), database.begin() as session:
        links.make(session, actor, made.id, Purpose.PASSWORD)


# -- sign-ins ---------------------------------------------------------------------------------------------------------


def _begin(database, actor, made, browser="A browser"):
    with database.begin() as session:
        return sign_ins.begin(session, actor, made.id, LIFETIME, browser=browser, how="password")


def _resolve(database, raw, lifetime=LIFETIME):
    with database.read() as session:
        return sign_ins.resolve(session, raw, lifetime)


def test_a_sign_in_is_found_by_its_secret_only(database, actor):
    made = _make(database, actor)
    raw = _begin(database, actor, made)
    account, found, due = _resolve(database, raw)
    assert (account.id, found.account_id, due) == (made.id, made.id, False)
    assert found.address == actor.address
    for other in (raw[:-1], raw + "a", raw.swapcase(), found.id, "", "x" * 5000, "\ud800"):
        assert _resolve(database, other) is None
    with database.read() as session:
        row = session.scalars(sa.select(account_tables.SignInRow)).one()
    assert raw not in (row.secret_hash, row.id)


def test_a_sign_in_ends_without_use_and_in_any_case(database, actor):
    made = _make(database, actor)
    raw = _begin(database, actor, made)
    _age(database, account_tables.SignInRow, seen_at=now() - timedelta(hours=1))
    _, found, due = _resolve(database, raw)
    assert due
    with database.begin() as session:
        sign_ins.touch(session, found.id)
    assert _resolve(database, raw)[2] is False
    _age(database, account_tables.SignInRow, seen_at=now() - LIFETIME.idle)
    assert _resolve(database, raw) is None
    _age(database, account_tables.SignInRow, seen_at=now(), ends_at=now())
    assert _resolve(database, raw) is None


def test_signing_out_ends_one_and_everywhere_ends_all(database, actor):
    made, other = _make(database, actor), _make(database, actor, "other")
    first, second, foreign = (_begin(database, actor, one) for one in (made, made, other))
    foreign_id = _resolve(database, foreign)[1].id
    with database.begin() as session:
        assert len(sign_ins.listing(session, made.id, LIFETIME)) == 2
        assert not sign_ins.end(session, actor, made.id, foreign_id), "another's sign-in"
        assert not any(sign_ins.end(session, actor, made.id, wrong) for wrong in ("nothing", "a\x00", "\ud800", ""))
        assert sign_ins.end(session, actor, made.id, _resolve(database, first)[1].id)
    assert _resolve(database, first) is None
    assert _resolve(database, second) is not None
    with database.begin() as session:
        sign_ins.end_all(session, actor, made.id)
    assert _resolve(database, second) is None
    assert _resolve(database, foreign) is not None


@pytest.mark.parametrize("change", ["password", "disable"])
def test_a_new_password_and_disabling_end_every_sign_in_and_not_others(database, actor, change):
    made, other = _make(database, actor), _make(database, actor, "other")
    raw, foreign = _begin(database, actor, made), _begin(database, actor, other)
    with database.begin() as session:
        if change == "password":
            account_passwords.set_password(session, actor, made.id, HASH)
        else:
            accounts.disable(session, actor, made.id)
            accounts.enable(session, actor, made.id)
    assert _resolve(database, raw) is None
    assert _resolve(database, foreign) is not None


def test_a_changed_role_holds_at_once(database, actor):
    made = _make(database, actor)
    raw = _begin(database, actor, made)
    with database.begin() as session:
        accounts.set_role(session, actor, made.id, Role.VIEWER)
    assert _resolve(database, raw)[0].role is Role.VIEWER


def test_what_a_browser_calls_itself_is_cut_and_cleaned(database, actor):
    raw = _begin(database, actor, _make(database, actor), browser="x\x00\r\n" + "y" * 900)
    browser = _resolve(database, raw)[1].browser
    assert browser.startswith("xy")
    assert len(browser) == 200


# -- tokens -----------------------------------------------------------------------------------------------------------


def _token(database, actor, made, **more):
    given = {"name": "script", "scopes": [Scope.CLASSIFY], "days": 30, **more}
    with database.begin() as session:
        return tokens.make(session, actor, made.id, **given)


def _resolve_token(database, raw):
    with database.read() as session:
        return tokens.resolve(session, raw)


def test_a_token_is_found_by_its_secret_until_it_is_revoked(database, actor):
    made, other = _make(database, actor), _make(database, actor, "other")
    raw, token = _token(database, actor, made)
    assert raw.startswith("dermaloop_")
    account, found, due = _resolve_token(database, raw)
    assert (account.id, found, due) == (made.id, token, True)
    for wrong in (raw[:-1], raw + "a", raw.removeprefix("dermaloop_"), "", "dermaloop_" + "x" * 5000, token.id):
        assert _resolve_token(database, wrong) is None
    with database.begin() as session:
        assert not tokens.revoke(session, actor, other.id, token.id), "another's token"
        assert tokens.revoke(session, actor, made.id, token.id)
        assert not tokens.revoke(session, actor, made.id, token.id)
    assert _resolve_token(database, raw) is None
    assert _log(database, "token.revoked") == [(token.id, {"name": "script"})]


def test_a_token_ends_by_time_and_by_disabling(database, actor):
    made = _make(database, actor)
    raw, _ = _token(database, actor, made)
    _age(database, account_tables.TokenRow, ends_at=now())
    assert _resolve_token(database, raw) is None
    raw, _ = _token(database, actor, made)
    with database.begin() as session:
        accounts.disable(session, actor, made.id)
        accounts.enable(session, actor, made.id)
    assert _resolve_token(database, raw) is None


def test_the_first_use_of_a_token_is_logged_once(database, actor):
    _, token = _token(database, actor, _make(database, actor))
    for _ in range(3):
        with database.begin() as session:
            tokens.touch(session, actor, token.id)
    assert len(_log(database, "token.first_used")) == 1
    with database.read() as session:
        (found,) = tokens.listing(session, token.account_id)
    assert found.used_at is not None


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"name": " "}, "name"),
        ({"name": "a\x07"}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": [Scope.AUDIT_READ]}, "scopes"),
        ({"days": 0}, "days"),
        ({"days": 367}, "days"),
    ],
)
def test_tokens_that_are_not_made(database, actor, given, where):
    made = _make(database, actor)
    with pytest.raises(tokens.TokenError) as caught:
        _token(database, actor, made, **given)
    assert caught.value.where == where
    with database.read() as session:
        assert tokens.listing(session, made.id) == ()


def test_an_account_cannot_gather_tokens_without_end(database, actor, monkeypatch):
    monkeypatch.setattr(tokens, "_MOST_PER_ACCOUNT", 2)
    made = _make(database, actor)
    _token(database, actor, made)
    _, second = _token(database, actor, made)
    with pytest.raises(tokens.TokenError, match="has 2 tokens already"):
        _token(database, actor, made)
    with database.begin() as session:
        tokens.revoke(session, actor, made.id, second.id)
    _token(database, actor, made)
