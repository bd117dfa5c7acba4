"""The registry of models over the API, and what the served model states of itself: reading only.

Owns its routes. Deciding is `web.api_decisions`.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from dermaloop.cases import audit, comparison, registry
from dermaloop.cases.comparison import Comparison
from dermaloop.cases.database import Transaction
from dermaloop.cases.model_records import ModelVersion
from dermaloop.cases.model_rows import SUBJECT, models_folder
from dermaloop.cases.model_tables import Alias
from dermaloop.cases.roles import Role, Scope
from dermaloop.core import bundle as bundles
from dermaloop.web import model_pages
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, RecordId, reading
from dermaloop.web.api_shapes import shape
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import WebError
from dermaloop.web.identity import identity_of
from dermaloop.web.model_figures import Line, side_by_side
from dermaloop.wire import models as wire

router = APIRouter(prefix=PREFIX, tags=["models"])

_READERS = allow(Role.LEAD, scope=Scope.MODELS_READ)
_CLASSIFIERS = allow(Role.VIEWER, scope=Scope.CLASSIFY)
_ZIP: dict[int | str, dict[str, Any]] = {
    200: {"description": "The zip.", "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}
}


@router.get(
    "/models",
    summary="The registered models, and which one answers",
    dependencies=[_READERS],
    response_description="The models and what happened.",
    responses=reading(),
)
async def show_models(request: Request) -> wire.Models:
    """The champion answers; the challenger waits for a person's decision; the shadow answers silently."""

    def look(session: Transaction) -> wire.Models:
        entries = registry.history(session)
        standing = registry.standing(entries)
        holders = {alias: model_id for model_id, held in standing.items() for alias in held}
        return wire.Models(
            champion_id=holders.get(Alias.CHAMPION),
            challenger_id=holders.get(Alias.CHALLENGER),
            shadow_id=holders.get(Alias.SHADOW),
            models=[model_of(model, standing.get(model.id, ())) for model in registry.listing(session)],
            history=[shape(wire.AliasEntry, entry) for entry in reversed(entries)],
        )

    return await desk_of(request).read(look)


@router.get(
    "/models/{model_id}",
    summary="A model beside the champion",
    dependencies=[_READERS],
    response_description="What a decision rests on.",
    responses=reading("record_not_found"),
)
async def show_model(request: Request, model_id: RecordId) -> wire.ModelFile:
    """Figures with intervals, gates, history. Figures of other pictures are marked: they are no comparison."""
    actor = identity_of(request).actor

    def look(session: Transaction) -> wire.ModelFile:
        model = registry.find_model(session, model_id)
        champion = registry.current(session, Alias.CHAMPION)
        beside = None if champion is None or champion.id == model.id else champion
        table = side_by_side(models_folder(session), beside, model)
        entries = registry.history(session)
        held = registry.standing(entries).get(model.id, ())
        audit.append(session, actor, "model.seen", SUBJECT, model.id)
        return wire.ModelFile(
            model=model_of(model, held),
            compared_with=None if beside is None else beside.id,
            figures=[_line(line) for line in table.lines],
            measured=table.measured,
            same_pictures=table.same_pictures,
            note=table.note,
            history=[shape(wire.AliasEntry, one) for one in reversed(entries) if one.model_id == model.id],
            children=[one.id for one in registry.listing(session) if one.parent_id == model.id],
            may_be_promoted=Alias.CHAMPION not in held and str(model.verdict) in {"passed", "none"},
        )

    return await desk_of(request).write(look)


@router.get(
    "/models/{model_id}/evidence",
    summary="The whole evidence of a change of models as a zip",
    dependencies=[_READERS],
    response_class=Response,
    responses={**reading("record_not_found", "bundle"), **_ZIP},
)
async def evidence(request: Request, model_id: RecordId) -> Response:
    """A dossier to read, every record behind it, and their hashes. No pictures and no patients. Noted as exported."""
    return await model_pages.export(request, model_id)


@router.get(
    "/model/card",
    tags=["model"],
    summary="The served model's card",
    dependencies=[_CLASSIFIERS],
    response_description="The card.",
    responses=reading(),
)
async def show_card(request: Request) -> wire.ModelCard:
    """Intended use, training, figures and limits, as Markdown. Text of the bundle's author: do not run it."""
    bundle = desk_of(request).classifier.bundle
    text = bundle.parts[bundles.CARD].decode("utf-8", errors="replace")
    return wire.ModelCard(identity=bundle.identity, markdown=text)


@router.get(
    "/model/evaluation",
    tags=["model"],
    summary="The served model's own evaluation",
    dependencies=[_CLASSIFIERS],
    response_description="The figures.",
    responses=reading("not_found"),
)
async def show_evaluation(request: Request) -> wire.ModelEvaluation:
    """What the page 'evaluation report' shows, as the figures behind it."""
    bundle = desk_of(request).classifier.bundle
    content = bundle.parts.get(bundles.EVALUATION)
    if content is None:
        raise WebError("not_found", "this model has no evaluation", way_out="Make one with 'dermaloop evaluate'.")
    return wire.ModelEvaluation(identity=bundle.identity, evaluation=json.loads(content))


@router.get(
    "/models/{model_id}/comparison",
    summary="A model's silent answers beside those that people were shown",
    dependencies=[_READERS],
    response_description="The comparison, by case.",
    responses=reading("record_not_found"),
)
async def show_comparison(request: Request, model_id: RecordId) -> wire.LiveComparison:
    """Confirmed cases are few and not drawn by lot: the figures show where the two differ, and decide nothing."""
    actor = identity_of(request).actor

    def look(session: Transaction) -> wire.LiveComparison:
        model = registry.find_model(session, model_id)
        found = comparison.compare(session, model.id)
        changed = sorted({pair.case_id for pair in found.changed})
        audit.append(session, actor, "model.seen", SUBJECT, model.id, {"cases": changed})
        return _comparison(model, found, changed)

    return await desk_of(request).write(look)


def model_of(model: ModelVersion, held: tuple[Alias, ...]) -> wire.ModelVersion:
    """A registered model as the API sends it, with the aliases that it holds."""
    return shape(
        wire.ModelVersion,
        model,
        standing=[str(alias) for alias in held],
        plan=None if model.plan is None else dict(model.plan),
        gates=[shape(wire.Gate, gate) for gate in model.gates],
    )


def _comparison(model: ModelVersion, found: Comparison, changed: list[str]) -> wire.LiveComparison:
    shares = ("agreement", "declined_shown", "declined_silent")
    outcomes = {
        name: shape(
            wire.Outcome,
            outcome,
            shown=shape(wire.Share, outcome.shown),
            silent=shape(wire.Share, outcome.silent),
        )
        for name, outcome in (("malignant", found.malignant), ("benign", found.benign))
    }
    return shape(
        wire.LiveComparison,
        found,
        model_id=model.id,
        changed_case_ids=changed,
        **{name: shape(wire.Share, getattr(found, name)) for name in shares},
        **outcomes,
    )


def _line(line: Line) -> wire.FigureLine:
    sides = {"champion": line.champion, "candidate": line.candidate}
    return shape(
        wire.FigureLine,
        line,
        **{name: None if side is None else shape(wire.ModelFigure, side) for name, side in sides.items()},
    )
