"""Insights: the database's aggregation against plain counting of what the test itself decided, on both databases."""

import datetime as dt
import json
import random
from collections import Counter

import pytest
import sqlalchemy as sa

from dermaloop.cases import answers, audit, casework, opinions, patients, practice
from dermaloop.cases.actor import Actor
from dermaloop.cases.comparison import Share
from dermaloop.cases.database import now
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.insight_records import LEAST_CASES, Wanted, says_something
from dermaloop.cases.insights import insights
from dermaloop.cases.store import open_images
from dermaloop.cases.tables import CaseRow, PredictionRow
from dermaloop.core.prediction import Decision, Reason, Status
from dermaloop.core.taxonomy import ENTRIES, Diagnosis
from support.clinic import BUNDLE_SHA256, new_case, new_image, picture, prediction

OLD, NEW = "reference@0000000000aa", "reference@0000000000bb"
YEAR = Wanted(dt.date(2026, 1, 1), dt.date(2026, 12, 31))
MARCH = dt.date(2026, 3, 1)
PICTURES = tuple(picture(seed) for seed in range(3))


@pytest.fixture
def images(tmp_path):
    return open_images(tmp_path / "images")


@pytest.fixture
def other():
    return Actor("account", "22222222-2222-4222-8222-222222222222", "Dr. Bea Example", "127.0.0.1")


def say(session, actor, images, case, says, *, bundle=NEW, top=Diagnosis.MEL, image=None):
    """A picture (a new one, unless `image`) with an answer: 'refer', 'below', or the codes of reasons to decline."""
    if image is None:
        stripped = PICTURES[len(casework.open_case(session, actor, case.id, show_answer=False).images)]
        image = stripped, new_image(session, actor, case, images, stripped)
    changes = {"bundle": bundle, "top_diagnosis": top}
    if says == "refer":
        changes |= {"decision": Decision.REFER}
    elif says == "below":
        changes |= {"decision": Decision.NO_REFERRAL, "malignant_probability": 0.05}
    else:
        reasons = tuple(Reason(code, "Because.", 1.0, 2.0) for code in says)
        changes |= {"decision": Decision.NONE, "status": Status.ABSTAINED, "reasons": reasons}
    answers.add_prediction(
        session, actor, image[1].id, prediction(image[0], 0.3, **changes), bundle_sha256=BUNDLE_SHA256
    )
    return image


def look(database, actor, wanted=YEAR):
    with database.begin() as session:
        return insights(session, actor, wanted)


def think(session, actor, case, diagnosis="NV", management="no action"):
    return opinions.add_impression(session, actor, case.id, management=management, diagnosis=diagnosis, text="So.")


def confirm(session, actor, case, diagnosis="MEL", **more):
    filled = {"confirmation": "histopathology", "confirmed_on": MARCH, "diagnosis": diagnosis, **more}
    return opinions.add_confirmation(session, actor, case.id, **filled)


def test_an_empty_practice_has_no_figures(database, actor):
    found = look(database, actor)
    assert (found.cases, found.bundles, found.wanted.bundle) == (0, (), "")
    assert found.before.share == found.outcomes.model.sensitivity == found.declines.share == Share(0, 0)
    assert (found.to_sign_off.n, found.to_sign_off.median_s) == (0, None)


@pytest.mark.parametrize("seed", [1])
def test_the_counts_are_those_of_plain_counting(  # noqa: C901, PLR0912, PLR0915 - one clinic, told once
    database, actor, other, images, seed
):
    """Forty random cases; every figure is counted a second time, in Python, from what was decided here."""
    rng = random.Random(seed)
    seen = {name: Counter() for name in ("before", "after", "changes", "model", "diagnosis", "decision", "reasons")}
    days, kinds, sides, said_same, chosen = Counter(), Counter(), Counter(), Counter(), Counter()
    declined = pictures = 0

    def suspicious(diagnosis, management):
        malignant = diagnosis != "" and ENTRIES[Diagnosis(diagnosis)].counts_as_malignant
        return malignant or management in ("biopsy", "excision", "referral")

    def opinion():
        return rng.choice(["", "MEL", "BCC", "NV", "BKL"]), rng.choice(["no action", "follow-up", "biopsy", "excision"])

    with database.begin() as session:
        for _ in range(40):
            day = dt.date(2025, rng.randint(1, 12), rng.randint(1, 28))
            case = new_case(session, actor, visited_on=day)
            model, top = None, rng.choice(list(Diagnosis))
            thoughts = {}
            if rng.random() < 0.6:
                thoughts["before"] = opinion()
                think(session, actor, case, *thoughts["before"])
            for _ in range(rng.choice([0, 1, 1, 1, 2])):
                says = rng.choice(["refer", "below", "below", ("blurred",), ("blurred", "out_of_distribution")])
                say(session, actor, images, case, says, top=top)
                pictures += 1
                declined += says not in ("refer", "below")
                if says in ("refer", "below"):
                    model = bool(model) or says == "refer"
                else:
                    seen["reasons"].update(says)
            answered = pictures and session.scalar(sa.select(sa.func.count()).where(PredictionRow.case_id == case.id))
            if answered and rng.random() < 0.6:
                casework.open_case(session, actor, case.id)
                thoughts["after"] = opinion()
                think(session, actor, case, *thoughts["after"])
            judged = {when: suspicious(*thought) for when, thought in thoughts.items()}
            confirmed = rng.random() < 0.7
            if model is not None:
                # Of a confirmed case somebody else writes, below, what is then its latest entry without an answer seen.
                latest = {**thoughts, **({"before": ("MEL", "excision")} if confirmed else {})}
                for when, (diagnosis, management) in latest.items():
                    seen[when][model, suspicious(diagnosis, management)] += 1
                    chosen[when] += diagnosis != ""
                    said_same[when] += diagnosis == top
                if len(judged) == 2:
                    kept = judged["before"] == judged["after"]
                    turned = "towards" if judged["after"] == model else "away"
                    seen["changes"]["kept" if kept else turned] += 1
            days[day, "declined" if answered and model is None else model] += 1
            if confirmed:
                finding = rng.choice(["MEL", "NV", "SCC", "other", "unsure"])
                kind = rng.choice(["histopathology", "follow-up"])
                term = {"other": "malignant", "unsure": "indeterminate"}.get(finding)
                entry = {"diagnosis": "", "term": "Rare tumour", "malignancy": term} if term else {"diagnosis": finding}
                if rng.random() < 0.3:
                    wrong = confirm(session, actor, case, "DF")
                    entry["corrects_id"] = wrong.id
                confirm(session, actor, case, **{"confirmation": kind, **entry})
                think(session, other, case, "MEL", "excision")  # afterwards everybody knows: it counts for nothing
                say(session, other, images, case, "refer", bundle=OLD)
                malignant = {"MEL": True, "SCC": True, "other": True, "NV": False, "unsure": None}[finding]
                sides[malignant] += 1
                kinds[kind] += 1
                if malignant is not None:
                    last = thoughts.get("after", thoughts.get("before"))
                    named = last[0] != "" and ENTRIES[Diagnosis(last[0])].counts_as_malignant if last else None
                    seen["model"][malignant, model] += 1
                    seen["diagnosis"][malignant, None if not last or last[0] == "" else named] += 1
                    seen["decision"][malignant, suspicious(*last) if last else None] += 1
    found = look(database, actor, Wanted(dt.date(2025, 1, 1), dt.date(2025, 12, 31), NEW))

    for when, cells in (("before", found.before), ("after", found.after)):
        got = {
            (True, True): cells.both,
            (True, False): cells.model_only,
            (False, True): cells.clinician_only,
            (False, False): cells.neither,
        }
        assert got == {key: seen[when][key] for key in got}, when
        assert cells.same_diagnosis == Share(said_same[when], chosen[when])
    changes = found.changes
    assert {"kept": changes.kept, "towards": changes.towards, "away": changes.away} == {
        key: seen["changes"][key] for key in ("kept", "towards", "away")
    }
    outcomes = found.outcomes
    assert (outcomes.malignant, outcomes.benign, outcomes.indeterminate) == (sides[True], sides[False], sides[None])
    assert dict(outcomes.by_kind) == dict(kinds)
    for name, rates in (("model", outcomes.model), ("diagnosis", outcomes.diagnosis), ("decision", outcomes.decision)):
        cells = seen[name]
        assert rates.sensitivity == Share(cells[True, True], cells[True, True] + cells[True, False]), name
        assert rates.specificity == Share(cells[False, False], cells[False, True] + cells[False, False]), name
        assert (rates.no_malignant, rates.no_benign) == (cells[True, None], cells[False, None]), name
    assert found.declines.share == Share(declined, pictures)
    assert dict(found.declines.reasons) == dict(seen["reasons"])
    for day in found.volume:
        expected = (days[day.day, True], days[day.day, False], days[day.day, "declined"], days[day.day, None])
        assert (day.referred, day.below, day.declined, day.without) == expected, day.day
    assert found.cases == 40
    assert [one.day for one in found.volume] == sorted({day for day, _ in days})


def test_what_was_said_without_having_seen_an_answer_is_told_from_what_was_said_after(database, actor, images):
    with database.begin() as session:
        for thought, says, later in (
            (("MEL", "excision"), "refer", ("MEL", "excision")),  # agreed, kept
            (("NV", "no action"), "refer", ("MEL", "biopsy")),  # turned towards the model
            (("BCC", "biopsy"), "below", ("NV", "no action")),  # turned towards it as well
            (("NV", "follow-up"), "below", ("", "referral")),  # turned away from it
        ):
            case = new_case(session, actor)
            think(session, actor, case, *thought)
            say(session, actor, images, case, says)
            casework.open_case(session, actor, case.id)
            think(session, actor, case, *later)
        blurred = new_case(session, actor)
        think(session, actor, blurred)
        say(session, actor, images, blurred, ("blurred",))
    found = look(database, actor)
    before, after = found.before, found.after
    assert (before.both, before.model_only, before.clinician_only, before.neither) == (1, 1, 1, 1)
    assert before.share == Share(2, 4)
    assert before.same_diagnosis == Share(1, 4), "the model suggests a melanoma each time"
    assert (after.both, after.model_only, after.clinician_only, after.neither) == (2, 0, 1, 1)
    assert after.same_diagnosis == Share(2, 3)
    assert (found.changes.kept, found.changes.towards, found.changes.away) == (1, 2, 1)
    assert found.changes.cases == 4


def test_bundles_are_never_mixed_and_the_newest_is_the_default(database, actor, images):
    with database.begin() as session:
        case = new_case(session, actor)
        image = say(session, actor, images, case, ("blurred",), bundle=OLD)
        say(session, actor, images, case, "below", bundle=OLD, image=image)
        say(session, actor, images, case, "refer", bundle=NEW, image=image)
        confirm(session, actor, case, "NV")
        say(session, actor, images, case, "below", bundle=NEW, image=image)  # too late to count as an outcome
    found = look(database, actor)
    assert [(one.bundle, one.pictures) for one in found.bundles] == [(NEW, 1), (OLD, 1)]
    assert found.wanted.bundle == NEW
    assert (found.volume[0].referred, found.volume[0].below) == (0, 1), "its latest answer"
    assert found.outcomes.model.specificity == Share(0, 1), "its answer before the diagnosis was known"
    old = look(database, actor, Wanted(YEAR.since, YEAR.until, OLD))
    assert old.outcomes.model.specificity == Share(1, 1)
    assert old.declines.share == Share(0, 1), "the later answer on the same picture counts"
    with pytest.raises(InvalidRecordError) as refused:
        look(database, actor, Wanted(YEAR.since, YEAR.until, "another@000000000000"))
    assert refused.value.where == "bundle"


def test_a_period_holds_its_first_and_its_last_day_and_nobody_who_was_deleted(database, actor, images):
    with database.begin() as session:
        for day in (1, 2, 3, 4):
            case = new_case(session, actor, visited_on=dt.date(2026, 3, day))
            say(session, actor, images, case, "refer")
        gone = new_case(session, actor, visited_on=dt.date(2026, 3, 2))
        say(session, actor, images, gone, "refer")
        confirm(session, actor, gone)
        deleted = sa.update(CaseRow).where(CaseRow.patient_id == gone.patient_id).values(deleted_at=now())
        session.execute(deleted)
    found = look(database, actor, Wanted(dt.date(2026, 3, 2), dt.date(2026, 3, 3)))
    assert [(one.day.day, one.cases) for one in found.volume] == [(2, 1), (3, 1)]
    assert found.outcomes.lesions == 0
    assert found.declines.share.n == 2
    with pytest.raises(InvalidRecordError, match="ends before it begins"):
        look(database, actor, Wanted(dt.date(2026, 3, 2), dt.date(2026, 3, 1)))


def test_what_the_practice_hides_is_in_no_figure_but_the_volume(database, actor, images):
    with database.begin() as session:
        practice.change_practice(session, actor, practice.Practice(hide_answer_until_impression=True))
        opened, signed = new_case(session, actor), new_case(session, actor)
        for case in (opened, signed):
            say(session, actor, images, case, "refer")
            think(session, actor, case)
            confirm(session, actor, case)
        opinions.sign_off(session, actor, signed.id)
    found = look(database, actor)
    assert found.without_open
    (day,) = found.volume
    assert (day.referred, day.without, day.cases) == (1, 1, 2)
    assert found.before.model_only == found.before.share.n == 1
    assert found.outcomes.lesions == found.declines.share.n == 1


def test_a_finding_counts_once_at_its_visit_and_not_when_taken_back(database, actor, images):
    with database.begin() as session:
        first = new_case(session, actor)
        say(session, actor, images, first, "below")
        visit = patients.make_visit(session, actor, first.patient_id, visited_on=dt.date(2026, 9, 1))
        second = casework.make_case(session, actor, visit_id=visit.id, lesion_id=first.lesion_id)
        say(session, actor, images, second, "refer")
        confirm(session, actor, second, "MEL", confirmed_on=dt.date(2026, 9, 9))
    found = look(database, actor)
    assert found.outcomes.lesions == 1
    assert found.outcomes.model.sensitivity == Share(1, 1), "the visit at which it was taken out"
    assert look(database, actor, Wanted(YEAR.since, dt.date(2026, 8, 1))).outcomes.lesions == 0
    with database.begin() as session:
        (entry,) = casework.open_case(session, actor, second.id).confirmations
        opinions.retract_confirmation(session, actor, entry.id, note="of another lesion")
    assert look(database, actor).outcomes.lesions == 0


def test_how_long_things_took_is_the_nearest_rank(database, actor, images, monkeypatch):
    begun = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
    clock = [begun]
    for module in (answers, casework, opinions):
        monkeypatch.setattr(module, "now", lambda: clock[0])
    with database.begin() as session:
        for minutes in range(1, 11):
            clock[0] = begun
            case = new_case(session, actor)
            stripped = PICTURES[0]
            image = stripped, new_image(session, actor, case, images, stripped)
            clock[0] += dt.timedelta(minutes=minutes, milliseconds=250)
            say(session, actor, images, case, "refer", image=image)
            think(session, actor, case)
            opinions.sign_off(session, actor, case.id)
            confirm(session, actor, case)
            clock[0] += dt.timedelta(days=1)  # only the first of each counts
            opinions.reopen(session, actor, case.id, reason="again")
            opinions.sign_off(session, actor, case.id)
            say(session, actor, images, case, "refer", image=image)
    found = look(database, actor)
    for duration in (found.to_answer, found.to_sign_off, found.to_finding):
        assert duration.n == 10
        assert duration.median_s == pytest.approx(5 * 60 + 0.25, abs=0.01)
        assert duration.most_s == pytest.approx(9 * 60 + 0.25, abs=0.01)


def test_looking_is_logged_without_a_patient(database, actor):
    look(database, actor)
    with database.begin() as session:
        entry = session.execute(
            sa.select(audit.AuditRow).order_by(audit.AuditRow.sequence.desc()).limit(1)
        ).scalar_one()
    assert entry.action == "insights.seen"
    assert json.loads(entry.detail) == {"bundle": None, "since": "2026-01-01", "until": "2026-12-31"}


def test_a_share_of_few_says_nothing():
    assert not says_something(Share(5, LEAST_CASES - 1))
    assert says_something(Share(5, LEAST_CASES))
    low, high = Share(9, 10).interval
    assert (round(low, 3), round(high, 3)) == (0.596, 0.982)
