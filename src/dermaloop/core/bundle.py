"""The bundle: one deployable model, as one folder or one `.dermaloop` zip file.

Owns the list of parts, their hashes and the check that runs on opening: one flipped bit is refused by name, in any
part and in `bundle.json` itself. Refuses to know how a graph is run; what the fields mean is in `core.bundle_spec`.
Nothing in it is a pickle: JSON, ONNX, and NumPy arrays read with `allow_pickle=False`. `bundle.json` is written last
and means "complete". The hashes guard against damage and mix-ups; they are no signature, so they prove nothing about
who made a bundle.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from dermaloop.core.bundle_spec import Calibration, Gate, OperatingPoint, Spec
from dermaloop.core.errors import BundleError, OutputError
from dermaloop.core.files import replacing, replacing_folder

__all__ = [
    "CARD",
    "DISTRIBUTION",
    "EVALUATION",
    "FORMAT",
    "HISTORY",
    "MODEL",
    "REFERENCES",
    "REPORT",
    "SPEC",
    "SUFFIX",
    "Bundle",
    "Calibration",
    "Gate",
    "OperatingPoint",
    "Spec",
    "array_part",
    "json_part",
    "open_bundle",
    "update_parts",
    "write",
]

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
_MAX_BYTES = 2 * 2**30
"""Of all parts together, unpacked; more is an attack, not a model of ours."""
_OWN_HASH = "own_sha256"
_COPY_AGAIN = "Do not use it; copy the bundle again from where it was made."


@dataclass(frozen=True, eq=False)
class Bundle:
    """An opened, verified bundle. `parts` holds the bytes of every part but `bundle.json`."""

    spec: Spec
    parts: Mapping[str, bytes]
    sha256: str
    """Of `bundle.json`, which holds the hashes of all else."""

    @cached_property
    def model_sha256(self) -> str:
        """Over all that decides an answer: `bundle.json` and the parts, less reports and history, which come later."""
        model = {name: digest for name, digest in self.spec.parts.items() if name not in _APPENDABLE}
        decisive = self.spec.model_copy(update={"parts": model}).model_dump(mode="json")
        return hashlib.sha256(json_part(decisive)).hexdigest()

    @cached_property
    def identity(self) -> str:
        """`name@` and 12 hex digits of `model_sha256`: what a prediction is signed with, whatever is reported later."""
        return f"{self.spec.name}@{self.model_sha256[:12]}"

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
        raise BundleError(
            f"there is no operating point {wanted!r}", where=self.identity, way_out=f"Choose one of: {names}."
        )

    def arrays(self, part: str) -> dict[str, NDArray[Any]]:
        """The arrays of an `.npz` part, by name.

        Raises:
            BundleError: The part is no such file, or holds pickled objects, which are never loaded.
        """
        try:
            with np.load(io.BytesIO(self.parts[part]), allow_pickle=False) as loaded:
                return {name: loaded[name] for name in loaded.files}
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise BundleError(
                f"the part {part!r} does not hold plain arrays ({error})", where=self.identity, way_out=_COPY_AGAIN
            ) from error

    def json(self, part: str) -> Any:
        """The content of a JSON part; None where the bundle has none."""
        return json.loads(self.parts[part]) if part in self.parts else None


def write(path: Path, spec: Spec, parts: Mapping[str, bytes]) -> Bundle:
    """Writes a bundle, as a zip where `path` ends in `.dermaloop`, else as a folder; replaces the bundle that is there.

    The same content gives the same bytes.

    Args:
        path: Target.
        spec: Its `parts` are filled in here.
        parts: Bytes by part name.

    Raises:
        BundleError: A required part is missing, a name is not a plain file name, or the target is something else than
            a bundle.
        OutputError: It cannot be written; what was there before is untouched.
    """
    path = Path(path).absolute()
    for name in _REQUIRED:
        if name not in parts:
            raise BundleError(f"the part {name!r} is missing", where=str(path))
    for name in parts:
        if not name or name == SPEC or name.startswith(".") or Path(name).name != name:
            raise BundleError(f"{name!r} cannot be the name of a part", where=str(path))
    if path.is_dir() and any(path.iterdir()) and not (path / SPEC).is_file():
        raise BundleError(
            "this folder holds something else than a bundle", where=str(path), way_out="Choose another place."
        )
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(parts.items())}
    spec = spec.model_copy(update={"parts": hashes})
    spec_bytes = _spec_bytes(spec.model_dump(mode="json"))
    files = {**dict(sorted(parts.items())), SPEC: spec_bytes}
    try:
        if path.suffix == SUFFIX:
            with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
                for name, content in files.items():
                    entry = zipfile.ZipInfo(name)  # dated 1980, so that the same content gives the same file
                    entry.external_attr = 0o644 << 16
                    archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
        else:
            with replacing_folder(path) as folder:
                for name, content in files.items():
                    (folder / name).write_bytes(content)
    except OSError as error:
        raise OutputError(
            f"the bundle cannot be written ({error.strerror or error})",
            where=str(path),
            way_out="Free space or choose another place.",
        ) from error
    return Bundle(spec, dict(parts), hashlib.sha256(spec_bytes).hexdigest())


def _spec_bytes(fields: Mapping[str, Any]) -> bytes:
    """`bundle.json`, with the hash of its own other fields, so that it guards itself too."""
    plain = {name: value for name, value in fields.items() if name != _OWN_HASH}
    return json_part({**plain, _OWN_HASH: hashlib.sha256(json_part(plain)).hexdigest()})


def open_bundle(path: Path) -> Bundle:
    """Opens a bundle and verifies the hash of every part.

    Raises:
        BundleError: It is missing, incomplete, of another format, or a part was changed; the part is named.
    """
    path = Path(path)
    files = _read_files(path)
    if SPEC not in files:
        raise BundleError(
            f"{SPEC} is missing, so the bundle is incomplete", where=str(path), way_out="Write or copy it again."
        )
    spec_bytes = files.pop(SPEC)
    spec = _read_spec(spec_bytes, path)
    for name, expected in spec.parts.items():
        if name not in files:
            raise BundleError(f"the part {name!r} is missing", where=str(path), way_out=_COPY_AGAIN)
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise BundleError(
                f"the part {name!r} was changed since the bundle was written (its SHA-256 differs)",
                where=str(path),
                way_out=_COPY_AGAIN,
            )
    for name in _REQUIRED:
        if name not in files:
            raise BundleError(f"the part {name!r} is missing", where=str(path), way_out=_COPY_AGAIN)
    extra = sorted(set(files) - set(spec.parts))
    if extra:
        raise BundleError(f"the part {extra[0]!r} is not listed in {SPEC}", where=str(path), way_out="Remove it.")
    return Bundle(spec, files, hashlib.sha256(spec_bytes).hexdigest())


def _read_spec(spec_bytes: bytes, path: Path) -> Spec:
    try:
        fields = json.loads(spec_bytes)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            found = fields.get("format") if isinstance(fields, dict) else None
            raise BundleError(
                f"the format of {SPEC} is {found!r}, not {FORMAT}",
                where=str(path),
                way_out="Use the dermaloop version that wrote it.",
            )
        intact = spec_bytes == _spec_bytes(fields)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{SPEC} is not readable JSON ({error})", where=str(path), way_out=_COPY_AGAIN) from error
    if not intact:
        raise BundleError(
            f"{SPEC} was changed since the bundle was written (its SHA-256 differs)",
            where=str(path),
            way_out=_COPY_AGAIN,
        )
    del fields[_OWN_HASH]
    try:
        return Spec.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "its fields"
        raise BundleError(
            f"{SPEC} is not valid: {field}: {first['msg']}",
            where=str(path),
            way_out="Copy the bundle again, or use the dermaloop version that wrote it.",
        ) from error


def _read_files(path: Path) -> dict[str, bytes]:
    """Every part by name, from a folder or a zip; nothing is unpacked to disk."""
    try:
        if path.is_dir():
            return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.is_file()}
        if not path.is_file():
            raise BundleError(
                "there is no such bundle", where=str(path), way_out=f"Name a bundle folder or a {SUFFIX} file."
            )
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if len(set(names)) != len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise BundleError(f"the part {twice!r} is in it twice", where=str(path), way_out=_COPY_AGAIN)
            if sum(entry.file_size for entry in entries) > _MAX_BYTES:
                raise BundleError(
                    f"it unpacks to more than {_MAX_BYTES // 2**30} GiB", where=str(path), way_out=_COPY_AGAIN
                )
            return {entry.filename: _read_entry(archive, entry, path) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError) as error:
        raise BundleError(
            f"this is not an intact bundle file ({error})", where=str(path), way_out=_COPY_AGAIN
        ) from error


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> bytes:
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error) as error:
        raise BundleError(
            f"the part {entry.filename!r} was changed since the bundle was written ({error})",
            where=str(path),
            way_out=_COPY_AGAIN,
        ) from error


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
    """The bytes of an `.npz` part.

    Raises:
        BundleError: An array of Python objects, which could only be stored as a pickle.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise BundleError(f"the array {name!r} holds Python objects", way_out="Store numbers or fixed-width text.")
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def json_part(content: Any) -> bytes:
    """The bytes of a JSON part, keys sorted."""
    return (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
