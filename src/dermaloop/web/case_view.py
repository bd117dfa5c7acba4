"""A case as its page and its report show it: the records, worded and put together.

Owns that view. Refuses to decide what may be shown: `casework.open_case` has left out what is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from dermaloop.cases.casework import CaseFile
from dermaloop.cases.opinions import standing
from dermaloop.cases.records import Image, StoredPrediction
from dermaloop.cases.words import SignOffKind
from dermaloop.core.bundle import OperatingPoint
from dermaloop.core.prediction import Prediction
from dermaloop.web.clinical import picture_type_name
from dermaloop.web.observed import Assessor
from dermaloop.web.report import CaseFacts
from dermaloop.web.views import View, shows_figures, view_of


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the case and the latest answer on it.

    Attributes:
        image: The picture.
        label: What the page calls it.
        address: Where its bytes are.
        view: The answer; None where it is hidden, or where there is none.
        frame: (left, top, right, bottom) in fractions of the picture: what the model saw.
    """

    image: Image
    label: str
    address: str
    view: View | None
    frame: tuple[float, float, float, float]


def pictures_of(file: CaseFile, classifier: Assessor) -> tuple[Picture, ...]:
    """The pictures of a case that are not deleted, in the order in which they came."""
    latest: dict[str, StoredPrediction] = {one.image_id: one for one in file.predictions}
    images = [image for image in file.images if image.deleted_at is None]
    return tuple(
        _picture(image, latest.get(image.id), classifier, number if len(images) > 1 else 0)
        for number, image in enumerate(images, 1)
    )


def _picture(image: Image, stored: StoredPrediction | None, classifier: Assessor, number: int) -> Picture:
    kind = picture_type_name(image.image_type)
    label = f"{number}. {kind}" if number else kind
    address = f"/images/{image.id}"
    if stored is None:
        return Picture(image, label, address, None, (0, 0, 1, 1))
    made = stored.prediction
    heatmap = ""
    if made.heatmap is not None and shows_figures(made):
        heatmap = f"{address}/heatmap/{stored.id}.png"
    size = (image.width_px, image.height_px)
    view = view_of(made, point_of(classifier, made), label, picture=address, size=size, heatmap=heatmap)
    return Picture(image, label, address, view, made.frame or (0, 0, 1, 1))


def point_of(classifier: Assessor, prediction: Prediction) -> OperatingPoint | None:
    """The operating point that decided a prediction; None where that was another model's than the present one."""
    if prediction.bundle != classifier.bundle.identity:
        return None
    decided = (prediction.operating_point, prediction.threshold)
    points = classifier.bundle.spec.operating_points
    return next((one for one in points if (one.name, one.threshold) == decided), None)


def facts_of(file: CaseFile, practice: str) -> CaseFacts:
    """What the report says of a case.

    Args:
        file: The case.
        practice: The practice's name.
    """
    impression = file.impressions[-1] if file.impressions else None
    known = standing(file.confirmations)
    confirmed = known[-1] if known and file.case.confirmed else None
    signed = [one for one in file.signoffs if one.kind is SignOffKind.SIGNED]
    signer = signed[-1] if signed and file.case.signed_at is not None else None
    lesion = file.lesion
    facts = CaseFacts(
        practice=practice,
        patient=file.patient.pseudonym or "",
        birth_year=file.patient.birth_year,
        sex=file.patient.sex,
        skin_type=file.patient.skin_type,
        lesion=f"{lesion.number}, {lesion.label}" if lesion.label else str(lesion.number),
        site=lesion.site,
        taken_on=file.visit.visited_on,
        clinician=signer.actor_name if signer else impression.actor_name if impression else "",
        signed_at=file.case.signed_at,
    )
    if impression is not None:
        facts = replace(
            facts,
            impression=impression.text,
            impression_diagnosis=impression.diagnosis,
            timing=impression.timing,
            management=impression.management,
        )
    if confirmed is not None:
        facts = replace(
            facts,
            confirmed=confirmed.diagnosis,
            confirmed_term=confirmed.term,
            confirmation=confirmed.confirmation,
            confirmed_on=confirmed.confirmed_on,
        )
    return facts
