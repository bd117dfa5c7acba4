"""From the program's own records to the shapes that the API sends (`dermaloop.wire`): pictures, the model, the log.

Owns that translation. Refuses to know how an answer is made.
"""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any, Literal, cast

from dermaloop.cases.audit_list import Entry
from dermaloop.core.bundle import Bundle
from dermaloop.core.prediction import Prediction
from dermaloop.core.taxonomy import ENTRIES
from dermaloop.web.render import heatmap_png
from dermaloop.wire.assessment import (
    AuditAnswer,
    AuditEntryModel,
    ClassifyAnswer,
    DiagnosisModel,
    Health,
    HeatmapFormat,
    HeatmapModel,
    ModelAnswer,
    Problem,
    ReasonModel,
    ResultModel,
    SimilarModel,
)

__all__ = [
    "AuditAnswer",
    "AuditEntryModel",
    "ClassifyAnswer",
    "Health",
    "HeatmapFormat",
    "ModelAnswer",
    "Problem",
    "ResultModel",
    "audit_entry",
    "model",
    "result",
]


def audit_entry(entry: Entry) -> AuditEntryModel:
    """The entry as the API sends it."""
    return AuditEntryModel.model_validate(asdict(entry))


def result(prediction: Prediction, heatmap: HeatmapFormat) -> ResultModel:
    """The prediction as the API sends it."""
    return ResultModel(
        image=prediction.image,
        sha256=prediction.sha256,
        bundle=prediction.bundle,
        status=prediction.status.value,
        reasons=[
            ReasonModel(code=reason.code, text=reason.text, value=reason.value, limit=reason.limit)
            for reason in prediction.reasons
        ],
        malignant_probability=prediction.malignant_probability,
        decision=cast("Literal['refer', 'no_referral'] | None", prediction.decision.value or None),
        operating_point=prediction.operating_point,
        threshold=prediction.threshold,
        top_diagnosis=None if prediction.top_diagnosis is None else str(prediction.top_diagnosis),
        probabilities={str(diagnosis): share for diagnosis, share in prediction.probabilities.items()},
        quality=dict(prediction.quality),
        ood_distance=prediction.ood_distance,
        similar=[
            SimilarModel(
                image_id=case.image_id,
                source=case.source,
                diagnosis=str(case.diagnosis),
                confirmation=case.confirmation,
                similarity=case.similarity,
            )
            for case in prediction.similar
        ],
        frame=prediction.frame,
        heatmap=_heatmap(prediction, heatmap),
    )


def _heatmap(prediction: Prediction, kind: HeatmapFormat) -> HeatmapModel | None:
    if prediction.heatmap is None or kind is HeatmapFormat.NONE:
        return None
    if kind is HeatmapFormat.PNG:
        return HeatmapModel(format="png", png=base64.b64encode(heatmap_png(prediction.heatmap)).decode("ascii"))
    values: Any = prediction.heatmap.round(4).tolist()
    return HeatmapModel(format="array", values=values)


def model(bundle: Bundle, operating_point: str) -> ModelAnswer:
    """The model as the API describes it."""
    spec = bundle.spec
    return ModelAnswer(
        identity=bundle.identity,
        name=spec.name,
        version=spec.version,
        sha256=bundle.sha256,
        created=spec.created,
        network=spec.network,
        size_px=spec.size_px,
        licence=spec.licence,
        diagnoses=[
            DiagnosisModel(
                code=str(diagnosis),
                name=ENTRIES[diagnosis].name,
                malignancy=str(ENTRIES[diagnosis].malignancy),
                counts_as_malignant=ENTRIES[diagnosis].counts_as_malignant,
            )
            for diagnosis in spec.classes
        ],
        operating_points=list(spec.operating_points),
        operating_point=operating_point,
        gate=spec.gate,
        sources=dict(spec.sources),
    )
