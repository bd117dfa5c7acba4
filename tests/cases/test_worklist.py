"""The worklist: filters, orders, pages that neither repeat nor skip, and nothing that the practice hides."""

import json

import pytest
import sqlalchemy as sa

from dermaloop.cases import audit, opinions, practice
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.store import open_images
from dermaloop.cases.words import CaseState
from dermaloop.cases.worklist import Filter, Order, counts, worklist
from support.clinic import assessed, new_case, new_image


@pytest.fixture
def images(tmp_path):
    return open_images(tmp_path / "images")


def ids(page):
    return [row.case.id for row in page.rows]


def everything(database, actor, wanted, limit):
    found, cursor = [], None
    while True:
        with database.begin() as session:
            page = worklist(session, actor, wanted, cursor=cursor, limit=limit)
        found += ids(page)
        assert len(found) < 100, "the cursor does not lead on"
        cursor = page.cursor
        if cursor is None:
            return found


def test_every_order_is_total_and_pages_follow_one_another(database, actor, images):
    probabilities = [0.5, 0.9, None, 0.5, 0.1, 0.5]
    with database.begin() as session:
        made = [assessed(session, actor, images, probability=probability)[0].id for probability in probabilities]
        made.append(new_case(session, actor).id)
    suspicion = dict(zip(made, [0.5, 0.9, -1, 0.5, 0.1, 0.5, -1], strict=True))
    for limit in (1, 2, 3, 50):
        assert everything(database, actor, Filter(order=Order.OLDEST), limit) == made
        assert everything(database, actor, Filter(order=Order.NEWEST), limit) == made[::-1]
        sorted_ids = everything(database, actor, Filter(order=Order.SUSPICIOUS), limit)
        assert sorted_ids == sorted(made, key=lambda one: (suspicion[one], one), reverse=True)


@pytest.mark.parametrize("order", Order)
def test_pages_stay_stable_while_others_work(database, actor, images, order):
    """A case that comes in between neither repeats nor hides another one."""
    with database.begin() as session:
        made = [assessed(session, actor, images, probability=0.1 * number)[0].id for number in range(1, 7)]
        first = worklist(session, actor, Filter(order=order), limit=3)
    with database.begin() as session:
        assessed(session, actor, images, probability=0.99)
    with database.begin() as session:
        second = worklist(session, actor, Filter(order=order), cursor=first.cursor, limit=3)
    assert set(ids(first) + ids(second)) == set(made)


def test_filters(database, actor, images):
    with database.begin() as session:
        opened = assessed(session, actor, images, probability="declined", pseudonym="Äpfel-100%", site="head/neck")[0]
        waiting = assessed(session, actor, images, probability=0.8, pseudonym="B_1")[0]
        opinions.add_impression(session, actor, waiting.id, management="biopsy", diagnosis="MEL")
        opinions.sign_off(session, actor, waiting.id)
        done = new_case(session, actor, pseudonym="B-1")
        opinions.add_impression(session, actor, done.id, management="no action", diagnosis="NV")
        opinions.sign_off(session, actor, done.id)

    def which(**wanted):
        with database.begin() as session:
            return ids(worklist(session, actor, Filter(order=Order.OLDEST, **wanted)))

    assert which() == [opened.id, waiting.id, done.id]
    assert which(state=CaseState.OPEN) == [opened.id]
    assert which(state=CaseState.AWAITING) == [waiting.id]
    assert which(state=CaseState.DONE) == [done.id]
    assert which(declined=True) == [opened.id]
    assert which(declined=False) == [waiting.id, done.id]
    assert which(search="äPFEL") == which(search=" 100% ") == [opened.id]
    assert which(search="%") == [opened.id], "a wildcard is a letter here"
    assert which(search="B_1") == [waiting.id]
    assert which(search="b") == [waiting.id, done.id]
    assert which(search="'; --") == []
    assert which(patient_id=done.patient_id) == [done.id]
    with database.begin() as session:
        assert counts(session, actor) == {"open": 1, "awaiting": 1, "done": 1, "declined": 1}
        row = worklist(session, actor, Filter(state=CaseState.OPEN)).rows[0]
    assert (row.pseudonym, row.site, row.lesion_number, row.images, row.answer_hidden) == (
        "Äpfel-100%", "head/neck", 1, 1, False,
    )  # fmt: skip


def test_the_cover_is_the_first_dermoscopic_picture(database, actor, images):
    with database.begin() as session:
        case = new_case(session, actor)
        assert worklist(session, actor).rows[0].cover_image_id is None
        pictures = [new_image(session, actor, case, images) for _ in range(2)]
        row = worklist(session, actor).rows[0]
    assert (row.images, row.cover_image_id) == (2, pictures[0].id)


def test_what_is_hidden_neither_shows_nor_filters_nor_sorts(database, actor, images):
    with database.begin() as session:
        low, high = (assessed(session, actor, images, probability=p)[0] for p in (0.1, 0.9))
        refused = assessed(session, actor, images, probability="declined")[0]
        practice.change_practice(session, actor, practice.Practice(hide_answer_until_impression=True))
        opinions.add_impression(session, actor, low.id, management="biopsy", diagnosis="MEL")
        page = worklist(session, actor, Filter(order=Order.SUSPICIOUS))
        rows = {row.case.id: row for row in page.rows}
        assert ids(page)[0] == low.id, "the only answer that may be seen"
        assert ids(page)[1:] == sorted((high.id, refused.id), reverse=True), "the others by nothing but their id"
        assert (rows[high.id].case.suspicion, rows[high.id].answer_hidden) == (-1, True)
        assert (rows[low.id].case.suspicion, rows[low.id].answer_hidden) == (0.1, False)
        assert worklist(session, actor, Filter(declined=True)).rows == ()
        assert counts(session, actor)["declined"] == 0
        for limit in (1, 2):
            first = worklist(session, actor, Filter(order=Order.SUSPICIOUS), limit=limit)
            rest = worklist(session, actor, Filter(order=Order.SUSPICIOUS), cursor=first.cursor)
            assert ids(first) + ids(rest) == ids(page)


def test_a_cursor_of_another_list_or_made_up_is_refused(database, actor, images):
    with database.begin() as session:
        for _ in range(2):
            new_case(session, actor)
        cursor = worklist(session, actor, Filter(order=Order.NEWEST), limit=1).cursor
        for wrong, order in (
            (cursor, Order.SUSPICIOUS),
            ("", Order.NEWEST),
            ("ü", Order.NEWEST),
            ("bm9uc2Vuc2U=", Order.NEWEST),
            ("W10=", Order.NEWEST),
            ("WyJuZXdlc3QiLCAiMjAyNi0wMS0wMSIsICJ4Il0=", Order.NEWEST),  # a time without zone
            ("WyJuZXdlc3QiLCAxLCAxXQ==", Order.NEWEST),
        ):
            with pytest.raises(InvalidRecordError, match="cursor"):
                worklist(session, actor, Filter(order=order), cursor=wrong)
        for limit in (0, 201):
            with pytest.raises(InvalidRecordError):
                worklist(session, actor, limit=limit)


def test_looking_is_logged_without_what_was_searched(database, actor):
    with database.begin() as session:
        case = new_case(session, actor, pseudonym="Secret-1")
        worklist(session, actor, Filter(search="Secret"))
        entry = session.scalars(sa.select(audit.AuditRow).where(audit.AuditRow.action == "worklist.seen")).one()
    assert json.loads(entry.detail) == {"cases": [case.id], "searched": True}
