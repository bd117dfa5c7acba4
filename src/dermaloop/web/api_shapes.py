"""From the clinic's records to the shapes that the API sends (`dermaloop.wire.records`).

Owns that translation, field by field by name. Refuses to decide what may be shown: `cases` has left out what is hidden,
and where it says so the fields that would hold an answer are null.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from dermaloop.cases import records
from dermaloop.cases.casework import CaseFile
from dermaloop.cases.opinions import standing
from dermaloop.cases.patients import PatientFile
from dermaloop.cases.timeline import Answer as TimelineAnswer
from dermaloop.cases.worklist import Row
from dermaloop.web import schema
from dermaloop.web.report import Report
from dermaloop.web.views import shows_figures
from dermaloop.wire import documents
from dermaloop.wire import records as wire
from dermaloop.wire.assessment import HeatmapFormat, ReasonModel
from dermaloop.wire.base import Answer

Shape = TypeVar("Shape", bound=Answer)


def shape(kind: type[Shape], record: Any, **more: Any) -> Shape:
    """A record as a shape that has its fields by the same names; `more` adds or replaces."""
    values = {name: getattr(record, name) for name in kind.model_fields if name not in more and hasattr(record, name)}
    made: Shape = kind.model_validate({**{name: _plain(value) for name, value in values.items()}, **more})
    return made


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value


def case(record: records.Case, *, hidden: bool) -> wire.Case:
    """A case; with `hidden`, as one sees it from whom the model's answer is hidden."""
    suspicion = None if hidden or record.suspicion < 0 else record.suspicion
    return shape(wire.Case, record, suspicion=suspicion, declined=None if hidden else record.declined)


def image(record: records.Image) -> wire.Image:
    """A picture's record."""
    return shape(wire.Image, record)


def prediction(stored: records.StoredPrediction) -> wire.StoredPrediction:
    """What a model said of a stored picture."""
    made = stored.prediction
    return shape(
        wire.StoredPrediction,
        stored,
        has_heatmap=made.heatmap is not None and shows_figures(made),
        result=schema.result(made, HeatmapFormat.NONE),
    )


def patient_file(file: PatientFile) -> documents.PatientFile:
    """A patient with lesions and visits; the cases, whose answers may be hidden, are a list of their own."""
    return documents.PatientFile(
        patient=shape(wire.Patient, file.patient),
        lesions=[shape(wire.Lesion, one) for one in file.lesions],
        visits=[shape(wire.Visit, one) for one in file.visits],
    )


def lesion_file(lesion: records.Lesion, answers: tuple[TimelineAnswer, ...]) -> documents.LesionFile:
    """A lesion and its pictures over time."""
    return documents.LesionFile(
        lesion=shape(wire.Lesion, lesion),
        pictures=[lesion_picture(one) for one in answers],
    )


def lesion_picture(answer: TimelineAnswer) -> documents.LesionPicture:
    """A picture of a lesion with the latest answer on it."""
    return documents.LesionPicture(
        visit=shape(wire.Visit, answer.visit),
        image=image(answer.image),
        prediction=None if answer.stored is None else prediction(answer.stored),
        answer_hidden=answer.hidden,
    )


def case_row(row: Row) -> documents.CaseRow:
    """A case in a list."""
    return shape(
        documents.CaseRow,
        row,
        case=case(row.case, hidden=row.answer_hidden),
        decision=str(row.decision) or None,
    )


def case_file(file: CaseFile) -> documents.CaseFile:
    """A case with all its entries."""
    return documents.CaseFile(
        case=case(file.case, hidden=file.answer_hidden),
        patient=shape(wire.Patient, file.patient),
        lesion=shape(wire.Lesion, file.lesion),
        visit=shape(wire.Visit, file.visit),
        images=[image(one) for one in file.images],
        predictions=[prediction(one) for one in file.predictions],
        answer_hidden=file.answer_hidden,
        impressions=[shape(wire.Impression, one) for one in file.impressions],
        confirmations=[shape(wire.ConfirmedDiagnosis, one) for one in file.confirmations],
        standing_confirmation_ids=[one.id for one in standing(file.confirmations)],
        signoffs=[shape(wire.SignOff, one) for one in file.signoffs],
    )


def report(made: Report, case_id: str, image_id: str) -> documents.ReportAnswer:
    """What the printed report says."""
    return documents.ReportAnswer(
        case_id=case_id,
        image_id=image_id,
        practice=made.practice,
        title=made.view.verdict.title,
        sentence=made.view.verdict.sentence,
        caution=made.view.verdict.caution,
        result=schema.result(made.view.prediction, HeatmapFormat.NONE),
        figures_shown=made.figures,
        reasons=[one.text for one in made.reasons],
        operating_point=list(made.point),
        limits=list(made.limits),
        facts=[documents.Fact(name=name, text=text) for name, text in made.facts],
        impression=[documents.Fact(name=name, text=text) for name, text in made.impression],
        impression_text=made.words,
        confirmed=made.confirmed,
        clinician=made.clinician,
        signed=made.signed,
        licence=made.licence,
        version=made.version,
    )


def reasons(found: tuple[Any, ...]) -> list[ReasonModel]:
    """Why a picture was not taken."""
    return [ReasonModel.model_validate(dataclasses.asdict(one)) for one in found]
