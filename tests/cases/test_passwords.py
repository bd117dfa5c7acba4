"""Passwords: which are taken, what is stored, and signing in with one: counted, locked, and telling nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st

from dermaloop.cases import account_passwords, account_tables, accounts, attempts, audit, passwords
from dermaloop.cases.database import now
from dermaloop.cases.roles import Role
from dermaloop.cases.sign_in_by_password import sign_in
from dermaloop.cases.sign_ins import Lifetime, resolve

LIFETIME = Lifetime(idle=timedelta(hours=2), absolute=timedelta(hours=12))
RIGHT = "correct horse battery staple"


@pytest.fixture
def quick(monkeypatch):
    """Argon2 with the least work, so that tests of the order of things are quick; the scheme stays the same."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "hasher", lambda: hasher)
    passwords._decoy.cache_clear()
    yield hasher
    passwords._decoy.cache_clear()


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("short", "fewer than 12 characters"),
        ("", "fewer than 12 characters"),
        ("x" * 257, "more than 256 characters"),
        ("abababababababab", "different characters"),
        ("my name is Ada Lovelace", "the account's name"),
        ("ADA LOVELACE 1815", "the account's name"),
        ("DermaLoop forever", "the program's name"),
    ],
)
def test_passwords_that_are_not_taken(password, said):
    with pytest.raises(passwords.PasswordError, match=said) as caught:
        passwords.check_rules(password, "Ada Lovelace")
    assert caught.value.way_out
    if password:
        assert password not in str(caught.value)


@pytest.mark.parametrize("password", [RIGHT, "пароль без связи", "x1y2z3 x1y2z3", "🦊🐢🦉🐝🐙🦔🐳🦜🐌🐞🦎🐿"])
def test_passwords_that_are_taken(password):
    passwords.check_rules(password, "al")


def test_the_hash_is_argon2id_with_the_library_s_parameters_and_a_salt_of_its_own():
    first, second = passwords.hash_password(RIGHT), passwords.hash_password(RIGHT)
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert first != second
    assert passwords.verify(first, RIGHT) == passwords.Verified(ok=True)
    assert passwords.verify(first, RIGHT + " ") == passwords.Verified(ok=False)


def test_a_hash_of_older_parameters_is_renewed():
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(RIGHT)
    verified = passwords.verify(old, RIGHT)
    assert verified.ok
    assert passwords.verify(verified.renewed, RIGHT) == passwords.Verified(ok=True)
    assert passwords.verify(old, "wrong") == passwords.Verified(ok=False)


@pytest.mark.parametrize("stored", ["", "nonsense", "$argon2id$v=19$m=65536,t=3,p=4$broken", None])
def test_a_damaged_or_absent_hash_lets_nobody_in(quick, stored):
    for password in ("", RIGHT, "a decoy; nobody signs in with it: checking it is refused below"):
        assert not passwords.verify(stored, password).ok


def test_the_same_characters_typed_in_another_form_are_the_same_password(quick):
    stored = passwords.hash_password("Zürich und Genève")
    assert passwords.verify(stored, "Zu\u0308rich und Gene\u0300ve").ok


def test_an_overlong_password_is_wrong_even_where_its_beginning_is_right(quick):
    stored = passwords.hash_password("ab" * 128)
    assert passwords.verify(stored, "ab" * 128).ok
    assert not passwords.verify(stored, "ab" * 128 + "c").ok
    assert not passwords.verify(passwords.hash_password(("ab" * 129)[:257]), "ab" * 5000).ok


@settings(max_examples=40)
@given(st.text(max_size=300), st.text(max_size=300))
def test_secrets_are_equal_only_to_themselves(one, other):
    assert passwords.same(one, other) == (one == other)


# -- signing in -------------------------------------------------------------------------------------------------------


@pytest.fixture
def ada(quick, database, actor):
    with database.begin() as session:
        accounts.create(session, actor, "root", Role.ADMIN)
        return accounts.create(session, actor, "Ada", Role.LEAD, password_hash=passwords.hash_password(RIGHT))


def _try(database, password, name="Ada", address="192.0.2.1"):
    return sign_in(database, name, password, address=address, browser="test", lifetime=LIFETIME)


def _count(database, action):
    with database.read() as session:
        return session.scalar(
            sa.select(sa.func.count()).select_from(audit.AuditRow).where(audit.AuditRow.action == action)
        )


def _pass_time(database):
    with database.begin() as session:
        session.execute(sa.update(account_tables.LimitRow).values(ends_at=now()))


def test_the_right_password_signs_in_whatever_the_case_of_the_name(database, ada):
    for name in ("Ada", "ADA", " ada"):
        outcome = _try(database, RIGHT, name)
        with database.read() as session:
            assert resolve(session, outcome.secret, LIFETIME)[0].id == ada.id
    assert _count(database, "account.signed_in") == 3


@pytest.mark.parametrize("name", ["Ada", "nobody", "root", "", "x" * 3000, "' OR 1=1 --", "a\x00", "\ud800"])
def test_every_failure_looks_alike(database, ada, name):
    assert _try(database, "wrong password here", name) == _try(database, "another wrong one", name, "192.0.2.7")
    assert _count(database, "account.signed_in") == 0
    assert _count(database, "account.sign_in_failed") == 2


def test_a_disabled_account_fails_like_any_other(database, ada, actor):
    with database.begin() as session:
        accounts.disable(session, actor, ada.id)
    assert _try(database, RIGHT) == _try(database, RIGHT, "nobody")


def test_what_was_typed_as_the_name_of_nobody_is_not_kept(database, ada):
    _try(database, "x", "my secret password typed in the wrong field")
    with database.read() as session:
        rows = session.scalars(sa.select(audit.AuditRow).where(audit.AuditRow.action == "account.sign_in_failed")).all()
        counters = session.scalars(sa.select(account_tables.LimitRow.key)).all()
    everything = json.dumps([[row.actor_name, row.subject_id, row.detail] for row in rows]) + "".join(counters)
    assert "secret" not in everything
    assert rows[0].subject_id == "unknown"


@pytest.mark.parametrize("name", ["Ada", "nobody"])
def test_after_five_failures_from_one_address_even_the_right_password_waits(database, ada, name):
    outcomes = [_try(database, "wrong", name) for _ in range(5)]
    assert all(outcome.retry_after_s == 0 for outcome in outcomes)
    locked = _try(database, RIGHT, name)
    assert not locked.secret
    assert 800 < locked.retry_after_s <= 900
    assert _count(database, "account.locked_out") == 1
    assert _try(database, "wrong", name, "192.0.2.2").retry_after_s == 0, "from elsewhere it goes on"
    _pass_time(database)
    assert bool(_try(database, RIGHT, name).secret) == (name == "Ada")


def test_guessing_from_many_addresses_locks_the_name_too(database, ada):
    for number in range(30):
        assert _try(database, "wrong", address=f"192.0.2.{number}").retry_after_s == 0
    assert _try(database, RIGHT, address="198.51.100.1").retry_after_s > 3000
    assert _try(database, "wrong", "root", "198.51.100.1").retry_after_s == 0


def test_guessing_many_names_from_one_address_is_stopped(database, ada):
    for number in range(50):
        assert _try(database, "wrong", f"name {number}").retry_after_s == 0
    assert _try(database, "wrong", "name 51").retry_after_s > 0
    assert _try(database, RIGHT, address="192.0.2.2").secret


def test_the_addresses_of_one_ipv6_network_are_one(database, ada):
    for number in range(5):
        _try(database, "wrong", address=f"2001:db8::{number}")
    assert _try(database, RIGHT, address="2001:db8::ffff").retry_after_s > 0
    assert _try(database, RIGHT, address="2001:db8:1::1").secret


def test_the_right_password_clears_the_failures(database, ada):
    for _ in range(4):
        _try(database, "wrong")
    for _ in range(60):  # signing in rightly uses up nothing, also of the address's share
        assert _try(database, RIGHT).secret
    for _ in range(5):
        assert _try(database, "wrong").retry_after_s == 0
    assert _try(database, "wrong").retry_after_s > 0


def test_many_attempts_at_once_cannot_slip_past_the_counter(database, ada):
    with ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(lambda _: _try(database, "wrong"), range(12)))
    assert sum(outcome.retry_after_s == 0 for outcome in outcomes) == 5


def test_the_counters_survive_a_restart_and_an_administrator_can_clear_them(database, ada):
    for _ in range(5):
        _try(database, "wrong")
    database.engine.dispose()
    assert _try(database, RIGHT).retry_after_s > 0
    with database.begin() as session:
        attempts.unlock(session)
    assert _try(database, RIGHT).secret


def test_counters_of_the_past_are_removed(database, ada):
    for number in range(5):
        _try(database, "wrong", f"name {number}")
    _pass_time(database)
    _try(database, "wrong", "another")
    with database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(account_tables.LimitRow)) == 3


def test_a_hash_of_older_parameters_is_replaced_at_the_next_sign_in(database, ada, quick):
    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(RIGHT)
    with database.begin() as session:
        session.execute(sa.update(account_tables.AccountRow).values(password_hash=old))
    assert _try(database, RIGHT).secret
    with database.read() as session:
        stored = account_passwords.stored_password(session, ada.id)
    assert stored != old
    assert not quick.check_needs_rehash(stored)
    assert _try(database, RIGHT).secret


def test_a_password_changed_during_the_check_does_not_sign_in(database, ada, actor, monkeypatch):
    verify = passwords.verify

    def slow(stored, password):
        with database.begin() as session:
            account_passwords.set_password(session, actor, ada.id, passwords.hash_password("a newer and better one"))
        return verify(stored, password)

    monkeypatch.setattr(passwords, "verify", slow)
    assert not _try(database, RIGHT).secret


def test_an_unknown_name_is_checked_as_thoroughly_as_a_known_one(monkeypatch):
    """Not by the clock but by the work: both are verified, once, against hashes of the same cost."""
    checked = []
    real = passwords.hasher()

    class Counting:
        hash = staticmethod(real.hash)
        check_needs_rehash = staticmethod(real.check_needs_rehash)

        @staticmethod
        def verify(stored, text):
            checked.append(stored.split("$")[1:4])
            return real.verify(stored, text)

    monkeypatch.setattr(passwords, "hasher", lambda: Counting)
    passwords.verify(passwords.hash_password(RIGHT), "wrong")
    passwords.verify(None, "wrong")
    assert len(checked) == 2
    assert checked[0] == checked[1]
