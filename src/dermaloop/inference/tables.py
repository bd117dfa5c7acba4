"""Predictions as rows for machines: CSV, JSON and Parquet, written as they come.

Owns the formats and that a file is either complete or absent. Refuses to know tables for people. The trade-off: CSV and
Parquet hold the flat columns of `core.prediction.COLUMNS`; what has a shape (reasons' words, quality, similar cases) is
in JSON only.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from dermaloop.core.bundle import Bundle, OperatingPoint
from dermaloop.core.errors import OutputError
from dermaloop.core.files import replacing
from dermaloop.core.prediction import COLUMNS, Prediction

Format = Literal["json", "csv", "parquet"]
FORMATS: tuple[str, ...] = get_args(Format)
Write = Callable[[Prediction], None]

_NUMBERS = frozenset(name for name in COLUMNS if name.startswith("p_")) | {"malignant_probability"}
SCHEMA = pa.schema([(name, pa.float64() if name in _NUMBERS else pa.string()) for name in COLUMNS])
"""Of the Parquet file."""
_ROW_GROUP = 4096


def as_dict(prediction: Prediction) -> dict[str, Any]:
    """One prediction as plain JSON types: the row's columns, and what does not fit into a row. Without the heatmap."""
    flat: dict[str, Any] = {name: value for name, value in prediction.row().items() if not name.startswith("p_")}
    return flat | {
        "reasons": [
            {"code": reason.code, "text": reason.text, "value": reason.value, "limit": reason.limit}
            for reason in prediction.reasons
        ],
        "threshold": prediction.threshold,
        "probabilities": {str(diagnosis): value for diagnosis, value in prediction.probabilities.items()},
        "quality": dict(prediction.quality),
        "ood_distance": prediction.ood_distance,
        "frame": prediction.frame,
        "similar": [
            {
                "image_id": case.image_id,
                "source": case.source,
                "diagnosis": str(case.diagnosis),
                "confirmation": case.confirmation,
                "similarity": case.similarity,
            }
            for case in prediction.similar
        ],
    }


@contextlib.contextmanager
def writing(path: Path, kind: Format, bundle: Bundle, operating_point: OperatingPoint) -> Iterator[Write]:
    """Yields a function that adds one prediction to the file; `path` appears when the block ends well.

    Args:
        path: The file; replaced if there is one.
        kind: Its format.
        bundle: Named in the JSON's head.
        operating_point: Described in the JSON's head.

    Raises:
        OutputError: It cannot be written; nothing is left behind, and a file that was there is untouched.
    """
    with complete_file(path) as temporary:
        if kind == "parquet":
            with _parquet(temporary) as write:
                yield write
        else:
            with (
                temporary.open("w", encoding="utf-8", newline="") as stream,
                on_stream(stream, kind, bundle, operating_point) as write,
            ):
                yield write


@contextlib.contextmanager
def complete_file(path: Path) -> Iterator[Path]:
    """Yields a temporary path whose content becomes `path` when the block ends well.

    Raises:
        OutputError: It cannot be written; nothing is left behind, and a file that was there is untouched.
    """
    try:
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise OutputError(
            f"the file cannot be written ({error.strerror or error})",
            where=str(path),
            way_out="Free space, or choose another place.",
        ) from error


@contextlib.contextmanager
def on_stream(stream: IO[str], kind: str, bundle: Bundle, operating_point: OperatingPoint) -> Iterator[Write]:
    """The same on an open text stream; `kind` is csv or json."""
    if kind == "csv":
        rows = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        rows.writeheader()
        yield lambda prediction: rows.writerow(prediction.row())
        return
    head = {"bundle": bundle.identity, "operating_point": operating_point.model_dump(mode="json")}
    stream.write(json.dumps(head)[:-1] + ', "predictions": [')
    between = "\n"

    def write(prediction: Prediction) -> None:
        nonlocal between
        stream.write(between + json.dumps(as_dict(prediction), allow_nan=False))
        between = ",\n"

    yield write
    stream.write("\n]}\n")


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    waiting: list[dict[str, Any]] = []
    with pq.ParquetWriter(path, SCHEMA) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(waiting, schema=SCHEMA))
            waiting.clear()

        def write(prediction: Prediction) -> None:
            waiting.append(prediction.row())
            if len(waiting) >= _ROW_GROUP:
                flush()

        yield write
        flush()
