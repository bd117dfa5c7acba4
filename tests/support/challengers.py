"""A champion of a few steps of training on drawn lesions, and a plan whose margins such a model can meet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermaloop.cases import registry
from dermaloop.core import bundle as bundles
from dermaloop.core.bundle import Bundle
from dermaloop.core.manifest import Manifest, Split
from dermaloop.pipeline.package import package
from dermaloop.refine import plan as plans
from dermaloop.refine import steps
from dermaloop.refine.feedback_report import write_json
from dermaloop.refine.plan import ReadPlan
from dermaloop.training import recipe as recipes
from dermaloop.training.run import RUN, WEIGHTS, train
from support.refining import ADA
from support.trainings import lesion_manifest, small, write_toml

PER_SPLIT = {Split.TRAIN: 24, Split.VALIDATION: 8, Split.CALIBRATION: 16}
EASY = {
    "least_malignant": 4, "least_benign": 4, "auc_margin": 0.9, "sensitivity_margin": 0.9, "specificity_margin": 0.9,
    "brier_margin": 0.9, "calibration_error": 0.9, "subgroup_least": 2, "subgroup_margin": 0.9, "stress_pictures": 0,
    "declined_margin": 0.9, "latency_ratio": 50.0, "size_ratio": 3.0, "resamples": 200, "new_cases_least": 1,
}  # fmt: skip
"""Margins that nearly any model meets: what a turn does is tested with them, what a gate decides is tested alone."""
REQUIRED = ["frozen_set", "auc", "sensitivity", "specificity", "brier", "declined", "latency", "size"]


@dataclass(frozen=True)
class Champion:
    """A trained bundle with what it was trained on."""

    bundle: Bundle
    path: Path
    weights: Path
    original: Manifest
    frozen: Manifest


def make_champion(folder: Path) -> Champion:
    """Trains for four steps; the frozen set is of another source."""
    original = lesion_manifest(folder / "original", sources=("alpha",), per_split=PER_SPLIT)
    frozen = lesion_manifest(folder / "frozen", sources=("omega",), per_split={Split.TEST: 24}, size_px=80)
    recipe = recipes.parse(small(run={"steps": 4, "steps_per_epoch": 2}))
    trained = train(recipe, original, folder / "run", show_progress=False)
    assert trained is not None
    path = folder / "champion.dermaloop"
    bundle = package(trained, original, path, licence="test", created="2026-01-01T00:00:00+00:00")
    return Champion(bundle, path, folder / "run" / WEIGHTS, original, frozen)


def crown(store: Any, champion: Champion) -> Any:
    """Registers the champion."""
    with store.database.begin() as session:
        return registry.add(session, ADA, champion.path, first=True)


def easy_plan(folder: Path, **changes: Any) -> ReadPlan:
    """A plan with easy margins; tables given replace single keys."""
    values: dict[str, Any] = {
        "name": "easy",
        "version": 1,
        "description": "for tests",
        "required_gates": REQUIRED,
        "feedback": {"least_lesions": 4, "train": 0.6, "validation": 0.1, "calibration": 0.1, "test": 0.2},
        "gates": dict(EASY),
        "recipe": small(run={"steps": 4, "steps_per_epoch": 2}),
    }
    values["recipe"]["network"]["freeze"] = ["conv_stem", "bn1"]
    for name, table in changes.items():
        values[name] = {**values[name], **table} if isinstance(values.get(name), dict) else table
    path = folder / "plan.toml"
    folder.mkdir(parents=True, exist_ok=True)
    plain = {key: value for key, value in values.items() if key != "recipe"}
    text = write_toml(plain, path).read_text()
    recipe = write_toml(values["recipe"], path).read_text()
    named, tables = recipe.split("[", 1)
    path.write_text(
        f"{text}[recipe]\n{named}" + ("[" + tables).replace("\n[", "\n[recipe.").replace("[", "[recipe.", 1)
    )
    return plans.load(path)


def stub_training(monkeypatch: Any, bundle: Bundle) -> None:
    """Training and packaging that take no time: the challenger is `bundle` under another name.

    What a turn keeps, skips and finds again is the same; what a network learns is tested with the real ones.
    """

    def trains(_recipe: Any, _rows: Any, out: Path, **_: Any) -> Any:
        out.mkdir(exist_ok=True)
        (out / WEIGHTS).write_bytes(b"weights")
        write_json(out / RUN, {"steps": 0})
        return object()

    def packages(_trained: Any, rows: Manifest, out: Path, *, version: str, **given: Any) -> Bundle:
        about = {"name": "stub", "version": version, "licence": given["licence"], "created": given["created"]}
        spec = bundle.spec.model_copy(update={**about, "manifest_sha256": rows.identity()})
        return bundles.write(out, spec, dict(bundle.parts))

    monkeypatch.setattr(steps.training, "train", trains)
    monkeypatch.setattr(steps.packaging, "package", packages)
