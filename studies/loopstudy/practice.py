"""The practice of the study: its records, its cases month by month, the lead's reviews and promotions, the watch.

Owns how pictures become cases: each lesion a patient with one visit, assessed by whatever bundle is champion then, and
confirmed in the same transaction. Resumes by itself: a lesion whose finding is in the records is not taken in again.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dermaloop.cases import accounts, flags, intake, opinions, patients, promotion, registry
from dermaloop.cases.accounts import NoSuchAccountError
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.feedback import read_feedback
from dermaloop.cases.intake import Delivered
from dermaloop.cases.roles import Role
from dermaloop.cases.store import Store, open_store
from dermaloop.cases.strip import strip
from dermaloop.cases.watch_data import watched_cases, watched_pictures
from dermaloop.cases.words import Verdict
from dermaloop.core.bundle import Bundle
from dermaloop.core.manifest import SITES, Confirmation, Manifest, ManifestRow
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.inference.classifier import Classifier, Item
from dermaloop.monitoring.findings import State
from dermaloop.monitoring.look import look
from dermaloop.monitoring.measures import MEASURES, Group, Limits
from dermaloop.pipeline.watch import confirmed_of, seed_of, stated_of, stream_of

CLINICIANS = ("Dr. Adams", "Dr. Baker", "Dr. Costa", "Dr. Duarte")
LEAD = "Dr. Lead"
FIRST_DAY = date(2024, 1, 1)
MONTH_DAYS = 30
_FOLLOWED_DAYS = 120
_PACE = timedelta(days=MONTH_DAYS) / 200
"""Between two visits, for the watch: about what a month of the study has."""


@dataclass(frozen=True)
class Finding:
    """A confirmation in the records, by the lesion's name in the study.

    Attributes:
        confirmation_id: Its entry.
        diagnosis: As it was confirmed.
    """

    confirmation_id: str
    diagnosis: Diagnosis


@dataclass(frozen=True)
class _Arrival:
    """A lesion on its way into the records.

    Attributes:
        lesion: Its name in the study.
        rows: Its pictures.
        files: Where they lie.
        day: Of the visit.
        by: Who takes it in and writes the finding down.
        wrong: Whether that is flipped.
    """

    lesion: str
    rows: list[ManifestRow]
    files: list[Path]
    day: date
    by: Actor
    wrong: bool


@contextmanager
def opened(folder: Path) -> Iterator[Store]:
    """The practice's records, made where there are none."""
    store = open_store(folder)
    try:
        yield store
    finally:
        store.close()


def person(store: Store, name: str, role: Role) -> Actor:
    """Somebody of the practice."""
    with store.database.begin() as session:
        try:
            account = accounts.find_by_name(session, name)
        except NoSuchAccountError:
            account = accounts.create(session, system("study"), name, role)
    return Actor("account", account.id, account.name)


def champion(store: Store) -> Bundle:
    """The bundle that serves."""
    with store.database.begin() as session:
        return registry.open_model(session, registry.champion(session))


def crown(store: Store, bundle: Path) -> None:
    """Registers the first champion, once."""
    with store.database.begin() as session:
        if not registry.listing(session):
            registry.add(session, system("study"), bundle, first=True)


def promote(store: Store, model: str) -> None:
    """The lead signs, once."""
    lead = person(store, LEAD, Role.LEAD)
    with store.database.begin() as session:
        if registry.champion(session).id != model:
            promotion.promote(session, lead, model, reason="Every required gate was passed.")


def findings(store: Store) -> dict[str, Finding]:
    """Every confirmation, by lesion."""
    with store.database.begin() as session:
        cases = read_feedback(session, system("study"), "study")
    return {
        entry.document: Finding(entry.id, entry.diagnosis)
        for case in cases
        for entry in case.findings
        if entry.diagnosis is not None
    }


def flipped(code: Diagnosis) -> Diagnosis:
    """What a poisoned confirmation says: a cancer is called a naevus, and what is harmless a melanoma."""
    return Diagnosis.NV if code in MALIGNANT else Diagnosis.MEL


def take_month(store: Store, rows: Manifest, month: int, wrong: frozenset[str] = frozenset()) -> int:
    """Takes a month's lesions in as cases, with what the champion says of them and with their confirmation.

    Args:
        store: The practice.
        rows: The pictures; those of one lesion make one case.
        month: 1, 2, …
        wrong: Lesions whose confirmation is flipped.

    Returns:
        How many cases the month has now.
    """
    by_lesion: dict[str, list[int]] = {}
    for index, group in enumerate(rows.groups()):
        by_lesion.setdefault(group, []).append(index)
    order = sorted(by_lesion, key=lambda group: hashlib.sha256(group.encode()).digest())
    there = findings(store)
    missing = [group for group in order if group not in there]
    if missing:
        staff = [person(store, name, Role.CLINICIAN) for name in CLINICIANS]
        classifier = Classifier(champion(store), threads=1)
        for group in missing:
            place = order.index(group)
            day = FIRST_DAY + timedelta(days=MONTH_DAYS * (month - 1) + place * MONTH_DAYS // len(order))
            chosen = [rows.row(index) for index in by_lesion[group]]
            files = [rows.image_path(index) for index in by_lesion[group]]
            arrival = _Arrival(group, chosen, files, day, staff[place % len(staff)], group in wrong)
            _take(store, classifier, arrival)
    return len(order)


def _take(store: Store, classifier: Classifier, arrival: _Arrival) -> None:
    first, day, actor = arrival.rows[0], arrival.day, arrival.by
    assert first.diagnosis is not None
    contents = [photographed(path, row.pixel_aspect) for path, row in zip(arrival.files, arrival.rows, strict=True)]
    names = [row.image_id for row in arrival.rows]
    said = classifier.classify_many(Item(name, content) for name, content in zip(names, contents, strict=True))
    delivered = [Delivered(strip(content), prediction) for content, prediction in zip(contents, said, strict=True)]
    for one in delivered:
        store.images.put(one.stripped.sha256, one.stripped.content)
    how = first.confirmation
    if arrival.wrong or how in ("", Confirmation.UNKNOWN):  # a slip of the laboratory; or a source that does not say
        how = Confirmation.HISTOPATHOLOGY
    known_on = day + timedelta(days=_FOLLOWED_DAYS if how is Confirmation.FOLLOW_UP else 7)
    with store.database.begin() as session:
        patient = patients.make_patient(
            session, actor, pseudonym=arrival.lesion, sex=first.sex or "", training_consent="given",
            birth_year=None if first.age_years is None else day.year - round(first.age_years),
        )  # fmt: skip
        site = first.site if first.site in SITES else ""
        lesion = patients.make_lesion(session, actor, patient.id, site=site)
        taken = intake.take_in(
            session, actor, lesion.id, visited_on=day, image_type="dermoscopic", delivered=delivered,
            images=store.images, bundle_sha256=classifier.bundle.sha256,
        )  # fmt: skip
        opinions.add_confirmation(
            session, actor, taken.case.id, confirmation=str(how), confirmed_on=known_on,
            diagnosis=str(flipped(first.diagnosis) if arrival.wrong else first.diagnosis), document=arrival.lesion,
        )  # fmt: skip


def photographed(path: Path, pixel_aspect: float) -> bytes:
    """A picture's bytes as a clinic would send them: those that were squashed to the square are stretched back."""
    if pixel_aspect == 1.0:
        return path.read_bytes()
    stream = io.BytesIO()
    with Image.open(path) as image:
        wide = image.convert("RGB").resize((round(image.width * pixel_aspect), image.height), Image.Resampling.BICUBIC)
        wide.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def review(store: Store, wrong: frozenset[str]) -> dict[str, int]:
    """The lead looks at every flag that waits: flipped confirmations are rejected, the others accepted."""
    lead = person(store, LEAD, Role.LEAD)
    bad = {one.confirmation_id for lesion, one in findings(store).items() if lesion in wrong}
    counts = {"accepted": 0, "rejected": 0}
    while True:
        with store.database.begin() as session:
            waiting = flags.list_flags(session, lead)
            for flag in waiting:
                verdict = Verdict.REJECTED if flag.confirmation_id in bad else Verdict.ACCEPTED
                flags.review_flag(session, lead, flag.id, verdict=verdict, reason="looked up again in the laboratory")
                counts[str(verdict)] += 1
        if not waiting:
            return counts


def flagged(store: Store) -> frozenset[str]:
    """Lesions with a confirmation that was ever flagged."""
    with store.database.begin() as session:
        marked = set(flags.flags_by_confirmation(session))
    return frozenset(lesion for lesion, one in findings(store).items() if one.confirmation_id in marked)


def watched(store: Store, bundle: Bundle) -> dict[str, Any]:
    """What the watch says of everything that a bundle answered, at its own limits: each alarm with its visit.

    An alarm of the outcome has the number of its confirmed case instead.

    The study takes months in within minutes; the watch stakes by the time between visits, so they are spread over the
    days that they stand for, in their order. Findings come ten days after the visit.
    """
    with store.database.read() as session:
        pictures = watched_pictures(session, bundle.identity)
        cases, _ = watched_cases(session, bundle.identity)
    begun = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
    spread = [begun + place * _PACE for place in range(len(pictures))]
    known = [begun + timedelta(days=10) + place * _PACE for place in range(len(cases))]
    seen = [replace(one, at=at) for one, at in zip(pictures, spread, strict=True)]
    told = [replace(one, at=at) for one, at in zip(cases, known, strict=True)]
    found = look(stream_of(seen, bundle), confirmed_of(told), stated_of(bundle), Limits(), seed=seed_of(pictures))
    visits, told_at = (np.array([at.timestamp() for at in times]) for times in (spread, known))
    outcome = {name for name, measure in MEASURES.items() if measure.group is Group.OUTCOME}
    alarms = {
        one.name: int(np.searchsorted(told_at if one.name in outcome else visits, one.found)) + 1
        for one in found.findings
        if one.state is State.ALARM and one.found is not None
    }
    return {"visits": len(pictures), "confirmed": len(cases), "alarms": alarms}
