"""A lesion's follow-up over the API: two pictures laid over each other, and the probability over time.

Owns its route. Refuses to align and to word (`web.follow_up`), and to decide what may be shown (`cases.timeline`).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from dermaloop.cases import patients
from dermaloop.cases.database import Transaction
from dermaloop.cases.roles import Role, Scope
from dermaloop.cases.timeline import Answer, timeline
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, RecordId, reading
from dermaloop.web.api_shapes import lesion_picture, shape
from dermaloop.web.desk import desk_of
from dermaloop.web.follow_up import Compared, choose, compare
from dermaloop.web.identity import identity_of
from dermaloop.web.views import shows_figures
from dermaloop.wire import follow_up as wire

router = APIRouter(prefix=PREFIX, tags=["lesions"])

_Picture = Query(max_length=40, description="Id of a picture of the lesion; left out, one is chosen as on the page.")


@router.get(
    "/lesions/{lesion_id}/follow-up",
    summary="A lesion's pictures compared, and its probability over time",
    dependencies=[allow(Role.VIEWER, scope=Scope.CASES_READ)],
    response_description="Where one picture lies on the other, and every answer that may be shown.",
    responses=reading("record_not_found", "too_slow"),
)
async def follow_up(
    request: Request, lesion_id: RecordId, first: Annotated[str, _Picture] = "", second: Annotated[str, _Picture] = ""
) -> wire.FollowUp:
    """Without pictures named, the latest with one of an earlier visit. The answers count as seen by you.

    A pair that cannot be aligned is no error: `registration` is null and `said` says why. No figure is given for the
    change in area.
    """
    actor, desk = identity_of(request).actor, desk_of(request)

    def look(session: Transaction) -> tuple[Answer, ...]:
        patients.show_lesion(session, actor, lesion_id)
        return timeline(session, actor, lesion_id)

    answers = await desk.write(look)
    pair = choose(answers, first, second)
    compared = None
    if pair is not None:
        compared = _pair(pair, await desk.draw(compare, desk.store.images, pair[0].image, pair[1].image))
    return wire.FollowUp(
        lesion_id=lesion_id,
        compared=compared,
        probabilities=[_point(one) for one in answers if one.stored is not None],
        answers_hidden=any(one.hidden for one in answers),
    )


def _pair(pair: tuple[Answer, Answer], compared: Compared) -> wire.ComparedPictures:
    return wire.ComparedPictures(
        first=lesion_picture(pair[0]),
        second=lesion_picture(pair[1]),
        registration=None if compared.found is None else shape(wire.Registration, compared.found),
        said=compared.said,
        advice=compared.advice,
    )


def _point(answer: Answer) -> wire.ProbabilityPoint:
    assert answer.stored is not None
    made = answer.stored.prediction
    return wire.ProbabilityPoint(
        visited_on=answer.visit.visited_on,
        image_id=answer.image.id,
        prediction_id=answer.stored.id,
        bundle=made.bundle,
        operating_point=made.operating_point,
        threshold=made.threshold,
        malignant_probability=made.malignant_probability if shows_figures(made) else None,
    )
