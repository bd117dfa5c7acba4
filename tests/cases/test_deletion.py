"""A patient's deletion and export: what goes, what stays, what is handed out."""

import csv
import io
import json
import zipfile
from datetime import date

import pytest
import sqlalchemy as sa

from dermaloop.cases import audit, casework, flags, opinions, patients, phone
from dermaloop.cases.actor import Actor
from dermaloop.cases.audit_verify import verify
from dermaloop.cases.check import check
from dermaloop.cases.database import Base
from dermaloop.cases.deletion import delete_patient, finish_deletions
from dermaloop.cases.errors import ConflictError, InvalidRecordError, RecordNotFoundError, StoreError
from dermaloop.cases.export import LEFT_OUT, export_patient, tables
from dermaloop.cases.flags import Suspicion
from dermaloop.cases.image_folder import FolderStore
from dermaloop.cases.images import name_of
from dermaloop.cases.phone_tables import PhoneLinkRow
from dermaloop.cases.roles import Role
from dermaloop.cases.tables import PATIENT_TABLES, ConfirmationRow, PatientRow
from dermaloop.cases.words import FlagKind
from dermaloop.cases.worklist import Filter, worklist
from dermaloop.core.errors import OutputError
from support.clinic import assessed, new_case, new_image, picture
from support.people import add_account

SECRET = "Unmistakable-Secret"


def fill(store, actor, name=SECRET):
    """A patient with something in every field; gives (case, image)."""
    with store.database.begin() as session:
        patient = patients.make_patient(
            session, actor, pseudonym=f"{name}-P", birth_year=1977, sex="female", skin_type=3, note=f"{name} n"
        )
        lesion = patients.make_lesion(
            session,
            actor,
            patient.id,
            site="head/neck",
            view="front",
            x=0.5,
            y=0.25,
            label=f"{name} l",
            note=f"{name} n",
        )
        visit = patients.make_visit(session, actor, patient.id, visited_on=date(2026, 1, 2), note=f"{name} v")
        case = casework.make_case(session, actor, visit_id=visit.id, lesion_id=lesion.id)
        _, image, _ = assessed(session, actor, store.images, case=case)
        opinions.add_impression(session, actor, case.id, management="excision", diagnosis="MEL", text=f"{name} t")
        opinions.sign_off(session, actor, case.id)
        opinions.reopen(session, actor, case.id, reason=f"{name} r")
        entry = opinions.add_confirmation(
            session, actor, case.id, confirmation="histopathology", confirmed_on=date(2026, 1, 9), diagnosis="MEL",
            term=f"{name} m", confirmed_by=f"{name} lab", note=f"{name} c", document=f"{name}/26",
        )  # fmt: skip
        opinions.add_confirmation(
            session, actor, case.id, confirmation="consensus", confirmed_on=date(2026, 1, 9), diagnosis="NV",
            note=f"{name} cc", corrects_id=entry.id,
        )  # fmt: skip
    return case, image


def everything(store):
    """All that all tables hold, as one text."""
    with store.database.read() as session:
        names = sa.inspect(store.database.engine).get_table_names()
        return "\n".join(str(row) for name in names for row in session.execute(sa.text(f"SELECT * FROM {name}")))


def test_nothing_that_identifies_stays_anywhere(store, actor):
    case, image = fill(store, actor)
    other, _ = fill(store, actor, "Another-Patient")
    secrets = [SECRET, SECRET.lower(), image.sha256, image.received_sha256, "1977"]
    before = everything(store)
    assert all(secret in before for secret in secrets)
    assert delete_patient(store, actor, case.patient_id, reason="by letter") == 1
    after = everything(store)
    assert [secret for secret in secrets if secret in after.replace("Another-Patient", "")] == ["1977"], "the other's"
    assert after.count("1977") < before.count("1977")
    assert "Another-Patient-P" in after
    assert not store.images.has(image.sha256)
    with store.database.read() as session:
        assert verify(session, store.database.audit_key, anchor=store.database.anchor).intact
    with store.database.begin() as session:
        for ask in (
            lambda: patients.show_patient(session, actor, case.patient_id),
            lambda: casework.open_case(session, actor, case.id),
            lambda: casework.show_image(session, actor, image.id),
        ):
            with pytest.raises(RecordNotFoundError, match="deleted at the patient's request"):
                ask()
        assert [row.case.id for row in worklist(session, actor, Filter()).rows] == [other.id]


def test_not_even_in_the_files_of_the_database(embedded, actor):
    """SQLite keeps what it deletes until it is written over; it must be written over at once."""
    case, _ = fill(embedded, actor)
    parts = ("", "-wal")

    def raw():
        return b"".join((embedded.folder / f"dermaloop.sqlite3{part}").read_bytes() for part in parts)

    assert SECRET.encode() in raw()
    delete_patient(embedded, actor, case.patient_id, reason="by letter")
    assert SECRET.encode() not in raw()
    assert SECRET.lower().encode() not in raw()


def test_what_stays_is_a_tombstone_and_what_counts(store, actor):
    case, _ = fill(store, actor)
    delete_patient(store, actor, case.patient_id, reason="by letter")
    with store.database.read() as session:
        patient = session.get(PatientRow, case.patient_id)
        assert (patient.pseudonym, patient.birth_year, patient.sex, patient.note) == (None, None, "", "")
        assert patient.deleted_at is not None
        for table in PATIENT_TABLES:
            assert session.scalar(sa.select(sa.func.count()).select_from(table)) >= 1, table
        row = session.execute(sa.text("SELECT malignant_probability, top_diagnosis FROM predictions")).one()
        assert tuple(row) == (0.3, "MEL")
        entry = session.scalars(sa.select(audit.AuditRow).where(audit.AuditRow.action == "patient.deleted")).one()
        assert json.loads(entry.detail) == {"reason": "by letter", "pictures": 1}


def test_a_picture_that_another_patient_has_too_stays(store, actor):
    stripped = picture()
    with store.database.begin() as session:
        first, second = new_case(session, actor), new_case(session, actor)
        for case in (first, second):
            image = new_image(session, actor, case, store.images, stripped)
    assert delete_patient(store, actor, first.patient_id, reason="by letter") == 0
    assert store.images.has(image.sha256)
    assert check(store, actor).sound
    assert delete_patient(store, actor, second.patient_id, reason="by letter") == 1
    assert not store.images.has(image.sha256)


def test_a_pseudonym_is_free_again(store, actor):
    case, _ = fill(store, actor)
    with store.database.begin() as session, pytest.raises(ConflictError):
        patients.make_patient(session, actor, pseudonym=f"{SECRET}-P")
    delete_patient(store, actor, case.patient_id, reason="by letter")
    with store.database.begin() as session:
        patients.make_patient(session, actor, pseudonym=f"{SECRET}-P")


def test_deleting_needs_a_reason_and_happens_once(store, actor):
    case, image = fill(store, actor)
    with pytest.raises(InvalidRecordError, match="reason"):
        delete_patient(store, actor, case.patient_id, reason=" ")
    assert store.images.has(image.sha256)
    delete_patient(store, actor, case.patient_id, reason="by letter")
    with pytest.raises(RecordNotFoundError):
        delete_patient(store, actor, case.patient_id, reason="again")


def test_files_that_a_crash_has_left_are_removed_later(store, actor, monkeypatch):
    case, image = fill(store, actor)

    def crash(*_):
        raise StoreError("the storage went away")

    with monkeypatch.context() as broken:
        broken.setattr(type(store.images), "remove", crash)
        with pytest.raises(StoreError, match="went away"):
            delete_patient(store, actor, case.patient_id, reason="by letter")
    assert store.images.has(image.sha256)
    assert SECRET not in everything(store), "the rows are emptied at once"
    assert finish_deletions(store, actor) == 1
    assert not store.images.has(image.sha256)
    assert finish_deletions(store, actor) == 0


def test_an_export_holds_the_whole_record_and_no_one_elses(store, actor, tmp_path):
    case, image = fill(store, actor)
    fill(store, actor, "Another-Patient")
    out = tmp_path / "deep" / "record.zip"
    assert export_patient(store, actor, case.patient_id, out) == 1
    assert out.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(out) as packed:
        assert packed.testzip() is None
        content = {name: packed.read(name) for name in packed.namelist()}
    assert content[f"images/{image.id}.jpg"] == store.images.read(image.sha256)
    assert not [name for name, part in content.items() if b"Another-Patient" in part]
    found = json.loads(content["record.json"])
    assert found["patient"]["pseudonym"] == f"{SECRET}-P"
    assert {name: len(found[name]) for name in ("lesions", "visits", "cases", "images", "predictions", "impressions",
            "confirmations", "signoffs")} == {"lesions": 1, "visits": 1, "cases": 1, "images": 1, "predictions": 1,
            "impressions": 1, "confirmations": 2, "signoffs": 2}  # fmt: skip
    assert found["predictions"][0]["probabilities"]["MEL"] == 0.125
    assert found["images"][0]["file"] == f"images/{image.id}.jpg"
    for name in ("lesions", "images", "confirmations"):
        rows = list(csv.DictReader(io.StringIO(content[f"{name}.csv"].decode())))
        assert [row["id"] for row in rows] == [one["id"] for one in found[name]]
    assert b"Not a medical device." in content["README.txt"]
    with store.database.read() as session:
        actions = [row.action for row in session.scalars(sa.select(audit.AuditRow))]
    assert actions[-1] == "patient.exported"


def test_an_export_has_every_table_with_rows_of_the_patient(embedded, actor, tmp_path):
    """The doubts about a confirmation and what a lead said of them, what came by a phone and from a list, too."""
    case, image = fill(embedded, actor)
    account = add_account(embedded, Role.CLINICIAN)
    person = Actor("account", account.id, account.name)
    with embedded.database.begin() as session:
        confirmation = session.scalars(sa.select(ConfirmationRow.id).where(ConfirmationRow.case_id == case.id)).first()
        flags.raise_flags(
            session, actor, [Suspicion(confirmation, FlagKind.LABEL, image.id, "doubt", {"given": "MEL"})]
        )
        (flag,) = flags.list_flags(session, actor)
        flags.review_flag(session, actor, flag.id, verdict="rejected", reason="slides mixed up")
        open_case = new_case(session, actor, pseudonym="another-1")
        phone.make(session, person, open_case.id, image_type="dermoscopic")
        row = session.scalars(sa.select(PhoneLinkRow)).one()
        row.patient_id, row.case_id, secret = case.patient_id, case.id, row.secret_hash
    export_patient(embedded, actor, case.patient_id, tmp_path / "record.zip")
    with zipfile.ZipFile(tmp_path / "record.zip") as packed:
        found = json.loads(packed.read("record.json"))
        names = set(packed.namelist())
    assert [(one["id"], json.loads(one["evidence"])) for one in found["flags"]] == [(flag.id, {"given": "MEL"})]
    assert [(one["flag_id"], one["reason"]) for one in found["flag_reviews"]] == [(flag.id, "slides mixed up")]
    assert len(found["phone_links"]) == 1
    assert secret not in json.dumps(found)
    theirs = {
        table.name
        for table in Base.metadata.sorted_tables
        if "patient_id" in table.columns and table.name != "patients"
    }
    assert (tables() - {"patients"}) | set(LEFT_OUT) == theirs, (
        "a new table belongs into the export, or into its exceptions"
    )
    assert names >= {"flags.csv", "flag_reviews.csv", "screening_pictures.csv", "phone_links.csv", "imprints.csv"}


def test_no_cell_of_an_export_is_a_formula(store, actor, tmp_path):
    with store.database.begin() as session:
        patient = patients.make_patient(session, actor, pseudonym='=HYPERLINK("http://x")')
    export_patient(store, actor, patient.id, tmp_path / "record.zip")
    with zipfile.ZipFile(tmp_path / "record.zip") as packed:
        assert "\"'=HYPERLINK" in packed.read("patient.csv").decode()
        assert packed.read("images.csv") == b""


def test_an_export_names_a_picture_that_is_damaged(embedded, actor, tmp_path):
    case, image = fill(embedded, actor)
    assert isinstance(embedded.images, FolderStore)
    (embedded.images._root / name_of(image.sha256)).write_bytes(b"rot")
    assert export_patient(embedded, actor, case.patient_id, tmp_path / "record.zip") == 0
    with zipfile.ZipFile(tmp_path / "record.zip") as packed:
        assert json.loads(packed.read("record.json"))["unavailable_images"] == [image.id]


def test_an_export_that_fails_leaves_nothing(embedded, actor, tmp_path, monkeypatch):
    case, _ = fill(embedded, actor)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        export_patient(embedded, actor, case.patient_id, tmp_path / "file" / "record.zip")
    with pytest.raises(RecordNotFoundError):
        export_patient(embedded, actor, "nobody", tmp_path / "out" / "record.zip")
    assert not (tmp_path / "out").exists()
