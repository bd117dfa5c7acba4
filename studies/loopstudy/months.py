"""A month of the study: reviews, cases, the watch, a turn, and the lead's signature where it passed.

Owns their order and what is written down of each. Every part that later ones would change is kept when it is done, so
that a study that was killed finds what it would have found.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from typing import Any

import numpy as np

from dermaloop.cases import registry
from dermaloop.cases.actor import system
from dermaloop.cases.store import Store
from dermaloop.core import manifest as manifests
from dermaloop.core.bundle import Bundle, open_bundle
from dermaloop.core.manifest import Split
from dermaloop.refine.gather import MANIFEST, TABLE
from dermaloop.refine.turn import Inputs, take_turn
from loopstudy import practice, watching
from loopstudy.practice import Practice
from loopstudy.state import Study

NONE: frozenset[str] = frozenset()


def wrong(study: Study, month: int) -> frozenset[str]:
    """Lesions whose confirmation is flipped: a fifth of those of the poisoned month."""
    if month != study.size.poisoned:
        return NONE
    lesions = sorted(set(study.cohort.months[month - 1].groups()))
    drawn = np.random.default_rng(study.size.seed).permutation(len(lesions))[: round(len(lesions) / 5)]
    return frozenset(lesions[k] for k in drawn.tolist())


def take(study: Study, place: Practice, month: int) -> dict[str, Any]:
    """A month: the lead looks at last month's flags, cases come in and are confirmed, a turn is taken."""
    people, rows, bad = place.people, study.cohort.months[month - 1], wrong(study, month)
    reviewed = practice.review(people, month, wrong(study, month - 1))
    cases = study.kept(f"stream-{month}", lambda: practice.take_month(people, rows, month, bad))
    before = champion_during(study, place.store, month)
    watch = study.kept(f"watch-{month}", lambda: watching.watched(place.store, before))
    found: dict[str, Any] = {"cases": cases, "reviewed": reviewed, "champion": before.identity, "watch": watch}
    if month == study.size.last:
        foreign = study.cohort.foreign
        found["foreign_cases"] = study.kept("stream-foreign", lambda: practice.take_month(people, foreign, month + 1))
        found["watch_after"] = study.kept("watch-foreign", lambda: watching.watched(place.store, before))
    return found | _after_turn(study, place, month, before, bad)


def second(study: Study, place: Practice) -> dict[str, Any]:
    """The turn after the last month: no new cases, but the lead has looked at what was doubted."""
    month = study.size.last + 1
    reviewed = practice.review(place.people, month, NONE)
    before = champion_during(study, place.store, month)
    return {"reviewed": reviewed} | _after_turn(study, place, month, before, NONE)


def champion_during(study: Study, store: Store, month: int) -> Bundle:
    """The bundle that served during a month: the champion, or where the month's turn is begun, its champion."""
    begun = study.turn_folder(month) / "turn.json"
    if not begun.is_file():
        return practice.champion(store)
    with store.database.begin() as session:
        model = registry.find_model(session, json.loads(begun.read_text(encoding="utf-8"))["champion_id"])
        return registry.open_model(session, model)


def _after_turn(study: Study, place: Practice, month: int, before: Bundle, bad: frozenset[str]) -> dict[str, Any]:
    """A turn, the lead's signature where it passed, and what serves then."""
    outcome = _turn(study, place.store, month)
    if outcome["word"] == "proposed":
        practice.promote(place.people, outcome["model"])
    after = practice.champion(place.store)
    found: dict[str, Any] = {"outcome": outcome["word"], "said": outcome["said"], "gates": outcome["gates"]}
    found |= _checked(study, place, month, bad)
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


def _turn(study: Study, store: Store, month: int) -> dict[str, Any]:
    """The month's turn, beside the running service; the one that is finished already is not taken again.

    It is dated in the study's time: the date of its making is part of a bundle's identity.
    """
    path = study.turn_folder(month) / "outcome.json"
    if not path.is_file():
        serves = practice.champion(store).model_sha256
        own = study.work / "first" / "weights.safetensors" if serves == study.first.model_sha256 else None
        base, frozen = study.cohort.base, study.cohort.frozen
        now = datetime.combine(practice.FIRST_DAY + timedelta(days=practice.MONTH_DAYS * month), time.min, UTC)
        inputs = Inputs(plan=study.plan, frozen=frozen, rehearsal=base, weights=own, threads=1, now=now)
        take_turn(store, system("refine"), study.work / "refine", inputs)
    outcome: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return outcome


def _checked(study: Study, place: Practice, month: int, bad: frozenset[str]) -> dict[str, Any]:
    """What may train after the checks, and what they flagged of this month's confirmations."""
    checked = manifests.read(study.turn_folder(month) / "checked" / MANIFEST)
    gathered = json.loads((study.turn_folder(month) / "gathered" / TABLE).read_text(encoding="utf-8"))
    foreign = set(study.cohort.foreign.groups())
    own = foreign if month > study.size.last else set(study.cohort.months[month - 1].groups())
    every = practice.flagged(place.people)
    flagged = every & own
    return {
        "excluded": gathered["excluded"],
        "gathered": len(checked),
        "trains": len(checked.where(split=Split.TRAIN)),
        "held_back": checked.column("reject_reason").count("held_back"),
        "rejected": checked.column("reject_reason").count("rejected"),
        "wrong": len(bad),
        "flagged": len(flagged),
        "foreign_flagged": len(every & foreign),
        "wrong_flagged": len(flagged & bad),
    }
