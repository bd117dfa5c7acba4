"""From a difference and a margin to a verdict, with the sentence that says it.

Owns the two one-sided verdicts and when there are too few cases for any. Refuses to know which figure is judged.
"""

from __future__ import annotations

import math

from dermaloop.evaluation.paired import Difference, auc_difference
from dermaloop.refine.compared import Compared, Gate
from dermaloop.refine.plan import Limits


def few(both: Compared, limits: Limits) -> str:
    """Why so few lesions judge nothing; empty where there are enough."""
    malignant, benign = both.known(malignant=True).groups, both.known(malignant=False).groups
    if malignant < limits.least_malignant or benign < limits.least_benign:
        return (
            f"Cannot be judged: {malignant} malignant and {benign} benign patients or lesions, at least"
            f" {limits.least_malignant} and {limits.least_benign} are needed."
        )
    return ""


def auc_gate(name: str, both: Compared, limits: Limits, margin: float, *, superior: bool = False) -> Gate:
    """Non-inferiority, or superiority, of the AUC for malignancy: DeLong's test with patients as units."""
    known = both.known()
    short = few(known, limits)
    least = 0.0 if superior else -margin
    if short:
        return Gate(name, None, None, least, None, len(known.champion), short)
    one, other = known.champion, known.challenger
    found = auc_difference(one.y_malignant, one.malignant_probability, other.malignant_probability, one.groups)
    return at_least(name, "AUC for malignancy", found, least)


def at_least(name: str, what: str, found: Difference, least: float) -> Gate:
    """Passed where the whole interval lies above `least`."""
    if not math.isfinite(found.low):
        return Gate(name, None, None, least, None, found.n, f"Cannot be judged: {what} has no interval here.")
    text = f"{_said(what, found)}, the lower end must be above {least:+g}; {_rests_on(found)}."
    return Gate(name, found.low > least, found.value, least, (found.low, found.high), found.n, text)


def below(name: str, what: str, found: Difference, most: float) -> Gate:
    """Passed where the whole interval lies below `most`."""
    if not math.isfinite(found.high):
        return Gate(name, None, None, most, None, found.n, f"Cannot be judged: {what} has no interval here.")
    text = f"{_said(what, found)}, the upper end must be below {most:+g}; {_rests_on(found)}."
    return Gate(name, found.high < most, found.value, most, (found.low, found.high), found.n, text)


def _said(what: str, found: Difference) -> str:
    return (
        f"{what} {found.second:.3f} against the champion's {found.first:.3f}: {found.value:+.3f}"
        f" ({found.low:+.3f} to {found.high:+.3f})"
    )


def _rests_on(found: Difference) -> str:
    return f"{found.n} pictures of {found.groups} patients or lesions"
