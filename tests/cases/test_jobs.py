"""Screening jobs on both databases: the queue and its one answer per picture, lists, filing, deletion."""

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from dermaloop.cases import (
    audit,
    casework,
    job_arrivals,
    job_deletion,
    job_filing,
    job_queue,
    job_results,
    jobs,
    opinions,
    patients,
    tables,
)
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.backup import back_up, restore
from dermaloop.cases.check import check
from dermaloop.cases.database import now
from dermaloop.cases.deletion import delete_patient, finish_deletions
from dermaloop.cases.errors import ConflictError, InvalidRecordError, RecordNotFoundError
from dermaloop.cases.images import MissingImageError
from dermaloop.cases.job_arrivals import Arrival
from dermaloop.cases.job_queue import Answered
from dermaloop.cases.job_results import ItemOrder, Show
from dermaloop.cases.job_tables import JobItemRow, JobRow
from dermaloop.cases.store import open_store
from dermaloop.cases.words import Timing
from dermaloop.core.prediction import Decision, Imprint, Reason, Status
from support.clinic import declined, new_image, picture, prediction

WORKER = system("screening")
IMPRINT = Imprint(np.float32([1, 2, 3]), np.float32([4, 5]), (0.4, 0.3))
PICTURES = [picture(seed) for seed in range(900, 906)]


def arrival(index, name=None):
    """A picture as it arrives."""
    stripped = PICTURES[index]
    return Arrival(name or f"arm/{index}.jpg", stripped.received_sha256, 1000 + index, stripped)


def refusal(name="notes.txt"):
    """A file that is refused."""
    reason = Reason("not_a_picture", "The file is no picture.")
    return Arrival(name, "f" * 64, 9, None, prediction(PICTURES[0], None, sha256="f" * 64, reasons=(reason,)))


def new_job(session, actor, *arrivals, name="Left arms"):
    """A job with these files."""
    job = jobs.make_job(session, actor, name=name)
    job_arrivals.receive(session, actor, job.id, arrivals)
    return job


def work_off(session, probabilities=None, limit=100):
    """Answers everything that waits; gives how many answers were written."""
    claimed = job_queue.claim(session, limit=limit)
    by_hash = {one.sha256: one for one in PICTURES}
    answered = []
    for number, one in enumerate(claimed):
        probability = probabilities[number] if probabilities else 0.3
        stripped = by_hash[one.sha256]
        made = declined(stripped) if probability == "declined" else prediction(stripped, probability)
        answered.append(Answered(one.id, replace(made, imprint=IMPRINT), "b" * 64))
    return job_queue.hand_in(session, WORKER, answered)


@pytest.fixture
def session(database):
    with database.begin() as opened:
        yield opened


def actions(session, subject_id):
    """What the log says of a subject."""
    query = sa.select(audit.AuditRow.action, audit.AuditRow.detail).where(audit.AuditRow.subject_id == subject_id)
    return session.execute(query.order_by(audit.AuditRow.sequence)).all()


def test_a_job_is_filled_once_however_often_a_file_is_sent(session, actor):
    job = new_job(session, actor, arrival(0), arrival(1), refusal())
    assert job_arrivals.receive(session, actor, job.id, [arrival(0), arrival(2), refusal()]) == 1
    assert job_arrivals.receive(session, actor, job.id, [arrival(0, "another/name.jpg")]) == 1, "another file of it"
    found = jobs.numbers(session, job.id)
    assert (found.arrived, found.waiting, found.failed, found.assessed) == (5, 4, 1, 1)
    assert job_results.arrived(session, job.id)[0] == ("arm/0.jpg", 1000)
    logged = actions(session, job.id)
    assert [action for action, _ in logged] == ["job.made", "job.received", "job.received", "job.received"]
    assert not any("jpg" in detail or "Left" in detail for _, detail in logged), "no name in what cannot be deleted"


def test_every_answer_is_written_once(session, actor):
    job = new_job(session, actor, arrival(0), arrival(1))
    (first, second) = job_queue.claim(session, limit=5)
    assert job_queue.claim(session, limit=5) == (), "what is taken up is taken up by one"
    answers = [Answered(first.id, prediction(PICTURES[0], 0.9), "b" * 64)]
    assert job_queue.hand_in(session, WORKER, answers) == 1
    late = [Answered(first.id, prediction(PICTURES[0], 0.1), "c" * 64)]
    assert job_queue.hand_in(session, WORKER, late) == 0
    page = job_results.show_job(session, actor, job.id)
    assert [one.prediction and one.prediction.malignant_probability for one in page.items] == [0.9, None]
    job_queue.give_back(session, [second.id], counted=False)
    assert [one.id for one in job_queue.claim(session, limit=5)] == [second.id]
    assert job_queue.someone_waits(session) is False


def test_a_claim_ends_by_itself_and_what_fails_every_time_is_given_up(session, actor, monkeypatch):
    job = new_job(session, actor, arrival(0))
    monkeypatch.setattr(job_queue, "LEASE", timedelta(0))
    for _ in range(jobs.MOST_TRIES):
        assert len(job_queue.claim(session, limit=1)) == 1, "whoever had it is gone"
    assert job_queue.claim(session, limit=1) == ()
    (item,) = job_results.show_job(session, actor, job.id, Show.FAILED).items
    assert item.prediction.reasons[0].code == "gave_up"
    assert not job_queue.someone_waits(session)


def test_claims_of_a_server_that_is_gone_are_ended_at_once(session, actor):
    new_job(session, actor, arrival(0), arrival(1))
    assert len(job_queue.claim(session, limit=2)) == 2
    assert job_queue.give_all_back(session) == 2
    assert len(job_queue.claim(session, limit=2)) == 2


def test_the_oldest_job_goes_first(session, actor):
    for number in range(3):
        new_job(session, actor, arrival(number), name=f"Job {number}")
    assert [one.name for one in job_queue.claim(session, limit=2)] == ["arm/0.jpg", "arm/1.jpg"]


def test_a_cancelled_job_rests_and_goes_on(session, actor):
    job = new_job(session, actor, arrival(0), arrival(1), arrival(2))
    (taken,) = job_queue.claim(session, limit=1)
    jobs.cancel(session, actor, job.id)
    jobs.cancel(session, actor, job.id)
    assert job_queue.hand_in(session, WORKER, [Answered(taken.id, prediction(PICTURES[0]), "b" * 64)]) == 0
    assert job_queue.claim(session, limit=5) == ()
    with pytest.raises(ConflictError):
        job_arrivals.receive(session, actor, job.id, [arrival(3)])
    assert jobs.numbers(session, job.id).stopped == 3
    jobs.resume(session, actor, job.id)
    assert work_off(session) == 3
    assert [action for action, _ in actions(session, job.id)].count("job.cancelled") == 1


def test_a_list_is_sorted_by_suspicion_and_shown_in_parts(session, actor):
    files = [arrival(number) for number in range(5)]
    job = new_job(session, actor, *files, refusal("a.txt"))
    work_off(session, [0.2, 0.9, "declined", 0.5], limit=4)
    page = job_results.show_job(session, actor, job.id)
    assert [one.number for one in page.items] == [2, 4, 1, 3, 6, 5], "figures, declined, not readable, waiting"
    assert page.job.refer == 3
    assert page.count == 6
    shown = {show: job_results.show_job(session, actor, job.id, show).count for show in Show}
    assert shown == {"all": 6, "refer": 3, "below": 0, "declined": 1, "failed": 1, "waiting": 1}
    by_name = job_results.show_job(session, actor, job.id, Show.ALL, ItemOrder.NAME, limit=2)
    assert [one.name for one in by_name.items] == ["a.txt", "arm/0.jpg"]
    second = job_results.show_job(session, actor, job.id, Show.ALL, ItemOrder.ARRIVAL, offset=4, limit=4)
    assert [one.number for one in second.items] == [5, 6]
    exported = list(job_results.export_job(session, actor, job.id))
    assert [one.image for one in exported] == ["arm/0.jpg", "arm/1.jpg", "arm/2.jpg", "arm/3.jpg", "a.txt"]
    assert [one.sha256 for one in exported[:4]] == [one.received_sha256 for one in PICTURES[:4]], "as it was sent"
    assert job_results.show_item(session, actor, page.items[0].id).prediction.heatmap.shape == (3, 4)


def test_the_rank_of_what_lies_too_close_to_the_threshold_is_its_figure():
    close = replace(declined(PICTURES[0]), reasons=(Reason("ambiguous", "Close."),), malignant_probability=0.4)
    assert jobs.rank(close) == 0.4
    assert jobs.rank(declined(PICTURES[0])) < 0
    assert jobs.rank(prediction(PICTURES[0], None)) < jobs.rank(declined(PICTURES[0]))


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "two\nlines"])
def test_a_job_has_a_name_of_one_line(session, actor, name):
    with pytest.raises(InvalidRecordError):
        jobs.make_job(session, actor, name=name)


def test_names_of_files_are_kept_as_text_of_a_line():
    assert job_arrivals.item_name("../../etc/passwd") == "../../etc/passwd", "shown, never used as a path"
    assert "\n" not in job_arrivals.item_name("a\nb\0c.jpg")
    assert len(job_arrivals.item_name("d/" * 900 + "end.jpg")) == 500
    assert job_arrivals.item_name("d/" * 900 + "end.jpg").endswith("end.jpg")
    assert job_arrivals.item_name(" ") == "picture"


def test_what_is_not_there_is_said_so(session, actor):
    for wrong in ("", "x", "'; --", "00000000-0000-4000-8000-000000000000", "ä" * 36):
        with pytest.raises(RecordNotFoundError):
            jobs.numbers(session, wrong)
        with pytest.raises(RecordNotFoundError):
            job_results.show_item(session, actor, wrong)


def test_a_job_has_a_limit(session, actor, monkeypatch):
    monkeypatch.setattr(job_arrivals, "MOST_PICTURES", 2)
    job = jobs.make_job(session, actor, name="Long")
    with pytest.raises(ConflictError, match="at most 2"):
        job_arrivals.receive(session, actor, job.id, [arrival(0), arrival(1), arrival(2)])


def test_how_many_were_chosen_is_kept_and_bounded(session, actor):
    job = jobs.make_job(session, actor, name="Folder")
    for said, kept in ((5, 5), (3, 5), (10**9, jobs.MOST_PICTURES), (-1, jobs.MOST_PICTURES)):
        job_arrivals.expect(session, job.id, said)
        assert jobs.numbers(session, job.id).expected == kept


# -- into a patient's record ------------------------------------------------------------------------------------------


@pytest.fixture
def filled(store, actor):
    """A store with a job of two answered pictures and one that waits, and a patient with a lesion."""
    for one in PICTURES[:3]:
        store.images.put(one.sha256, one.content)
    with store.database.begin() as session:
        job = new_job(session, actor, arrival(0), arrival(1))
        work_off(session, [0.9, 0.2])
        job_arrivals.receive(session, actor, job.id, [arrival(2)])
        patient = patients.make_patient(session, actor, pseudonym="P-1")
        lesion = patients.make_lesion(session, actor, patient.id)
    return store, job, patient, lesion


def items_of(store, actor, job):
    """The pictures of a job in the order of arrival."""
    with store.database.begin() as session:
        return job_results.show_job(session, actor, job.id, order=ItemOrder.ARRIVAL).items


def file_one(store, actor, item, lesion):
    """Makes a case of a picture."""
    content = store.images.read(item.sha256)
    with store.database.begin() as session:
        return job_filing.file_item(
            session,
            actor,
            item.id,
            lesion.id,
            visited_on=date(2026, 3, 1),
            image_type="dermoscopic",
            images=store.images,
            content=content,
        )


def test_a_picture_becomes_a_case_with_the_answer_it_has(filled, actor):
    store, job, _, lesion = filled
    other = Actor("account", "22222222-2222-4222-8222-222222222222", "Dr. Bob")
    item = items_of(store, actor, job)[0]
    case = file_one(store, actor, item, lesion)
    with store.database.begin() as session:
        file = casework.open_case(session, actor, case.id)
        (stored,) = file.predictions
        assert stored.prediction.malignant_probability == 0.9
        assert stored.prediction.heatmap.shape == (3, 4)
        assert stored.bundle_sha256 == "b" * 64
        assert stored.prediction.image == file.images[0].id, "names of files often hold names of people"
        assert file.images[0].sha256 == item.sha256
        assert session.scalar(sa.text("SELECT count(*) FROM imprints")) == 1
        assert (
            opinions.add_impression(session, actor, case.id, management="biopsy", text="Seen.").timing is Timing.AFTER
        )
        assert (
            opinions.add_impression(session, other, case.id, management="biopsy", text="Seen.").timing is Timing.BEFORE
        )
    assert items_of(store, actor, job)[0].case_id == case.id
    with pytest.raises(ConflictError, match="already"):
        file_one(store, actor, item, lesion)


def test_what_has_no_answer_becomes_no_case(filled, actor):
    store, job, _, lesion = filled
    with pytest.raises(ConflictError, match="no answer"):
        file_one(store, actor, items_of(store, actor, job)[2], lesion)


def test_a_deleted_job_takes_its_pictures_along_but_not_a_patient_s(filled, actor):
    store, job, _, lesion = filled
    items = items_of(store, actor, job)
    case = file_one(store, actor, items[0], lesion)
    assert job_deletion.delete_job(store, actor, job.id) == 2
    assert store.images.read(items[0].sha256), "it is the patient's now"
    for gone in items[1:]:
        with pytest.raises(MissingImageError):
            store.images.read(gone.sha256)
    with store.database.begin() as session:
        assert casework.open_case(session, actor, case.id).predictions
        assert session.scalar(sa.select(sa.func.count()).select_from(JobItemRow)) == 0
        assert session.scalars(sa.select(JobRow.name)).one() == ""
        with pytest.raises(RecordNotFoundError):
            jobs.numbers(session, job.id)
        assert jobs.listing(session, actor) == ((), None)
    found = check(store, actor, young=timedelta(0))
    assert (found.missing, found.orphans) == ((), ())
    assert finish_deletions(store, actor) == 0


def test_a_list_expires_so_many_days_after_its_last_picture_came(filled, actor):
    store, job, _, lesion = filled
    items = items_of(store, actor, job)
    file_one(store, actor, items[0], lesion)
    with store.database.begin() as session:
        empty = jobs.make_job(session, actor, name="Begun and left")
        session.execute(sa.update(JobRow).values(made_at=now() - timedelta(days=40)))
        session.execute(sa.update(JobItemRow).values(made_at=now() - timedelta(days=35)))
        session.execute(
            sa.update(JobItemRow).where(JobItemRow.id == items[1].id).values(made_at=now() - timedelta(days=29))
        )
    assert job_deletion.delete_expired(store, WORKER, 41) == 0
    assert job_deletion.delete_expired(store, WORKER, 30) == 1, "the empty one; the other took a picture since"
    with store.database.begin() as session:
        assert [one.id for one in jobs.listing(session, actor)[0]] == [job.id]
        session.execute(sa.update(JobItemRow).values(made_at=now() - timedelta(days=35)))
    assert job_deletion.delete_expired(store, WORKER, 30) == 1
    assert job_deletion.delete_expired(store, WORKER, 30) == 0
    assert store.images.read(items[0].sha256), "it is the patient's now"
    with pytest.raises(MissingImageError):
        store.images.read(items[1].sha256)
    with store.database.begin() as session:
        gone = sa.select(audit.AuditRow).where(audit.AuditRow.action == "job.deleted").order_by(audit.AuditRow.sequence)
        said = [(one.subject_id, one.actor_name, json.loads(one.detail)["reason"]) for one in session.scalars(gone)]
    assert said == [(empty.id, WORKER.name, "expired"), (job.id, WORKER.name, "expired")]


def test_a_deletion_that_a_crash_cut_short_is_finished_later(filled, actor, monkeypatch):
    store, job, _, _ = filled
    monkeypatch.setattr(job_deletion, "finish_jobs", lambda _: 0)
    job_deletion.delete_job(store, actor, job.id)
    monkeypatch.undo()
    with store.database.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(JobItemRow)) == 3
        assert not any(".jpg" in name for name in session.scalars(sa.select(JobItemRow.name))), "names went at once"
    assert finish_deletions(store, actor) == 3
    assert list(store.images.entries()) == []


def test_a_deleted_patient_s_pictures_leave_the_lists_too(filled, actor):
    store, job, patient, lesion = filled
    with store.database.begin() as session:
        second = jobs.make_job(session, actor, name="The same picture again")
        job_arrivals.receive(session, actor, second.id, [arrival(0, "again.jpg")])
    items = items_of(store, actor, job)
    file_one(store, actor, items[0], lesion)
    assert delete_patient(store, actor, patient.id, reason="by letter") == 1
    with pytest.raises(MissingImageError):
        store.images.read(items[0].sha256)
    assert [one.number for one in items_of(store, actor, job)] == [2, 3]
    assert items_of(store, actor, second) == ()
    assert check(store, actor, young=timedelta(0)).missing == ()


def test_a_patient_s_picture_is_kept_where_a_list_of_others_needs_its_file(filled, actor):
    """A list's own pictures survive the deletion of a patient who has other ones."""
    store, job, patient, lesion = filled
    with store.database.begin() as session:
        case = casework.make_case(
            session,
            actor,
            visit_id=patients.make_visit(session, actor, patient.id, visited_on=date(2026, 1, 1)).id,
            lesion_id=lesion.id,
        )
        new_image(session, actor, case, store.images, PICTURES[5])
    delete_patient(store, actor, patient.id, reason="by letter")
    assert len(items_of(store, actor, job)) == 3
    assert all(store.images.read(one.sha256) for one in items_of(store, actor, job))


def test_the_store_s_check_and_backup_know_the_pictures_of_lists(embedded, actor, tmp_path):
    for one in PICTURES[:2]:
        embedded.images.put(one.sha256, one.content)
    with embedded.database.begin() as session:
        job = new_job(session, actor, arrival(0), arrival(1))
    assert check(embedded, actor, remove_orphans=True, young=timedelta(0)).removed == 0
    backup = back_up(embedded, actor, tmp_path / "clinic.zip")
    assert (backup.images, backup.unavailable) == (2, ())
    restore(tmp_path / "clinic.zip", tmp_path / "restored")
    restored = open_store(tmp_path / "restored")
    try:
        assert all(restored.images.read(one.sha256) for one in items_of(restored, actor, job))
    finally:
        restored.close()
    embedded.images.remove(f"{PICTURES[0].sha256[:2]}/{PICTURES[0].sha256}")
    assert len(check(embedded, actor).missing) == 1


def test_what_somebody_saw_before_the_answer_was_there_is_not_the_answer(filled, actor):
    store, job, _, lesion = filled
    early = Actor("account", "33333333-3333-4333-8333-333333333333", "Dr. Early")
    with store.database.begin() as session:
        job_results.show_job(session, early, job.id)
    with store.database.begin() as session:
        assert work_off(session) == 1
        assert session.scalars(sa.select(JobItemRow.done_at).where(JobItemRow.number == 3)).one() <= now()
    case = file_one(store, actor, items_of(store, actor, job)[2], lesion)
    with store.database.begin() as session:
        assert (
            opinions.add_impression(session, early, case.id, management="biopsy", text="Seen.").timing is Timing.BEFORE
        )
        assert session.scalars(sa.select(tables.PredictionRow.decision)).one() is Decision.REFER
        assert session.scalars(sa.select(tables.PredictionRow.status)).one() is Status.ASSESSED
