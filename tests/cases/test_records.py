"""Patients, lesions, visits, cases, pictures, answers, impressions and confirmations, on both databases."""

import dataclasses
import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from dermaloop.cases import answers, audit, casework, codec, opinions, patients, practice
from dermaloop.cases.actor import Actor
from dermaloop.cases.errors import ConflictError, InvalidRecordError, RecordNotFoundError
from dermaloop.cases.records import CaseState
from dermaloop.cases.store import open_images
from dermaloop.cases.tables import ConfirmationRow, ImpressionRow, PredictionRow, SignOffRow
from dermaloop.cases.words import Management, Timing
from dermaloop.core.manifest import SITES, Confirmation
from dermaloop.core.prediction import Prediction, Status
from dermaloop.core.taxonomy import Diagnosis, Malignancy
from support.clinic import BUNDLE_SHA256, assessed, new_case, new_image, picture, prediction

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def images(tmp_path):
    return open_images(tmp_path / "images")


@pytest.fixture
def other():
    return Actor("account", "22222222-2222-4222-8222-222222222222", "Dr. Bob Example")


def log(session):
    return [(row.action, row.subject_id) for row in session.scalars(sa.select(audit.AuditRow))]


# -- patients, lesions, visits ----------------------------------------------------------------------------------------


def test_a_patient_is_made_changed_and_shown(database, actor):
    with database.begin() as session:
        made = patients.make_patient(
            session, actor, pseudonym="  K\u0308-17 ", birth_year=1961, sex="female", skin_type=2, note="a\r\nb"
        )
        assert (made.pseudonym, made.birth_year, made.sex, made.skin_type) == ("K\u0308-17", 1961, "female", 2)
        assert made.note == "a\nb"
    with database.begin() as session:
        changed = patients.change_patient(
            session, actor, made.id, pseudonym="K-18", birth_year=None, sex="", skin_type=None, note=""
        )
    with database.begin() as session:
        shown = patients.show_patient(session, actor, made.id)
        assert shown.patient == changed
        assert log(session) == [("patient.made", made.id), ("patient.changed", made.id), ("patient.seen", made.id)]
        details = [row.detail for row in session.scalars(sa.select(audit.AuditRow))]
    assert json.loads(details[1])["fields"] == ["pseudonym", "birth_year", "sex", "skin_type", "note"]
    assert "K-18" not in "".join(details), "the log names fields, not what identifies"


def test_a_change_that_changes_nothing_is_not_logged(database, actor):
    with database.begin() as session:
        made = patients.make_patient(session, actor, pseudonym="A")
        patients.change_patient(
            session, actor, made.id, pseudonym="A", birth_year=None, sex="", skin_type=None, note=""
        )
        assert log(session) == [("patient.made", made.id)]


@pytest.mark.parametrize("again", ["Straße-1", "STRASSE-1", "\uff33trasse-1"])
def test_a_pseudonym_is_one_patients_in_any_case_and_form(database, actor, again):
    with database.begin() as session:
        first = patients.make_patient(session, actor, pseudonym="straße-1")
        with pytest.raises(ConflictError, match="pseudonym"):
            patients.make_patient(session, actor, pseudonym=again)
        renamed = patients.change_patient(
            session, actor, first.id, pseudonym=again, birth_year=None, sex="", skin_type=None, note=""
        )
        assert renamed.pseudonym == again


WRONG_PATIENTS = [
    ("pseudonym", ""),
    ("pseudonym", "x" * 101),
    ("pseudonym", "a\nb"),
    ("pseudonym", "a\0b"),
    ("pseudonym", "\ud800"),
    ("birth_year", 1850),
    ("birth_year", 3000),
    ("sex", "other"),
    ("skin_type", 0),
    ("skin_type", 7),
    ("note", "x" * 10_001),
    ("note", "a\x07b"),
]


def test_what_cannot_be_kept_is_refused_with_its_field(database, actor):
    with database.begin() as session:
        for field, value in WRONG_PATIENTS:
            with pytest.raises(InvalidRecordError) as caught:
                patients.make_patient(session, actor, **{"pseudonym": "A", field: value})
            assert (caught.value.where, bool(caught.value.way_out)) == (field, True)
        assert log(session) == []


def test_any_text_is_kept_as_it_was_written(database, actor):
    for text in ("<script>alert(1)</script>", "'; DROP TABLE patients; --", "{{7*7}}", "🩺 נבדק"):
        with database.begin() as session:
            made = patients.make_patient(session, actor, pseudonym=text, note=text)
        with database.begin() as session:
            shown = patients.show_patient(session, actor, made.id).patient
        assert (shown.pseudonym, shown.note) == (text, text)


def test_lesions_are_numbered_and_placed(database, actor):
    with database.begin() as session:
        patient = patients.make_patient(session, actor, pseudonym="A")
        first = patients.make_lesion(session, actor, patient.id, site=SITES[0], view="front", x=0.0, y=1.0, label="l")
        second = patients.make_lesion(session, actor, patient.id)
        assert (first.number, second.number) == (1, 2)
        assert (first.site, first.view, first.x, first.y, first.label) == (SITES[0], "front", 0, 1, "l")
        moved = patients.change_lesion(
            session, actor, second.id, site=SITES[1], view="back", x=0.25, y=0.5, label="", note="n"
        )
        assert (moved.number, moved.view, moved.x) == (2, "back", 0.25)


WRONG_PLACES = [
    {"site": "elbow"},
    {"view": "left", "x": 0, "y": 0},
    {"view": "front"},
    {"x": 0.5, "y": 0.5},
    {"view": "front", "x": 1.01, "y": 0},
    {"view": "front", "x": float("nan"), "y": 0},
]


def test_a_place_that_is_none_is_refused(database, actor):
    with database.begin() as session:
        patient = patients.make_patient(session, actor, pseudonym="A")
        for place in WRONG_PLACES:
            with pytest.raises(InvalidRecordError):
                patients.make_lesion(session, actor, patient.id, **place)


def test_a_visit_lies_in_the_past(database, actor):
    with database.begin() as session:
        patient = patients.make_patient(session, actor, pseudonym="A")
        for day in (datetime.now(UTC).date() + timedelta(days=3), date(1850, 1, 1)):
            with pytest.raises(InvalidRecordError):
                patients.make_visit(session, actor, patient.id, visited_on=day)
        visit = patients.make_visit(session, actor, patient.id, visited_on=date(2020, 2, 29), note="first")
        assert patients.show_patient(session, actor, patient.id).visits == (visit,)


def test_what_is_not_there_is_said_to_be_missing(database, actor, images):
    asks = (
        patients.show_patient,
        patients.show_lesion,
        casework.open_case,
        casework.show_image,
        answers.show_prediction,
        opinions.sign_off,
        lambda *given: new_image(*given[:2], dataclasses.replace(case, id=given[2]), images),
    )
    with database.begin() as session:
        case = new_case(session, actor)
        for record_id in (NOBODY, "", "x" * 10_000, "../../x", "a\0b", "ü"):
            for ask in asks:
                with pytest.raises(RecordNotFoundError, match="no such"):
                    ask(session, actor, record_id)


# -- cases and pictures -----------------------------------------------------------------------------------------------


def test_a_case_is_made_once(database, actor):
    with database.begin() as session:
        case = new_case(session, actor)
        again = casework.make_case(session, actor, visit_id=case.visit_id, lesion_id=case.lesion_id)
        assert again == case
        assert [action for action, _ in log(session)].count("case.made") == 1
        stranger = new_case(session, actor)
        with pytest.raises(InvalidRecordError, match="two patients"):
            casework.make_case(session, actor, visit_id=case.visit_id, lesion_id=stranger.lesion_id)


def test_a_picture_is_kept_with_its_hashes_and_a_retry_makes_no_second(database, actor, images):
    stripped = picture()
    with database.begin() as session:
        case = new_case(session, actor)
        image = new_image(session, actor, case, images, stripped, pixel_size_mm=0.02)
        assert new_image(session, actor, case, images, stripped) == image
    assert (image.sha256, image.received_sha256) == (stripped.sha256, stripped.received_sha256)
    assert (image.width_px, image.height_px, image.pixel_size_mm) == (*stripped.size, 0.02)
    assert images.read(image.sha256) == stripped.content
    with database.begin() as session:
        assert casework.show_image(session, actor, image.id) == image
        assert casework.open_case(session, actor, case.id).images == (image,)
        assert [action for action, _ in log(session)].count("image.made") == 1


def test_a_picture_whose_file_is_gone_by_then_is_stored_again(database, actor, images):
    """Between `put` and the transaction somebody may have had an equal picture deleted."""
    stripped = picture()
    with database.begin() as session:
        case = new_case(session, actor)
        casework.add_image(session, actor, case.id, images=images, stripped=stripped, image_type="clinical: overview")
    assert images.read(stripped.sha256) == stripped.content


def test_follow_up_shows_a_lesions_pictures_by_day(database, actor, images):
    with database.begin() as session:
        late = new_case(session, actor, visited_on=date(2026, 3, 1))
        earlier = patients.make_visit(session, actor, late.patient_id, visited_on=date(2025, 3, 1))
        early = casework.make_case(session, actor, visit_id=earlier.id, lesion_id=late.lesion_id)
        second = new_image(session, actor, late, images)
        first = new_image(session, actor, early, images)
        lesion, shown = patients.show_lesion(session, actor, late.lesion_id)
        assert lesion.number == 1
        assert [(visit.visited_on.year, image.id) for visit, image in shown] == [(2025, first.id), (2026, second.id)]


# -- answers ----------------------------------------------------------------------------------------------------------


def test_every_field_of_a_prediction_is_kept(database, actor, images):
    stripped = picture()
    said = prediction(stripped, 0.1 + 0.2)
    with database.begin() as session:
        image = new_image(session, actor, new_case(session, actor), images, stripped)
        stored = answers.add_prediction(session, actor, image.id, said, bundle_sha256=BUNDLE_SHA256)
    with database.begin() as session:
        read = answers.show_prediction(session, actor, stored.id)
        row = session.get(PredictionRow, stored.id)
    assert read.bundle_sha256 == BUNDLE_SHA256
    assert read.prediction == dataclasses.replace(said, image=image.id)
    assert np.array_equal(read.prediction.heatmap, said.heatmap)
    for name in ("bundle", "status", "malignant_probability", "decision", "operating_point", "threshold",
                 "top_diagnosis", "ood_distance"):  # fmt: skip
        assert getattr(row, name) == getattr(said, name), name


def test_a_name_of_a_file_is_not_kept(database, actor, images):
    with database.begin() as session:
        assessed(session, actor, images)
        record = session.scalar(sa.select(PredictionRow.record))
    assert "Jane Doe" not in record


def test_a_prediction_of_another_picture_is_refused(database, actor, images):
    with database.begin() as session:
        image = new_image(session, actor, new_case(session, actor), images)
        with pytest.raises(InvalidRecordError, match="another picture"):
            answers.add_prediction(session, actor, image.id, prediction(picture()), bundle_sha256=BUNDLE_SHA256)


def test_a_case_carries_its_latest_answers(database, actor, images):
    with database.begin() as session:
        case, _, _ = assessed(session, actor, images, probability=0.2)
        assessed(session, actor, images, probability=0.7, case=case)
        assert casework.open_case(session, actor, case.id).case.suspicion == 0.7
        assessed(session, actor, images, probability="declined", case=case)
        shown = casework.open_case(session, actor, case.id)
        assert (shown.case.suspicion, shown.case.declined) == (0.7, True)
        assert len(shown.predictions) == 3


@given(
    st.builds(
        Prediction,
        image=st.text(),
        sha256=st.text(),
        bundle=st.text(),
        status=st.sampled_from(Status),
        malignant_probability=st.none() | st.floats(0, 1),
        top_diagnosis=st.none() | st.sampled_from(Diagnosis),
        probabilities=st.dictionaries(st.sampled_from(Diagnosis), st.floats(0, 1)),
        quality=st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False)),
        frame=st.none() | st.tuples(*[st.floats(0, 1)] * 4),
    )
)
def test_a_stored_prediction_reads_back(made):
    assert codec.from_json(codec.to_json(made)) == made


def test_a_prediction_of_an_older_or_newer_program_reads_back():
    stored = json.loads(codec.to_json(prediction(picture())))
    del stored["similar"], stored["frame"]
    stored["invented_later"] = 1
    read = codec.from_json(json.dumps(stored))
    assert (read.similar, read.frame, read.status) == ((), None, Status.ASSESSED)


def test_bytes_that_are_no_heatmap_are_refused():
    with pytest.raises(ValueError, match="no packed heatmap"):
        codec.unpack_heatmap(bytes(20))


# -- impressions, before and after ------------------------------------------------------------------------------------


def test_an_impression_is_before_until_its_author_saw_an_answer(database, actor, other, images):
    with database.begin() as session:
        case, _, stored = assessed(session, actor, images)
        casework.open_case(session, actor, case.id, show_answer=False)
        before = opinions.add_impression(session, actor, case.id, management="follow-up", diagnosis="NV")
        casework.open_case(session, actor, case.id)
        after = opinions.add_impression(session, actor, case.id, management="excision", text="now I see it")
        others = opinions.add_impression(session, other, case.id, management="no action", diagnosis="NV")
    assert (before.timing, before.seen_prediction_id) == (Timing.BEFORE, None)
    assert (after.timing, after.seen_prediction_id) == (Timing.AFTER, stored.id)
    assert others.timing is Timing.BEFORE, "who saw it counts, not that somebody did"
    assert (after.diagnosis, after.text, after.management) == (None, "now I see it", Management.EXCISION)


def test_the_practice_can_hide_the_answer_until_the_impression_is_in(database, actor, other, images):
    with database.begin() as session:
        practice.change_practice(session, actor, practice.Practice("Dr. Ada", hide_answer_until_impression=True))
        case, _, stored = assessed(session, actor, images, probability=0.9)
        hidden = casework.open_case(session, actor, case.id)
        assert (hidden.answer_hidden, hidden.predictions, hidden.case.suspicion) == (True, (), -1)
        with pytest.raises(ConflictError, match="hidden"):
            answers.show_prediction(session, actor, stored.id)
        impression = opinions.add_impression(session, actor, case.id, management="biopsy", diagnosis="MEL")
        assert impression.timing is Timing.BEFORE
        shown = casework.open_case(session, actor, case.id)
        assert (shown.answer_hidden, len(shown.predictions), shown.case.suspicion) == (False, 1, 0.9)
        assert casework.open_case(session, other, case.id).answer_hidden
        opinions.sign_off(session, actor, case.id)
        assert not casework.open_case(session, other, case.id).answer_hidden, "a signed case hides nothing"


def test_settings_of_the_practice_are_kept_and_their_changes_logged(database, actor):
    with database.begin() as session:
        assert practice.read_practice(session) == practice.Practice()
        practice.change_practice(session, actor, practice.Practice(" Dr. Ada "))
        practice.change_practice(session, actor, practice.Practice("Dr. Ada"))
    with database.read() as session:
        assert practice.read_practice(session) == practice.Practice("Dr. Ada")
        assert [row.detail for row in session.scalars(sa.select(audit.AuditRow))] == ['{"name":["","Dr. Ada"]}']


def test_an_impression_that_says_nothing_known_is_refused(database, actor):
    with database.begin() as session:
        case = new_case(session, actor)
        for wrong in ({"management": "wait"}, {"management": "biopsy", "diagnosis": "XX"}, {"management": "biopsy"}):
            with pytest.raises(InvalidRecordError):
                opinions.add_impression(session, actor, case.id, **wrong)


# -- sign-off ---------------------------------------------------------------------------------------------------------


def test_a_signed_case_takes_nothing_more_until_it_is_reopened(database, actor, images):
    with database.begin() as session:
        case = new_case(session, actor)
        with pytest.raises(ConflictError, match="no impression"):
            opinions.sign_off(session, actor, case.id)
        impression = opinions.add_impression(session, actor, case.id, management="no action", diagnosis="NV")
        signed = opinions.sign_off(session, actor, case.id)
        assert signed.impression_id == impression.id
        for change in (
            lambda: opinions.sign_off(session, actor, case.id),
            lambda: opinions.add_impression(session, actor, case.id, management="biopsy", diagnosis="MEL"),
            lambda: new_image(session, actor, case, images),
        ):
            with pytest.raises(ConflictError, match="signed off"):
                change()
        with pytest.raises(InvalidRecordError, match="reason"):
            opinions.reopen(session, actor, case.id, reason=" ")
        opinions.reopen(session, actor, case.id, reason="one more picture")
        with pytest.raises(ConflictError, match="open"):
            opinions.reopen(session, actor, case.id, reason="again")
        new_image(session, actor, case, images)
        assert [entry.kind for entry in casework.open_case(session, actor, case.id).signoffs] == ["signed", "reopened"]


# -- confirmations ----------------------------------------------------------------------------------------------------


def confirm(session, actor, case, **changes):
    given = {"confirmation": "histopathology", "confirmed_on": date(2026, 3, 9), "diagnosis": "MEL", **changes}
    return opinions.add_confirmation(session, actor, case.id, **given)


def test_a_confirmation_is_kept_and_a_correction_is_another_entry(database, actor, other):
    with database.begin() as session:
        case = new_case(session, actor)
        first = confirm(session, actor, case, confirmed_by="Lab", document="H-26/1", note="0.4 mm", term="Melanoma")
        corrected = confirm(session, other, case, diagnosis="NV", corrects_id=first.id)
        shown = casework.open_case(session, actor, case.id)
        assert shown.confirmations == (first, corrected)
        assert opinions.standing(shown.confirmations) == (corrected,)
        with pytest.raises(ConflictError, match="already"):
            confirm(session, actor, case, corrects_id=first.id)
        back = opinions.retract_confirmation(session, actor, corrected.id, note="another patient's")
        assert (back.retracted, back.corrects_id, back.diagnosis) == (True, corrected.id, None)
        assert opinions.standing(casework.open_case(session, actor, case.id).confirmations) == ()
        with pytest.raises(ConflictError, match="already"):
            opinions.retract_confirmation(session, actor, back.id, note="x")
    assert (first.malignancy, first.counts_as_malignant, first.confirmed_by) == (Malignancy.MALIGNANT, True, "Lab")
    assert (first.document, first.note, first.actor_name) == ("H-26/1", "0.4 mm", actor.name)
    assert corrected.counts_as_malignant is False


def test_a_finding_outside_the_taxonomy_is_kept_by_its_word(database, actor):
    with database.begin() as session:
        case = new_case(session, actor)
        with pytest.raises(InvalidRecordError) as caught:
            confirm(session, actor, case, diagnosis="", malignancy="malignant")
        assert caught.value.where == "term"
        with pytest.raises(InvalidRecordError) as caught:
            confirm(session, actor, case, diagnosis="", term="Merkel cell carcinoma")
        assert caught.value.where == "malignancy"
        entry = confirm(session, actor, case, diagnosis="", term="Merkel cell carcinoma", malignancy="malignant")
    assert (entry.diagnosis, entry.term, entry.counts_as_malignant) == (None, "Merkel cell carcinoma", True)


def test_every_kind_of_confirmation_is_taken(database, actor):
    with database.begin() as session:
        for how in (one for one in Confirmation if one):
            assert confirm(session, actor, new_case(session, actor), confirmation=str(how)).confirmation is how


def test_a_confirmation_that_cannot_be_kept_is_refused(database, actor):
    with database.begin() as session:
        case = new_case(session, actor)
        for wrong in (
            {"confirmation": ""},
            {"confirmation": "guess"},
            {"diagnosis": "mel"},
            {"confirmed_on": date(2999, 1, 1)},
            {"document": "x" * 201},
        ):
            with pytest.raises(InvalidRecordError):
                confirm(session, actor, case, **wrong)


def test_a_correction_stays_with_its_lesion(database, actor):
    with database.begin() as session:
        first = confirm(session, actor, new_case(session, actor))
        with pytest.raises(InvalidRecordError, match="another lesion"):
            confirm(session, actor, new_case(session, actor), corrects_id=first.id)


def test_where_a_case_stands(database, actor):
    """Open, then waiting for the laboratory, then done; a finding answers earlier visits too, but no later one."""

    def state(case):
        return casework.open_case(session, actor, case.id).case.state

    with database.begin() as session:
        case = new_case(session, actor, visited_on=date(2026, 3, 1))
        visit = patients.make_visit(session, actor, case.patient_id, visited_on=date(2025, 3, 1))
        earlier = casework.make_case(session, actor, visit_id=visit.id, lesion_id=case.lesion_id)
        for one in (case, earlier):
            assert state(one) is CaseState.OPEN
            opinions.add_impression(session, actor, one.id, management="excision", diagnosis="MEL")
            opinions.sign_off(session, actor, one.id)
            assert state(one) is CaseState.AWAITING
        entry = confirm(session, actor, earlier)
        assert (state(case), state(earlier)) == (CaseState.AWAITING, CaseState.DONE)
        last = confirm(session, actor, case)
        assert (state(case), state(earlier)) == (CaseState.DONE, CaseState.DONE)
        opinions.retract_confirmation(session, actor, last.id, note="wrong")
        opinions.retract_confirmation(session, actor, entry.id, note="wrong")
        assert (state(case), state(earlier)) == (CaseState.AWAITING, CaseState.AWAITING)


def test_a_case_that_needs_no_confirmation_is_done_when_signed(database, actor):
    with database.begin() as session:
        case = new_case(session, actor)
        opinions.add_impression(session, actor, case.id, management="no action", diagnosis="NV")
        opinions.sign_off(session, actor, case.id)
        assert casework.open_case(session, actor, case.id).case.state is CaseState.DONE


# -- what cannot be undone --------------------------------------------------------------------------------------------


def test_the_database_itself_refuses_to_change_an_entry(database, actor, images):
    with database.begin() as session:
        case, _, _ = assessed(session, actor, images)
        opinions.add_impression(session, actor, case.id, management="biopsy", diagnosis="MEL")
        opinions.sign_off(session, actor, case.id)
        confirm(session, actor, case)
    own = "INSERT OR REPLACE INTO {0} SELECT * FROM {0}" if database.embedded else "TRUNCATE {0} CASCADE"
    for table in (PredictionRow, ImpressionRow, ConfirmationRow, SignOffRow):
        for statement in ("UPDATE {0} SET made_at = made_at", "DELETE FROM {0}", own):
            with pytest.raises(DBAPIError, match="append-only"):
                execute(database, statement.format(table.__tablename__))
        with database.read() as session:
            assert session.scalar(sa.select(sa.func.count()).select_from(table)) == 1


def execute(database, statement):
    with database.begin() as session:
        session.execute(sa.text(statement))
