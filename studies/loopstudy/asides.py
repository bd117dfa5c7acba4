"""Asides of the study: what freezing costs, what the label check finds, what the poison does where nobody checks.

Owns the three comparisons; each uses what the months left behind and changes nothing of it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dermaloop.core import manifest as manifests
from dermaloop.core.bundle import Bundle
from dermaloop.core.manifest import Manifest, Split, concat
from dermaloop.core.taxonomy import MALIGNANT, Diagnosis
from dermaloop.evaluation import subgroups
from dermaloop.evaluation.bootstrap import group_index
from dermaloop.evaluation.rows import Rows
from dermaloop.refine import challenger as challengers
from dermaloop.refine.checks import find_label_errors
from dermaloop.refine.compared import Compared, Measures
from dermaloop.refine.gates import judge
from dermaloop.refine.gather import MANIFEST, split_of
from dermaloop.refine.plan import ReadPlan
from dermaloop.refine.suspects import CLASSES, features_of
from dermaloop.training.recipe import Recipe
from loopstudy.practice import flipped

_ATTRIBUTES = ("age_years", "sex", "site", "skin_type", "source", "image_type", "confirmation", "diagnosis")
FLIPPED = (0.0, 0.05, 0.2)
"""Shares of labels that are flipped in the label check."""
GAPS = (0.3, 0.5, 0.7, 0.9)
"""By how much likelier the other diagnosis must be: the plan's own, and larger ones."""


def turn_recipe(folder: Path, plan: ReadPlan, base: Manifest) -> Recipe:
    """The recipe by which a turn trained its challenger, starting weights in the turn's folder."""
    return challengers.choose(plan, weights=folder / challengers.START, rehearsal=base).recipe


def turn_rows(folder: Path, base: Manifest) -> Manifest:
    """What a turn trained, validated and calibrated on."""
    return challengers.training_manifest(base, manifests.read(folder / "checked" / MANIFEST), folder)


def unfrozen(recipe: Recipe) -> Recipe:
    """The same training of the whole network."""
    return replace(recipe, name="unfrozen", network=replace(recipe.network, freeze=()))


def unchecked_rows(folder: Path, base: Manifest, plan: ReadPlan) -> Manifest:
    """A turn's rows as if nothing had been flagged: what was held back is where its patient belongs."""
    checked = manifests.read(folder / "checked" / MANIFEST)
    source = f"{plan.plan.feedback.source}/"
    own = [
        str(split_of(patient.removeprefix(source), plan.plan.feedback)) if reason == "held_back" else split
        for patient, split, reason in zip(
            checked.column("patient_id"), checked.column("split"), checked.column("reject_reason"), strict=True
        )
    ]
    kept = [reason in ("", "held_back") for reason in checked.column("reject_reason")]
    whole = checked.with_columns(split=own, reject_reason=[""] * len(checked)).select(kept)
    return challengers.training_manifest(base, whole, folder)


def seconds(run: Path) -> float:
    """How long a training took."""
    found: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return float(found["last_session_s"])


def performance_gates(champion: Rows, challenger: Rows, frozen: Manifest, plan: ReadPlan) -> list[dict[str, Any]]:
    """The gates that need nothing but both models' answers on the frozen set."""
    attributes = subgroups.attributes({name: frozen.column(name) for name in _ATTRIBUTES})
    both = Compared(champion, challenger, attributes)
    none = np.zeros(0)
    found = Measures(frozen=both, new=None, uses=1, flips=None, latency_s=(none, none), size_bytes=(1, 1))
    wanted = {
        "auc", "matched_sensitivity", "sensitivity", "specificity", "brier", "calibration", "subgroups", "declined",
    }  # fmt: skip
    return [gate.plain() for gate in judge(found, plan.plan.gates, plan.plan.frozen) if gate.name in wanted]


def label_check(bundle: Bundle, months: list[Manifest], plan: ReadPlan, seed: int) -> list[dict[str, Any]]:
    """How many flipped labels the check flags at the plan's settings, and how many right ones.

    Args:
        bundle: Whose eyes: it was not trained on these pictures.
        months: Pictures with their true labels.
        plan: With the settings.
        seed: Of the flips, drawn by lesion: all pictures of one are flipped, as one confirmation would.
    """
    rows = concat([month.with_columns(split=[str(Split.TRAIN)] * len(month)) for month in months], months[0].folder)
    features = features_of(bundle, rows.image_paths(), threads=1)
    truth = np.array([CLASSES.index(code) for code in rows.column("diagnosis")], dtype=np.int64)
    groups = group_index(rows.groups())
    other_side = np.array([CLASSES.index(flipped(code)) for code in CLASSES])
    bad = np.array([code in MALIGNANT for code in CLASSES])
    named = [CLASSES.index(code) for code in Diagnosis if (truth == CLASSES.index(code)).any()]
    found = []
    for kind in ("across", "any"):
        for share in FLIPPED:
            if kind == "any" and not share:
                continue
            rng = np.random.default_rng(seed)
            lesions = np.unique(groups)
            wrong = np.isin(groups, rng.permutation(lesions)[: round(share * len(lesions))])
            drawn = rng.integers(1, len(named), len(lesions))
            turned = np.array([named[(named.index(int(code)) + step) % len(named)] for code, step in zip(
                truth, drawn[groups], strict=True)])  # fmt: skip
            labels = np.where(wrong, other_side[truth] if kind == "across" else turned, truth)
            said = find_label_errors(
                features.new, labels, groups, features.reference, features.reference_labels, classes=len(CLASSES),
                folds=plan.plan.checks.folds, least_gap=plan.plan.checks.least_gap,
            )  # fmt: skip
            hit = said.suspect & wrong
            at = np.arange(len(labels))
            gap = said.probability[at, said.likelier] - said.probability[at, labels]
            found.append({
                "kind": kind, "share": share, "pictures": len(rows), "flipped": int(wrong.sum()),
                "flagged": int(said.suspect.sum()), "found": int(hit.sum()),
                "right_flagged": int((said.suspect & ~wrong).sum()),
                "right_malignant": int((~wrong & bad[truth]).sum()),
                "right_malignant_flagged": int((said.suspect & ~wrong & bad[truth]).sum()),
                "at_gap": [
                    {"gap": least, "flagged": int(marked.sum()), "found": int((marked & wrong).sum())}
                    for least in GAPS for marked in [(said.likelier >= 0) & (gap >= least)]
                ],
            })  # fmt: skip
    return found
