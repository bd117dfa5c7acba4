"""Predictions as they are stored: every field as JSON, the heatmap as bytes; the imprint is `cases.imprints`'.

Owns the two formats and their way back. Refuses to know tables. Written from the dataclass's own fields, so that a
field that is added to `Prediction` is stored without a change here, and one that an older program did not store and is
missing gets its default.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.core.prediction import Decision, Prediction, Reason, SimilarCase, Status
from dermaloop.core.taxonomy import Diagnosis

_HEAT_HEADER = struct.Struct("<4sII")
_HEAT_MAGIC = b"heat"
_FIELDS = tuple(field.name for field in dataclasses.fields(Prediction) if field.name not in {"heatmap", "imprint"})


def to_dict(prediction: Prediction) -> dict[str, Any]:
    """Every field but the heatmap and the imprint as JSON types."""
    return {name: _plain(getattr(prediction, name)) for name in _FIELDS}


def to_json(prediction: Prediction) -> str:
    """The same as one text. A number that JSON does not have (NaN) is a defect of the caller's."""
    return json.dumps(to_dict(prediction), ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def from_json(text: str, heatmap: bytes | None = None) -> Prediction:
    """The prediction that `to_json` wrote. Fields that this program does not know are left out."""
    stored = {name: value for name, value in json.loads(text).items() if name in _FIELDS}
    top = stored.get("top_diagnosis")
    frame = stored.get("frame")
    return Prediction(
        **{
            **stored,
            "status": Status(stored["status"]),
            "decision": Decision(stored.get("decision", "")),
            "reasons": tuple(Reason(**reason) for reason in stored.get("reasons", ())),
            "top_diagnosis": None if top is None else Diagnosis(top),
            "probabilities": {Diagnosis(code): p for code, p in stored.get("probabilities", {}).items()},
            "similar": tuple(
                SimilarCase(**{**case, "diagnosis": Diagnosis(case["diagnosis"])}) for case in stored.get("similar", ())
            ),
            "frame": None if frame is None else tuple(frame),
            "heatmap": None if heatmap is None else unpack_heatmap(heatmap),
        }
    )


def renamed(prediction: Prediction, image: str) -> Prediction:
    """The prediction under another name of its picture."""
    return dataclasses.replace(prediction, image=image)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, str) else value


def pack_heatmap(values: NDArray[np.float32]) -> bytes:
    """A heatmap float32 (h, w) as bytes: magic, sides, then zlib over little-endian samples; nothing is lost."""
    height, width = values.shape
    samples = np.ascontiguousarray(values, dtype="<f4").tobytes()
    return _HEAT_HEADER.pack(_HEAT_MAGIC, height, width) + zlib.compress(samples)


def unpack_heatmap(packed: bytes) -> NDArray[np.float32]:
    """The heatmap that `pack_heatmap` packed.

    Raises:
        ValueError: These are no such bytes.
    """
    magic, height, width = _HEAT_HEADER.unpack_from(packed)
    if magic != _HEAT_MAGIC:
        raise ValueError("no packed heatmap")
    samples = zlib.decompress(packed[_HEAT_HEADER.size :])
    return np.frombuffer(samples, dtype="<f4").reshape(height, width).astype(np.float32)
