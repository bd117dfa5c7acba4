"""Looks that were asked for: one at a time, taken up again after a crash, given up in the end; on both databases."""

from datetime import timedelta

import pytest

from dermaloop.cases import audit_list, watch_looks
from dermaloop.cases.actor import Actor, system

LEAD = Actor("account", "11111111-1111-4111-8111-111111111111", "Dr. Lead Example")
WATCH = system("watch")


def actions(session):
    return [one.action for one in reversed(audit_list.entries(session, audit_list.Filter(), limit=50)[0])]


def test_one_look_at_a_time_and_who_asked_for_it(database):
    with database.begin() as session:
        assert watch_looks.latest(session) is None
        assert not watch_looks.someone_waits(session)
        asked = watch_looks.ask(session, LEAD)
        assert watch_looks.ask(session, WATCH).id == asked.id, "two at once would find the same"
        assert (asked.actor_name, asked.begun, asked.steps, asked.ended_at) == ("Dr. Lead Example", False, 0, None)
        assert watch_looks.someone_waits(session)
    with database.begin() as session:
        assert watch_looks.claim(session, WATCH) == asked.id
        assert watch_looks.claim(session, WATCH) == "", "somebody is at work on it"
        watch_looks.renew(session, asked.id, done=3, steps=17)
        found = watch_looks.latest(session)
        assert (found.begun, found.done, found.steps) == (True, 3, 17)
        watch_looks.finish(session, WATCH, asked.id)
        watch_looks.renew(session, asked.id, done=4, steps=17)
        watch_looks.finish(session, WATCH, asked.id, failure="too late")
    with database.begin() as session:
        found = watch_looks.latest(session)
        assert (found.begun, found.done, found.failure) == (False, 3, "")
        assert found.ended_at is not None
        assert actions(session) == ["watch.asked"]
        assert watch_looks.ask(session, LEAD).id != asked.id


def test_a_look_is_taken_up_again_where_its_server_died_and_given_up_in_the_end(database, monkeypatch):
    with database.begin() as session:
        asked = watch_looks.ask(session, LEAD)
        for _ in range(watch_looks.MOST_TRIES - 1):
            assert watch_looks.claim(session, WATCH) == asked.id
            watch_looks.give_all_back(session)
        assert watch_looks.claim(session, WATCH) == asked.id
        watch_looks.give_back(session, asked.id)
    monkeypatch.setattr(watch_looks, "LEASE", timedelta(0))
    with database.begin() as session:
        assert watch_looks.claim(session, WATCH) == asked.id, "a server that stops in good order does not count"
        assert watch_looks.someone_waits(session), "whoever claimed it has not been heard of for too long"
        assert watch_looks.claim(session, WATCH) == ""
        assert watch_looks.latest(session).failure == watch_looks.GAVE_UP
        assert actions(session)[-1] == "watch.failed"


@pytest.mark.parametrize("function", [watch_looks.give_back, watch_looks.give_all_back])
def test_nothing_is_given_back_where_nothing_is_claimed(database, function):
    with database.begin() as session:
        function(session, *(["no such id"] if function is watch_looks.give_back else []))
        assert watch_looks.latest(session) is None
