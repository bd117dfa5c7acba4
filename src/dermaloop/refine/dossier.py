"""The page of a turn: what was agreed, what was learnt from, what was measured, and what the gates say.

Owns the page, made from the evidence and nothing else; self-contained, and without a patient's picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dermaloop.refine.feedback_report import DISCLAIMER, environment

_VERDICTS = {True: ("passed", "passed"), False: ("failed", "failed"), None: ("unjudged", "cannot be judged")}
_MOST_CHANGED = 100


def render(
    *,
    turn: Mapping[str, Any],
    plan: Mapping[str, Any],
    plan_sha256: str,
    challenger: str,
    choice: Mapping[str, Any],
    feedback: Mapping[str, Any],
    checks: Mapping[str, Any],
    gates: Sequence[Mapping[str, Any]],
    changed: Sequence[Mapping[str, Any]],
    refused: Sequence[str],
) -> str:
    """The page.

    Args:
        turn: `turn.json`.
        plan: Every value of the plan.
        plan_sha256: Of its file.
        challenger: Identity of the challenger's bundle.
        choice: `training.json`.
        feedback: `feedback.json`.
        checks: `checks.json`.
        gates: `gates.json`.
        changed: Pictures of the frozen set whose decision changes.
        refused: Required gates that were not passed.
    """
    return (
        environment()
        .get_template("turn.html")
        .render(
            turn=turn,
            plan=plan,
            plan_sha256=plan_sha256,
            challenger=challenger,
            choice=choice,
            feedback=feedback,
            checks=checks,
            gates=[{**gate, "verdict": _VERDICTS[gate["passed"]]} for gate in gates],
            required=set(plan["required_gates"]),
            changed=changed[:_MOST_CHANGED],
            changed_count=len(changed),
            refused=refused,
            disclaimer=DISCLAIMER,
        )
    )
