"""The bundle: one deployable model, as one folder or one `.dermaloop` zip file.

Owns the list of parts, their hashes and the check that runs on opening: one flipped bit is refused by name. Refuses to
know how a graph is run. Nothing in it is a pickle: JSON, ONNX, and NumPy arrays read with `allow_pickle=False`.
`bundle.json` is written last and means "complete".
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dermaloop.core.errors import BundleError, OutputError
from dermaloop.core.taxonomy import Diagnosis

FORMAT = 1
SPEC = "bundle.json"
MODEL = "model.onnx"
CARD = "card.md"
EVALUATION = "evaluation.json"
REPORT = "evaluation.html"
DISTRIBUTION = "distribution.npz"
REFERENCES = "references.npz"
HISTORY = "history.json"
SUFFIX = ".dermaloop"
_REQUIRED = (MODEL, CARD, DISTRIBUTION, REFERENCES)
_APPENDABLE = (HISTORY, EVALUATION, REPORT, CARD)  # written after training; hashed like the rest


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OperatingPoint(_Record):
    """A threshold on the calibrated probability of malignancy, with what was measured when it was chosen."""

    name: str
    target: str = Field(description="What it was chosen for, e.g. 'sensitivity >= 0.95'.")
    threshold: float = Field(ge=0, le=1)
    sensitivity: float = Field(ge=0, le=1)
    specificity: float = Field(ge=0, le=1)
    sensitivity_interval: tuple[float, float]
    specificity_interval: tuple[float, float]
    n_malignant: int
    n_benign: int
    measured_on: str = Field(description="Data and split, in words.")


class Calibration(_Record):
    """probabilities = softmax(logits / temperature + bias). Source: Alexandari et al. 2020 (BCTS)."""

    temperature: float = Field(gt=0)
    bias: tuple[float, ...]
    fitted_on: str


class Gate(_Record):
    """Limits beyond which the model declines to decide."""

    ood_limit: float = Field(description="Largest accepted feature-space distance.")
    ood_fitted_on: str
    ambiguous_low: float = Field(ge=0, le=1, description="Malignant probability from which a decision is ambiguous.")
    ambiguous_high: float = Field(ge=0, le=1, description="... up to which; equal to ambiguous_low means never.")
    ambiguous_fitted_on: str
    quality: dict[str, tuple[float | None, float | None]] = Field(
        default_factory=dict, description="Accepted range by quality measure (lowest, highest)."
    )


class Spec(_Record):
    """What `bundle.json` says."""

    format: Literal[1] = 1
    name: str = Field(min_length=1)
    version: str
    created: str = Field(description="ISO 8601, UTC.")
    classes: tuple[Diagnosis, ...]
    network: str
    size_px: int = Field(ge=16)
    preprocess_version: int = 1
    embedding_length: int
    calibration: Calibration
    operating_points: tuple[OperatingPoint, ...] = Field(min_length=1)
    default_operating_point: str
    gate: Gate
    top_diagnosis_log_weights: tuple[float, ...] = Field(
        description="Added to the log-probabilities before choosing the suggested diagnosis; zeros: the likeliest."
    )
    licence: str
    manifest_sha256: str
    recipe_sha256: str
    code_sha256: str
    sources: dict[str, int] = Field(description="Training images by source.")
    training: dict[str, Any] = Field(default_factory=dict, description="Recipe and run, for the card.")
    parts: dict[str, str] = Field(default_factory=dict, description="SHA-256 by part.")


@dataclass(frozen=True, eq=False)
class Bundle:
    """An opened, verified bundle. `parts` holds the bytes of every part but `bundle.json`."""

    spec: Spec
    parts: Mapping[str, bytes]
    sha256: str
    """Of `bundle.json`, which holds the hashes of all else."""

    @property
    def identity(self) -> str:
        """`name@` and the first 12 hex digits of the hash: what a prediction is signed with."""
        return f"{self.spec.name}@{self.sha256[:12]}"

    def operating_point(self, name: str | None = None) -> OperatingPoint:
        """The named operating point, or the default one.

        Raises:
            BundleError: The bundle has none of that name.
        """
        wanted = name or self.spec.default_operating_point
        for point in self.spec.operating_points:
            if point.name == wanted:
                return point
        names = ", ".join(point.name for point in self.spec.operating_points)
        raise BundleError(f"there is no operating point {wanted!r}", where=self.identity, way_out=f"Choose one of: {names}.")

    def arrays(self, part: str) -> dict[str, NDArray[Any]]:
        """The arrays of an `.npz` part, by name."""
        with np.load(io.BytesIO(self.parts[part]), allow_pickle=False) as loaded:
            return {name: loaded[name] for name in loaded.files}

    def json(self, part: str) -> Any:
        """The content of a JSON part; None where the bundle has none."""
        return json.loads(self.parts[part]) if part in self.parts else None


def write(path: Path, spec: Spec, parts: Mapping[str, bytes]) -> Bundle:
    """Writes a bundle, as a zip where `path` ends in `.dermaloop`, else as a folder; replaces what is there at once.

    Args:
        path: Target.
        spec: Its `parts` are filled in here.
        parts: Bytes by part name.

    Raises:
        BundleError: A required part is missing.
        OutputError: It cannot be written; what was there before is untouched.
    """
    path = Path(path).absolute()
    for name in _REQUIRED:
        if name not in parts:
            raise BundleError(f"the part {name!r} is missing", where=str(path))
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(parts.items())}
    spec = spec.model_copy(update={"parts": hashes})
    spec_bytes = (json.dumps(spec.model_dump(mode="json"), indent=1, sort_keys=True) + "\n").encode()
    files = {**dict(sorted(parts.items())), SPEC: spec_bytes}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == SUFFIX:
            _write_zip(path, files)
        else:
            _write_folder(path, files)
    except OSError as error:
        raise OutputError(f"the bundle cannot be written ({error.strerror})", where=str(path), way_out="Free space or choose another place.") from error
    return Bundle(spec, dict(parts), hashlib.sha256(spec_bytes).hexdigest())


def _write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        for name, content in files.items():
            (temporary / name).write_bytes(content)
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def open_bundle(path: Path) -> Bundle:
    """Opens a bundle and verifies the hash of every part.

    Raises:
        BundleError: It is missing, incomplete, of another format, or a part was changed; the part is named.
    """
    path = Path(path)
    files = _read_files(path)
    if SPEC not in files:
        raise BundleError(f"{SPEC} is missing, so the bundle is incomplete", where=str(path), way_out="Write or copy it again.")
    spec_bytes = files.pop(SPEC)
    try:
        spec = Spec.model_validate_json(spec_bytes)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{SPEC} is not valid: {field}: {first['msg']}", where=str(path), way_out="Copy the bundle again, or use the dermaloop version that wrote it.") from error
    for name, expected in spec.parts.items():
        if name not in files:
            raise BundleError(f"the part {name!r} is missing", where=str(path), way_out="Copy the bundle again from where it was made.")
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise BundleError(f"the part {name!r} was changed since the bundle was written (its SHA-256 differs)", where=str(path), way_out="Do not use it; copy the bundle again from where it was made.")
    extra = sorted(set(files) - set(spec.parts))
    if extra:
        raise BundleError(f"the part {extra[0]!r} is not listed in {SPEC}", where=str(path), way_out="Remove it.")
    return Bundle(spec, files, hashlib.sha256(spec_bytes).hexdigest())


def _read_files(path: Path) -> dict[str, bytes]:
    if path.is_dir():
        return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.is_file()}
    if not path.is_file():
        raise BundleError("there is no such bundle", where=str(path), way_out="Name a bundle folder or a .dermaloop file.")
    try:
        with zipfile.ZipFile(path) as archive:
            return {info.filename: archive.read(info) for info in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise BundleError(f"this is not an intact bundle file ({error})", where=str(path), way_out="Copy it again from where it was made.") from error


def update_parts(path: Path, changed: Mapping[str, bytes]) -> Bundle:
    """Adds or replaces reports and history in a bundle; the model itself cannot be changed this way.

    Raises:
        BundleError: A part other than card, evaluation, report or history was given.
    """
    for name in changed:
        if name not in _APPENDABLE:
            raise BundleError(f"the part {name!r} belongs to the model and cannot be replaced", where=str(path))
    bundle = open_bundle(path)
    return write(path, bundle.spec, {**bundle.parts, **changed})


def array_part(**arrays: NDArray[Any]) -> bytes:
    """The bytes of an `.npz` part. Object arrays are refused by NumPy on reading, so none may be given."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def json_part(content: Any) -> bytes:
    """The bytes of a JSON part, keys sorted."""
    return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
