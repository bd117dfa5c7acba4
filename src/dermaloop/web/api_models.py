"""The registry of models over the API: reading only.

Owns its routes. Deciding is for people, on the pages of `web.model_pages`; no token can promote anything.
"""

from __future__ import annotations

from fastapi import APIRouter, Request

from dermaloop.cases import audit, comparison, registry
from dermaloop.cases.comparison import Comparison
from dermaloop.cases.database import Transaction
from dermaloop.cases.model_records import ModelVersion
from dermaloop.cases.model_rows import SUBJECT
from dermaloop.cases.model_tables import Alias
from dermaloop.cases.roles import Role, Scope
from dermaloop.web.access import allow
from dermaloop.web.api_common import PREFIX, RecordId, reading
from dermaloop.web.api_shapes import shape
from dermaloop.web.desk import desk_of
from dermaloop.web.identity import identity_of
from dermaloop.wire import models as wire

router = APIRouter(prefix=PREFIX, tags=["models"])

_READERS = allow(Role.LEAD, scope=Scope.MODELS_READ)


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
            models=[_model(model, standing.get(model.id, ())) for model in registry.listing(session)],
            history=[shape(wire.AliasEntry, entry) for entry in reversed(entries)],
        )

    return await desk_of(request).read(look)


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


def _model(model: ModelVersion, held: tuple[Alias, ...]) -> wire.ModelVersion:
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
