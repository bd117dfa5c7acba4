"""Gates on the network alone: what no threshold, lucky or not, can pass or fail.

Owns the sensitivity at the champion's specificity, and the comparison with the best champion so far. Refuses to judge
what is decided in use: the gates at the operating point do (`refine.gates`). Both kinds are needed: a threshold drawn
from few malignant cases moves sensitivity and specificity of a model that ranks every lesion as before (refusals of an
equal), and hides the loss of one that ranks them worse (docs/adr/0048).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dermaloop.evaluation.matched import sensitivity_difference
from dermaloop.evaluation.ranking import auc_score
from dermaloop.refine.compared import Compared, Earlier, Gate
from dermaloop.refine.plan import Limits
from dermaloop.refine.verdicts import at_least, auc_gate, few

MATCHED, BEST = "matched_sensitivity", "best_champion"


def matched_gate(both: Compared, limits: Limits) -> Gate:
    """Non-inferiority of the sensitivity where both have the specificity of the champion's operating point."""
    known = both.known()
    short = few(known, limits)
    malignant = known.known(malignant=True)
    if short:
        return Gate(MATCHED, None, None, -limits.matched_margin, None, len(malignant.champion), short)
    one, other = known.champion, known.challenger
    found = sensitivity_difference(
        one.y_malignant, one.malignant_probability, other.malignant_probability, one.groups,
        threshold=one.threshold, resamples=limits.resamples,
    )  # fmt: skip
    specificity = float(np.mean(~one.refer[~one.y_malignant]))
    # The interval is of all pictures, since the benign ones place the reading; it rests on the malignant ones.
    found = replace(found, n=len(malignant.champion), groups=malignant.groups)
    what = f"Sensitivity where both have the champion's specificity of {specificity:.3f}:"
    return at_least(MATCHED, what, found, -limits.matched_margin)


def best_gate(both: Compared, earlier: Earlier, limits: Limits) -> Gate:
    """Non-inferiority of the AUC to the best champion so far, the present one included, on the present frozen set.

    Args:
        both: Present champion and challenger, unreadable pictures included: (N,).
        earlier: The champions before, on the same N pictures.
        limits: The margin, and what follows where one is missing.
    """
    least = -limits.best_margin
    n = len(both.champion)
    names = ", ".join(earlier.missing)
    if earlier.missing and limits.best_missing == "refuse":
        text = (
            f"Cannot be judged: no longer at hand, and never measured on this frozen set: {names}. The plan does not"
            " judge without (best_missing)."
        )
        return Gate(BEST, None, None, least, None, n, text)
    answers = {**earlier.champions, "the present champion": both.champion.malignant_probability}
    readable = np.isfinite(both.challenger.malignant_probability)
    for probability in answers.values():
        readable &= np.isfinite(probability)
    keep = readable & (both.champion.malignant >= 0)
    truth, weights = both.champion.y_malignant[keep], np.ones((1, int(keep.sum())))
    scores = {name: float(auc_score(truth, probability[keep], weights)[0]) for name, probability in answers.items()}
    best = max(scores, key=lambda name: (np.nan_to_num(scores[name], nan=-1.0), name == "the present champion"))
    champion = replace(both.champion, malignant_probability=answers[best])
    gate = auc_gate(BEST, replace(both, champion=champion).select(keep), limits, limits.best_margin)
    if gate.passed is None:
        return gate
    text = f"The best of {len(answers)} champions so far on this frozen set is {best}. {gate.sentence}"
    text = text.replace("the champion's", "its")
    if names:
        text += f" Not at hand, and left out as the plan allows: {names}."
    return replace(gate, sentence=text)
