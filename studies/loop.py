"""Does the loop learn, and does it never get worse? The proof on real images, with its result good or bad.

    python studies/loop.py --data DATA --work WORK
    python studies/loop.py --data DATA --work WORK --out docs/study.json   # and the figure beside it

A first champion is trained on a part of HAM10000; the rest comes month by month as confirmed cases of a practice, over
HTTP to a `dermaloop serve` that runs, and `dermaloop refine` takes a turn each month beside it. Then a month with a
fifth of its confirmations wrong, and one in which the pictures of another source come. docs/study.md says what is
compared with what. Killed at any moment, the same command goes on. An hour and a quarter on one processor core; set
OMP_NUM_THREADS=1 where others work beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from dermaloop.core import manifest as manifests
from dermaloop.core.bundle import open_bundle
from dermaloop.core.files import replacing
from dermaloop.core.manifest import Manifest, Split, concat
from dermaloop.refine.gather import split_of
from dermaloop.training.run import code_identity
from loopstudy import again, asides, cohort, models, months, page, practice
from loopstudy.size import FULL, Size
from loopstudy.state import Study

ROOT = Path(__file__).resolve().parents[1]


def run(work: Path, curated: Manifest, weights: Path, size: Size = FULL) -> dict[str, Any]:
    """The whole study; gives what it found, which is `study.json` in its folder too."""
    work.mkdir(parents=True, exist_ok=True)
    study = Study(work, weights, size, cohort.divide(curated, size, work / "cohort"), models.plan_of(size, work))
    study.found["about"] = {
        "size": json.loads(json.dumps(asdict(size))),
        "plan_sha256": study.plan.sha256,
        "curated_sha256": curated.identity(),
        "stream": "http",
        "counts": json.loads((work / "cohort" / "counts.json").read_text(encoding="utf-8")),
    }
    study.step("code", code_identity)
    study.step("first", lambda: _first(study))
    with practice.opened(work) as place:
        practice.crown(place.store, work / "first" / "model.dermaloop")
        for month in range(1, size.last + 1):
            study.step(f"month-{month}", partial(months.take, study, place, month))
        study.step("second", lambda: months.second(study, place))
    study.step("unchecked", lambda: _unchecked(study))
    study.step("labels", lambda: asides.label_check(
        study.first, list(study.cohort.months[: size.months]), study.plan, size.seed))  # fmt: skip
    study.step("freezing", lambda: _freezing(study))
    study.step("same", lambda: _same(study))
    study.step("ceiling", lambda: _ceiling(study))
    study.found["seconds"] = study.seconds()
    with replacing(work / "study.json") as temporary:
        temporary.write_text(json.dumps(study.found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return study.found


def _first(study: Study) -> dict[str, Any]:
    recipe = models.champion_recipe(study.size)
    models.trained(recipe, study.cohort.base, study.work / "first", study.weights)
    return {"frozen": study.figures(study.first), "foreign": study.figures(study.first, "foreign")}


def _beside(study: Study, name: str, recipe: Any, rows: Manifest, month: int) -> dict[str, Any]:
    """A month's challenger, trained otherwise, beside the one of the loop."""
    turn = study.turn_folder(month)
    bundle, _ = models.trained(recipe, rows, study.work / name, turn)
    own, other = open_bundle(turn / "challenger.dermaloop"), open_bundle(bundle)
    return {
        "month": month,
        "challenger": study.figures(own),
        "other": study.figures(other),
        "difference": study.difference(own, other),
        "seconds": {"challenger": asides.seconds(turn / "run"), "other": asides.seconds(study.work / name)},
    }


def _freezing(study: Study) -> dict[str, Any]:
    base, numbers = study.cohort.base, range(1, study.size.months + 1)
    month = max(number for number in numbers if (study.turn_folder(number) / "challenger.dermaloop").is_file())
    folder = study.turn_folder(month)
    recipe = asides.unfrozen(asides.turn_recipe(folder, study.plan, base))
    return _beside(study, "unfrozen", recipe, asides.turn_rows(folder, base), month)


def _unchecked(study: Study) -> dict[str, Any]:
    month, base = study.size.poisoned, study.cohort.base
    folder = study.turn_folder(month)
    rows = asides.unchecked_rows(folder, base, study.plan)
    found = _beside(study, "unchecked", asides.turn_recipe(folder, study.plan, base), rows, month)
    with practice.opened(study.work) as place:
        before = months.champion_during(study, place.store, month)
    other = open_bundle(study.work / "unchecked" / "model.dermaloop")
    both = study.rows(before, "frozen"), study.rows(other, "frozen")
    gates = asides.performance_gates(*both, study.cohort.frozen, study.plan)
    return {**found, "against_before": study.difference(before, other), "gates": gates}


def _same(study: Study) -> list[dict[str, Any]]:
    """The first champion's network against itself, calibrated on what it has not seen."""
    size, parts = study.size, study.cohort
    unseen = concat([parts.base.where(split=Split.CALIBRATION), *parts.months[: size.months]], study.work)
    said = study.rows(study.first, "frozen")
    return again.same_network(
        study.first, unseen, parts.frozen, said, study.plan, sizes=size.calibrated_on, draws=size.draws, seed=size.seed
    )


def _ceiling(study: Study) -> dict[str, Any]:
    """One training on everything that the loop ever saw, with right labels."""
    size = study.size
    parts = [study.cohort.base]
    for rows in (*study.cohort.months, study.cohort.foreign):
        splits = [str(split_of(group, study.plan.plan.feedback)) for group in rows.groups()]
        parts.append(rows.with_columns(split=splits))
    rows = concat(parts, study.work / "ceiling").where(split=[Split.TRAIN, Split.VALIDATION, Split.CALIBRATION])
    recipe = models.champion_recipe(size, steps=size.ceiling_steps)
    path, _ = models.trained(recipe, rows, study.work / "ceiling", study.weights)
    bundle = open_bundle(path)
    return {
        "pictures": len(rows.where(split=Split.TRAIN)),
        "frozen": study.figures(bundle),
        "foreign": study.figures(bundle, "foreign"),
        "against_first": study.difference(study.first, bundle),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the datasets, with weights/ in it")
    parser.add_argument("--work", type=Path, required=True, help="folder to work in; an interrupted study goes on")
    parser.add_argument("--manifest", type=Path, help="curated manifest, where there is one; else it is built")
    parser.add_argument("--out", type=Path, help="also write the result here, and the figure beside it")
    given = parser.parse_args()
    path = given.manifest or given.work / "manifest.parquet"
    if not path.is_file():
        command = [sys.executable, "-m", "dermaloop.cli", "curate", "build", str(ROOT / "recipes" / "curation.toml")]
        subprocess.run([*command, "--data", str(given.data), "--out", str(path)], check=True)  # noqa: S603 - our own
    found = run(given.work.absolute(), manifests.read(path), given.data / "weights")
    if given.out:
        given.out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        page.draw(found, given.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
