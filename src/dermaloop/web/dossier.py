"""The whole evidence of a change of models as one zip: an HTML dossier to read, and every record behind it.

Owns what goes into it. One HTML page that needs nothing but a browser, the records as JSON, the evidence that the
proposal brought, both bundles' evaluations, the entries of the audit log, and `SHA256SUMS` over all of it. The page has
the parts that a predetermined change control plan has: description of modifications, modification protocol (data
management, retraining, performance evaluation, update procedure), impact assessment; what is not known is said. Refuses
to include pictures and ids of patients: an auditor of the model needs none; ids of cases whose decision changes are
given. It is written to a file, piece by piece.

Source: FDA, Marketing Submission Recommendations for a Predetermined Change Control Plan for Artificial
Intelligence-Enabled Device Software Functions, August 2025.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from dermaloop import __version__
from dermaloop.cases import audit, audit_list, comparison, model_files, registry
from dermaloop.cases.actor import Actor
from dermaloop.cases.audit_verify import verify as verify_log
from dermaloop.cases.comparison import Outcome, Share
from dermaloop.cases.database import now
from dermaloop.cases.model_records import ModelVersion
from dermaloop.cases.model_rows import SUBJECT, find_row, models_folder, require_true
from dermaloop.cases.model_tables import Alias
from dermaloop.cases.store import Store
from dermaloop.core import bundle as bundles
from dermaloop.core.errors import OutputError
from dermaloop.core.files import replacing
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.web import audit_words, dossier_facts, model_plots, model_words, translation
from dermaloop.web.model_figures import side_by_side
from dermaloop.web.wording import DISCLAIMER, diagnosis_name, percent

DOSSIER = "dossier.html"
_MOST_CHANGED = 1000


def export_change(store: Store, actor: Actor, model_id: str, out: Path, *, with_bundle: bool = False) -> int:
    """Writes the evidence of a model to `out`, whole or not at all; gives how many files it holds.

    Args:
        store: The store.
        actor: Who exports; noted.
        model_id: Of a registered model.
        out: The zip to write; replaced where it exists.
        with_bundle: Whether to include the bundle file itself.

    Raises:
        RecordNotFoundError: There is no such model.
        BundleError: It is not what was registered any more: evidence of something else is none.
        OutputError: The file cannot be written.
        StoreError: The store cannot be reached.
    """
    with store.database.begin() as session:
        row = find_row(session, model_id)
        bundle = require_true(session, row).bundle
        audit.append(session, actor, "model.exported", SUBJECT, row.id, {"bundle": row.bundle_sha256})
    with store.database.read() as session:
        model = registry.find_model(session, row.id)
        base = _base(session, model)
        folder = models_folder(session)
        values = _values(store, session, model, base)
        content = {name: _json(value) for name, value in _records(session, values).items()}
    unpacked: dict[str, bytes] = {}
    if model.evidence_sha256 is not None:
        unpacked = dossier_facts.evidence_files(model_files.require_evidence(folder, model.evidence_sha256))
    content[DOSSIER] = _page({**values, "unpacked": sorted(unpacked)}).encode()
    content |= {f"evidence/{name}": part for name, part in unpacked.items()}
    for name, part in (
        ("card.md", bundles.CARD),
        ("evaluation.json", bundles.EVALUATION),
        ("report.html", bundles.REPORT),
    ):
        if part in bundle.parts:
            content[f"model/{name}"] = bundle.parts[part]
    if base is not None:
        evaluation = model_files.read_json(folder, base.file_sha256, bundles.EVALUATION)
        if evaluation is not None:
            content["compared-with/evaluation.json"] = _json(evaluation)
    files: dict[str, bytes | Path] = dict(content)
    if with_bundle:
        files[f"model/{model.name}{bundles.SUFFIX}"] = model_files.bundle_file(folder, model.file_sha256)
    if model.evidence_sha256 is not None:
        files["evidence.zip"] = model_files.require_evidence(folder, model.evidence_sha256)
    return _write(Path(out), files)


def _base(session: Any, model: ModelVersion) -> ModelVersion | None:
    """What the model is compared with: what it was made from, else the champion."""
    if model.parent_id is not None:
        return registry.find_model(session, model.parent_id)
    champion = registry.current(session, Alias.CHAMPION)
    return None if champion is None or champion.id == model.id else champion


def _values(store: Store, session: Any, model: ModelVersion, base: ModelVersion | None) -> dict[str, Any]:
    folder = models_folder(session)
    table = side_by_side(folder, base, model)
    log = verify_log(session, store.database.audit_key, anchor=store.database.anchor)
    wanted = audit_list.Filter(subject_id=model.id)
    return {
        "model": model,
        "base": base,
        "table": table,
        "parts": dossier_facts.parts(folder, base, model),
        "known": dossier_facts.evidence(folder, model),
        "facts": dossier_facts,
        "plots": model_plots,
        "roc": model_plots.roc(table),
        "reliability": model_plots.reliability(table),
        "live": comparison.compare(session, model.id, most_changed=_MOST_CHANGED),
        "history": registry.history(session, model.id),
        "standing": registry.standing(registry.history(session)).get(model.id, ()),
        "agreed": model.plan or {},
        "required": ", ".join(model_words.gate_title(name) for name in sorted(model.required)),
        "plan": None if model.plan is None else json.dumps(model.plan, indent=2, sort_keys=True),
        "entries": audit_list.entries(session, wanted, limit=audit_list.LARGEST_PAGE)[0],
        "log": log,
        "made_at": now(),
        "version": __version__,
        "disclaimer": translation.gettext(DISCLAIMER),
        "words": model_words,
        "log_words": audit_words,
        "language": translation.current(),
    }


def _records(session: Any, values: dict[str, Any]) -> dict[str, Any]:
    model: ModelVersion = values["model"]
    log = values["log"]
    return {
        "model.json": model,
        "plan.json": model.plan,
        "gates.json": model.gates,
        "history.json": values["history"],
        "live-comparison.json": values["live"],
        "registry.json": {"models": registry.listing(session), "aliases": registry.history(session)},
        "audit.json": {
            "entries": values["entries"],
            "log": {"count": log.count, "head": log.head, "intact": log.intact},
        },
    }


def _json(value: Any) -> bytes:
    return (json.dumps(_plain(value), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        if isinstance(value, Share):
            own |= {"value": value.value, "interval": _plain(value.interval)}
        if isinstance(value, Outcome):
            own["p_value"] = value.p_value
        return own
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, str) else value


def _page(values: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dermaloop.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(translation.gettext, translation.ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.filters.update(
        number=translation.number, moment=translation.moment, percent=percent, diagnosis=_diagnosis
    )
    return environment.get_template("dossier.html").render(**values)


def _diagnosis(code: str) -> str:
    """A diagnosis by its code; the code itself where another version wrote it."""
    return f"{diagnosis_name(Diagnosis(code))} ({code})" if code in list(Diagnosis) else code


def _write(out: Path, files: dict[str, bytes | Path]) -> int:
    sums = []
    try:
        with replacing(out) as temporary, zipfile.ZipFile(temporary, "x", zipfile.ZIP_DEFLATED) as packed:
            temporary.chmod(0o600)
            for name, content in sorted(files.items()):
                if isinstance(content, Path):
                    packed.write(content, name, zipfile.ZIP_STORED)
                    digest = model_files.file_sha256(content)
                else:
                    packed.writestr(name, content)
                    digest = hashlib.sha256(content).hexdigest()
                sums.append(f"{digest}  {name}\n")
            packed.writestr("SHA256SUMS", "".join(sums))
    except OSError as error:
        raise OutputError(
            f"the evidence cannot be written ({error.strerror or error})",
            where=str(out),
            way_out="Choose another place.",
        ) from error
    return len(files)
