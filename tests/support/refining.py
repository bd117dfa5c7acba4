"""A clinic whose cases were confirmed: what refining learns from, drawn and in one line each."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import numpy as np
from PIL import Image

from dermaloop.cases import answers, opinions, patients
from dermaloop.cases.actor import Actor
from dermaloop.cases.strip import Stripped, strip
from dermaloop.core.prediction import Decision
from dermaloop.core.synthetic import draw_lesion
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from support.clinic import BUNDLE_SHA256, new_case, new_image, prediction
from support.trainings import FINE

ADA = Actor("account", "11111111-1111-4111-8111-111111111111", "Dr. Ada Example")
BOB = Actor("account", "22222222-2222-4222-8222-222222222222", "Dr. Bob Example")
DAY = date(2026, 3, 1)


def tinted(diagnosis: Diagnosis, seed: int, size_px: int = 96) -> Stripped:
    """A drawn lesion in its diagnosis' colour, as `support.trainings` draws them; no two seeds look alike."""
    drawn = draw_lesion(seed, size_px=size_px, malignant=diagnosis in MALIGNANT)
    tint = np.ones(3) + 0.12 * np.eye(4, 3)[FINE.index(diagnosis)]
    stream = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(drawn) * tint, 0, 255).astype(np.uint8)).save(stream, "PNG")
    return strip(stream.getvalue())


def confirmed(
    store: Any,
    diagnosis: Diagnosis = Diagnosis.NV,
    *,
    seed: int = 0,
    named: str | None = None,
    stripped: Stripped | None = None,
    by: Actor = ADA,
    consent: str = "given",
    confirmation: str = "histopathology",
    confirmed_on: date = date(2026, 3, 8),
    visited_on: date = DAY,
    image_type: str = "dermoscopic",
    decision: Decision | None = Decision.REFER,
    finding: bool = True,
    **more: Any,
) -> Any:
    """A case of a new patient, with one picture and, unless told otherwise, a finding; gives (case, image, entry).

    Args:
        store: An open store.
        diagnosis: What the picture shows.
        seed: Of the picture.
        named: What the finding says; None: the truth; empty: no diagnosis of the taxonomy.
        stripped: The picture; None: drawn.
        by: Who writes the finding down.
        consent: The patient's.
        confirmation: How it is confirmed.
        confirmed_on: The finding's day.
        visited_on: The picture's.
        image_type: The picture's kind.
        decision: The model's; None: it was not asked.
        finding: Whether there is one.
        more: For `opinions.add_confirmation`.
    """
    picture = stripped or tinted(diagnosis, seed)
    with store.database.begin() as session:
        case = new_case(session, ADA, visited_on=visited_on, site="head/neck")
        known = patients.show_patient(session, ADA, case.patient_id).patient
        patients.change_patient(
            session, ADA, case.patient_id, pseudonym=known.pseudonym, birth_year=1960, sex="female", skin_type=2,
            note="", training_consent=consent,
        )  # fmt: skip
        if image_type == "dermoscopic":
            image = new_image(session, ADA, case, store.images, picture)
        else:
            from dermaloop.cases import casework  # noqa: PLC0415

            store.images.put(picture.sha256, picture.content)
            image = casework.add_image(
                session, ADA, case.id, images=store.images, stripped=picture, image_type=image_type
            )
        if decision is not None:
            said = prediction(picture, 0.3, decision=decision)
            answers.add_prediction(session, ADA, image.id, said, bundle_sha256=BUNDLE_SHA256)
        entry = None
        if finding:
            told = {"diagnosis": diagnosis if named is None else named, **more}
            entry = opinions.add_confirmation(
                session, by, case.id, confirmation=confirmation, confirmed_on=confirmed_on, **told
            )
    return case, image, entry


def clinic(store: Any, n: int, *, first: int = 500, **more: Any) -> list[Any]:
    """`n` confirmed cases, the four drawn diagnoses in turn; no seed is one of `lesion_manifest`'s."""
    return [confirmed(store, FINE[k % len(FINE)], seed=first + k, **more) for k in range(n)]
