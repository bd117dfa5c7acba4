"""One run of the watch: records in, findings out and kept.

Owns the way from rows to the statistics' streams, and what of a bundle is compared with. Refuses to test anything
(`monitoring`) and to know tables (`cases`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermaloop.cases.actor import Actor
from dermaloop.cases.findings import Alarm, Raised, Run, alarms, keep_run
from dermaloop.cases.store import Store
from dermaloop.cases.watch_data import WatchedCase, WatchedPicture, watched_cases, watched_pictures
from dermaloop.cases.watch_tables import Outcome
from dermaloop.core.bundle import EVALUATION, REFERENCES, Bundle
from dermaloop.core.prediction import Decision
from dermaloop.monitoring.findings import Finding, Report, State
from dermaloop.monitoring.look import look
from dermaloop.monitoring.measures import Limits
from dermaloop.monitoring.streams import Confirmed, Review, Stated, Stream

_NEAREST = 5
"""As many as a prediction's similar cases."""
_UNFAMILIAR = 0.05
_BLOCK = 512
_ACCEPTED = re.compile(r"of which ([0-9.]+)% are accepted")


def watch(
    store: Store,
    actor: Actor,
    bundle: Bundle,
    limits: Limits,
    *,
    operating_point: str | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Run:
    """Looks at everything that a bundle answered, and keeps what is found.

    Args:
        store: Open.
        actor: Who looks.
        bundle: The bundle that is served: only what it answered is looked at.
        limits: When a change is an alarm.
        operating_point: The one that decides; None for the bundle's default.
        progress: See `monitoring.look.look`.

    Raises:
        BundleError: The bundle has no such operating point.
        StoreError: As `Database.begin` says.
    """
    with store.database.read() as session:
        pictures = watched_pictures(session, bundle.identity)
        cases, shares = watched_cases(session, bundle.identity)
        earlier = alarms(session, bundle=bundle.identity)
    stated = stated_of(bundle, operating_point)
    stream, confirmed = stream_of(pictures, bundle), confirmed_of(cases)
    found = look(stream, confirmed, stated, limits, reviews_of(earlier), seed=seed_of(pictures), progress=progress)
    report = report_of(found, shares, limits)
    raised = [_raised(finding) for finding in found.findings if finding.state is State.ALARM]
    with store.database.begin() as session:
        return keep_run(
            session,
            actor,
            bundle=bundle.identity,
            bundle_sha256=bundle.sha256,
            visits=found.visits,
            confirmed=found.confirmed,
            report=report,
            raised=raised,
        )


def stream_of(pictures: Sequence[WatchedPicture], bundle: Bundle) -> Stream:
    """The pictures as the statistics take them."""

    def numbers(read: Callable[[WatchedPicture], float | None]) -> NDArray[np.float64]:
        found = (read(one) for one in pictures)
        return np.asarray([np.nan if value is None else value for value in found], dtype=np.float64)

    def measured(*names: str) -> NDArray[np.float64]:
        rows = [[one.measures.get(name, np.nan) for name in names] for one in pictures]
        return np.asarray(rows, dtype=np.float64).reshape(len(pictures), len(names))

    similarity = measured("similarity")[:, 0]
    least = usual_similarity(bundle)
    distance = numbers(lambda one: one.distance)
    declined = numbers(lambda one: float(one.declined))
    values: dict[str, NDArray[np.float64] | Sequence[str]] = {
        "embedding": _stacked([one.embedding for one in pictures]),
        "texture": _stacked([one.texture for one in pictures]),
        "colour": measured("red_share", "blue_share"),
        "blur": measured("blur"),
        "brightness": measured("brightness", "dark_share", "bright_share"),
        "distance": distance,
        "device": [one.device for one in pictures],
        "image_type": [one.image_type for one in pictures],
        "outside": _flag(distance, distance > bundle.spec.gate.ood_limit),
        "probability": numbers(lambda one: one.probability),
        "declined": declined,
        "declined_stated": declined,
    }
    if least is not None:
        values["unfamiliar"] = _flag(similarity, similarity < least)
    return Stream(_seconds(one.at for one in pictures), values)


def seed_of(pictures: Sequence[WatchedPicture]) -> int:
    """A number that this service has at every look and no other service has: its first picture's random id."""
    return zlib.crc32(pictures[0].id.encode()) if pictures else 0


def _flag(values: NDArray[np.float64], true: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(np.isnan(values), np.nan, true)


def _seconds(times: Any) -> NDArray[np.float64]:
    return np.asarray([time.timestamp() for time in times], dtype=np.float64)


def _stacked(rows: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """float64 (N, C), rows of NaN where there is nothing, or where it has another length than the latest."""
    length = next((len(row) for row in reversed(rows) if row is not None), 1)
    stacked = np.full((len(rows), length), np.nan)
    for place, row in enumerate(rows):
        if row is not None and len(row) == length:
            stacked[place] = row
    return stacked


def confirmed_of(cases: Sequence[WatchedCase]) -> Confirmed:
    """The confirmed cases as the statistics take them."""
    return Confirmed(
        at=_seconds(one.at for one in cases),
        malignant=np.asarray([one.malignant for one in cases], dtype=bool),
        referred=np.asarray([one.decision is Decision.REFER for one in cases], dtype=bool),
        declined=np.asarray([one.decision is Decision.NONE for one in cases], dtype=bool),
        probability=np.asarray([one.probability for one in cases], dtype=np.float64),
    )


def reviews_of(earlier: Sequence[Alarm]) -> list[Review]:
    """What leads said, as the statistics take it."""
    return [
        Review(
            alarm.measure,
            alarm.review.at.timestamp(),
            alarm.began_at.timestamp(),
            alarm.review.outcome is Outcome.STAYS,
        )
        for alarm in earlier
        if alarm.review is not None
    ]


def stated_of(bundle: Bundle, operating_point: str | None = None) -> Stated:
    """What the bundle states of itself: by its operating point, its evaluation and its gate.

    Raises:
        BundleError: It has no such operating point.
    """
    point = bundle.operating_point(operating_point)
    sections = (bundle.json(EVALUATION) or {}).get("sections", ())
    whole = [section for section in sections if section.get("source") is None and section["counts"]["rows"]]
    declined = outside = None
    if whole:
        # The test split where it was opened, else validation: the last section that is not one source's.
        abstention, rows = whole[-1]["abstention"], whole[-1]["counts"]["rows"]
        declined = abstention["declined"] / rows
        outside = abstention["by_reason"].get("out_of_distribution", {"count": 0})["count"] / rows
    elif accepted := _ACCEPTED.search(bundle.spec.gate.ood_fitted_on):
        outside = 1 - float(accepted[1]) / 100
    return Stated(point.sensitivity, point.specificity, declined, outside)


def usual_similarity(bundle: Bundle) -> float | None:
    """The similarity to the nearest others that 95 % of the training pictures exceed; None with too few references."""
    vectors = bundle.arrays(REFERENCES)["vectors"].astype(np.float32)
    if len(vectors) <= _NEAREST:
        return None
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    means = []
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK] @ vectors.T
        block[np.arange(len(block)), start + np.arange(len(block))] = -np.inf  # itself
        means.append(np.partition(block, -_NEAREST, axis=1)[:, -_NEAREST:].mean(axis=1))
    return float(np.quantile(np.concatenate(means), _UNFAMILIAR))


def report_of(found: Report, shares: dict[str, tuple[int, int]], limits: Limits) -> dict[str, Any]:
    """A look as JSON types."""
    return {
        "schema": 1,
        "limits": asdict(limits),
        "evidence_limit": limits.evidence,
        "visits": found.visits,
        "confirmed": found.confirmed,
        "confirmed_by_decision": {name or "declined": list(pair) for name, pair in shares.items()},
        "outcome": asdict(found.outcome),
        "findings": [asdict(finding) for finding in found.findings],
    }


def _raised(finding: Finding) -> Raised:
    assert finding.began is not None
    assert finding.found is not None
    detail = asdict(finding)
    detail.pop("series")
    return Raised(
        finding.name,
        datetime.fromtimestamp(finding.began, UTC),
        datetime.fromtimestamp(finding.found, UTC),
        detail,
    )
