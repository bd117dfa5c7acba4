"""Whether a turn has something to learn, and whether what an interrupted one rests on still stands.

Owns the comparison with the turn before. A look at the frozen set is dear, so a turn goes on to training only where
enough lesions may train that the last decision did not know, or where something that it did know was taken back.
Refuses to gather and to judge.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dermaloop.cases.actor import Actor
from dermaloop.cases.feedback import read_feedback
from dermaloop.cases.store import Store
from dermaloop.core import manifest as manifests
from dermaloop.core.manifest import Manifest, Split
from dermaloop.refine.eligibility import judge_case
from dermaloop.refine.gather import MANIFEST, ROWS, reason_of
from dermaloop.refine.plan import Feedback
from dermaloop.refine.turn_records import JUDGED_WORDS, OUTCOME, TURN, Inputs, Turn

USABLE = (Split.TRAIN, Split.VALIDATION, Split.CALIBRATION, Split.TEST)


def reason_to_stop(turn: Turn, inputs: Inputs, checked: Manifest) -> tuple[str, str] | None:
    """Why a turn ends before training, as the outcome's word and sentence; None where it goes on.

    Args:
        turn: Which.
        inputs: With the plan.
        checked: What may train after the checks, and what may not.
    """
    usable, least = checked.where(split=USABLE), inputs.plan.plan.feedback.least_lesions
    lesions = set(usable.column("lesion_id"))
    if len(lesions) < least or not len(usable.where(split=Split.TRAIN)):
        return "too few", f"{len(lesions)} new lesions may train, {least} are needed."
    known = _last_decided(turn)
    if known is None:
        return None
    number, word, before = known
    then, now = _taught(before), _taught(checked)
    waiting = {
        image
        for image, reason in zip(checked.column("image_id"), checked.column("reject_reason"), strict=True)
        if reason == "held_back"
    }
    if any(image not in waiting for image, _, _ in then - now):
        return None  # a lead rejected it, or a consent or finding was taken back: what it taught should go
    added = {image for image, _, _ in now - then}
    fresh = {
        lesion for image, lesion in zip(usable.column("image_id"), usable.column("lesion_id"), strict=True)
        if image in added
    } - set(before.where(split=USABLE).column("lesion_id"))  # fmt: skip
    if not added:
        return "nothing new", f"Nothing changed since turn {number}, which was {word}."
    if len(fresh) < least:
        return "too few", f"{len(fresh)} new lesions since turn {number} may train, {least} are needed."
    return None


def _taught(manifest: Manifest) -> set[tuple[str, str, str]]:
    """What usable pictures say: (picture, diagnosis, split)."""
    rows = manifest.where(split=USABLE)
    columns = (rows.column(name) for name in ("image_id", "diagnosis", "split"))
    return {(str(image), str(diagnosis), str(split)) for image, diagnosis, split in zip(*columns, strict=True)}


def _last_decided(turn: Turn) -> tuple[int, str, Manifest] | None:
    """The last turn that came to a decision: number, word, rows; None where this one begins from something else.

    That is so where plan, frozen set or original data are others, or where the champion is neither the one of that turn
    nor the one that came of it.
    """
    own = (read(turn.folder / TURN) or {})["given"]
    for number in range(turn.number - 1, 0, -1):
        folder = turn.work / "turns" / f"{number:04d}"
        outcome, begun = read(folder / OUTCOME), read(folder / TURN)
        if outcome is None or begun is None or outcome["word"] not in JUDGED_WORDS:
            continue
        same = {**begun["given"], "champion": ""} == {**own, "champion": ""}
        follows = begun["given"]["champion"] == own["champion"] or outcome["model"] == turn.champion.id
        rows = folder / "checked" / MANIFEST
        if same and follows and rows.is_file():
            return number, outcome["word"], manifests.read(rows)
        break
    return None


def taken_back(store: Store, actor: Actor, folder: Path, rules: Feedback) -> str:
    """Whether a consent or finding that an interrupted turn rests on no longer stands: a sentence; empty where all do.

    Args:
        store: The records.
        actor: Who.
        folder: Of the turn.
        rules: Of the plan.
    """
    judged = read(folder / "gathered" / ROWS)
    if judged is None:
        return ""
    with store.database.begin() as session:
        cases = {case.case_id: case for case in read_feedback(session, actor, "refine, going on")}
    changed = 0
    for row in judged["rows"]:
        if row["reason"]:
            continue
        case = cases.get(row["case_id"])
        finding, reason = (None, "gone") if case is None else judge_case(case, rules)
        there = case is not None and row["image_id"] in {image.id for image in case.images}
        own = (flag for flag in case.flags if flag.confirmation_id == row["confirmation_id"]) if case else ()
        stands = finding is not None and finding.id == row["confirmation_id"] and not reason and there
        changed += not stands or reason_of(own) == "rejected"
    return f"Consent or finding of {changed} of its pictures no longer stands." if changed else ""


def read(path: Path) -> Any:
    """The content of a JSON file; None where there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
