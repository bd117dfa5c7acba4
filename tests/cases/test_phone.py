"""Phone links on both databases: one open case, ten minutes, ended by hand, by the next one and with the account."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from dermaloop.cases import accounts, audit, opinions, phone, secret
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.database import now
from dermaloop.cases.errors import ConflictError, InvalidRecordError, RecordNotFoundError
from dermaloop.cases.links import LinkError
from dermaloop.cases.phone_tables import PhoneLinkRow
from dermaloop.cases.roles import Role
from support.clinic import new_case


@pytest.fixture
def session(database):
    with database.begin() as opened:
        yield opened


@pytest.fixture
def clinician(session):
    account = accounts.create(session, system("test"), "ada", Role.CLINICIAN)
    return Actor("account", account.id, account.name, "127.0.0.1")


@pytest.fixture
def case(session, clinician):
    return new_case(session, clinician, label="left scapula")


def make(session, clinician, case, image_type="clinical: close-up"):
    return phone.make(session, clinician, case.id, image_type=image_type)


def test_a_link_opens_one_case_and_says_little_of_it(session, clinician, case):
    raw, link = make(session, clinician, case)
    opened = phone.look(session, raw, "10.0.0.7")
    assert (opened.lesion_number, opened.lesion_label) == (1, "left scapula")
    assert opened.link == link
    assert not any("P-" in str(getattr(opened, name)) for name in opened.__slots__), "no pseudonym"
    assert opened.actor.kind == "link"
    assert opened.actor.person == ("account", clinician.id)
    assert opened.actor.address == "10.0.0.7"
    kept = session.scalars(sa.select(PhoneLinkRow)).one()
    assert kept.secret_hash == secret.hashed(raw)
    assert raw not in repr(vars(kept))
    assert timedelta(minutes=9) < link.ends_at - now() <= phone.LIFETIME
    logged = session.scalars(sa.select(audit.AuditRow.detail).where(audit.AuditRow.subject_id == link.id)).one()
    assert raw not in logged


def test_the_next_link_ends_the_one_before(session, clinician, case):
    first, _ = make(session, clinician, case)
    second, _ = make(session, clinician, case)
    with pytest.raises(LinkError):
        phone.look(session, first, "")
    assert phone.look(session, second, "").link.works


def _sign_off(session, clinician, case):
    opinions.add_impression(session, clinician, case.id, management="no action", text="Seen.")
    opinions.sign_off(session, clinician, case.id)


def _age(session, clinician, case):
    session.execute(sa.update(PhoneLinkRow).values(ends_at=now()))
    session.expire_all()


ENDS = {
    "revoked": lambda session, clinician, case: phone.revoke(session, clinician, case.id),
    "signed": _sign_off,
    "over": _age,
    "disabled": lambda session, clinician, case: accounts.disable(session, system("test"), clinician.id),
    "demoted": lambda session, clinician, case: accounts.set_role(session, system("test"), clinician.id, Role.VIEWER),
}


@pytest.mark.parametrize("ended", ENDS)
def test_a_link_ends(session, clinician, case, ended):
    raw, link = make(session, clinician, case)
    ENDS[ended](session, clinician, case)
    for use in (lambda: phone.look(session, raw, ""), lambda: phone.count(session, raw, 1)):
        with pytest.raises(LinkError, match="over"):
            use()
    state = phone.state(session, case.id, link.id)
    assert state.pictures == 0
    assert state.works == (ended in {"signed", "disabled", "demoted"}), "these are looked at when it is used"


def test_what_was_never_a_link_reads_like_one_that_is_over(session, clinician, case):
    raw, _ = make(session, clinician, case)
    for wrong in ("", "x", raw[:-1], raw + "x", "ä\udc80", "y" * 5000):
        with pytest.raises(LinkError) as told:
            phone.look(session, wrong, "")
        assert str(told.value) == str(phone._over())


def test_pictures_are_counted_and_bounded(session, clinician, case):
    raw, _ = make(session, clinician, case)
    assert phone.count(session, raw, 3).pictures == 3
    assert phone.count(session, raw, phone.MOST_PICTURES - 3).pictures == phone.MOST_PICTURES
    with pytest.raises(ConflictError, match="30"):
        phone.count(session, raw, 1)


def test_no_link_for_what_takes_no_pictures(session, clinician, case):
    with pytest.raises(InvalidRecordError):
        make(session, clinician, case, image_type="painting")
    with pytest.raises(RecordNotFoundError):
        phone.make(session, clinician, "00000000-0000-4000-8000-000000000000", image_type="dermoscopic")
    with pytest.raises(accounts.NoSuchAccountError):
        phone.make(session, system("nobody"), case.id, image_type="dermoscopic")
    _sign_off(session, clinician, case)
    with pytest.raises(ConflictError):
        make(session, clinician, case)


def test_a_case_s_screen_knows_its_own_links_only(session, clinician, case):
    _, link = make(session, clinician, case)
    other = new_case(session, clinician)
    for case_id, link_id in ((other.id, link.id), (case.id, "x"), (case.id, other.id)):
        with pytest.raises(LinkError):
            phone.state(session, case_id, link_id)
    assert phone.revoke(session, clinician, other.id) == 0
    assert phone.revoke(session, clinician, case.id) == 1
    assert phone.revoke(session, clinician, case.id) == 0


def test_tries_with_links_that_do_not_work_are_counted_by_address(session):
    for _ in range(phone.WRONG.amount):
        assert phone.refuse_guesses(session, "10.0.0.7") == 0
    assert 0 < phone.refuse_guesses(session, "10.0.0.7") <= 600
    assert phone.refuse_guesses(session, "10.0.0.8") == 0
    for number in range(phone.WRONG.amount):
        assert phone.refuse_guesses(session, f"2001:db8::{number + 1:x}") == 0, "of IPv6 the network counts"
    assert phone.refuse_guesses(session, "2001:db8::ffff") > 0
