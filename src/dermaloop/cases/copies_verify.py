"""Whether evidence that left the registry is what the registry and the audit log know: exported zips, turns' folders.

Owns the comparison of each file with what is known of it, and what is said of a difference. Refuses to repair, and to
judge what it does not know: the page of an exported zip is written for reading, and can be exported anew.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from dermaloop.cases import model_files, turn_notes
from dermaloop.cases.audit import AuditRow
from dermaloop.cases.errors import RecordNotFoundError, StoreError
from dermaloop.cases.model_records import ModelVersion, model_version
from dermaloop.cases.model_rows import find_row, models_folder, require_true
from dermaloop.core import bundle as bundles
from dermaloop.core.errors import BundleError

_TURN, _EVIDENCE = "turn.json", "evidence"
_BROKEN = (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile, EOFError, RuntimeError, zlib.error)


def copy_faults(session: Session, path: Path) -> tuple[str, ...]:
    """What is wrong with a copy, in plain words; empty where all that can be compared is as it was.

    Args:
        session: Any.
        path: A zip that `dermaloop registry export` wrote, or the folder of a turn or of its evidence.
    """
    try:
        if path.is_dir():
            folder = path / _EVIDENCE if (path / _EVIDENCE).is_dir() else path
            return tuple(f"{folder}: {fault}" for fault in _turn_faults(session, folder))
        with zipfile.ZipFile(path) as packed:
            files = {name: packed.read(name) for name in packed.namelist()}
        return tuple(f"{path}: {fault}" for fault in _export_faults(session, files))
    except (RecordNotFoundError, StoreError, BundleError) as error:
        return (f"{path}: {error.what}{f', {error.where}' if error.where else ''}",)
    except _BROKEN as error:
        return (f"{path}: it is no whole copy of evidence ({type(error).__name__}: {error})",)


def _turn_faults(session: Session, folder: Path) -> Iterator[str]:
    """A turn's evidence against the hashes that the audit log noted when it was judged."""
    noted = turn_notes.noted(session, turn_notes.JUDGED, json.loads((folder / _TURN).read_bytes())["id"])
    if noted is None:
        yield "the audit log knows of no such turn that was judged"
        return
    there = {
        path.relative_to(folder).as_posix(): _sha256(path.read_bytes()) for path in folder.rglob("*") if path.is_file()
    }
    yield from _differences(there, noted["files"], "it was judged")
    challenger = folder.parent / "challenger.dermaloop"
    if challenger.is_file() and bundles.open_bundle(challenger).model_sha256 != noted["challenger"]:
        yield "challenger.dermaloop is another bundle than was judged"


def _export_faults(session: Session, files: Mapping[str, bytes]) -> Iterator[str]:
    """An exported zip against its own sums, and against the registry that it came from."""
    lines = [line.split("  ", 1) for line in files["SHA256SUMS"].decode().splitlines()]
    summed = {name: digest for digest, name in lines}
    there = {name: _sha256(content) for name, content in files.items() if name != "SHA256SUMS"}
    yield from _differences(there, summed, "the zip was made")
    row = find_row(session, json.loads(files["model.json"])["id"])
    require_true(session, row)
    model = model_version(row)
    for name, known in (("model.json", asdict(model)), ("gates.json", model.gates), ("plan.json", model.plan)):
        if json.loads(files[name]) != _plain(known, model):
            yield f"{name} says something else than the registry"
    yield from _evidence_faults(session, model, files)
    for name, content in files.items():
        if name.startswith("model/") and name.endswith(bundles.SUFFIX) and _sha256(content) != model.file_sha256:
            yield f"{name} is another bundle than the registry has"
    for entry in json.loads(files["audit.json"])["entries"]:
        detail = session.scalar(sa.select(AuditRow.detail).where(AuditRow.sequence == entry["sequence"]))
        if detail is None or json.loads(detail) != entry["detail"]:
            yield f"audit.json, entry {entry['sequence']}: the audit log says something else"


def _evidence_faults(session: Session, model: ModelVersion, files: Mapping[str, bytes]) -> Iterator[str]:
    if model.evidence_sha256 is None:
        return
    if _sha256(files["evidence.zip"]) != model.evidence_sha256:
        yield "evidence.zip is not what was proposed"
    with zipfile.ZipFile(model_files.require_evidence(models_folder(session), model.evidence_sha256)) as packed:
        known = set(packed.namelist())
        for name, content in files.items():
            inner = name.removeprefix("evidence/")
            if inner != name and (inner not in known or packed.read(inner) != content):
                yield f"{name} is not what was proposed"


def _differences(there: Mapping[str, str], known: Mapping[str, str], since: str) -> Iterator[str]:
    for name in sorted({*there, *known}):
        if there.get(name) != known.get(name):
            what = "was changed" if name in there and name in known else "was added" if name in there else "is missing"
            yield f"{name} {what} since {since}"


def _plain(value: Any, model: ModelVersion) -> Any:
    """As the export writes it: JSON types, times as ISO 8601."""
    if value is model.gates:
        value = [asdict(gate) for gate in model.gates]
    return json.loads(json.dumps(value, default=datetime.isoformat))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
