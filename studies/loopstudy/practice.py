"""The practice of the study: its cases month by month, the lead's reviews and promotions, at the running service.

Owns how pictures become cases, as a program of a hospital would bring them: each lesion a patient with one visit, sent
by the product's own client to a `dermaloop serve` process, assessed there by whatever bundle is champion then, and
confirmed. Each of four clinicians has a token, and so has the lead. Resumes by itself: what the service has confirmed
is not sent again, and what was begun is looked for and completed with the same keys. Refuses to know how the service is
run (`loopstudy.service`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from dermaloop.cases import registry
from dermaloop.cases.actor import system
from dermaloop.cases.store import Store, open_store
from dermaloop.client import Client, ConfirmationEntry, LesionEntry, PatientEntry
from dermaloop.core.bundle import Bundle
from dermaloop.core.manifest import SITES, Confirmation, Manifest, ManifestRow
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.wire.records import Patient
from loopstudy import service, staff
from loopstudy.service import ServiceError

FIRST_DAY = date(2024, 1, 1)
MONTH_DAYS = 30
_FOLLOWED_DAYS = 120


@dataclass(frozen=True)
class People:
    """Everybody at the service.

    Attributes:
        clinicians: Who take cases in and write findings down, in turn.
        lead: Who reviews and promotes.
        signature: The lead's password.
    """

    clinicians: tuple[Client, ...]
    lead: Client
    signature: str


class Practice:
    """The practice: its records, and its people at the service, which runs from when it is first needed.

    Args:
        work: The study's folder.
        store: The records, for what is no business of the API.
        ends: Where the service is ended.
    """

    def __init__(self, work: Path, store: Store, ends: ExitStack) -> None:
        self.store = store
        self._work, self._ends = work, ends

    @cached_property
    def people(self) -> People:
        """Signed in, as it were: each with the own token."""
        known = staff.hired(self.store, self._work / "staff.json")
        address = self._ends.enter_context(service.running(self.store.folder, self._work / "server.log"))
        clients = {name: self._ends.enter_context(Client(address, one.token)) for name, one in known.items()}
        clinicians = tuple(clients[name] for name in staff.CLINICIANS)
        return People(clinicians, clients[staff.LEAD], known[staff.LEAD].password)


@dataclass(frozen=True)
class _Arrival:
    """A lesion on its way into the records.

    Attributes:
        lesion: Its name in the study.
        rows: Its pictures.
        files: Where they lie.
        day: Of the visit.
        wrong: Whether the finding is flipped.
        begun: Whether a study that was killed may have sent a part of it.
    """

    lesion: str
    rows: list[ManifestRow]
    files: list[Path]
    day: date
    wrong: bool
    begun: bool

    def key(self, what: str) -> str:
        """Of a request about it, the same whenever it is sent."""
        return f"{quote(self.lesion)}:{what}"


@contextmanager
def opened(work: Path) -> Iterator[Practice]:
    """The practice in the study's folder, with records made where there are none; its service ends with it."""
    with ExitStack() as ends:
        store = open_store(work / "store")
        ends.callback(store.close)
        yield Practice(work, store, ends)


def champion(store: Store) -> Bundle:
    """The bundle that the registry names."""
    with store.database.begin() as session:
        return registry.open_model(session, registry.champion(session))


def crown(store: Store, bundle: Path) -> None:
    """Registers the first champion, once, before anybody is served: else the bundle that ships would be it."""
    with store.database.begin() as session:
        if not registry.listing(session):
            registry.add(session, system("study"), bundle, first=True)


def promote(people: People, model: str) -> None:
    """The lead signs, once.

    Raises:
        ServiceError: The service that runs does not answer by the new champion then.
    """
    known = people.lead.models()
    if known.champion_id != model:
        people.lead.promote(
            model, reason="Every required gate was passed.", password=people.signature, key=f"promote:{model}"
        )
    wanted = next(one.identity for one in known.models if one.id == model)
    answers = people.lead.model().identity
    if answers != wanted:
        raise ServiceError(f"the service answers by {answers}, though {wanted} was promoted")


def lesions_by_case(people: People) -> dict[str, str]:
    """Every case's lesion, by its name in the study."""
    return {row.case.id: row.pseudonym for row in people.lead.cases()}


def flipped(code: Diagnosis) -> Diagnosis:
    """What a poisoned confirmation says: a cancer is called a naevus, and what is harmless a melanoma."""
    return Diagnosis.NV if code in MALIGNANT else Diagnosis.MEL


def take_month(people: People, rows: Manifest, month: int, wrong: frozenset[str] = frozenset()) -> int:
    """Sends a month's lesions to the service as cases: patient, lesion, visit with pictures, confirmation.

    Args:
        people: At the service.
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
    there = {row.pseudonym for row in people.lead.cases() if row.case.confirmed}
    missing = [group for group in order if group not in there]
    for group in missing:
        place = order.index(group)
        day = FIRST_DAY + timedelta(days=MONTH_DAYS * (month - 1) + place * MONTH_DAYS // len(order))
        chosen = [rows.row(index) for index in by_lesion[group]]
        files = [rows.image_path(index) for index in by_lesion[group]]
        by = people.clinicians[place % len(people.clinicians)]
        _take(by, _Arrival(group, chosen, files, day, group in wrong, begun=group == missing[0]))
    return len(order)


def _take(by: Client, arrival: _Arrival) -> None:
    first, day = arrival.rows[0], arrival.day
    assert first.diagnosis is not None
    pictures = [
        (f"{row.image_id}{path.suffix}", photographed(path, row.pixel_aspect))
        for path, row in zip(arrival.files, arrival.rows, strict=True)
    ]
    taken = by.upload(
        _lesion(by, arrival), pictures, visited_on=day, image_type="dermoscopic", key=arrival.key("visit")
    )
    if taken.refused:
        said = "; ".join(f"{one.name}: {one.reasons[0].text}" for one in taken.refused)
        raise ServiceError(f"the service did not take every picture of {arrival.lesion} ({said})")
    how = first.confirmation
    if arrival.wrong or how in ("", Confirmation.UNKNOWN):  # a slip of the laboratory; or a source that does not say
        how = Confirmation.HISTOPATHOLOGY
    entry = ConfirmationEntry.model_validate({
        "confirmation": str(how),
        "confirmed_on": day + timedelta(days=_FOLLOWED_DAYS if how is Confirmation.FOLLOW_UP else 7),
        "diagnosis": str(flipped(first.diagnosis) if arrival.wrong else first.diagnosis),
        "document": arrival.lesion,
    })  # fmt: skip
    by.confirm(taken.case_id, entry, key=arrival.key("confirmation"))


def _lesion(by: Client, arrival: _Arrival) -> str:
    """Id of the lesion, of a patient of its own."""
    first = arrival.rows[0]
    entry = PatientEntry.model_validate({
        "pseudonym": arrival.lesion, "sex": str(first.sex or ""), "training_consent": "given",
        "birth_year": None if first.age_years is None else arrival.day.year - round(first.age_years),
    })  # fmt: skip
    # Asked for, not only sent again with the same key: the service forgets keys after a day.
    patient = _known(by, arrival.lesion) if arrival.begun else None
    if patient is None:
        patient = by.make_patient(entry, key=arrival.key("patient"))
    elif lesions := by.patient(patient.id).lesions:
        return lesions[0].id
    site = first.site if first.site in SITES else ""
    return by.make_lesion(patient.id, LesionEntry(site=site), key=arrival.key("lesion")).id


def _known(by: Client, pseudonym: str) -> Patient | None:
    return next((one for one in by.patients(pseudonym) if one.pseudonym == pseudonym), None)


def photographed(path: Path, pixel_aspect: float) -> bytes:
    """A picture's bytes as a clinic would send them: those that were squashed to the square are stretched back."""
    if pixel_aspect == 1.0:
        return path.read_bytes()
    stream = io.BytesIO()
    with Image.open(path) as image:
        wide = image.convert("RGB").resize((round(image.width * pixel_aspect), image.height), Image.Resampling.BICUBIC)
        wide.save(stream, "JPEG", quality=95)
    return stream.getvalue()


def review(people: People, month: int, wrong: frozenset[str]) -> dict[str, int]:
    """The lead looks at every flag that waits: those of flipped confirmations are rejected, the others accepted.

    Args:
        people: At the service.
        month: In which the lead looks.
        wrong: Lesions whose confirmation was flipped.

    Returns:
        How many of each the lead decided in that month, before a kill and after.
    """
    lesions, reason = lesions_by_case(people), f"looked up again in the laboratory, month {month}"
    for flag in list(people.lead.flags()):
        verdict = "rejected" if lesions[flag.case_id] in wrong else "accepted"
        people.lead.review_flag(flag.id, verdict, reason=reason, key=f"review:{flag.id}")
    said = [flag.review for flag in people.lead.flags(waiting=False)]
    made = [one.verdict for one in said if one is not None and one.reason == reason]
    return {"accepted": made.count("accepted"), "rejected": made.count("rejected")}


def flagged(people: People) -> frozenset[str]:
    """Lesions with a confirmation that was ever flagged."""
    lesions = lesions_by_case(people)
    return frozenset(lesions[flag.case_id] for flag in people.lead.flags(waiting=False))
