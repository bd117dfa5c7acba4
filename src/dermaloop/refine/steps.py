"""The steps of a turn, each written whole or not at all, each skipped where it is done.

Owns what each step leaves in the turn's folder. Refuses to order them: `refine.turn` does.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from dermaloop.cases import flags, frozen_uses, model_files, registry
from dermaloop.cases.actor import Actor
from dermaloop.cases.store import Store
from dermaloop.core import manifest as manifests
from dermaloop.core.bundle import Bundle, open_bundle
from dermaloop.core.files import replacing, replacing_folder
from dermaloop.core.manifest import Manifest, Split
from dermaloop.inference.classifier import Classifier
from dermaloop.pipeline import package as packaging
from dermaloop.refine import challenger as challengers
from dermaloop.refine import commands, earlier, evidence, measure
from dermaloop.refine.compared import Measures
from dermaloop.refine.feedback_report import write_json
from dermaloop.refine.gates import judge
from dermaloop.refine.gather import MANIFEST, ROWS, reason_of, split_of
from dermaloop.refine.plan import CHAMPION
from dermaloop.refine.turn_records import Inputs, Turn
from dermaloop.training import run as training
from dermaloop.training.run import Trained


def gather(store: Store, actor: Actor, turn: Turn, inputs: Inputs) -> Path:
    """1. Confirmed cases that may train, with their pictures."""
    out = turn.folder / "gathered"
    if not out.is_dir():
        originals = [] if inputs.rehearsal is None else [inputs.rehearsal]
        against = commands.Against(originals, [inputs.frozen], turn.work / "known-pictures")
        commands.export(
            store, actor, out, plan=inputs.plan.plan, bundle=turn.bundle, against=against, workers=inputs.threads or 1
        )
    return out


def check(store: Store, actor: Actor, turn: Turn, inputs: Inputs, gathered: Path) -> Manifest:
    """2. Looks for mistakes, flags them, and leaves out what no lead has accepted."""
    out = turn.folder / "checked"
    if not out.is_dir():
        judged = json.loads((gathered / ROWS).read_text(encoding="utf-8"))
        rows, rules = judged["rows"], inputs.plan.plan
        manifest = manifests.read(gathered / MANIFEST)
        found, new = commands.check(
            store, actor, manifest, rows, judged["pairs"], plan=rules, bundle=turn.bundle, threads=inputs.threads
        )
        with store.database.begin() as session:
            by_confirmation = flags.flags_by_confirmation(session)
        reasons = [reason_of(by_confirmation.get(row["confirmation_id"], ())) for row in rows]
        splits = [
            Split.EXCLUDED if reason else split_of(row["patient_id"], rules.feedback)
            for reason, row in zip(reasons, rows, strict=True)
        ]
        kept = manifest.moved(out).with_columns(reject_reason=reasons, split=[str(split) for split in splits])
        report = {**found.report, "new_flags": new, "held_back": reasons.count("held_back"),
                  "rejected": reasons.count("rejected")}  # fmt: skip
        with replacing_folder(out) as folder:
            kept.write(folder / MANIFEST)
            write_json(folder / evidence.CHECKS, report)
    return manifests.read(out / MANIFEST)


def train(turn: Turn, inputs: Inputs, checked: Manifest) -> Trained:
    """3. The challenger's network. A training that was killed goes on from its last checkpoint."""
    weights = challengers.weights_of(turn.work, turn.champion.model_sha256, inputs.weights)
    start = turn.folder / challengers.START
    kept = start if start.is_file() else weights
    choice = challengers.choose(inputs.plan, weights=kept, rehearsal=inputs.rehearsal)
    rows = _rows(turn, inputs, checked)
    challengers.require_apart(inputs.frozen.where(split=inputs.plan.plan.frozen.split), rows)
    packaging.check(choice.recipe, rows)
    if choice.weights == CHAMPION and kept is not None and kept != start:
        with replacing(start) as temporary:
            shutil.copyfile(kept, temporary)
    write_json(turn.folder / evidence.CHOICE, challengers.plain(choice))
    trained = training.train(
        choice.recipe,
        rows,
        turn.folder / "run",
        weights_folder=turn.folder,
        cache_folder=turn.work / "cache",
        show_progress=inputs.show_progress,
    )
    assert trained is not None, "one process"
    return trained


def _rows(turn: Turn, inputs: Inputs, checked: Manifest) -> Manifest:
    return challengers.training_manifest(inputs.rehearsal, checked, turn.folder)


def calibrate(turn: Turn, inputs: Inputs, trained: Trained) -> Bundle:
    """4. The challenger's bundle: calibrated, with operating points and limits; its weights are kept for later."""
    out = turn.folder / "challenger.dermaloop"
    if not out.is_file():
        rows = _rows(turn, inputs, manifests.read(turn.folder / "checked" / MANIFEST))
        packaging.package(
            trained,
            rows,
            out,
            version=str(turn.number),
            licence=turn.bundle.spec.licence,
            created=turn.begun,
            former=turn.bundle if inputs.plan.plan.training.operating_points == "keep" else None,
        )
    bundle = open_bundle(out)
    challengers.keep_weights(turn.work, bundle.model_sha256, turn.folder / "run" / training.WEIGHTS)
    return bundle


def evaluate(  # noqa: PLR0917 - what all steps take, and what the steps before left
    store: Store, actor: Actor, turn: Turn, inputs: Inputs, checked: Manifest, challenger: Bundle
) -> list[dict[str, Any]]:
    """5 and 6. Both on the frozen set and on the new cases held out, and what the gates say. The use is noted first."""
    if not evidence.is_sealed(store, turn, challenger):
        plan = inputs.plan.plan
        with store.database.begin() as session:
            uses = frozen_uses.note_use(session, actor, inputs.frozen.identity(), turn.id)
        frozen = inputs.frozen.where(split=plan.frozen.split)
        one, other = (Classifier(bundle, threads=inputs.threads, similar=1) for bundle in (turn.bundle, challenger))
        both = measure.compare(one, other, frozen, inputs.progress)
        fresh = checked.where(split=Split.TEST)
        new = measure.compare(one, other, fresh, inputs.progress) if len(fresh) else None
        before, asked = earlier.answers(store, turn, inputs, frozen)
        found = Measures(
            frozen=both,
            new=new,
            uses=uses,
            flips=measure.flips(
                one, other, frozen, both, most=plan.gates.stress_pictures, seed=inputs.plan.recipe.seed,
                progress=inputs.progress,
            ),
            latency_s=measure.latency_s((turn.bundle, challenger), frozen),
            size_bytes=(measure.size_bytes(turn.champion_file), measure.size_bytes(_challenger_file(turn))),
            earlier=before,
        )  # fmt: skip
        gates = [gate.plain() for gate in judge(found, plan.gates, plan.frozen)]
        changed = measure.changed_decisions(both, frozen.column("image_id"))
        evidence.write(turn, inputs, challenger, gates=gates, found=found, changed=changed, asked=asked)
        evidence.seal(store, actor, turn, inputs, challenger)
    path = evidence.folder_of(turn) / evidence.GATES
    verdicts: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return verdicts


def _challenger_file(turn: Turn) -> Path:
    return turn.folder / "challenger.dermaloop"


def propose(  # noqa: PLR0917 - what all steps take, and what the steps before left
    store: Store, actor: Actor, turn: Turn, inputs: Inputs, challenger: Bundle, gates: list[dict[str, Any]]
) -> dict[str, Any]:
    """7. A challenger that passed is registered; one that did not stays in its folder, with the reasons."""
    refused = evidence.undecided_names(gates, inputs)
    if refused:
        said = f"Not proposed: {', '.join(refused)} not passed."
        return {"word": "refused", "said": said, "gates": gates, "model": ""}
    path = _challenger_file(turn)
    assert store.database.models is not None, "an opened store has a registry"
    Classifier(challenger, threads=1, similar=1)  # it can be loaded, also where another process evaluated it
    model_files.put_bundle(store.database.models, path)  # before the transaction, so that it stays short
    with store.database.begin() as session:
        model = registry.propose(
            session,
            actor,
            path,
            parent=turn.champion,
            plan=inputs.plan.plain(),
            plan_sha256=inputs.plan.sha256,
            gates=gates,
            evidence_folder=evidence.folder_of(turn),
        )
    said = f"{model.identity} passed every required gate and waits for a lead."
    return {"word": "proposed", "said": said, "gates": gates, "model": model.id}
