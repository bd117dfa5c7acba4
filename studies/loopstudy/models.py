"""The models of the study: the first champion, the turns, and what a model is worth on held-out pictures.

Owns recipes and the plan, which are the project's own with the study's sizes, and the measuring of a bundle. Each thing
is kept in a folder of its own and found there again.
"""

from __future__ import annotations

import re
from dataclasses import asdict, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dermaloop.core.bundle import Bundle
from dermaloop.core.manifest import Manifest
from dermaloop.evaluation.figures import measure
from dermaloop.evaluation.metrics import METRICS
from dermaloop.evaluation.paired import auc_difference, metric_difference
from dermaloop.evaluation.rows import Label, Rows
from dermaloop.inference.classifier import Classifier
from dermaloop.pipeline.evaluate import rows_of
from dermaloop.pipeline.package import check, package
from dermaloop.refine import plan as plans
from dermaloop.refine.measure import predict
from dermaloop.refine.plan import ReadPlan
from dermaloop.training import recipe as recipes
from dermaloop.training.recipe import Recipe
from dermaloop.training.run import WEIGHTS, train
from loopstudy.size import Size

ROOT = Path(__file__).resolve().parents[2]
LICENCE = "Research only: trained on data under CC BY-NC 4.0."
CREATED = "2024-01-01T00:00:00+00:00"
FIGURES = ("balanced_accuracy", "malignant_auc", "sensitivity", "specificity", "malignant_calibration_error")


def champion_recipe(size: Size, *, steps: int | None = None) -> Recipe:
    """The reference's recipe in the study's size, from ImageNet weights, on one source."""
    whole = steps or size.champion_steps
    recipe = recipes.load(ROOT / "recipes" / "reference.toml")
    return replace(
        recipe,
        name="study",
        seed=size.seed,
        data=replace(recipe.data, source_share={}, cache_px=size.cache_px),
        network=replace(recipe.network, name=size.network, start=size.start),
        optimiser=replace(recipe.optimiser, ema_decay=0.98),
        run=replace(
            recipe.run,
            steps=whole,
            steps_per_epoch=whole,
            batch=size.batch,
            train_px=((0.0, size.train_px),),
            evaluate_px=size.evaluate_px,
        ),
    )


def plan_of(size: Size, work: Path) -> ReadPlan:
    """`recipes/plan.toml` with the study's sizes: pictures, steps, rate and averaging of so short a training.

    The margins and rules stay as they are; what a smaller study has otherwise stands in its size.
    """
    text = (ROOT / "recipes" / "plan.toml").read_text(encoding="utf-8")
    changed: dict[str, Any] = {
        "name": "refined", "cache_px": size.cache_px, "rate": 2e-4, "ema_decay": 0.96, "steps": size.turn_steps,
        "steps_per_epoch": size.turn_steps, "batch": size.batch, "train_px": [[0.0, size.train_px]],
        "evaluate_px": size.evaluate_px,
    }  # fmt: skip
    head, recipe = text.split("[recipe]\n", 1)
    for key, value in changed.items():
        recipe = _set(recipe, key, value)
    recipe = recipe.replace('name = "mobilenetv2_100"', f'name = "{size.network}"')
    if size.required_gates:
        wanted = f"required_gates = [{', '.join(repr(name) for name in size.required_gates)}]"
        head = re.sub(r"^required_gates = \[.*?\]$", wanted, head, count=1, flags=re.MULTILINE | re.DOTALL)
    for table, values in size.plan.items():
        before, rest = head.split(f"[{table}]\n", 1)
        own, *others = re.split(r"(?=^\[)", rest, flags=re.MULTILINE)
        for key, value in values.items():
            own = _set(own, key, value)
        head = "".join([before, f"[{table}]\n", own, *others])
    path = work / "plan.toml"
    path.write_text(f"{head}[recipe]\n{recipe}", encoding="utf-8")
    return plans.load(path)


def _set(text: str, key: str, value: Any) -> str:
    line = f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}"
    found, count = re.subn(rf"^{key} = .*$", line, text, count=1, flags=re.MULTILINE)
    return found if count else f"{line}\n{text}"


def trained(recipe: Recipe, rows: Manifest, folder: Path, weights: Path) -> tuple[Path, Path]:
    """Trains and packages, as `dermaloop train` does; gives the bundle and the weights."""
    bundle = folder / "model.dermaloop"
    if not bundle.is_file():
        check(recipe, rows)
        cache = folder.parent / "cache"
        done = train(recipe, rows, folder, weights_folder=weights, cache_folder=cache, show_progress=False)
        assert done is not None, "one process"
        package(done, rows, bundle, licence=LICENCE, created=CREATED)
    return bundle, folder / WEIGHTS


def measured(bundle: Bundle, held_out: Manifest, keep: Path) -> Rows:
    """What a bundle says of held-out pictures; kept in a file."""
    if not keep.is_file():
        said = predict(Classifier(bundle, threads=1, similar=1), held_out, lambda *_: None, "")
        rows = rows_of(bundle, held_out, said)
        arrays = {one.name: getattr(rows, one.name) for one in fields(rows) if one.name != "classes"}
        keep.parent.mkdir(parents=True, exist_ok=True)
        temporary = keep.with_suffix(".part.npz")
        np.savez_compressed(temporary, **arrays)
        temporary.replace(keep)
    with np.load(keep) as found:
        values = {name: found[name] for name in found.files}
    return Rows(classes=tuple(bundle.spec.classes), **{**values, "threshold": float(values["threshold"])})


def figures(rows: Rows, resamples: int) -> dict[str, Any]:
    """The study's figures of a model, with 95 % intervals by lesion."""
    found: dict[str, Any] = measure(rows, FIGURES, resamples=resamples)
    return {**found, "declined": float(np.mean(~rows.assessed)), "pictures": len(rows)}


def difference(first: Rows, second: Rows, resamples: int) -> dict[str, Any]:
    """The second model against the first on the same pictures, with 95 % intervals by lesion."""
    known = first.known(Label.MALIGNANT)
    one, other = first.select(known), second.select(known)
    auc = auc_difference(one.y_malignant, one.malignant_probability, other.malignant_probability, one.groups)
    known = first.known(Label.DIAGNOSIS)
    one, other = first.select(known), second.select(known)
    score = METRICS["balanced_accuracy"].function
    accuracy = metric_difference(partial(score, one), partial(score, other), one.groups, resamples=resamples)
    return {"malignant_auc": asdict(auc), "balanced_accuracy": asdict(accuracy)}
