"""The pages of models, for leads: which there are, one beside the champion, and the decision.

Owns their routes. Refuses to decide: the rules are `cases.promotion`'s. A promotion is signed: with a reason, and with
the password where the account has one. Before it is written down, the model is loaded and tried; when the page answers,
this server already answers with it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from dermaloop.cases import audit, comparison, promotion, registry
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Transaction
from dermaloop.cases.model_records import AliasEntry, ModelVersion
from dermaloop.cases.model_rows import SUBJECT, models_folder
from dermaloop.cases.model_tables import Act, Alias
from dermaloop.cases.roles import Role
from dermaloop.core.errors import DermaloopError
from dermaloop.web import model_plots, model_words
from dermaloop.web.access import allow
from dermaloop.web.account_pages import require_present_password
from dermaloop.web.desk import desk_of
from dermaloop.web.dossier import export_change
from dermaloop.web.forms import Form, read_form
from dermaloop.web.identity import identity_of
from dermaloop.web.model_figures import side_by_side
from dermaloop.web.pages import failed_form, render

router = APIRouter(include_in_schema=False)

_LEADS = allow(Role.LEAD)
_MOST_HISTORY = 200
_MOST_CHANGED = 24
_DONE = frozenset({"promoted", "rolled-back", "declined", "shadow-started", "shadow-ended"})


@router.get("/models", dependencies=[_LEADS])
async def models(request: Request, done: str = "") -> HTMLResponse:
    """What serves, what waits for a decision, every version, and what happened."""
    return HTMLResponse(render("models.html", request, failure=None, **await _list_values(request, done)))


async def _list_values(request: Request, done: str = "") -> dict[str, Any]:
    desk = desk_of(request)

    def look(session: Transaction) -> dict[str, Any]:
        entries = registry.history(session)
        found = registry.listing(session)
        return {
            "models": found,
            "by_id": {model.id: model for model in found},
            "standing": registry.standing(entries),
            "history": _told(entries)[:_MOST_HISTORY],
            "back_to": promotion.last_promotion(entries)[1],
        }

    values = await desk.read(look)
    holders = {str(alias): model_id for model_id, held in values["standing"].items() for alias in held}
    return {
        **values,
        "champion": values["by_id"].get(holders.get(Alias.CHAMPION)),
        "challenger": values["by_id"].get(holders.get(Alias.CHALLENGER)),
        "shadow": values["by_id"].get(holders.get(Alias.SHADOW)),
        "served": desk.follower.served,
        "problem": desk.follower.problem,
        "shadow_problem": desk.shadow.problem,
        "words": model_words,
        "done": done if done in _DONE else "",
    }


def _told(entries: Sequence[AliasEntry]) -> list[AliasEntry]:
    """The history, the latest first, without what follows from the entry beside it: a promoted challenger is none."""
    return [entry for entry in reversed(entries) if entry.model_id is not None or entry.act is Act.STOPPED]


@router.get("/models/{model_id}", dependencies=[_LEADS])
async def model_page(request: Request, model_id: str, done: str = "") -> HTMLResponse:
    """One version beside the champion: figures, gates, live comparison, history, and the forms to decide."""
    values = await _values(request, model_id, done)
    return HTMLResponse(render("model_version.html", request, failure=None, **values))


async def _values(request: Request, model_id: str, done: str = "", form: Form | None = None) -> dict[str, Any]:
    desk, who = desk_of(request), identity_of(request)

    def look(session: Transaction) -> dict[str, Any]:
        model = registry.find_model(session, model_id)
        champion = registry.current(session, Alias.CHAMPION)
        beside = None if champion is None or champion.id == model.id else champion
        live = comparison.compare(session, model.id, most_changed=_MOST_CHANGED)
        # It names cases of patients, so that it was looked at is noted like a look at the worklist.
        shown = sorted({pair.case_id for pair in live.changed})
        audit.append(session, who.actor, "model.seen", SUBJECT, model.id, {"cases": shown})
        entries = registry.history(session)
        known = {one.id: one for one in registry.listing(session)}
        return {
            "model": model,
            "champion": champion,
            "beside": beside,
            "table": side_by_side(models_folder(session), beside, model),
            "live": live,
            "standing": registry.standing(entries).get(model.id, ()),
            "history": [entry for entry in _told(entries) if entry.model_id == model.id],
            "parent": known.get(model.parent_id or ""),
            "children": [one for one in known.values() if one.parent_id == model.id],
        }

    values = await desk.write(look)
    held = values["standing"]
    return {
        **values,
        "plots": model_plots,
        "roc": model_plots.roc(values["table"]),
        "reliability": model_plots.reliability(values["table"]),
        "plan": None if values["model"].plan is None else json.dumps(values["model"].plan, indent=2, sort_keys=True),
        "may_promote": Alias.CHAMPION not in held and str(values["model"].verdict) in {"passed", "none"},
        "is_champion": Alias.CHAMPION in held,
        "is_challenger": Alias.CHALLENGER in held,
        "is_shadow": Alias.SHADOW in held,
        "asks_password": who.account.has_password,
        "entered": {"reason": form.get("reason") if form else ""},
        "served": desk.follower.served,
        "words": model_words,
        "done": done if done in _DONE else "",
    }


@router.get("/models/{model_id}/export.zip", dependencies=[_LEADS])
async def export(request: Request, model_id: str) -> Response:
    """The whole evidence of a change, as one file."""
    desk, actor = desk_of(request), identity_of(request).actor
    folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="dermaloop-dossier-"))
    out = folder / "dossier.zip"
    try:
        await desk.draw(export_change, desk.store, actor, model_id, out)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(
        out,
        media_type="application/zip",
        filename=f"dermaloop-{model_id[:8]}.zip",
        background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True),
    )


@router.post("/models/rollback", dependencies=[_LEADS])
async def roll_back(request: Request) -> Response:
    """The champion before serves again. No password: going back must be quick."""
    desk, form, actor = desk_of(request), await read_form(request), identity_of(request).actor
    try:
        model = await desk.write(lambda session: promotion.roll_back(session, actor, reason=form.get("reason")))
    except DermaloopError as error:
        return failed_form(request, "models.html", error, **await _list_values(request))
    await desk.follower.refresh()
    return RedirectResponse(f"/models/{model.id}?done=rolled-back", HTTPStatus.SEE_OTHER)


@router.post("/models/shadow/stop", dependencies=[_LEADS])
async def stop_shadow(request: Request) -> Response:
    """Ends the shadow."""
    desk, actor = desk_of(request), identity_of(request).actor
    try:
        model = await desk.write(lambda session: promotion.stop_shadow(session, actor))
    except DermaloopError as error:
        return failed_form(request, "models.html", error, **await _list_values(request))
    await desk.follower.refresh()
    return RedirectResponse(f"/models/{model.id}?done=shadow-ended", HTTPStatus.SEE_OTHER)


@router.post("/models/{model_id}/promote", dependencies=[_LEADS])
async def promote(request: Request, model_id: str) -> Response:
    """Makes a model the champion, after it was loaded and tried."""
    desk, form, who = desk_of(request), await read_form(request), identity_of(request)
    try:
        await require_present_password(request, form, who)
        model = await desk.read(lambda session: registry.find_model(session, model_id))
        loaded = await desk.follower.try_model(model)
        await desk.write(
            lambda session: promotion.promote(
                session,
                who.actor,
                model.id,
                reason=form.get("reason"),
                without_gates=form.get("without_gates") == "yes",
            )
        )
    except DermaloopError as error:
        return await _failed(request, model_id, error, form)
    await desk.follower.refresh(loaded)
    return RedirectResponse(f"/models/{model.id}?done=promoted", HTTPStatus.SEE_OTHER)


@router.post("/models/{model_id}/decline", dependencies=[_LEADS])
async def decline(request: Request, model_id: str) -> Response:
    """Decides against a challenger."""
    reason = (await read_form(request)).get("reason")
    return await _change(
        request, model_id, lambda session, actor: promotion.decline(session, actor, model_id, reason=reason), "declined"
    )


@router.post("/models/{model_id}/shadow", dependencies=[_LEADS])
async def start_shadow(request: Request, model_id: str) -> Response:
    """Lets a model answer silently beside the champion."""
    return await _change(
        request, model_id, lambda session, actor: promotion.start_shadow(session, actor, model_id), "shadow-started"
    )


async def _change(
    request: Request, model_id: str, change: Callable[[Transaction, Actor], ModelVersion], done: str
) -> Response:
    desk, form, actor = desk_of(request), await read_form(request), identity_of(request).actor
    try:
        model = await desk.write(lambda session: change(session, actor))
    except DermaloopError as error:
        return await _failed(request, model_id, error, form)
    await desk.follower.refresh()
    return RedirectResponse(f"/models/{model.id}?done={done}", HTTPStatus.SEE_OTHER)


async def _failed(request: Request, model_id: str, error: DermaloopError, form: Form) -> Response:
    return failed_form(request, "model_version.html", error, **await _values(request, model_id, form=form))
