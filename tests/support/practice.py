"""A practice with a past: cases answered by the model that serves, a changed camera, and what a turn learns from."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dermaloop.cases import answers, registry
from dermaloop.cases.actor import system
from dermaloop.cases.model_records import ModelVersion
from dermaloop.cases.strip import Stripped, strip
from dermaloop.core.manifest import Split
from dermaloop.core.taxonomy import Diagnosis
from dermaloop.inference.classifier import Classifier
from dermaloop.refine.turn import Inputs, Outcome, take_turn
from support.challengers import easy_plan
from support.refining import confirmed, tinted
from support.trainings import FINE, lesion_manifest

BEFORE, SINCE = 24, 36
"""Visits before the camera was changed, and since."""
CONSENTED = 18
"""The latest patients, who allow training."""


def old_camera(diagnosis: Diagnosis, seed: int) -> Stripped:
    """A picture of the same lesion as `tinted`, by a camera whose white balance is off."""
    with Image.open(io.BytesIO(tinted(diagnosis, seed).content)) as image:
        values = np.asarray(image.convert("RGB"), dtype=np.float64) * (1.25, 1.0, 0.75)
    stream = io.BytesIO()
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(stream, "PNG")
    return strip(stream.getvalue())


def visits(store: Any, classifier: Classifier, monkeypatch: Any, *, first: int = 900) -> list[tuple[str, Diagnosis]]:
    """Visits of the last weeks, one a day, each answered by `classifier`; nothing is confirmed yet.

    Returns:
        Id of each case of a patient who allows training, with what its lesion is.
    """
    present, count, found = answers.now(), BEFORE + SINCE, []
    for number in range(count):
        diagnosis = FINE[number % len(FINE)]
        picture = (old_camera if number < BEFORE else tinted)(diagnosis, first + number)
        allows = number >= count - CONSENTED
        made_at = present - dt.timedelta(days=count - number)
        case, image, _ = confirmed(
            store, diagnosis, stripped=picture, decision=None, finding=False, consent="given" if allows else "not given"
        )
        said = classifier.classify(picture.content, "lesion.png")
        with monkeypatch.context() as patch, store.database.begin() as session:
            patch.setattr(answers, "now", lambda made_at=made_at: made_at)
            answers.add_prediction(session, system("test"), image.id, said, bundle_sha256=classifier.bundle.sha256)
        if allows:
            found.append((case.id, diagnosis))
    return found


def refined(store: Any, folder: Path, **changes: Any) -> tuple[Outcome, ModelVersion | None]:
    """A real turn against the champion of a store, by a plan whose margins are easy to meet, on drawn lesions."""
    original = lesion_manifest(
        folder / "original",
        sources=("alpha",),
        # The clinic's own splits follow random ids: a split may be empty there.
        per_split={Split.TRAIN: 16, Split.VALIDATION: 4, Split.CALIBRATION: 16},
    )
    frozen = lesion_manifest(folder / "frozen", sources=("omega",), per_split={Split.TEST: 24}, size_px=80)
    plan = easy_plan(
        folder / "plan", training={"without_weights": "start anew"}, gates={"size_ratio": 100.0}, **changes
    )
    given = Inputs(plan=plan, frozen=frozen, rehearsal=original, threads=1)
    outcome = take_turn(store, system("refine"), folder / "work", given)
    with store.database.read() as session:
        return outcome, registry.find_model(session, outcome.model) if outcome.model else None
