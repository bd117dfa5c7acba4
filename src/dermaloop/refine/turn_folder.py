"""The folder of a turn: begun, gone on with, or closed; and what the audit log is told of it.

Owns `turn.json` and `outcome.json`, which turn is gone on with, and that a turn's end stands in the audit log and in
its folder alike, whenever the process is killed. Refuses to take a step.

A turn's end is decided in one transaction: the promotion, where the plan allows it, and the note of the outcome. The
file follows. Killed in between, the next run writes the file from the log.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dermaloop.cases import promotion, registry, turn_notes
from dermaloop.cases.actor import Actor, system
from dermaloop.cases.store import Store
from dermaloop.core.bundle import Bundle
from dermaloop.core.files import replacing
from dermaloop.refine import novelty
from dermaloop.refine.feedback_report import write_json
from dermaloop.refine.gather import PICTURES
from dermaloop.refine.turn_records import OUTCOME, PLAN, TURN, Inputs, Outcome, Turn

_ABANDONED = "Its inputs changed before it was finished."


def begin(store: Store, actor: Actor, work: Path, inputs: Inputs) -> Turn:
    """The turn to go on with, or a new one; that it was begun, and with which plan, is noted.

    Raises:
        RecordNotFoundError: There is no champion.
        BundleError: The champion is not whole.
    """
    with store.database.begin() as session:
        champion = registry.champion(session)
        bundle = registry.open_model(session, champion)
        champion_file = registry.path_of(session, champion)
    given = _given(inputs, champion.model_sha256)
    folders = sorted(path for path in (work / "turns").glob("[0-9]*") if path.is_dir())
    last = folders[-1] if folders else None
    begun = None
    if last is not None and not (last / OUTCOME).is_file():
        begun = _goes_on(store, actor, last, given, inputs)
    if last is None or begun is None:
        last = work / "turns" / f"{1 + (int(last.name) if last is not None else 0):04d}"
        begun = _new(last, inputs, {"given": given, "champion_identity": bundle.identity, "champion_id": champion.id})
    turn = Turn(last, work, begun["number"], begun["id"], begun["begun"], champion, bundle, champion_file)
    with store.database.begin() as session:
        turn_notes.note(session, actor, turn_notes.BEGUN, turn.id, _noted_beginning(turn, inputs, given, bundle))
    return turn


def _given(inputs: Inputs, champion_sha256: str) -> dict[str, str | None]:
    return {
        "champion": champion_sha256,
        "plan_sha256": inputs.plan.sha256,
        "frozen_sha256": inputs.frozen.identity(),
        "rehearsal_sha256": None if inputs.rehearsal is None else inputs.rehearsal.identity(),
    }


def _noted_beginning(turn: Turn, inputs: Inputs, given: dict[str, str | None], bundle: Bundle) -> dict[str, Any]:
    plan = inputs.plan.plan
    return {"number": turn.number, **given, "plan": f"{plan.name} {plan.version}", "champion": bundle.identity}


def _new(folder: Path, inputs: Inputs, about: dict[str, Any]) -> dict[str, Any]:
    now = (inputs.now or datetime.now(UTC)).isoformat(timespec="seconds")
    begun = {"number": int(folder.name), "id": str(uuid.uuid4()), "begun": now, **about}
    with replacing(folder / PLAN) as temporary:
        temporary.write_text(inputs.plan.text, encoding="utf-8")
    write_json(folder / TURN, begun)  # from here on the turn is
    return begun


def _goes_on(
    store: Store, actor: Actor, folder: Path, given: dict[str, str | None], inputs: Inputs
) -> dict[str, Any] | None:
    """What an unfinished turn was begun with, where it goes on; else it is closed, and None."""
    begun: dict[str, Any] | None = novelty.read(folder / TURN)
    why = _ABANDONED
    if begun is not None:
        with store.database.read() as session:
            finished = turn_notes.noted(session, turn_notes.FINISHED, begun["id"])
        if finished is not None:
            write_json(folder / OUTCOME, _from_log(folder, finished))
            return None
        if begun["given"] == given:
            why = novelty.taken_back(store, actor, folder, inputs.plan.plan.feedback)
            if not why:
                _clean(folder)
                return begun
        about = {"number": begun["number"], "outcome": "abandoned", "model": "", "gates": {}, "checked_sha256": ""}
        with store.database.begin() as session:
            turn_notes.note(session, actor, turn_notes.FINISHED, begun["id"], about)
    write_json(folder / OUTCOME, {"word": "abandoned", "said": why, "gates": [], "model": ""})
    _forget(folder, inputs)
    return None


def _from_log(folder: Path, finished: dict[str, Any]) -> dict[str, Any]:
    gates = novelty.read(folder / "evidence" / "gates.json") or []
    return {
        "word": finished["outcome"], "said": "It was killed after its end was noted in the audit log.",
        "gates": gates if finished["gates"] else [], "model": finished["model"],
        "checked_sha256": finished["checked_sha256"],
    }  # fmt: skip


def _clean(folder: Path) -> None:
    """Removes what a killed step left half-written."""
    for path in folder.glob(".*.part"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def end(store: Store, actor: Actor, turn: Turn, inputs: Inputs, content: dict[str, Any]) -> Outcome:
    """Carries out what the plan allows, and writes down what became of the turn: in the audit log, then in its folder.

    Args:
        store: With the registry.
        actor: Who.
        turn: Which.
        inputs: With the plan, and whether pictures stay.
        content: As `outcome.json` holds it.
    """
    found = Outcome(
        turn.number, content["word"], content["said"], tuple(content["gates"]), content["model"], turn.folder
    )
    with store.database.begin() as session:
        if found.word == "proposed" and inputs.plan.plan.promotion == "automatic":
            found = _promoted(session, turn, inputs, found)
        about = {
            "number": turn.number, "outcome": found.word, "model": found.model,
            "gates": {gate["name"]: gate["passed"] for gate in found.gates},
            "checked_sha256": content["checked_sha256"],
        }  # fmt: skip
        turn_notes.note(session, actor, turn_notes.FINISHED, turn.id, about)
    write_json(turn.folder / OUTCOME, {**content, "word": found.word, "said": found.said})
    _forget(turn.folder, inputs)
    shutil.rmtree(turn.work / "cache", ignore_errors=True)  # of this turn's rows: no other turn could use it
    return found


def _promoted(session: Any, turn: Turn, inputs: Inputs, found: Outcome) -> Outcome:
    """The program promotes, as the plan allows; not over a champion that the challenger was never compared with."""
    plan = inputs.plan.plan
    if registry.champion(session).id != turn.champion.id:
        return replace(found, said=f"{found.said} Another champion serves meanwhile, so a lead decides.")
    model = promotion.promote(
        session,
        system("refine"),
        found.model,
        reason=f"Plan {plan.name} {plan.version} allows it: every required gate was passed.",
    )
    said = f"{model.identity} passed every required gate and is the champion, as the plan allows."
    return replace(found, word="promoted", said=said)


def _forget(folder: Path, inputs: Inputs) -> None:
    """Removes patients' pictures: the next turn takes them from the records anew, where consent still stands."""
    if not inputs.keep_pictures:
        shutil.rmtree(folder / "gathered" / PICTURES, ignore_errors=True)
