"""The manifest: the rows of a curated dataset, one image each.

Owns the table and the two file formats; what a row may hold is in `core.manifest_row`, the rules that hold across
rows are in `core.manifest_rules`. Rows live in one Arrow table, so that 400,000 rows cost megabytes, not gigabytes;
`ManifestRow` is the typed edge through which importers put rows in, and reading checks the same types column by column.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from dermaloop.core.errors import ManifestError
from dermaloop.core.files import replacing
from dermaloop.core.manifest_place import kind_of, unwritable
from dermaloop.core.manifest_row import (
    PLACE_COLUMNS,
    SCHEMA,
    SITES,
    Confirmation,
    ImageType,
    ManifestRow,
    Split,
)
from dermaloop.core.taxonomy import Diagnosis, malignant, parse_candidates

__all__ = [
    "SCHEMA",
    "SITES",
    "Confirmation",
    "ImageType",
    "Manifest",
    "ManifestRow",
    "Split",
    "concat",
    "from_rows",
    "read",
]

_BATCH_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class Manifest:
    """Rows plus the folder that relative paths start from.

    Attributes:
        table: Arrow table with exactly the columns of `SCHEMA`.
        folder: Absolute folder that relative `path` and `mask_path` start from.
    """

    table: pa.Table
    folder: Path

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> list[Any]:
        """The values of one column; None where unknown."""
        values: list[Any] = self.table.column(name).to_pylist()
        return values

    def row(self, index: int) -> ManifestRow:
        """One typed row."""
        return ManifestRow(**self.table.slice(index, 1).to_pylist()[0])

    def select(self, keep: NDArray[np.bool_] | Sequence[bool]) -> Manifest:
        """The rows where `keep`, bool (N,), is true."""
        return Manifest(self.table.filter(pa.array(np.asarray(keep, dtype=bool))), self.folder)

    def where(self, **equal: str | Iterable[str]) -> Manifest:
        """The rows whose columns equal the given value, or one of the given values."""
        table = self.table
        for name, wanted in equal.items():
            values = [wanted] if isinstance(wanted, str) else list(wanted)
            table = table.filter(pc.is_in(table.column(name), value_set=pa.array(values, pa.string())))
        return Manifest(table, self.folder)

    def with_columns(self, **columns: Sequence[Any] | NDArray[Any]) -> Manifest:
        """The same rows with some columns replaced; each of length N."""
        table = self.table
        for name, values in columns.items():
            kind = SCHEMA.field(name).type
            plain = values.tolist() if isinstance(values, np.ndarray) else list(values)
            table = table.set_column(SCHEMA.get_field_index(name), name, pa.array(plain, kind))
        return Manifest(table, self.folder)

    def image_path(self, index: int) -> Path:
        """Where the image of a row lies."""
        return self.folder / str(self.table.column("path")[index].as_py())

    def image_paths(self) -> list[Path]:
        """Where each image lies, in row order."""
        return [self.folder / path for path in self.column("path")]

    def candidate_sets(self) -> list[frozenset[Diagnosis]]:
        """The diagnoses each label leaves possible; empty for an unlabelled row.

        Raises:
            UnknownDiagnosisError: A code that the taxonomy does not have.
        """
        cache: dict[str, frozenset[Diagnosis]] = {}
        found = []
        for text in self.column("candidates"):
            if text not in cache:
                cache[text] = parse_candidates(text or "")
            found.append(cache[text])
        return found

    def malignant(self) -> list[bool | None]:
        """Whether each label counts as malignant; None where it cannot be said."""
        return [malignant(candidates) for candidates in self.candidate_sets()]

    def groups(self) -> list[str]:
        """What each row is grouped by: `group` if set, else patient, else lesion, else the image itself."""
        names = ("group", "patient_id", "lesion_id")
        columns = [self.column(name) for name in names]
        images = zip(self.column("source"), self.column("image_id"), strict=True)
        return [
            next((value for value in values if value), f"{source}/{image}")
            for *values, (source, image) in zip(*columns, images, strict=True)
        ]

    def identity(self) -> str:
        """SHA-256 of the rows, whatever their order and wherever the files lie; lower-case hex."""
        table = self.table.drop_columns(list(PLACE_COLUMNS))
        lines: list[str] = []
        for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
            columns = [[_text(value) for value in column.to_pylist()] for column in batch.columns]
            lines += ["\x1f".join(values) for values in zip(*columns, strict=True)]
        return hashlib.sha256("\x1e".join([",".join(table.column_names), *sorted(lines)]).encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Writes Parquet or CSV, by the ending. Paths below the file's folder become relative to it.

        Raises:
            OutputError: The file cannot be written.
            ManifestError: The ending is neither `.parquet` nor `.csv`.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100 - resolves "..", unlike Path.absolute, and no links
        kind = kind_of(path)
        table = self.moved(path.parent).table
        try:
            with replacing(path) as temporary:
                if kind == "parquet":
                    pq.write_table(table, temporary, compression="zstd")
                else:
                    pa_csv.write_csv(table, temporary)
        except OSError as error:
            raise unwritable(path, error) from error

    def moved(self, folder: Path) -> Manifest:
        """The same rows with paths relative to another folder, where they lie below it; else absolute."""
        folder = Path(os.path.abspath(folder))  # noqa: PTH100

        below = f"{folder.as_posix().rstrip('/')}/"

        def move(value: str) -> str:
            if not value:
                return value
            full = os.path.normpath(f"{self.folder}/{value}" if not os.path.isabs(value) else value)  # noqa: PTH117
            return full.removeprefix(below) if full.startswith(below) else full

        places = {name: [move(value) for value in self.column(name)] for name in PLACE_COLUMNS}
        return Manifest(self.with_columns(**places).table, folder)


def from_rows(rows: Iterable[ManifestRow], folder: Path) -> Manifest:
    """A manifest of typed rows, taken one by one."""

    def batches() -> Iterator[pa.RecordBatch]:
        columns: list[list[Any]] = [[] for _ in SCHEMA]
        for row in rows:
            for values, name in zip(columns, SCHEMA.names, strict=True):
                values.append(getattr(row, name))
            if len(columns[0]) == _BATCH_ROWS:
                yield _batch(columns)
                columns = [[] for _ in SCHEMA]
        yield _batch(columns)

    return Manifest(pa.Table.from_batches(batches(), SCHEMA), Path(folder).absolute())


def _batch(columns: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def concat(manifests: Sequence[Manifest], folder: Path) -> Manifest:
    """The rows of several manifests, one after the other, paths relative to `folder` where they lie below it."""
    folder = Path(folder).absolute()
    moved = [manifest.moved(folder).table for manifest in manifests]
    return Manifest(pa.concat_tables(moved) if moved else SCHEMA.empty_table(), folder)


def read(path: Path) -> Manifest:
    """Reads a manifest, Parquet or CSV by the ending, and checks every value's type and range.

    Columns that may be empty may also be missing.

    Raises:
        ManifestError: `missing_file`, `unknown_format`, `unreadable`, `missing_column`, `unknown_column` or
            `bad_value`, with the row (counted from 1) and the column.
    """
    path = Path(path).absolute()
    kind = kind_of(path)
    if not path.is_file():
        raise ManifestError(
            "missing_file", "there is no such manifest", where=str(path), way_out="Make one with 'dermaloop curate'."
        )
    try:
        table = pq.read_table(path) if kind == "parquet" else _read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ManifestError(
            "unreadable",
            f"this is not a readable {kind} file ({str(error).splitlines()[0]})",
            where=str(path),
            way_out="Write it again from its source.",
        ) from error
    _check_columns(table.column_names, path)
    arrays = [_typed(table, field.name, path) for field in SCHEMA]
    return Manifest(pa.Table.from_arrays(arrays, schema=SCHEMA), path.parent)


@functools.cache
def _adapter(name: str) -> TypeAdapter[list[Any]]:
    """Checks a whole column by the rule of one field of `ManifestRow`, at the speed of compiled code."""
    field = ManifestRow.model_fields[name]
    return TypeAdapter(list[Annotated[field.annotation, field]])  # type: ignore[name-defined]


def _typed(table: pa.Table, name: str, path: Path) -> pa.Array:
    """One column in its type, checked; the field's default where a value or the whole column is missing."""
    field, kind = ManifestRow.model_fields[name], SCHEMA.field(name).type
    if name not in table.column_names:
        if field.default is None:
            return pa.nulls(len(table), kind)
        return pa.repeat(pa.scalar(field.default, kind), len(table))
    values = table.column(name).to_pylist()
    if not field.is_required():
        values = [field.default if value is None or value != value else value for value in values]  # noqa: PLR0124 - NaN
    try:
        checked = _adapter(name).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        row = int(first["loc"][0])
        raise ManifestError(
            "bad_value",
            f"{name} is {first['input']!r}: {first['msg'][:1].lower()}{first['msg'][1:]}",
            where=f"{path}, row {row + 1} (image_id {table.column('image_id')[row].as_py()!r})",
            way_out="Correct the value" + (" or leave it empty." if not field.is_required() else "."),
        ) from error
    return pa.array(checked, kind)


def _check_columns(names: Sequence[str], path: Path) -> None:
    required = [name for name, field in ManifestRow.model_fields.items() if field.is_required()]
    for name in required:
        if name not in names:
            raise ManifestError(
                "missing_column",
                f"the column {name!r} is missing",
                where=str(path),
                way_out=f"A manifest has at least {', '.join(required)}.",
            )
    for name in names:
        if name not in SCHEMA.names:
            raise ManifestError(
                "unknown_column",
                f"the column {name!r} is unknown",
                where=str(path),
                way_out="Remove it, or see docs/manifest.md for the columns.",
            )


def _read_csv(path: Path) -> pa.Table:
    """All columns as text; an empty cell is a missing value where the column is no plain text."""
    table = pa_csv.read_csv(
        path,
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(SCHEMA.names, pa.string()), strings_can_be_null=False
        ),
    )
    for place, name in enumerate(table.column_names):
        if name in SCHEMA.names and (SCHEMA.field(name).type != pa.string() or name in ("diagnosis", "split")):
            column = table.column(name)
            table = table.set_column(place, name, pc.if_else(pc.equal(column, ""), None, column))
    return table


def _text(value: Any) -> str:
    """A value as the identity sees it: never with the two separators in it."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else repr(value) if isinstance(value, float) else str(value)
    return text.replace("\x1e", " ").replace("\x1f", " ")
