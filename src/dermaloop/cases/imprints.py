"""Imprints of pictures as they are kept for watching drift: written with the prediction, gone with the patient.

Owns their bytes and what measures lie beside them. Refuses to judge them. Half precision: the noise that it adds is a
thousandth of the difference between two pictures.
"""

from __future__ import annotations

import json

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from dermaloop.cases.tables import PredictionRow
from dermaloop.cases.watch_tables import ImprintRow
from dermaloop.core.prediction import Prediction


def keep_imprint(session: Session, row: PredictionRow, prediction: Prediction) -> None:
    """Keeps a prediction's imprint, in the transaction that keeps the prediction; an unreadable picture has none."""
    imprint = prediction.imprint
    if imprint is None:
        return
    red, blue = imprint.colour
    measures = {**prediction.quality, "red_share": red, "blue_share": blue}
    if prediction.similar:
        measures["similarity"] = sum(case.similarity for case in prediction.similar) / len(prediction.similar)
    session.add(
        ImprintRow(
            prediction_id=row.id,
            patient_id=row.patient_id,
            embedding=pack(imprint.embedding),
            texture=pack(imprint.texture),
            measures=json.dumps({name: float(value) for name, value in measures.items()}, allow_nan=False),
        )
    )
    session.flush()


def forget_imprints(session: Session, patient_id: str) -> None:
    """Deletes every imprint of a patient."""
    session.execute(sa.delete(ImprintRow).where(ImprintRow.patient_id == patient_id))


def pack(values: NDArray[np.float32]) -> bytes:
    """Numbers as little-endian half floats."""
    return np.asarray(values, dtype="<f2").tobytes()


def unpack(packed: bytes) -> NDArray[np.float64]:
    """The numbers that `pack` packed: float64."""
    return np.frombuffer(packed, dtype="<f2").astype(np.float64)
