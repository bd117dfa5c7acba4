"""What a model said silently: kept apart, counted, compared case by case, and gone with its patient."""

import json
import zipfile
from datetime import date

import pytest

from dermaloop.cases import casework, opinions, shadow
from dermaloop.cases.actor import system
from dermaloop.cases.comparison import Share, compare, mcnemar
from dermaloop.cases.deletion import delete_patient
from dermaloop.cases.errors import InvalidRecordError, RecordNotFoundError
from dermaloop.cases.export import export_patient
from dermaloop.cases.model_tables import SilentKind
from dermaloop.core.prediction import Decision, Status
from support.clinic import assessed, new_case, new_image, picture, prediction
from support.models import first_champion, proposal

SHADOW = system("shadow")


@pytest.fixture
def model(either_store, tmp_path):
    first_champion(either_store, tmp_path)
    return proposal(either_store, tmp_path)


def say(store, model, image, decision, *, kind=SilentKind.SHADOW, **changes):
    """What the model says silently of a picture."""
    status = Status.ABSTAINED if decision is Decision.NONE else Status.ASSESSED
    stripped = type("Stripped", (), {"received_sha256": image.received_sha256})
    said = prediction(stripped, 0.5, bundle=model.identity, decision=decision, status=status, **changes)
    with store.database.begin() as session:
        return shadow.add_silent(session, SHADOW, model.id, image.id, said, took_s=0.25, kind=kind)


def case_with(store, actor, decision, confirmed=""):
    """A case on which people were shown this decision, and what was confirmed."""
    with store.database.begin() as session:
        made = new_case(session, actor)
        image = new_image(session, actor, made, store.images, stripped := picture())
        status = Status.ABSTAINED if decision is Decision.NONE else Status.ASSESSED
        from dermaloop.cases import answers  # noqa: PLC0415 - beside its only use

        said = prediction(stripped, 0.4, decision=decision, status=status)
        answers.add_prediction(session, actor, image.id, said, bundle_sha256="0" * 64)
        if confirmed:
            opinions.add_confirmation(
                session, actor, made.id, confirmation="histopathology", confirmed_on=date(2026, 3, 2),
                diagnosis=confirmed,
            )  # fmt: skip
    return image


def test_the_comparison_counts_cases_as_the_worklist_does(either_store, actor, model):
    refer, none, declined = Decision.REFER, Decision.NO_REFERRAL, Decision.NONE
    wanted = [
        (refer, refer, "MEL"), (refer, none, "MEL"), (refer, none, "MEL"), (none, refer, "MEL"),
        (refer, none, "NV"), (none, none, "NV"), (declined, refer, "MEL"), (refer, declined, "NV"), (refer, refer, ""),
    ]  # fmt: skip
    for shown, silent, confirmed in wanted:
        assert say(either_store, model, case_with(either_store, actor, shown, confirmed), silent)
    with either_store.database.read() as session:
        found = compare(session, model.id)
    assert (found.pictures, found.cases) == (9, 9)
    assert found.agreement == Share(3, 7)
    assert (found.to_refer, found.to_none) == (1, 3)
    assert found.declined_shown == found.declined_silent == Share(1, 9)
    assert (found.malignant.shown, found.malignant.silent) == (Share(3, 4), Share(2, 4))
    assert (found.malignant.only_shown_right, found.malignant.only_silent_right) == (2, 1)
    assert (found.benign.shown, found.benign.silent) == (Share(1, 2), Share(2, 2))
    assert found.benign.p_value == 1.0
    assert len(found.changed) == 4
    assert {pair.malignant for pair in found.changed} == {True, False}
    assert found.took_s == 0.25


def test_a_case_of_several_pictures_is_referred_where_one_of_them_is(either_store, actor, model):
    with either_store.database.begin() as session:
        case, first, _ = assessed(session, actor, either_store.images)
        _, second, _ = assessed(session, actor, either_store.images, case=case)
    say(either_store, model, first, Decision.NO_REFERRAL)
    say(either_store, model, second, Decision.REFER)
    with either_store.database.read() as session:
        found = compare(session, model.id)
    assert (found.pictures, found.cases, found.agreement) == (2, 1, Share(1, 1))


def test_it_is_asked_once_about_a_picture_and_only_about_its_own(either_store, actor, model):
    image = case_with(either_store, actor, Decision.REFER)
    with either_store.database.read() as session:
        assert [one.image_id for one in shadow.waiting(session, model.id, most=10)] == [image.id]
    assert say(either_store, model, image, Decision.REFER)
    assert not say(either_store, model, image, Decision.REFER, kind=SilentKind.REPLAY)
    with either_store.database.read() as session:
        assert shadow.waiting(session, model.id, most=10) == ()
    with pytest.raises(InvalidRecordError):
        say(either_store, model, image, Decision.REFER, sha256="1" * 64)
    with either_store.database.begin() as session:
        bare = new_image(session, actor, new_case(session, actor), either_store.images)
    with pytest.raises(RecordNotFoundError):
        say(either_store, model, bare, Decision.REFER)


def test_nobody_who_looks_at_the_case_sees_it(either_store, actor, model):
    image = case_with(either_store, actor, Decision.REFER)
    say(either_store, model, image, Decision.NO_REFERRAL)
    with either_store.database.begin() as session:
        file = casework.open_case(session, actor, image.case_id)
    assert [one.prediction.bundle for one in file.predictions] == ["reference@0123456789ab"]
    assert model.identity not in repr(file)


def test_the_patient_gets_it_with_their_record(either_store, actor, model, tmp_path):
    image = case_with(either_store, actor, Decision.REFER)
    say(either_store, model, image, Decision.NO_REFERRAL)
    export_patient(either_store, actor, image.patient_id, tmp_path / "record.zip")
    with zipfile.ZipFile(tmp_path / "record.zip") as packed:
        found = json.loads(packed.read("record.json"))["silent_predictions"]
    assert [(one["image_id"], one["decision"], one["kind"]) for one in found] == [(image.id, "no_referral", "shadow")]


def test_what_was_missed_is_counted_and_a_deleted_patient_is_compared_no_more(either_store, actor, model):
    image = case_with(either_store, actor, Decision.REFER, "MEL")
    say(either_store, model, image, Decision.REFER)
    with either_store.database.begin() as session:
        shadow.count_missed(session, model.id, {"queue_full": 2})
        shadow.count_missed(session, model.id, {"queue_full": 1, "failed": 1})
    delete_patient(either_store, actor, image.patient_id, reason="request by letter")
    with either_store.database.read() as session:
        found = compare(session, model.id)
    assert found.missed == {"queue_full": 3, "failed": 1}
    assert (found.pictures, found.cases, found.changed) == (0, 0, ())
    with pytest.raises(RecordNotFoundError):
        say(either_store, model, image, Decision.REFER)


def test_the_shares_and_the_test_agree_with_a_statistics_library():
    stats = pytest.importorskip("scipy.stats")
    for count, n in ((0, 5), (3, 7), (12, 12), (40, 100)):
        exact = stats.binomtest(count, n).proportion_ci(method="wilson")
        assert Share(count, n).interval == pytest.approx((exact.low, exact.high))
    for one, other in ((0, 1), (2, 9), (5, 5), (0, 12)):
        assert mcnemar(one, other) == pytest.approx(stats.binomtest(one, one + other).pvalue)
    assert mcnemar(0, 0) is None
    assert Share(0, 0).value is Share(0, 0).interval is None
