"""Does the loop learn, and does it never get worse? The proof on real images, with its result good or bad.

    python studies/loop.py --data DATA --work WORK
    python studies/loop.py --data DATA --work WORK --out docs/study.json   # and the figure beside it

A first champion is trained on a part of HAM10000; the rest comes month by month as confirmed cases of a practice, and
`dermaloop refine` takes a turn each month. Then a month with a fifth of its confirmations wrong, and one in which the
pictures of another source come. docs/study.md says what is compared with what. Killed at any moment, the same command
goes on. An hour and a quarter on one processor core; set OMP_NUM_THREADS=1 where others work beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dermaloop.cases import registry
from dermaloop.cases.actor import system
from dermaloop.cases.store import Store
from dermaloop.core import manifest as manifests
from dermaloop.core.bundle import Bundle, open_bundle
from dermaloop.core.files import replacing
from dermaloop.core.manifest import Manifest, Split, concat
from dermaloop.evaluation.rows import Rows
from dermaloop.refine.gather import MANIFEST, TABLE, split_of
from dermaloop.refine.plan import ReadPlan
from dermaloop.refine.turn import Inputs, take_turn
from dermaloop.training.run import code_identity
from loopstudy import again, asides, cohort, models, page, practice
from loopstudy.cohort import Cohort
from loopstudy.size import FULL, Size

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Study:
    """A study under way: where it works, and what it has found so far."""

    work: Path
    weights: Path
    size: Size
    cohort: Cohort
    plan: ReadPlan
    found: dict[str, Any] = field(default_factory=dict)

    def step(self, name: str, do: Callable[[], Any]) -> Any:
        """What a step found, done now unless it was before."""
        path = self.work / "steps" / f"{name}.json"
        if not path.is_file():
            begun = time.monotonic()
            content = {"found": do(), "seconds": round(time.monotonic() - begun, 1)}
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
            print(f"{time.strftime('%H:%M:%S')}  {name}: {content['seconds']} s", flush=True)
        content = json.loads(path.read_text(encoding="utf-8"))
        self.found[name] = content["found"]
        self.found.setdefault("seconds", {})[name] = content["seconds"]
        return content["found"]

    def rows(self, bundle: Bundle, held_out: str) -> Rows:
        """What a bundle says of the frozen set, or of the other source's pictures held out."""
        part = {"frozen": self.cohort.frozen, "foreign": self.cohort.foreign_test}[held_out]
        return models.measured(bundle, part, self.work / "measured" / f"{bundle.identity}-{held_out}.npz")

    def figures(self, bundle: Bundle, held_out: str = "frozen") -> dict[str, Any]:
        """A bundle's figures."""
        return models.figures(self.rows(bundle, held_out), self.size.resamples)

    def difference(self, first: Bundle, second: Bundle, held_out: str = "frozen") -> dict[str, Any]:
        """The second bundle against the first."""
        return models.difference(self.rows(first, held_out), self.rows(second, held_out), self.size.resamples)

    @property
    def first(self) -> Bundle:
        """The first champion."""
        return open_bundle(self.work / "first" / "model.dermaloop")

    def turn_folder(self, month: int) -> Path:
        """A month's turn."""
        return self.work / "refine" / "turns" / f"{month:04d}"


def run(work: Path, curated: Manifest, weights: Path, size: Size = FULL) -> dict[str, Any]:
    """The whole study; gives what it found, which is `study.json` in its folder too."""
    work.mkdir(parents=True, exist_ok=True)
    study = Study(work, weights, size, cohort.divide(curated, size, work / "cohort"), models.plan_of(size, work))
    study.found["about"] = {
        "size": json.loads(json.dumps(asdict(size))),
        "plan_sha256": study.plan.sha256,
        "curated_sha256": curated.identity(),
        "counts": json.loads((work / "cohort" / "counts.json").read_text(encoding="utf-8")),
    }
    study.step("code", code_identity)
    study.step("first", lambda: _first(study))
    with practice.opened(work / "store") as store:
        practice.crown(store, work / "first" / "model.dermaloop")
        for month in range(1, size.last + 1):
            study.step(f"month-{month}", partial(_month, study, store, month))
        study.step("second", lambda: _second(study, store))
    study.step("unchecked", lambda: _unchecked(study))
    study.step("labels", lambda: asides.label_check(
        study.first, list(study.cohort.months[: size.months]), study.plan, size.seed))  # fmt: skip
    study.step("freezing", lambda: _freezing(study))
    study.step("same", lambda: _same(study))
    study.step("ceiling", lambda: _ceiling(study))
    with replacing(work / "study.json") as temporary:
        temporary.write_text(json.dumps(study.found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return study.found


def _first(study: Study) -> dict[str, Any]:
    recipe = models.champion_recipe(study.size)
    models.trained(recipe, study.cohort.base, study.work / "first", study.weights)
    return {"frozen": study.figures(study.first), "foreign": study.figures(study.first, "foreign")}


def _wrong(study: Study, month: int) -> frozenset[str]:
    """Lesions whose confirmation is flipped: a fifth of those of the poisoned month."""
    if month != study.size.poisoned:
        return frozenset()
    lesions = sorted(set(study.cohort.months[month - 1].groups()))
    drawn = np.random.default_rng(study.size.seed).permutation(len(lesions))[: round(len(lesions) / 5)]
    return frozenset(lesions[k] for k in drawn.tolist())


def _month(study: Study, store: Store, month: int) -> dict[str, Any]:
    """A month: the lead looks at last month's flags, cases come in and are confirmed, a turn is taken."""
    reviewed = practice.review(store, _wrong(study, month - 1))
    wrong, rows = _wrong(study, month), study.cohort.months[month - 1]
    cases = practice.take_month(store, rows, month, wrong)
    before = _before(study, store, month)
    watch = practice.watched(store, before)
    found: dict[str, Any] = {"cases": cases, "reviewed": reviewed, "champion": before.identity, "watch": watch}
    if month == study.size.last:
        found["foreign_cases"] = practice.take_month(store, study.cohort.foreign, month + 1)
        found["watch_after"] = practice.watched(store, before)
    return found | _after_turn(study, store, month, before, wrong)


def _second(study: Study, store: Store) -> dict[str, Any]:
    """The turn after the last month: no new cases, but the lead has looked at what was doubted."""
    month = study.size.last + 1
    reviewed = practice.review(store, frozenset())
    before = _before(study, store, month)
    return {"reviewed": reviewed} | _after_turn(study, store, month, before, frozenset())


def _after_turn(study: Study, store: Store, month: int, before: Bundle, wrong: frozenset[str]) -> dict[str, Any]:
    """A turn, the lead's signature where it passed, and what serves then."""
    outcome = _turn(study, store, month)
    if outcome["word"] == "proposed":
        practice.promote(store, outcome["model"])
    after = practice.champion(store)
    found: dict[str, Any] = {"outcome": outcome["word"], "said": outcome["said"], "gates": outcome["gates"]}
    found |= _checked(study, store, month, wrong)
    found["served"] = study.figures(after)
    found["against_first"] = study.difference(study.first, after)
    found["against_before"] = study.difference(before, after)
    challenger = study.turn_folder(month) / "challenger.dermaloop"
    made = open_bundle(challenger) if challenger.is_file() else None
    if made is not None:
        found["challenger"] = study.figures(made)
        found["challenger_against_before"] = study.difference(before, made)
    if month >= study.size.last:
        found["foreign"] = {"before": study.figures(before, "foreign"), "after": study.figures(after, "foreign"),
                            "difference": study.difference(before, after, "foreign")}  # fmt: skip
        if made is not None:
            found["foreign"] |= {"challenger": study.figures(made, "foreign"),
                                 "challenger_difference": study.difference(before, made, "foreign")}  # fmt: skip
    return found


def _before(study: Study, store: Store, month: int) -> Bundle:
    """The bundle that served during a month: the champion, or where the month's turn is begun, its champion."""
    begun = study.turn_folder(month) / "turn.json"
    if not begun.is_file():
        return practice.champion(store)
    with store.database.begin() as session:
        model = registry.find_model(session, json.loads(begun.read_text(encoding="utf-8"))["champion_id"])
        return registry.open_model(session, model)


def _turn(study: Study, store: Store, month: int) -> dict[str, Any]:
    """The month's turn; the one that is finished already is not taken again."""
    path = study.turn_folder(month) / "outcome.json"
    if not path.is_file():
        serves = practice.champion(store).model_sha256
        own = study.work / "first" / "weights.safetensors" if serves == study.first.model_sha256 else None
        base, frozen = study.cohort.base, study.cohort.frozen
        inputs = Inputs(plan=study.plan, frozen=frozen, rehearsal=base, weights=own, threads=1)
        take_turn(store, system("refine"), study.work / "refine", inputs)
    outcome: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return outcome


def _checked(study: Study, store: Store, month: int, wrong: frozenset[str]) -> dict[str, Any]:
    """What may train after the checks, and what they flagged of this month's confirmations."""
    checked = manifests.read(study.turn_folder(month) / "checked" / MANIFEST)
    gathered = json.loads((study.turn_folder(month) / "gathered" / TABLE).read_text(encoding="utf-8"))
    foreign = set(study.cohort.foreign.groups())
    own = foreign if month > study.size.last else set(study.cohort.months[month - 1].groups())
    every = practice.flagged(store)
    flagged = every & own
    return {
        "excluded": gathered["excluded"],
        "gathered": len(checked),
        "trains": len(checked.where(split=Split.TRAIN)),
        "held_back": checked.column("reject_reason").count("held_back"),
        "rejected": checked.column("reject_reason").count("rejected"),
        "wrong": len(wrong),
        "flagged": len(flagged),
        "foreign_flagged": len(every & foreign),
        "wrong_flagged": len(flagged & wrong),
    }


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
    base, months = study.cohort.base, range(1, study.size.months + 1)
    month = max(number for number in months if (study.turn_folder(number) / "challenger.dermaloop").is_file())
    folder = study.turn_folder(month)
    recipe = asides.unfrozen(asides.turn_recipe(folder, study.plan, base))
    return _beside(study, "unfrozen", recipe, asides.turn_rows(folder, base), month)


def _unchecked(study: Study) -> dict[str, Any]:
    month, base = study.size.poisoned, study.cohort.base
    folder = study.turn_folder(month)
    rows = asides.unchecked_rows(folder, base, study.plan)
    found = _beside(study, "unchecked", asides.turn_recipe(folder, study.plan, base), rows, month)
    with practice.opened(study.work / "store") as store:
        before = _before(study, store, month)
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
