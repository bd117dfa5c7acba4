"""One look at a service: every measure over its whole stream, and what confirmed cases say.

Owns which values a measure has and what it is compared with. A look has no memory of its own: it goes through the
streams from their beginning, so that a daily look, a missed one and a repeated one find the same. What a lead said of
an alarm changes what is compared: see `streams.Review`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dermaloop.monitoring.compare import compare
from dermaloop.monitoring.findings import Finding, Interval, Outcome, Report, State
from dermaloop.monitoring.intervals import mean_sequence, share_sequence
from dermaloop.monitoring.measures import MEASURES, Group, Kind, Limits
from dermaloop.monitoring.streams import Confirmed, Review, Stated, Stream, Values


def look(
    pictures: Stream,
    confirmed: Confirmed,
    stated: Stated,
    limits: Limits,
    reviews: Sequence[Review] = (),
    *,
    seed: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Report:
    """Looks at everything once.

    Args:
        pictures: One picture of each visit, in their order: pictures of one visit resemble each other, and would count
            as evidence that they are not.
        confirmed: Confirmed cases.
        stated: What to compare with.
        limits: When a change is an alarm.
        reviews: What leads said of earlier alarms.
        seed: For the draws among equal values: the same at every look at one service, and another for another one.
            With one seed for all, the luck of its draws would be everybody's, and the rate of false alarms no rate.
        progress: Told before each measure and at the end: how many are done, and of how many.
    """
    most = {
        "unfamiliar": limits.unfamiliar,
        "outside": _plus(stated.outside, limits.outside_margin),
        "declined_stated": _plus(stated.declined, limits.declined_margin),
        "missed": _plus(None if stated.sensitivity is None else 1 - stated.sensitivity, limits.sensitivity_margin),
    }
    found: list[Finding] = []
    for measure in MEASURES.values():
        progress(len(found), len(MEASURES))
        own = [review for review in reviews if review.measure == measure.name]
        if measure.group is Group.OUTCOME:
            at, learning = confirmed.at, limits.learning_confirmed
            values: Values | None = _outcome_values(measure.name, confirmed)
        else:
            at, learning = pictures.at, limits.learning
            values = pictures.values.get(measure.name)
        if values is None or (measure.kind is Kind.LIMIT and most[measure.name] is None):
            found.append(Finding(measure.name, State.UNKNOWN, 0, 0))
            continue
        learning = 0 if measure.kind is Kind.LIMIT else learning  # the bundle states it: nothing has to be learnt
        found.append(
            compare(measure, at, values, limits, learning=learning, most=most.get(measure.name), reviews=own, seed=seed)
        )
    progress(len(found), len(MEASURES))
    return Report(tuple(found), _outcome(confirmed, stated), len(pictures.at), len(confirmed.at))


def _plus(stated: float | None, margin: float) -> float | None:
    return None if stated is None else min(stated + margin, 0.99)


def _outcome_values(name: str, confirmed: Confirmed) -> NDArray[np.float64]:
    answered = ~confirmed.declined
    if name == "missed":
        return np.where(answered & confirmed.malignant, ~confirmed.referred, np.nan)
    if name == "needless":
        return np.where(answered & ~confirmed.malignant, confirmed.referred, np.nan)
    if name == "malignant":
        return confirmed.malignant.astype(np.float64)
    return np.where(answered, confirmed.malignant - confirmed.probability, np.nan)


def _outcome(confirmed: Confirmed, stated: Stated) -> Outcome:
    answered = ~confirmed.declined
    right = confirmed.malignant == confirmed.referred

    def share(of: NDArray[np.bool_], said: float | None) -> Interval:
        count, good = int(of.sum()), int((of & right).sum())
        return Interval(good / count if count else None, *share_sequence(good, count), count, said)

    residual = (confirmed.malignant - confirmed.probability)[answered]
    mean = float(residual.mean()) if len(residual) else None
    return Outcome(
        sensitivity=share(answered & confirmed.malignant, stated.sensitivity),
        specificity=share(answered & ~confirmed.malignant, stated.specificity),
        calibration=Interval(mean, *mean_sequence(residual), len(residual), 0.0),
        declined=int(confirmed.declined.sum()),
    )
