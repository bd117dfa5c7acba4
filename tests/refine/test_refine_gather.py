"""Confirmed cases as a manifest: every rule is seen to exclude, the counts add up, and nothing leaves unasked."""

import hashlib
import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from dermaloop.cases import flags, opinions, patients
from dermaloop.cases.flags import Suspicion
from dermaloop.cases.words import FlagKind
from dermaloop.core.errors import OutputError
from dermaloop.core.manifest import Confirmation, ManifestRow, Split, from_rows, read
from dermaloop.core.prediction import Decision
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.refine import commands
from dermaloop.refine.eligibility import RULES, STRENGTH, TABLE, confirms
from dermaloop.refine.gather import split_of
from dermaloop.refine.plan import Feedback, standard
from support.refining import ADA, BOB, clinic, confirmed, tinted

PLAN = standard()


def export(store, toy, out, *, known=(), frozen=(), plan=PLAN):
    against = commands.Against(known, frozen, out.parent / "known")
    return commands.export(store, ADA, out, plan=plan, bundle=toy, against=against)


def test_what_may_train_becomes_a_manifest_with_its_pictures(store, toy, tmp_path):
    made = clinic(store, 4)
    found = export(store, toy, tmp_path / "out")
    manifest = read(tmp_path / "out" / "manifest.parquet")
    assert len(manifest) == 4
    assert set(manifest.column("image_id")) == {image.id for _, image, _ in made}
    assert set(manifest.column("confirmation")) == {"histopathology"}
    for path, sha256 in zip(manifest.image_paths(), manifest.column("sha256"), strict=True):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    row = manifest.row(0)
    assert (row.sex, row.skin_type, row.age_years, row.site) == ("female", 2, 66.0, "head/neck")
    assert row.patient_id.startswith("clinic/")
    assert found.summary["usable"] == {"pictures": 4, "lesions": 4, "patients": 4}
    assert found.summary["excluded"] == {}
    assert json.loads((tmp_path / "out" / "feedback.json").read_text()) == found.summary
    page = (tmp_path / "out" / "feedback.html").read_text()
    assert "Who gets a biopsy is not random" in page
    assert "src=" not in page


CASES = {
    "no_consent": {"consent": "not given"},
    "consent_withdrawn": {"consent": "withdrawn"},
    "not_confirmed": {"finding": False},
    "outside_taxonomy": {"named": "", "term": "Merkel cell carcinoma", "malignancy": "malignant"},
    "weak_confirmation": {"confirmation": "single clinician"},
    "picture_too_old": {"visited_on": date(2025, 3, 1)},
    "picture_after_finding": {"confirmed_on": date(2026, 2, 20)},
    "follow_up_too_short": {"confirmation": "follow-up", "confirmed_on": date(2026, 4, 1)},
    "overview": {"image_type": "clinical: overview"},
}


def test_each_rule_on_the_record_excludes_and_the_counts_add_up(store, toy, tmp_path):
    made = {
        word: confirmed(store, Diagnosis.NV, seed=seed, **changes)[1].id
        for seed, (word, changes) in enumerate(CASES.items())
    }
    kept = {image.sha256 for _, image, _ in clinic(store, 3, first=50)}
    found = export(store, toy, tmp_path / "out")
    reasons = {row.image.id: row.reason for row in found.rows}
    assert {word: reasons[image_id] for word, image_id in made.items()} == {word: word for word in CASES}
    summary = found.summary
    assert summary["excluded"] == dict.fromkeys(CASES, 1)
    assert summary["usable"]["pictures"] + sum(summary["excluded"].values()) == summary["pictures"] == len(CASES) + 3
    assert list(summary["excluded"]) == [word for word in RULES if word in CASES], "in the order of the rules"
    names = {path.stem for path in (tmp_path / "out" / "images").iterdir()}
    assert names == kept, "a picture that may not train stays in the store"


def test_a_picture_that_is_gone_damaged_or_too_bad_is_counted(store, toy, tmp_path):
    clinic(store, 2)
    _, gone, _ = confirmed(store, seed=10)
    store.images.remove(f"{gone.sha256[:2]}/{gone.sha256}")
    strict = replace(toy, spec=toy.spec.model_copy(update={"gate": toy.spec.gate.model_copy(update={"quality": {}})}))
    assert export(store, strict, tmp_path / "out").summary["excluded"] == {"unavailable": 1}
    limits = {"brightness": (0.999, None)}
    strict = replace(
        toy, spec=toy.spec.model_copy(update={"gate": toy.spec.gate.model_copy(update={"quality": limits})})
    )
    assert export(store, strict, tmp_path / "out").summary["excluded"] == {"unavailable": 1, "poor_quality": 2}


def known_manifest(folder, rows):
    """A manifest of pictures that are known already: (name, bytes, split)."""
    folder.mkdir()
    made = []
    for name, content, split in rows:
        (folder / f"{name}.png").write_bytes(content)
        made.append(
            ManifestRow(
                image_id=name, source="old", path=f"{name}.png", diagnosis=Diagnosis.NV, candidates="NV", split=split
            )
        )
    return from_rows(made, folder)


def resized(stripped, factor=1.5):
    """The same picture, larger and recompressed: other bytes."""
    import io  # noqa: PLC0415

    from PIL import Image  # noqa: PLC0415

    picture = Image.open(io.BytesIO(stripped.content))
    stream = io.BytesIO()
    picture.resize([int(side * factor) for side in picture.size]).save(stream, "PNG")
    return stream.getvalue()


def test_pictures_of_test_sets_and_of_the_original_data_are_left_out_by_hash_and_by_look(store, toy, tmp_path):
    pictures = [tinted(Diagnosis.NV, seed, 160) for seed in range(5)]
    for picture in pictures:
        confirmed(store, stripped=picture)
    old = known_manifest(
        tmp_path / "old",
        [("same", pictures[0].content, Split.TEST), ("alike", resized(pictures[1]), Split.TRAIN),
         ("excluded", resized(tinted(Diagnosis.MEL, 77, 160)), Split.EXCLUDED)],
    )  # fmt: skip
    frozen = known_manifest(tmp_path / "frozen", [("alike", resized(pictures[2]), Split.TRAIN)])
    found = export(store, toy, tmp_path / "out", known=[old], frozen=[frozen])
    assert found.summary["excluded"] == {"in_held_out": 2, "in_training": 1}
    assert len(found.manifest) == 2
    again = export(store, toy, tmp_path / "out", known=[old], frozen=[frozen])
    assert again.summary == found.summary, "the thumbnails that were kept say the same"


def test_a_picture_twice_of_one_lesion_counts_once_and_of_two_lesions_is_a_pair(store, toy, tmp_path):
    picture = tinted(Diagnosis.NV, 3)
    case, _, _ = confirmed(store, stripped=picture)
    with store.database.begin() as session:
        lesion = case.lesion_id
        visit = patients.make_visit(session, ADA, case.patient_id, visited_on=date(2026, 3, 3))
        from dermaloop.cases import casework  # noqa: PLC0415
        from support.clinic import new_image  # noqa: PLC0415

        second = casework.make_case(session, ADA, visit_id=visit.id, lesion_id=lesion)
        new_image(session, ADA, second, store.images, picture)
        opinions.add_confirmation(
            session, ADA, second.id, confirmation="histopathology", confirmed_on=date(2026, 3, 8), diagnosis="NV"
        )
    assert export(store, toy, tmp_path / "out").summary["excluded"] == {"twice": 1}
    confirmed(store, stripped=picture)
    found = export(store, toy, tmp_path / "out")
    assert found.summary["usable"]["pictures"] == 2
    assert found.pairs == ((0, 1),)


def test_two_equally_strong_findings_that_differ_train_nothing_and_a_stronger_one_wins(store, toy, tmp_path):
    case, _, _ = confirmed(store, Diagnosis.NV, confirmation="consensus")
    with store.database.begin() as session:
        opinions.add_confirmation(
            session, BOB, case.id, confirmation="consensus", confirmed_on=date(2026, 3, 9), diagnosis="BKL"
        )
    assert export(store, toy, tmp_path / "out").summary["excluded"] == {"contradictory": 1}
    with store.database.begin() as session:
        opinions.add_confirmation(
            session, BOB, case.id, confirmation="histopathology", confirmed_on=date(2026, 3, 9), diagnosis="MEL"
        )
    found = export(store, toy, tmp_path / "out")
    assert found.manifest.column("diagnosis") == ["MEL"]


def test_a_flag_holds_back_until_a_lead_has_looked(store, toy, tmp_path):
    _, _, entry = confirmed(store, seed=1)
    confirmed(store, seed=2)
    with store.database.begin() as session:
        suspicion = Suspicion(entry.id, FlagKind.LABEL, "x", "It looks like something else.", {"p": 0.9})
        assert flags.raise_flags(session, ADA, [suspicion]) == 1
        assert flags.raise_flags(session, ADA, [suspicion]) == 0, "the same finding is flagged once"
        (flag,) = flags.list_flags(session, ADA)
    found = export(store, toy, tmp_path / "out")
    assert found.summary["excluded"] == {"held_back": 1}
    assert list(found.manifest.column("split")).count("excluded") == 1
    with store.database.begin() as session:
        flags.review_flag(session, BOB, flag.id, verdict="rejected", reason="wrong lesion")
        assert flags.list_flags(session, ADA) == ()
    assert export(store, toy, tmp_path / "out").summary["excluded"] == {"rejected": 1}
    with store.database.begin() as session:
        flags.review_flag(session, BOB, flag.id, verdict="accepted", reason="looked again")
    assert export(store, toy, tmp_path / "out").summary["excluded"] == {}


def test_who_was_confirmed_is_said_by_what_the_model_decided(store, toy, tmp_path):
    for seed in range(3):
        confirmed(store, seed=seed, decision=Decision.REFER)
    confirmed(store, seed=4, decision=Decision.NO_REFERRAL)
    for seed in range(5, 8):
        confirmed(store, seed=seed, decision=Decision.NO_REFERRAL, finding=False)
    confirmed(store, seed=9, decision=None, finding=False)
    found = export(store, toy, tmp_path / "out").summary["verification"]
    assert (found["refer"]["cases"], found["refer"]["confirmed"]) == (3, 3)
    assert (found["no referral"]["cases"], found["no referral"]["confirmed"]) == (4, 1)
    assert found["no referral"]["share_confirmed"] == {"value": 0.25, "low": 0.0063, "high": 0.8059}
    assert found["none"]["share_confirmed"] == {"value": 0.0, "low": 0.0, "high": 0.975}
    assert found["declined"]["share_confirmed"]["value"] is None


def test_an_export_replaces_an_export_and_nothing_else(store, toy, tmp_path):
    clinic(store, 1)
    out = tmp_path / "out"
    export(store, toy, out)
    clinic(store, 1, first=5)
    assert len(export(store, toy, out).manifest) == 2
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="something else"):
        export(store, toy, other)
    assert (other / "thesis.txt").read_text() == "years of work"


def test_reading_all_cases_is_in_the_audit_log(store, toy, tmp_path):
    import sqlalchemy as sa  # noqa: PLC0415

    from dermaloop.cases.audit import AuditRow  # noqa: PLC0415

    clinic(store, 2)
    export(store, toy, tmp_path / "out")
    with store.database.read() as session:
        entry = session.scalars(sa.select(AuditRow).where(AuditRow.action == "feedback.read")).one()
    assert json.loads(entry.detail) == {"cases": 2, "confirmed": 2}


def test_a_patients_split_never_moves_and_the_shares_hold():
    rules = Feedback()
    names = [f"patient {n}" for n in range(4000)]
    splits = [split_of(name, rules) for name in names]
    assert [split_of(name, rules) for name in names] == splits
    share = {split: splits.count(split) / len(splits) for split in set(splits)}
    assert share[Split.TRAIN] == pytest.approx(0.7, abs=0.03)
    assert share[Split.TEST] == pytest.approx(0.1, abs=0.02)
    assert np.isclose(sum(share.values()), 1)


def test_the_table_names_every_diagnosis_once_and_trusts_no_single_clinician():
    named = [diagnosis for row in TABLE for diagnosis in row.diagnoses]
    assert sorted(named) == sorted(Diagnosis)
    assert not any(confirms(Confirmation.SINGLE_CLINICIAN, diagnosis) for diagnosis in Diagnosis)
    assert all(confirms(Confirmation.HISTOPATHOLOGY, diagnosis) for diagnosis in Diagnosis)
    assert set(STRENGTH) == set(Confirmation) - {Confirmation.UNKNOWN}
