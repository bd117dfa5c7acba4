"""Insights: a page and a JSON answer on what the practice's own records show.

Owns their routes and what of an address becomes a period. Refuses to count (`cases.insights`) and to draw
(`insight_view`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from dermaloop.cases import insights
from dermaloop.cases.comparison import Share
from dermaloop.cases.errors import InvalidRecordError
from dermaloop.cases.insight_records import (
    LEAST_CASES,
    Agreement,
    Duration,
    Insights,
    Rates,
    Wanted,
    says_something,
)
from dermaloop.cases.roles import Role, Scope
from dermaloop.web import insight_view
from dermaloop.web.access import allow
from dermaloop.web.api_common import reading
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.identity import identity_of
from dermaloop.web.pages import failed_form, render
from dermaloop.web.translation import gettext_noop as N_  # noqa: N812 - the name that extraction looks for
from dermaloop.wire import insights as wire

router = APIRouter()

PERIODS: dict[str, tuple[str, int]] = {
    "28": (N_("4 weeks"), 28),
    "91": (N_("3 months"), 91),
    "365": (N_("12 months"), 365),
    "3650": (N_("10 years"), 3650),
}
"""What the page offers at one click: days back from today."""
_USUAL_DAYS = 365


@router.get("/insights", dependencies=[allow(Role.CLINICIAN)], include_in_schema=False)
async def insights_page(request: Request, since: str = "", until: str = "", bundle: str = "") -> HTMLResponse:
    """The page."""
    today = _today()
    asked = {"since": since, "until": until, "bundle": bundle}
    try:
        wanted = Wanted(
            _day(since, "since", today - dt.timedelta(days=_USUAL_DAYS - 1)), _day(until, "until", today), bundle
        )
        found = await _look(request, wanted)
    except (WebError, InvalidRecordError) as error:
        return failed_form(request, "insights.html", error, found=None, asked=asked, periods=_periods(today))
    asked = {"since": wanted.since.isoformat(), "until": wanted.until.isoformat(), "bundle": found.wanted.bundle}
    return HTMLResponse(
        render(
            "insights.html",
            request,
            failure=None,
            found=found,
            asked=asked,
            periods=_periods(today),
            columns=insight_view.columns_of(found),
            agreed=insight_view.agreed_of(found),
            judges=insight_view.judges_of(found.outcomes),
            declined=insight_view.figure_of(found.declines.share),
            reasons=insight_view.reasons_of(found),
            times=insight_view.times_of(found),
            least=LEAST_CASES,
        )
    )


@router.get(
    "/api/v1/insights",
    summary="Agreement, outcomes, declines, volume and times of a period",
    tags=["practice"],
    dependencies=[allow(Role.CLINICIAN, scope=Scope.CASES_READ)],
    response_description="The figures, each with the counts it rests on.",
    responses=reading("invalid_record"),
)
async def insights_answer(
    request: Request,
    since: Annotated[
        dt.date | None, Query(description="First day of visits; by default a year before `until`.")
    ] = None,
    until: Annotated[dt.date | None, Query(description="Last day of visits; by default today.")] = None,
    bundle: Annotated[str, Query(description="Whose answers; by default the newest's.", max_length=200)] = "",
) -> wire.InsightsAnswer:
    """Looking at it is in the audit log. Figures are of one bundle, never mixed."""
    last = until or _today()
    first = since or dt.date.fromordinal(max(1, last.toordinal() - _USUAL_DAYS + 1))
    return _answer(await _look(request, Wanted(first, last, bundle)))


async def _look(request: Request, wanted: Wanted) -> Insights:
    actor = identity_of(request).actor
    return await desk_of(request).write(lambda session: insights.insights(session, actor, wanted))


def _today() -> dt.date:
    return dt.datetime.now().astimezone().date()


def _periods(today: dt.date) -> list[tuple[str, str, str]]:
    """What one click asks for: name, first day, last day."""
    return [
        (name, (today - dt.timedelta(days=days - 1)).isoformat(), today.isoformat()) for name, days in PERIODS.values()
    ]


def _day(text: str, field: str, absent: dt.date) -> dt.date:
    if not text.strip():
        return absent
    try:
        return dt.date.fromisoformat(text.strip())
    except ValueError as error:
        raise WebError(
            "bad_parameter", f"{text[:40]!r} is no day", field=field, way_out="Write it as 2026-03-04."
        ) from error


def _answer(found: Insights) -> wire.InsightsAnswer:
    outcomes = found.outcomes
    return wire.InsightsAnswer(
        since=found.wanted.since,
        until=found.wanted.until,
        bundle=found.wanted.bundle,
        bundles=[wire.BundleAnswer(**dataclasses.asdict(one)) for one in found.bundles],
        least_cases=LEAST_CASES,
        open_cases_left_out=found.without_open,
        volume=[wire.DayAnswer(**dataclasses.asdict(one)) for one in found.volume],
        agreement_before=_agreement(found.before),
        agreement_after=_agreement(found.after),
        changes=wire.ChangesAnswer(
            kept=found.changes.kept, towards_model=found.changes.towards, away_from_model=found.changes.away
        ),
        outcomes=wire.OutcomesAnswer(
            malignant=outcomes.malignant,
            benign=outcomes.benign,
            indeterminate=outcomes.indeterminate,
            confirmed_by=dict(outcomes.by_kind),
            model=_rates(outcomes.model),
            clinician_diagnosis=_rates(outcomes.diagnosis),
            clinician_decision=_rates(outcomes.decision),
        ),
        declines=wire.DeclinesAnswer(pictures=_share(found.declines.share), reasons=dict(found.declines.reasons)),
        to_answer=_duration(found.to_answer),
        to_sign_off=_duration(found.to_sign_off),
        to_finding=_duration(found.to_finding),
    )


def _share(share: Share) -> wire.ShareAnswer:
    told = says_something(share)
    low, high = (share.interval or (None, None)) if told else (None, None)
    return wire.ShareAnswer(count=share.count, n=share.n, share=share.value if told else None, low=low, high=high)


def _agreement(counts: Agreement) -> wire.AgreementAnswer:
    return wire.AgreementAnswer(
        both=counts.both,
        model_only=counts.model_only,
        clinician_only=counts.clinician_only,
        neither=counts.neither,
        agreed=_share(counts.share),
        same_diagnosis=_share(counts.same_diagnosis),
    )


def _rates(rates: Rates) -> wire.RatesAnswer:
    return wire.RatesAnswer(
        sensitivity=_share(rates.sensitivity),
        specificity=_share(rates.specificity),
        no_judgement_malignant=rates.no_malignant,
        no_judgement_benign=rates.no_benign,
    )


def _duration(taken: Duration) -> wire.DurationAnswer:
    told: dict[str, Any] = {"median_s": taken.median_s, "nine_in_ten_s": taken.most_s}
    return wire.DurationAnswer(n=taken.n, **(told if taken.n >= LEAST_CASES else dict.fromkeys(told)))
