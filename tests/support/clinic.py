"""A small made-up clinic: records as a test needs them, in one line each."""

from __future__ import annotations

import hashlib
import itertools
from datetime import date

import numpy as np

from dermaloop.cases import answers, casework, patients
from dermaloop.cases.strip import Stripped, strip
from dermaloop.core.prediction import Decision, Prediction, Reason, SimilarCase, Status
from dermaloop.core.synthetic import draw_lesion
from dermaloop.core.taxonomy import Diagnosis
from support.hostile import exif, save

BUNDLE_SHA256 = hashlib.sha256(b"bundle").hexdigest()
_NUMBERS = itertools.count(1)


def picture(seed: int | None = None) -> Stripped:
    """A drawn lesion's photograph, ready to be stored."""
    seed = next(_NUMBERS) if seed is None else seed
    return strip(save(draw_lesion(seed, size_px=64), "JPEG", exif=exif(6, gps=True)))


def prediction(stripped: Stripped, probability: float | None = 0.3, **changes) -> Prediction:
    """What a bundle could say of a picture, with every field filled."""
    status = Status.UNREADABLE if probability is None else Status.ASSESSED
    filled = {
        "image": "Jane Doe left arm.jpg",
        "sha256": stripped.received_sha256,
        "bundle": "reference@0123456789ab",
        "status": status,
        "malignant_probability": probability,
        "decision": Decision.NONE if probability is None else Decision.REFER,
        "operating_point": "sensitivity-95",
        "threshold": 0.12,
        "top_diagnosis": Diagnosis.MEL,
        "probabilities": {code: 1 / len(Diagnosis) for code in Diagnosis},
        "quality": {"blur": 123.5},
        "ood_distance": 0.1 + 0.2,
        "similar": (SimilarCase("ISIC_1", "ham10000", Diagnosis.NV, "histopathology", 0.87),),
        "heatmap": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4),
        "frame": (0.0, 0.125, 1.0, 0.875),
    }
    return Prediction(**{**filled, **changes})


def declined(stripped: Stripped) -> Prediction:
    """An answer that declines."""
    reasons = (Reason("blurred", "The picture is blurred. Hold still.", 3.2, 10.0),)
    return prediction(stripped, 0.5, status=Status.ABSTAINED, reasons=reasons, decision=Decision.NONE)


def new_case(session, actor, *, pseudonym=None, visited_on=date(2026, 3, 1), **lesion):
    """A patient with one lesion and one visit: the case."""
    patient = patients.make_patient(session, actor, pseudonym=pseudonym or f"P-{next(_NUMBERS)}")
    made = patients.make_lesion(session, actor, patient.id, **lesion)
    visit = patients.make_visit(session, actor, patient.id, visited_on=visited_on)
    return casework.make_case(session, actor, visit_id=visit.id, lesion_id=made.id)


def new_image(session, actor, case, images, stripped=None, **more):
    """A dermoscopic picture in a case, stored."""
    stripped = stripped or picture()
    images.put(stripped.sha256, stripped.content)
    return casework.add_image(
        session, actor, case.id, images=images, stripped=stripped, image_type="dermoscopic", **more
    )


def assessed(session, actor, images, *, probability=0.3, case=None, **about):
    """A case with one picture and its answer; gives (case, image, stored prediction)."""
    case = case or new_case(session, actor, **about)
    stripped = picture()
    image = new_image(session, actor, case, images, stripped)
    said = declined(stripped) if probability == "declined" else prediction(stripped, probability)
    stored = answers.add_prediction(session, actor, image.id, said, bundle_sha256=BUNDLE_SHA256)
    return case, image, stored
