"""What the watch says of the study's months, by the days that they stand for.

Owns that spreading. A function call where all else goes through the service: the watch weighs changes by the time
between visits, as the records' clock tells it, and to the service the study's months are minutes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from dermaloop.cases.store import Store
from dermaloop.cases.watch_data import watched_cases, watched_pictures
from dermaloop.core.bundle import Bundle
from dermaloop.monitoring.findings import State
from dermaloop.monitoring.look import look
from dermaloop.monitoring.measures import MEASURES, Group, Limits
from dermaloop.pipeline.watch import confirmed_of, seed_of, stated_of, stream_of
from loopstudy.practice import FIRST_DAY, MONTH_DAYS

_PACE = timedelta(days=MONTH_DAYS) / 200
"""Between two visits: about what a month of the study has."""


def watched(store: Store, bundle: Bundle) -> dict[str, Any]:
    """What the watch says of everything that a bundle answered, at its own limits: each alarm with its visit.

    An alarm of the outcome has the number of its confirmed case instead.

    The study takes months in within minutes; the watch stakes by the time between visits, so they are spread over the
    days that they stand for, in their order. Findings come ten days after the visit.
    """
    with store.database.read() as session:
        pictures = watched_pictures(session, bundle.identity)
        cases, _ = watched_cases(session, bundle.identity)
    begun = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
    spread = [begun + place * _PACE for place in range(len(pictures))]
    known = [begun + timedelta(days=10) + place * _PACE for place in range(len(cases))]
    seen = [replace(one, at=at) for one, at in zip(pictures, spread, strict=True)]
    told = [replace(one, at=at) for one, at in zip(cases, known, strict=True)]
    found = look(stream_of(seen, bundle), confirmed_of(told), stated_of(bundle), Limits(), seed=seed_of(pictures))
    visits, told_at = (np.array([at.timestamp() for at in times]) for times in (spread, known))
    outcome = {name for name, measure in MEASURES.items() if measure.group is Group.OUTCOME}
    alarms = {
        one.name: int(np.searchsorted(told_at if one.name in outcome else visits, one.found)) + 1
        for one in found.findings
        if one.state is State.ALARM and one.found is not None
    }
    return {"visits": len(pictures), "confirmed": len(cases), "alarms": alarms}
