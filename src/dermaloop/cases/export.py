"""One patient's whole record as a zip: what a patient may ask for, readable without this program.

Owns what goes into the zip and its form: every table that has rows of a patient, but for those named in `LEFT_OUT`. The
zip is written to a file piece by piece, one picture in memory at a time. Refuses to include who looked at the record:
the audit log names people of the clinic, and is asked for separately.
"""

from __future__ import annotations

import base64
import csv
import dataclasses
import io
import json
import zipfile
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import audit, codec
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Base, now
from dermaloop.cases.feedback_tables import FlagReviewRow, FlagRow
from dermaloop.cases.images import DamagedImageError, MissingImageError
from dermaloop.cases.job_tables import JobItemRow
from dermaloop.cases.model_tables import SilentPredictionRow
from dermaloop.cases.phone_tables import PhoneLinkRow
from dermaloop.cases.records import (
    Case,
    ConfirmationEntry,
    Image,
    Impression,
    Lesion,
    Patient,
    SignOff,
    StoredPrediction,
    Visit,
    record,
    records,
    stored_prediction,
)
from dermaloop.cases.rows import find
from dermaloop.cases.shadow import SilentPrediction
from dermaloop.cases.store import Store
from dermaloop.cases.tables import (
    CaseRow,
    ConfirmationRow,
    ImageRow,
    ImpressionRow,
    LesionRow,
    PatientRow,
    PredictionRow,
    SignOffRow,
    VisitRow,
)
from dermaloop.cases.watch_tables import ImprintRow
from dermaloop.core.errors import OutputError
from dermaloop.core.files import replacing

LEFT_OUT: dict[str, str] = {
    "kept_answers": "copies of what the other tables hold, for programs that ask again; gone after a day",
}
"""Tables with rows of a patient that are not part of the record, and why."""
_RECORDS: dict[str, tuple[type[Base], type[Any]]] = {
    "lesions": (LesionRow, Lesion),
    "visits": (VisitRow, Visit),
    "cases": (CaseRow, Case),
    "images": (ImageRow, Image),
    "predictions": (PredictionRow, StoredPrediction),
    "silent_predictions": (SilentPredictionRow, SilentPrediction),
    "impressions": (ImpressionRow, Impression),
    "confirmations": (ConfirmationRow, ConfirmationEntry),
    "signoffs": (SignOffRow, SignOff),
}
_PLAIN: dict[str, type[Base]] = {
    "flags": FlagRow,
    "flag_reviews": FlagReviewRow,
    "screening_pictures": JobItemRow,
    "phone_links": PhoneLinkRow,
    "imprints": ImprintRow,
}
_COLUMNS: dict[type[Base], tuple[str, ...]] = {
    FlagRow: ("id", "case_id", "confirmation_id", "made_at", "kind", "about", "sentence", "evidence"),
    FlagReviewRow: ("id", "flag_id", "made_at", "actor_kind", "actor_id", "actor_name", "verdict", "reason"),
    JobItemRow: ("id", "job_id", "name", "received_sha256", "made_at", "done_at", "case_id", "image_id"),
    PhoneLinkRow: ("id", "case_id", "image_type", "account_id", "made_at", "ends_at", "revoked_at", "pictures"),
    ImprintRow: ("prediction_id", "embedding", "texture", "measures"),
}
"""What is exported of tables that have no record of their own; of a phone's link not its secret's hash."""
_ENDING = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_README = """\
The whole record of one patient, exported from dermaloop on {day}.

record.json   everything, as it is stored; times are in UTC
*.csv         the same as tables, one row per entry; "imprints" are the numbers by which
              the server watches for drift, as little-endian float16 in base64
images/       the pictures, named by their id in the tables

The model's answers are decision support for research use. Not a medical device.
"""


def export_patient(store: Store, actor: Actor, patient_id: str, out: Path) -> int:
    """Writes a patient's record to `out`, whole or not at all.

    Args:
        store: The store.
        actor: Who exports; noted in the audit log.
        patient_id: Whose.
        out: The zip to write; replaced where it exists.

    Returns:
        How many pictures it holds. A picture that is missing or damaged in the store is named in `record.json` under
        `unavailable_images` instead of stopping the export.

    Raises:
        RecordNotFoundError: There is no such patient.
        OutputError: The file cannot be written.
        StoreError: The store cannot be reached.
    """
    with store.database.begin() as session:
        tables = _read(session, patient_id)
        audit.append(session, actor, "patient.exported", "patient", patient_id, {"pictures": len(tables["images"])})
    unavailable: list[str] = []
    try:
        with replacing(Path(out)) as temporary, zipfile.ZipFile(temporary, "x", zipfile.ZIP_DEFLATED) as packed:
            temporary.chmod(0o600)
            for image in tables["images"]:
                try:
                    content = store.images.read(image.sha256)
                except (MissingImageError, DamagedImageError):
                    unavailable.append(image.id)
                else:  # pictures are compressed already
                    packed.writestr(f"images/{image_name(image)}", content, zipfile.ZIP_STORED)
            packed.writestr("record.json", _json(tables, unavailable))
            for name, rows in tables.items():
                packed.writestr(f"{name}.csv", _csv(rows))
            packed.writestr("README.txt", _README.format(day=now().date()))
    except OSError as error:
        raise OutputError(
            f"the record cannot be written ({error.strerror or error})", where=str(out), way_out="Choose another place."
        ) from error
    return len(tables["images"]) - len(unavailable)


def image_name(image: Image) -> str:
    """The file name of a picture in an export."""
    return f"{image.id}.{_ENDING.get(image.format, 'bin')}"


def _read(session: Session, patient_id: str) -> dict[str, Sequence[Any]]:
    """The patient's records by table."""
    patient = find(session, PatientRow, patient_id, "patient")

    found: dict[str, Sequence[Any]] = {"patient": (record(Patient, patient),)}
    for name, (kind, as_record) in _RECORDS.items():
        columns: Any = kind
        query = sa.select(kind).where(columns.patient_id == patient.id).order_by(columns.made_at, columns.id)
        rows: Sequence[Any] = session.scalars(query).all()
        made = map(stored_prediction, rows) if as_record is StoredPrediction else records(as_record, rows)
        found[name] = tuple(one for one in made if not (isinstance(one, Image) and one.deleted_at is not None))
    return found | {name: _plain_rows(session, kind, patient.id) for name, kind in _PLAIN.items()}


def _plain_rows(session: Session, kind: type[Base], patient_id: str) -> Sequence[dict[str, Any]]:
    """Rows of a table that has no record of its own, as JSON types."""
    columns, names = vars(kind), _COLUMNS[kind]
    query = sa.select(*(columns[name] for name in names)).where(columns["patient_id"] == patient_id)
    rows = session.execute(query.order_by(columns[names[0]]))
    return [dict(zip(names, map(_value, row), strict=True)) for row in rows]


def tables() -> frozenset[str]:
    """The tables whose rows are exported, by name."""
    kinds: list[type[Base]] = [PatientRow, *(kind for kind, _ in _RECORDS.values()), *_PLAIN.values()]
    return frozenset(kind.__tablename__ for kind in kinds)


def _plain(entry: Any) -> dict[str, Any]:
    """A record as JSON types; a prediction's fields beside those of its row."""
    if isinstance(entry, dict):
        return entry
    if isinstance(entry, StoredPrediction):
        own = {
            field.name: getattr(entry, field.name) for field in dataclasses.fields(entry) if field.name != "prediction"
        }
        return {name: _value(value) for name, value in own.items()} | codec.to_dict(entry.prediction)
    plain = {field.name: _value(getattr(entry, field.name)) for field in dataclasses.fields(entry)}
    if isinstance(entry, Image):
        plain["file"] = f"images/{image_name(entry)}"
    return plain


def _value(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value) if isinstance(value, str) else value


def _json(tables: dict[str, Sequence[Any]], unavailable: list[str]) -> str:
    content: dict[str, Any] = {name: [_plain(entry) for entry in rows] for name, rows in tables.items()}
    content["patient"] = content["patient"][0]
    content["unavailable_images"] = unavailable
    return json.dumps(content, indent=1, ensure_ascii=False)


def _csv(rows: Sequence[Any]) -> str:
    stream = io.StringIO()
    plain = [_plain(entry) for entry in rows]
    if plain:
        writer = csv.DictWriter(stream, fieldnames=list(plain[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in plain)
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"  # else a spreadsheet would run it
    return value
