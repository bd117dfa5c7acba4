"""Consent on the patient's form, the list of cases that teach most, and doubted confirmations before a lead."""

import html
import re

import pytest

from dermaloop.cases import flags, opinions, suggestions
from dermaloop.cases.actor import system
from dermaloop.cases.flags import Suspicion
from dermaloop.cases.roles import Role
from dermaloop.cases.words import FlagKind
from support.visits import FINDING, new_case, new_patient

ACTOR = system("a test")


def words(answer):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", answer.text)))


def test_consent_is_not_given_until_somebody_says_so_and_can_be_withdrawn(make_client):
    client = make_client(role=Role.CLINICIAN)
    patient = new_patient(client)
    assert "Consent to training a model not given" in words(client.get(patient))
    facts = {"pseudonym": "P-0174", "birth_year": "1957", "sex": "female", "skin_type": "2", "note": ""}
    for said in ("given", "withdrawn"):
        client.post(f"{patient}/edit", data={**facts, "training_consent": said})
        assert f"Consent to training a model {said}" in words(client.get(patient))
        assert f'name="training_consent" value="{said}" checked' in client.get(f"{patient}/edit").text
    client.post(f"{patient}/edit", data=facts)
    assert "Consent to training a model withdrawn" in words(client.get(patient)), "a form without the question"
    assert client.post(f"{patient}/edit", data={**facts, "training_consent": "perhaps"}).status_code == 422


@pytest.fixture
def flagged(make_client, store, lesion_jpeg):
    """A lead, and a flagged confirmation: (client, path of the case, flag)."""
    client = make_client(role=Role.LEAD)
    case = new_case(client, ("a.jpg", lesion_jpeg))
    client.post(f"{case}/confirmation", data={**FINDING, "term": "", "malignancy": "", "note": "", "document": ""})
    with store.database.begin() as session:
        from dermaloop.cases import casework  # noqa: PLC0415

        found = casework.open_case(session, ACTOR, case.rsplit("/", 1)[1])
        (entry,), (image,) = found.confirmations, found.images
        evidence = {"given": "MEL", "likelier": "NV", "probability_given": 0.04, "probability_likelier": 0.93}
        flags.raise_flags(session, ACTOR, [Suspicion(entry.id, FlagKind.LABEL, image.id, "for the log", evidence)])
        (flag,) = flags.list_flags(session, ACTOR)
    return client, case, flag


def test_a_lead_sees_why_and_decides_with_a_reason(flagged, store):
    client, case, flag = flagged
    page = client.get("/feedback")
    assert "Confirmed as Melanoma, but to the model the picture looks like Melanocytic naevus: 93 % against 4 %" in (
        words(page).replace("\N{NO-BREAK SPACE}", " ")
    )
    assert f'src="/images/{flag.about}/small.jpg"' in page.text
    assert f'href="{case}"' in page.text
    refused = client.post(f"/feedback/{flag.id}", data={"verdict": "rejected", "reason": " "})
    assert refused.status_code == 422
    assert "the reason is missing" in words(refused).lower()
    answer = client.post(f"/feedback/{flag.id}", data={"verdict": "rejected", "reason": "slides mixed up"})
    assert "Nothing waits for you." in words(answer)
    with store.database.begin() as session:
        (flag,) = flags.list_flags(session, ACTOR, waiting=False)
    assert (flag.review.verdict, flag.review.reason, flag.rejected) == ("rejected", "slides mixed up", True)
    assert client.post(f"/feedback/{flag.id}", data={"verdict": "maybe", "reason": "x"}).status_code == 422


def test_the_worklist_has_the_cases_that_teach_most_until_they_are_confirmed(make_client, store, lesion_jpeg):
    client = make_client(role=Role.CLINICIAN)
    first = new_case(client, ("a.jpg", lesion_jpeg), pseudonym="A-1")
    new_case(client, ("a.jpg", lesion_jpeg), pseudonym="B-2")
    assert "Would teach the model most" not in client.get("/worklist").text
    case_id = first.rsplit("/", 1)[1]
    with store.database.begin() as session:
        suggestions.replace_suggestions(session, ACTOR, [case_id], bundle="toy@1")
        assert suggestions.suggested(session) == (case_id,)
    assert "Would teach the model most 1" in words(client.get("/worklist"))
    page = words(client.get("/worklist?state=teaching"))
    assert "A-1" in page
    assert "B-2" not in page
    with store.database.begin() as session:
        from datetime import date  # noqa: PLC0415

        opinions.add_confirmation(
            session, ACTOR, case_id, confirmation="histopathology", confirmed_on=date(2026, 3, 8), diagnosis="NV"
        )
        assert suggestions.suggested(session) == ()
    assert "Would teach the model most" not in client.get("/worklist").text


def test_the_page_shows_the_finding_and_what_was_decided_can_be_decided_otherwise(flagged):
    client, case, flag = flagged
    page = words(client.get("/feedback"))
    assert "Confirmed as Melanoma Confirmed by histopathology" in page
    assert "Written down by lead" in page
    assert "Decided last" not in page
    done = client.post(f"/feedback/{flag.id}", data={"verdict": "rejected", "reason": "slides mixed up"})
    assert "Saved: it is left out." in words(done)
    assert "Left out : Melanoma" in words(done)
    assert f'href="{case}"' in done.text
    again = client.post(f"/feedback/{flag.id}", data={"verdict": "accepted", "reason": "the slides were right"})
    assert "May teach : Melanoma" in words(again)
    assert "slides mixed up" not in words(again), "the latest word counts"


def test_one_persons_confirmations_are_decided_together(flagged, store):
    client, _case, flag = flagged
    evidence = {"doubted": 7, "of": 11, "others": 2, "of_others": 41, "p": 0.001}
    with store.database.begin() as session:
        suspicion = Suspicion(flag.confirmation_id, FlagKind.CONTRIBUTOR, "11", "for the log", evidence)
        flags.raise_flags(session, ACTOR, [suspicion])
        (crowd,) = flags.list_flags(session, ACTOR, kinds=[FlagKind.CONTRIBUTOR])
    page = client.get("/feedback")
    assert "Of 11 confirmations that one person wrote down 7 do not fit their pictures" in words(page)
    assert f'name="flag" value="{crowd.id}" checked' in page.text
    assert f'action="/feedback/{crowd.id}"' not in page.text, "not one by one"
    nothing = client.post("/feedback/together", data={"verdict": "rejected", "reason": "x"})
    assert nothing.status_code == 422
    assert "nothing is chosen" in words(nothing).lower()
    sent = {"flag": [crowd.id, flag.id], "verdict": "rejected", "reason": "one bad day at the microscope"}
    assert "Nothing waits for you." in words(client.post("/feedback/together", data=sent))
    with store.database.begin() as session:
        found = flags.list_flags(session, ACTOR, waiting=False)
    assert [one.review.reason for one in found] == ["one bad day at the microscope"] * 2
    half = client.post("/feedback/together", data={**sent, "flag": [flag.id, "no such flag"], "verdict": "accepted"})
    assert half.status_code == 404
    with store.database.begin() as session:
        assert all(one.rejected for one in flags.list_flags(session, ACTOR, waiting=False)), "all of them or none"


def test_the_same_picture_is_shown_with_its_other_cases(flagged, store, lesion_jpeg):
    client, _case, flag = flagged
    other = new_case(client, ("b.jpg", lesion_jpeg), pseudonym="B-9")
    with store.database.begin() as session:
        from dermaloop.cases import casework  # noqa: PLC0415

        image = casework.open_case(session, ACTOR, other.rsplit("/", 1)[1]).images[0]
        shared = Suspicion(flag.confirmation_id, FlagKind.SAME_PICTURE, flag.about, "x", {"images": [image.id]})
        flags.raise_flags(session, ACTOR, [shared])
    page = client.get("/feedback")
    assert f'href="{other}"' in page.text
    assert f'src="/images/{image.id}/small.jpg"' in page.text
