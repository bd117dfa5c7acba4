"""The champions before the present one, as they answer on the present frozen set.

Owns where their answers come from: from the evidence of an earlier turn, where the audit log says that it is as it was
judged and the frozen set is the same; else from the registered bundle, asked anew. Refuses to judge by them. One for
which there is neither is named as missing, and the plan says what follows.

A gate against the present champion alone lets small losses through one after the other; the best champion so far does
not move with them. A model that a lead rolled back is no champion to be measured by.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop import __version__
from dermaloop.cases import promotion, registry, turn_notes
from dermaloop.cases.database import Transaction
from dermaloop.cases.model_records import ModelVersion
from dermaloop.cases.store import Store
from dermaloop.core.bundle import Bundle
from dermaloop.core.errors import BundleError
from dermaloop.core.manifest import Manifest
from dermaloop.inference.classifier import Classifier
from dermaloop.pipeline.evaluate import rows_of
from dermaloop.refine import measure, novelty
from dermaloop.refine.compared import Earlier
from dermaloop.refine.feedback_report import write_json
from dermaloop.refine.turn_records import TURN, Inputs, Turn

ANSWERS, ABOUT = "answers.npz", "answers.json"
"""In a turn's evidence: the probability of malignancy of each model that it asked, by hash; and on which frozen set."""

Floats = NDArray[np.float64]


def answers(store: Store, turn: Turn, inputs: Inputs, frozen: Manifest) -> tuple[Earlier, dict[str, Floats]]:
    """What the champions before the present one say of the frozen set.

    Args:
        store: With the registry and the audit log.
        turn: Whose champion is the present one.
        inputs: With the frozen set and how many cores to use.
        frozen: Its N rows that count.

    Returns:
        The champions by identity, and the same answers by the hash of their models, for the next turn.
    """
    with store.database.read() as session:
        known = {model.id: model for model in registry.listing(session)}
        before = [known[one] for one in promotion.champions(registry.history(session)) if one in known]
        kept = _kept(session, turn, about(inputs))
    champions: dict[str, Floats] = {}
    asked: dict[str, Floats] = {}
    missing = []
    for model in {one.model_sha256: one for one in before if one.model_sha256 != turn.champion.model_sha256}.values():
        found = kept.get(model.model_sha256)
        if found is None or len(found) != len(frozen):
            bundle = _opened(store, model)
            found = None if bundle is None else _ask(bundle, frozen, inputs)
        if found is None:
            missing.append(model.identity)
        else:
            champions[model.identity] = asked[model.model_sha256] = found
    return Earlier(champions, tuple(missing)), asked


def about(inputs: Inputs) -> dict[str, Any]:
    """What answers were given on and by: only where all of it is the same may they be used again."""
    split = inputs.plan.plan.frozen.split
    return {"frozen_sha256": inputs.frozen.identity(), "split": split, "dermaloop": __version__}


def write(folder: Path, inputs: Inputs, asked: Mapping[str, Floats]) -> None:
    """Writes the answers into a turn's evidence, by the hash of each model."""
    arrays: dict[str, Any] = dict(asked)
    np.savez_compressed(folder / ANSWERS, **arrays)
    write_json(folder / ABOUT, about(inputs))


def _kept(session: Transaction, turn: Turn, wanted: Mapping[str, Any]) -> dict[str, Floats]:
    """Answers in the evidence of earlier turns in this folder, where it is as the audit log says that it was judged."""
    found: dict[str, Floats] = {}
    for folder in sorted((turn.work / "turns").glob("[0-9]*")):
        if folder != turn.folder:
            found |= dict(_sealed(session, folder, wanted))
    return found


def _sealed(session: Transaction, folder: Path, wanted: Mapping[str, Any]) -> Iterator[tuple[str, Floats]]:
    begun, said = novelty.read(folder / TURN), novelty.read(folder / "evidence" / ABOUT)
    path = folder / "evidence" / ANSWERS
    if begun is None or said != wanted or not path.is_file():
        return
    noted = turn_notes.noted(session, turn_notes.JUDGED, begun["id"])
    content = path.read_bytes()
    files = {} if noted is None else noted["files"]
    sealed = {ANSWERS: content, ABOUT: (folder / "evidence" / ABOUT).read_bytes()}
    if all(files.get(name) == hashlib.sha256(held).hexdigest() for name, held in sealed.items()):
        with np.load(io.BytesIO(content)) as arrays:
            yield from ((name, arrays[name]) for name in arrays.files)


def _opened(store: Store, model: ModelVersion) -> Bundle | None:
    """A registered bundle, verified; None where it is gone or was changed."""
    try:
        with store.database.read() as session:
            return registry.open_model(session, model)
    except BundleError:
        return None


def _ask(bundle: Bundle, frozen: Manifest, inputs: Inputs) -> Floats:
    classifier = Classifier(bundle, threads=inputs.threads, similar=1)
    said = measure.predict(classifier, frozen, inputs.progress, f"Classifying ({bundle.identity}, an earlier champion)")
    return rows_of(bundle, frozen, said).malignant_probability
