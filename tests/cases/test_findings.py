"""What is kept for the watch: imprints, runs, alarms, and what a lead says of them."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from dermaloop.cases import audit, findings, opinions
from dermaloop.cases.deletion import delete_patient
from dermaloop.cases.errors import ConflictError, InvalidRecordError, RecordNotFoundError
from dermaloop.cases.findings import Raised
from dermaloop.cases.imprints import pack, unpack
from dermaloop.cases.watch_data import watched_cases, watched_pictures
from dermaloop.cases.watch_tables import ImprintRow, Outcome, WatchAlarmRow, WatchRunRow
from dermaloop.core.prediction import Decision, Imprint
from support import clinic
from support.clinic import BUNDLE_SHA256

BUNDLE = "reference@0123456789ab"
MOMENT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
IMPRINT = Imprint(np.linspace(-1, 1, 32, dtype=np.float32), np.linspace(0, 3, 16, dtype=np.float32), (0.4, 0.28))


def say(session, actor, images, case=None, **changes):
    """A picture and its answer, with an imprint; gives the case."""
    case = case or clinic.new_case(session, actor)
    stripped = clinic.picture()
    image = clinic.new_image(session, actor, case, images, stripped)
    said = clinic.prediction(stripped, **{"imprint": IMPRINT, **changes})
    clinic.answers.add_prediction(session, actor, image.id, said, bundle_sha256=BUNDLE_SHA256)
    return case


def keep(session, actor, *measures):
    raised = [Raised(name, MOMENT, MOMENT, {"after": 1.0}) for name in measures]
    return findings.keep_run(
        session,
        actor,
        bundle=BUNDLE,
        bundle_sha256=BUNDLE_SHA256,
        visits=3,
        confirmed=1,
        report={"a": 1},
        raised=raised,
    )


def test_an_imprint_is_kept_with_its_prediction_and_goes_with_the_patient(embedded, actor):
    with embedded.database.begin() as session:
        case = say(session, actor, embedded.images)
    with embedded.database.read() as session:
        (watched,) = watched_pictures(session, BUNDLE)
        assert watched_pictures(session, "another@000000000000") == []
    np.testing.assert_allclose(watched.embedding, IMPRINT.embedding, atol=1e-3)
    np.testing.assert_allclose(watched.texture, IMPRINT.texture, atol=2e-3)
    assert watched.measures == pytest.approx({"blur": 123.5, "red_share": 0.4, "blue_share": 0.28, "similarity": 0.87})
    assert (watched.image_type, watched.device) == ("dermoscopic", "JPEG 64 x 64")
    delete_patient(embedded, actor, case.patient_id, reason="request")
    with embedded.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(ImprintRow)) == 0
        (left,) = watched_pictures(session, BUNDLE)
    assert left.embedding is None
    assert left.probability == 0.3, "that says nothing of anybody, and the counts stay true"


def test_half_precision_is_enough():
    values = np.random.default_rng(0).normal(size=64).astype(np.float32)
    assert np.abs(unpack(pack(values)) - values).max() < 2e-3
    assert len(pack(values)) == 128


def test_one_picture_of_a_visit_is_watched_always_the_same(embedded, actor):
    with embedded.database.begin() as session:
        case = say(session, actor, embedded.images, probability=0.1)
        for probability in (0.2, 0.3, 0.4):
            say(session, actor, embedded.images, case, probability=probability)
        say(session, actor, embedded.images, probability=0.9)
    with embedded.database.read() as session:
        once, again = watched_pictures(session, BUNDLE), watched_pictures(session, BUNDLE)
    assert len(once) == 2
    assert [one.probability for one in once] == [one.probability for one in again]


def test_confirmed_cases_are_those_answered_before_by_what_counts(embedded, actor):
    def confirm(case, how="histopathology", diagnosis="MEL", **more):
        return opinions.add_confirmation(
            session, actor, case.id, confirmation=how, confirmed_on=date(2026, 3, 9), diagnosis=diagnosis, **more
        )

    with embedded.database.begin() as session:
        missed = say(session, actor, embedded.images, probability=0.05, decision=Decision.NO_REFERRAL)
        confirm(missed)
        corrected = say(session, actor, embedded.images, probability=0.7)
        confirm(corrected, diagnosis="NV", corrects_id=confirm(corrected).id)
        confirm(say(session, actor, embedded.images), how="single clinician")
        late = clinic.new_case(session, actor)
        confirm(late)
        say(session, actor, embedded.images, late)
        say(session, actor, embedded.images, decision=Decision.NO_REFERRAL)
    with embedded.database.read() as session:
        found, shares = watched_cases(session, BUNDLE)
    assert [(one.malignant, one.decision, one.probability) for one in found] == [
        (True, Decision.NO_REFERRAL, 0.05),
        (False, Decision.REFER, 0.7),
    ]
    assert shares == {"refer": (3, 3), "no_referral": (1, 2), "": (0, 0)}


def test_a_measure_has_one_open_alarm_until_a_lead_closes_it(database, actor):
    with database.begin() as session:
        keep(session, actor, "blur", "colour")
        keep(session, actor, "blur")
        assert len(findings.alarms(session)) == 2
        first = next(one for one in findings.alarms(session) if one.measure == "blur")
        closed = findings.review_alarm(session, actor, first.id, outcome="passed", note="The lens was greasy.")
        assert closed.review.outcome is Outcome.PASSED
        keep(session, actor, "blur")
        assert [one.review is None for one in findings.alarms(session) if one.measure == "blur"].count(True) == 1
        assert len(findings.alarms(session, bundle="another@000000000000")) == 0
        actions = list(session.scalars(sa.select(audit.AuditRow.action).order_by(audit.AuditRow.sequence)))
    assert actions.count("watch.ran") == 3
    assert actions.count("watch.alarmed") == 3
    assert actions.count("watch.reviewed") == 1


@pytest.mark.parametrize(
    ("outcome", "note", "error"),
    [
        ("passed", "  ", InvalidRecordError),
        ("maybe", "x", InvalidRecordError),
        ("stays", "x" * 2001, InvalidRecordError),
    ],
)
def test_a_review_says_what_it_found(database, actor, outcome, note, error):
    with database.begin() as session:
        keep(session, actor, "blur")
        (alarm,) = findings.alarms(session)
        with pytest.raises(error):
            findings.review_alarm(session, actor, alarm.id, outcome=outcome, note=note)
        assert findings.alarms(session)[0].review is None


def test_an_alarm_is_closed_once_and_never_changed(database, actor):
    with database.begin() as session:
        keep(session, actor, "blur")
        (alarm,) = findings.alarms(session)
        findings.review_alarm(session, actor, alarm.id, outcome="stays", note="New camera.")
        with pytest.raises(ConflictError):
            findings.review_alarm(session, actor, alarm.id, outcome="passed", note="No.")
        with pytest.raises(RecordNotFoundError):
            findings.review_alarm(session, actor, "no-such-alarm", outcome="passed", note="No.")
    with pytest.raises(DBAPIError), database.begin() as session:
        session.execute(sa.delete(WatchAlarmRow))


def test_old_reports_are_emptied_and_the_latest_is_whole(database, actor, monkeypatch):
    monkeypatch.setattr(findings, "_WHOLE_RUNS", 2)
    with database.begin() as session:
        for _ in range(4):
            last = keep(session, actor)
        reports = list(session.scalars(sa.select(WatchRunRow.report).order_by(WatchRunRow.made_at)))
        assert findings.latest_run(session) == last
    assert [bool(report) for report in reports] == [False, False, True, True]
