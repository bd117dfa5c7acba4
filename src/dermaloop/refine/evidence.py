"""The evidence of a turn: everything behind the decision, and the seal that the audit log holds of it.

Owns which files it has, without a patient's picture, and that gate results are believed only as they were when they
were judged: the log notes the hash of every file, and a turn that goes on compares. Refuses to measure and to judge.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.cases import turn_notes
from dermaloop.cases.actor import Actor
from dermaloop.cases.store import Store
from dermaloop.core.bundle import Bundle
from dermaloop.core.files import replacing_folder
from dermaloop.refine import earlier, frozen_figures
from dermaloop.refine.compared import Measures
from dermaloop.refine.dossier import render
from dermaloop.refine.feedback_report import write_json
from dermaloop.refine.gather import PAGE, TABLE
from dermaloop.refine.turn_records import PLAN, TURN, Inputs, RefineError, Turn
from dermaloop.training import run as training

CHECKS, GATES, MEASURES, REPORT, CHOICE = "checks.json", "gates.json", "measures.json", "report.html", "training.json"
ARRAYS = "frozen.npz"


def folder_of(turn: Turn) -> Path:
    """Where a turn's evidence lies."""
    return turn.folder / "evidence"


def write(
    turn: Turn,
    inputs: Inputs,
    challenger: Bundle,
    *,
    gates: list[dict[str, Any]],
    found: Measures,
    changed: list[dict[str, Any]],
    asked: Mapping[str, NDArray[np.float64]],
) -> None:
    """Writes the folder, whole or not at all.

    Args:
        turn: Which.
        inputs: With the plan.
        challenger: Its bundle.
        gates: What was judged.
        found: What it was judged by.
        changed: Pictures of the frozen set whose decision changes.
        asked: Probabilities of malignancy of the champions before, by the hash of each model.
    """
    with replacing_folder(folder_of(turn)) as folder:
        for path in (
            turn.folder / TURN, turn.folder / CHOICE, turn.folder / "gathered" / TABLE, turn.folder / "gathered" / PAGE,
            turn.folder / "checked" / CHECKS, turn.folder / "run" / training.RUN,
            turn.folder / "run" / "log" / "metrics.csv",
        ):  # fmt: skip
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        (folder / PLAN).write_bytes(inputs.plan.text.encode())  # as it was read and hashed, whatever the file says now
        write_json(folder / MEASURES, _measures(found, challenger, turn, changed))
        _write_arrays(folder / ARRAYS, found)
        both = {
            turn.bundle.model_sha256: found.frozen.champion.malignant_probability,
            challenger.model_sha256: found.frozen.challenger.malignant_probability,
        }
        earlier.write(folder, inputs, {**asked, **both})
        frozen_figures.write(
            folder, found.frozen, (turn.bundle, challenger), inputs.frozen, resamples=inputs.plan.plan.gates.resamples
        )
        write_json(folder / GATES, gates)
        page = render(
            turn=json.loads((turn.folder / TURN).read_text(encoding="utf-8")),
            plan=inputs.plan.plain(),
            plan_sha256=inputs.plan.sha256,
            challenger=challenger.identity,
            choice=json.loads((turn.folder / CHOICE).read_text(encoding="utf-8")),
            feedback=json.loads((turn.folder / "gathered" / TABLE).read_text(encoding="utf-8")),
            checks=json.loads((turn.folder / "checked" / CHECKS).read_text(encoding="utf-8")),
            gates=gates,
            changed=changed,
            refused=undecided_names(gates, inputs),
        )
        (folder / REPORT).write_text(page, encoding="utf-8")


def undecided_names(gates: list[dict[str, Any]], inputs: Inputs) -> list[str]:
    """The required gates that were not passed."""
    passed = {gate["name"] for gate in gates if gate["passed"] is True}
    return [name for name in inputs.plan.plan.required_gates if name not in passed]


def seal(store: Store, actor: Actor, turn: Turn, inputs: Inputs, challenger: Bundle) -> None:
    """Notes in the audit log what was judged: the bundle, the plan, the gates, and the hash of every file."""
    gates = json.loads((folder_of(turn) / GATES).read_text(encoding="utf-8"))
    about = {
        "number": turn.number,
        "challenger": challenger.model_sha256,
        "plan_sha256": inputs.plan.sha256,
        "gates": {gate["name"]: gate["passed"] for gate in gates},
        "files": digests(folder_of(turn)),
    }
    with store.database.begin() as session:
        turn_notes.note(session, actor, turn_notes.JUDGED, turn.id, about)


def is_sealed(store: Store, turn: Turn, challenger: Bundle) -> bool:
    """Whether the evidence that lies there is what was judged; what was never sealed is half a step, and removed.

    Raises:
        RefineError: A file, or the challenger, was changed since.
        StoreError: The log's entry was changed.
    """
    folder = folder_of(turn)
    if not folder.is_dir():
        return False
    with store.database.read() as session:
        noted = turn_notes.noted(session, turn_notes.JUDGED, turn.id)
    if noted is None:
        shutil.rmtree(folder)
        return False
    there = digests(folder)
    differ = sorted(name for name in {*there, *noted["files"]} if there.get(name) != noted["files"].get(name))
    if noted["challenger"] != challenger.model_sha256:
        differ.append("challenger.dermaloop")
    if differ:
        raise RefineError(
            f"changed since it was judged: {', '.join(differ)}",
            where=str(folder),
            way_out="Find out who changed it; then remove the turn's folder, and a new turn begins.",
        )
    return True


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a folder, by its path in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _measures(found: Measures, challenger: Bundle, turn: Turn, changed: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "champion": turn.bundle.identity,
        "challenger": challenger.identity,
        "frozen_pictures": len(found.frozen.champion),
        "new_pictures": 0 if found.new is None else len(found.new.champion),
        "uses": found.uses,
        "latency_s": [np.round(values, 6).tolist() for values in found.latency_s],
        "size_bytes": list(found.size_bytes),
        "earlier_champions": sorted(found.earlier.champions),
        "earlier_champions_missing": list(found.earlier.missing),
        "changed_decisions": changed,
    }


def _write_arrays(path: Path, found: Measures) -> None:
    """The numbers that the gates were judged by, so that anybody can judge again."""
    both = found.frozen
    arrays: dict[str, Any] = {
        "malignant": both.champion.malignant,
        "groups": both.champion.groups,
        "champion_probability": both.champion.malignant_probability,
        "challenger_probability": both.challenger.malignant_probability,
        "champion_threshold": np.array(both.champion.threshold),
        "challenger_threshold": np.array(both.challenger.threshold),
        "champion_assessed": both.champion.assessed,
        "challenger_assessed": both.challenger.assessed,
    }
    if found.flips is not None:
        flips = found.flips
        arrays |= {
            "champion_flips": flips.champion, "challenger_flips": flips.challenger, "flips_groups": flips.groups,
            "flips_weights": flips.weights,
        }  # fmt: skip
    np.savez_compressed(path, **arrays)
