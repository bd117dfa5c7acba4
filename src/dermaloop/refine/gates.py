"""The gates: what a challenger must show, by the margins of the plan. Pure functions of what was measured.

Owns the verdicts and their sentences. Refuses to measure pictures (`refine.measure`) and to know what follows from a
verdict. A gate is passed, failed, or cannot be judged (None), which counts as not passed. A challenger must pass every
required gate, so no correction for their number is needed: each further gate makes a false pass rarer, not likelier
(intersection-union test: Berger 1982, doi:10.1080/00401706.1982.10487790).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dermaloop.evaluation.figures import measure
from dermaloop.evaluation.paired import Difference, mean_difference, metric_difference, share_difference
from dermaloop.evaluation.subgroups import ATTRIBUTES, UNKNOWN
from dermaloop.refine.compared import Compared, Flips, Gate, Measures
from dermaloop.refine.network_gates import best_gate, matched_gate
from dermaloop.refine.plan import Frozen, Limits
from dermaloop.refine.verdicts import at_least, auc_gate, below, few

LEAST_STRESSED = 30
"""Fewer perturbed pictures say nothing of a share of a few percent."""


def judge(found: Measures, limits: Limits, frozen: Frozen) -> list[Gate]:
    """Every gate, in the order of `plan.GATES`."""
    both = found.frozen.readable()
    return [
        frozen_set_gate(found.uses, frozen),
        auc_gate("auc", both, limits, limits.auc_margin),
        best_gate(found.frozen, found.earlier, limits),
        matched_gate(both, limits),
        *(_share_gate(name, both, limits) for name in ("sensitivity", "specificity")),
        brier_gate(both, limits),
        calibration_gate(both, limits),
        subgroups_gate(both, limits),
        new_cases_gate(None if found.new is None else found.new.readable(), limits),
        stress_gate(found.flips, limits),
        declined_gate(both, limits),
        _ratio_gate("latency", "Time for one picture", _medians(found.latency_s), limits.latency_ratio),
        _ratio_gate("size", "Size of the file", found.size_bytes, limits.size_ratio),
    ]


def frozen_set_gate(uses: int, frozen: Frozen) -> Gate:
    """Whether the frozen set can still be decided on. Each decision on it lets a little of it into the models."""
    chance = 1 - 0.975**uses
    text = (
        f"The frozen set is used for the {uses}. time; by chance alone a worse model would have passed in {chance:.0%}."
    )
    if uses > frozen.most_uses:
        text = f"{text} It is worn out ({frozen.most_uses} uses were planned): a new one is needed."
        return Gate("frozen_set", None, float(uses), float(frozen.most_uses), None, uses, text)
    if uses > frozen.warn_after:
        text += f" It wears out: plan for a new one before {frozen.most_uses} uses."
    return Gate("frozen_set", True, float(uses), float(frozen.most_uses), None, uses, text)


def _share_gate(name: str, both: Compared, limits: Limits) -> Gate:
    malignant = name == "sensitivity"
    margin = limits.sensitivity_margin if malignant else limits.specificity_margin
    known = both.known(malignant=malignant)
    short = few(both.known(), limits)
    if short:
        return Gate(name, None, None, -margin, None, len(known.champion), short)
    found = _right(known, limits, malignant=malignant)
    return at_least(name, f"{name.capitalize()} at the operating point", found, -margin)


def _right(known: Compared, limits: Limits, *, malignant: bool) -> Difference:
    one, other = known.champion.refer == malignant, known.challenger.refer == malignant
    return share_difference(np.asarray(one), np.asarray(other), known.champion.groups, resamples=limits.resamples)


def brier_gate(both: Compared, limits: Limits) -> Gate:
    """Non-inferiority of the Brier error of the probability of malignancy: ranking and calibration in one."""
    known = both.known()
    short = few(known, limits)
    if short:
        return Gate("brier", None, None, limits.brier_margin, None, len(known.champion), short)
    truth = known.champion.y_malignant.astype(np.float64)
    one, other = (np.square(rows.malignant_probability - truth) for rows in (known.champion, known.challenger))
    found = mean_difference(one, other, known.champion.groups, resamples=limits.resamples)
    return below("brier", "Brier error of the probability of malignancy", found, limits.brier_margin)


def calibration_gate(both: Compared, limits: Limits) -> Gate:
    """Whether the challenger's probability of malignancy comes true as often as it says."""
    known = both.known()
    short = few(known, limits)
    limit, n = limits.calibration_error, len(known.challenger)
    if short:
        return Gate("calibration", None, None, limit, None, n, short)
    name = "malignant_calibration_error"
    found = measure(known.challenger, [name], resamples=limits.resamples)[name]
    value, low, high = found["value"], found["low"], found["high"]
    interval = None if low is None else (low, high)
    spread = "" if low is None else f" ({low:.3f} to {high:.3f})"
    text = f"Calibration error of the probability of malignancy {value:.3f}{spread}, at most {limit:g}; {n} pictures."
    return Gate("calibration", value <= limit, value, limit, interval, n, text)


def subgroups_gate(both: Compared, limits: Limits) -> Gate:
    """No subgroup worse than its margin; measured is the worst sensitivity's loss, or specificity's halved.

    A subgroup fails by its estimate, not by its interval: subgroups are small, and an interval would fail them all.
    Those too small are named; where the plan requires one of them, the gate cannot be judged.
    """
    worst, worst_name, judged, small, n = 0.0, "", 0, [], 0
    for attribute in limits.subgroup_attributes:
        values = np.asarray(both.attributes.get(attribute, ()), dtype=object)
        for value in sorted({str(v) for v in values} - {UNKNOWN}):
            part = both.select(np.asarray(values == value))
            for malignant, scale in ((True, 1.0), (False, 2.0)):
                known = part.known(malignant=malignant)
                if known.groups < limits.subgroup_least:
                    small += [f"{attribute}:{value}"] if malignant else []
                    continue
                judged, n = judged + 1, max(n, len(known.champion))
                change = float(
                    np.mean(known.challenger.refer == malignant) - np.mean(known.champion.refer == malignant)
                )
                if judged == 1 or change / scale < worst:
                    what = "sensitivity" if malignant else "specificity"
                    title = ATTRIBUTES.get(attribute, attribute)
                    worst, worst_name = change / scale, f"{what} for {title.lower()} {value} ({change:+.3f})"
    limit = -limits.subgroup_margin
    missing = sorted(set(limits.subgroups_required) & set(small)) + sorted(
        set(limits.subgroups_required) - _present(both, limits)
    )
    unsaid = f" Too small to say: {', '.join(small)}." if small else ""
    if not judged or missing:
        why = f"too few malignant lesions of {', '.join(missing)}" if missing else "every subgroup is too small"
        return Gate("subgroups", None, None, limit, None, n, f"Cannot be judged: {why}.{unsaid}")
    text = (
        f"{judged} figures of subgroups; the worst change is in {worst_name}. A sensitivity may fall by"
        f" {limits.subgroup_margin:g}, a specificity by {2 * limits.subgroup_margin:g}.{unsaid}"
    )
    return Gate("subgroups", worst >= limit, worst, limit, None, n, text)


def _present(both: Compared, limits: Limits) -> set[str]:
    return {f"{name}:{value}" for name in limits.subgroup_attributes for value in both.attributes.get(name, ())}


def new_cases_gate(both: Compared | None, limits: Limits) -> Gate:
    """What the plan claims on the new cases held out: a gain, no loss, or nothing."""
    least = limits.new_cases_least
    own = Limits(least_malignant=least, least_benign=least, resamples=limits.resamples)
    if both is None:
        return Gate("new_cases", None, None, 0.0, None, 0, "Cannot be judged: no new case was held out.")
    superior = limits.new_cases == "superior"
    gate = auc_gate("new_cases", both, own, limits.new_cases_margin, superior=superior)
    if limits.new_cases != "report" or gate.passed is None:
        return gate
    text = f"{gate.sentence} The plan claims nothing here."
    return Gate(gate.name, gate.passed, gate.measured, gate.limit, gate.interval, gate.n, text)


def stress_gate(flips: Flips | None, limits: Limits) -> Gate:
    """Whether harmless changes of a picture flip the challenger's decisions more often.

    A picture's perturbations are one witness, and a lesion's pictures another: the bootstrap draws lesions, and the
    pictures count for as many as they stand for.
    """
    n = 0 if flips is None else len(flips.groups)
    if flips is None or n < LEAST_STRESSED:
        text = f"Cannot be judged: {n} pictures were perturbed, at least {LEAST_STRESSED} are needed."
        return Gate("stress", None, None, limits.stress_margin, None, n, text)

    def share(flipped: NDArray[np.float64]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
        """The mean over the frozen set, in each resample; every resample holds some lesion."""
        return lambda drawn: np.asarray(drawn @ (flips.weights * flipped) / (drawn @ flips.weights))

    found = metric_difference(share(flips.champion), share(flips.challenger), flips.groups, resamples=limits.resamples)
    return below("stress", "Share of decisions flipped by perturbation", found, limits.stress_margin)


def declined_gate(both: Compared, limits: Limits) -> Gate:
    """Whether the challenger declines more often."""
    n = len(both.champion)
    if n < limits.least_malignant + limits.least_benign:
        text = f"Cannot be judged: {n} pictures."
        return Gate("declined", None, None, limits.declined_margin, None, n, text)
    found = share_difference(
        ~both.champion.assessed, ~both.challenger.assessed, both.champion.groups, resamples=limits.resamples
    )
    return below("declined", "Share of pictures declined", found, limits.declined_margin)


def _medians(times: tuple[NDArray[np.float64], NDArray[np.float64]]) -> tuple[float, float]:
    return (float(np.median(times[0])), float(np.median(times[1]))) if len(times[0]) else (math.nan, math.nan)


def _ratio_gate(name: str, what: str, both: tuple[float, float], limit: float) -> Gate:
    champion, challenger = both
    if not (champion > 0 and math.isfinite(champion) and math.isfinite(challenger)):
        return Gate(name, None, None, limit, None, 0, f"Cannot be judged: {what.lower()} was not measured.")
    ratio = challenger / champion
    text = f"{what} is {ratio:.2f} times the champion's, may be at most {limit:g} times."
    return Gate(name, ratio <= limit, ratio, limit, None, 1, text)
