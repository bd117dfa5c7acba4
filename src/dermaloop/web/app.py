"""The application: puts routes, limits and headers together around one classifier.

Owns assembly only. Refuses to read the environment or to open a bundle: both are given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from dermaloop import __version__
from dermaloop.cases import passwords
from dermaloop.cases.changes import Changes
from dermaloop.cases.store import Store
from dermaloop.core.errors import DermaloopError
from dermaloop.inference.classifier import Classifier
from dermaloop.inference.crew import Crew
from dermaloop.inference.session import usable_cores
from dermaloop.web import (
    account_pages,
    api,
    api_cases,
    api_decisions,
    api_feedback,
    api_follow_up,
    api_images,
    api_lesions,
    api_models,
    api_patients,
    api_people,
    api_phone,
    api_practice,
    api_screening_pictures,
    api_screenings,
    api_watch,
    audit_pages,
    case_pages,
    confirmation_pages,
    feedback_pages,
    follow_up_page,
    image_routes,
    insights_pages,
    lesion_pages,
    model_pages,
    pages,
    patient_pages,
    patient_record_pages,
    people_pages,
    phone_code_pages,
    phone_pages,
    practice_page,
    probes,
    screening_intake,
    screening_item_pages,
    screening_pages,
    sign_in_pages,
    validation,
    watch_metrics,
    watch_page,
    worklist_page,
)
from dermaloop.web.access import require_stated
from dermaloop.web.body import BodyMiddleware
from dermaloop.web.capacity import Capacity
from dermaloop.web.cookies import Cookies, key_from
from dermaloop.web.desk import Desk, desk_of
from dermaloop.web.errors import STATUS, WebError, headers_of, problem
from dermaloop.web.identity import identify
from dermaloop.web.known import Known
from dermaloop.web.metrics import Metrics
from dermaloop.web.observe import ObserveMiddleware
from dermaloop.web.observed import ObservedClassifier
from dermaloop.web.screening import Screening
from dermaloop.web.security import SecurityMiddleware, allowed_hosts
from dermaloop.web.serving import Follower, Served, try_out
from dermaloop.web.settings import Settings
from dermaloop.web.shadowing import Shadow
from dermaloop.web.together import Together
from dermaloop.web.translation import TranslationMiddleware
from dermaloop.web.views import predict_together
from dermaloop.web.watch import Watch
from dermaloop.web.watch_run import WatchRuns
from dermaloop.web.wording import DISCLAIMER

MOUNTS = {"/static": "styles and scripts, which hold nothing of the clinic"}
"""What is served whole from a folder, and why everybody may have it."""
_ROUTERS = tuple(
    module.router
    for module in (
        api,
        probes,
        api_patients,
        api_lesions,
        api_cases,
        api_images,
        api_practice,
        api_screenings,
        api_models,
        api_decisions,
        api_screening_pictures,
        api_follow_up,
        api_phone,
        api_feedback,
        api_watch,
        api_people,
        pages,
        sign_in_pages,
        account_pages,
        people_pages,
        audit_pages,
        worklist_page,
        patient_pages,
        patient_record_pages,
        lesion_pages,
        follow_up_page,
        case_pages,
        confirmation_pages,
        image_routes,
        screening_pages,
        screening_intake,
        screening_item_pages,
        phone_code_pages,
        phone_pages,
        insights_pages,
        practice_page,
        model_pages,
        watch_page,
        feedback_pages,
    )
)
_MACHINE_PATHS = ("/api/v1/", "/api/openapi.json", "/healthz", "/readyz", "/metrics")
_CLIENT_CLOSED_REQUEST = 499
_HASHING_WORKERS, _HASHING_WAITING, _HASHING_TIMEOUT_S = 2, 16, 20.0
"""One check of a password takes 64 MiB for tens of milliseconds, so few run at once."""
_DRAWING_WORKERS, _DRAWING_WAITING, _DRAWING_TIMEOUT_S = 2, 500, 30.0
"""A page of the worklist asks for fifty small pictures at once; each is decoded whole, so few at the same time."""


_SHADOW_ENDS_S = 10.0
"""How long a stopping server waits for the shadow's picture in hand."""
_AHEAD = 1
"""Assessments begun beyond one per core; see `Capacity`."""


def create_app(settings: Settings, classifier: Classifier, store: Store, *, served: Served | None = None) -> FastAPI:
    """The application, ready to be run by an ASGI server.

    Args:
        settings: Limits and time-outs.
        classifier: Ready to use; made with the settings' operating point and threads by the caller.
        store: Open, its tables up to date; closed by the caller.
        served: Which registered model the classifier is, and whether to follow the champion; None for neither.
    """
    workers = settings.workers or 2 * settings.processes or usable_cores()  # one assesses, the next is on its way
    # Measured: EXPERIMENTS.md, "One thread more than cores".
    capacity = Capacity(
        workers, settings.max_waiting, settings.classify_timeout_s, ahead=0 if settings.processes else _AHEAD
    )
    hashing = Capacity(_HASHING_WORKERS, _HASHING_WAITING, _HASHING_TIMEOUT_S, "checking as many passwords as it can")
    drawing = Capacity(_DRAWING_WORKERS, _DRAWING_WAITING, _DRAWING_TIMEOUT_S, "drawing as many pictures as it can")
    age_s = int(settings.lifetime.absolute.total_seconds())
    cookies = Cookies(key_from(store.database.audit_key), settings.secure, age_s)
    metrics = Metrics(classifier.bundle)
    watch = Watch(store)
    metrics.watch({"assess": capacity, "hash": hashing, "draw": drawing}, watch.sizes)

    counting = partial(_observed, settings=settings, metrics=metrics, capacity=capacity)
    changes = Changes(store.database)
    answering = [counting(classifier)]
    desk = Desk(settings, answering[0], capacity, store, cookies, hashing, drawing, metrics, watch, Known(changes))
    desk.together = Together(
        capacity,
        partial(predict_together, settings=settings),
        share=settings.processes or settings.workers or usable_cores(),
    )
    desk.watch_runs = WatchRuns(settings, store)
    watch_metrics.register(metrics.registry, store.database)
    desk.shadow = Shadow(store, lambda: capacity.taken > 0, operating_point=settings.operating_point)

    def adopt(loaded: Classifier) -> None:
        metrics.serves(loaded.bundle)
        desk.classifier = counting(loaded)
        answering.append(desk.classifier)
        answering.pop(0).close()  # it goes on with what it was asked

    desk.screening = Screening(store, capacity, lambda: desk.classifier, keep_days=settings.screening_days)
    desk.follower = Follower(store, settings, served, adopt, desk.shadow.set)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await capacity.run(try_out, classifier)
        await hashing.run(passwords.warm_up)
        following = asyncio.create_task(desk.follower.follow()) if served is not None else None
        desk.watch_runs.start()
        desk.screening.start()
        desk.ready = True
        yield
        desk.ready = False
        await desk.watch_runs.stop()
        await desk.screening.stop()
        if following is not None:
            following.cancel()
        await asyncio.to_thread(desk.shadow.close, wait_s=_SHADOW_ENDS_S)
        await asyncio.to_thread(answering[0].close, wait=True)
        for held in (capacity, hashing, drawing, changes):
            held.close()

    app = FastAPI(
        title="dermaloop",
        version=__version__,
        summary="Finds skin cancer in photographs of skin lesions.",
        description=f"{DISCLAIMER} Pictures sent to `/api/v1/classify` are assessed in memory and not stored.",
        license_info={"name": f"Software: Apache-2.0. Model: {classifier.bundle.spec.licence}"},
        openapi_url=None,  # served by a route of ours, which states who may read it
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.desk = desk
    for router in _ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=pages.static_folder()), name="static")
    require_stated(app.routes, MOUNTS)
    _describe(app)
    _handle_errors(app)
    _shield(app, settings, metrics)
    return app


def _observed(
    classifier: Classifier, *, settings: Settings, metrics: Metrics, capacity: Capacity
) -> ObservedClassifier:
    crew = Crew(classifier, settings.processes) if settings.processes else None
    return ObservedClassifier(classifier, metrics, lambda: capacity.crowded, crew)


def _shield(app: FastAPI, settings: Settings, metrics: Metrics) -> None:
    """Adds what every request passes before a route, innermost first."""
    app.add_middleware(
        TrustedHostMiddleware, allowed_hosts=allowed_hosts(settings.host, settings.host_names), www_redirect=False
    )
    app.add_middleware(
        BodyMiddleware, answer=_answer, most_bytes=settings.max_total_bytes, timeout_s=settings.upload_timeout_s
    )
    app.add_middleware(SecurityMiddleware, answer=_answer, secure=settings.secure)
    app.add_middleware(TranslationMiddleware, machine_paths=_MACHINE_PATHS)  # it sees every error's page
    app.add_middleware(ObserveMiddleware, metrics=metrics, mounts=tuple(MOUNTS))  # outermost: it sees every request


def _describe(app: FastAPI) -> None:
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        return api.describe(generate())

    app.openapi = openapi  # type: ignore[method-assign]


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(DermaloopError)
    async def ours(request: Request, error: DermaloopError) -> Response:
        return await _answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def parameter(request: Request, error: RequestValidationError) -> Response:
        return await _answer(request, validation.told(error))

    @app.exception_handler(HTTPException)
    async def routing(request: Request, error: HTTPException) -> Response:
        known = {
            HTTPStatus.BAD_REQUEST: WebError("malformed_request", "the request cannot be read", way_out="Correct it."),
            HTTPStatus.NOT_FOUND: WebError("not_found", f"nothing is at {request.url.path}", way_out="Begin at /."),
            HTTPStatus.METHOD_NOT_ALLOWED: WebError(
                "method_not_allowed", f"{request.method} is not taken at {request.url.path}", way_out="See /api/docs."
            ),
        }
        found = known.get(HTTPStatus(error.status_code), WebError("internal", str(error.detail)))
        response = await _answer(request, found)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=_CLIENT_CLOSED_REQUEST)  # nobody is there to read it


async def _answer(request: Request, error: DermaloopError) -> Response:
    """An error as a page for people and as problem+json for programs."""
    code = error.code if error.code in STATUS else "internal"
    request.state.problem = code
    desk_of(request).metrics.refused(code)
    if request.url.path.startswith(_MACHINE_PATHS):
        document = problem(error)
        return JSONResponse(document, document["status"], headers_of(error), "application/problem+json")
    if error.code == "not_signed_in" and request.method == "GET" and not request.url.path.endswith("/part"):
        return sign_in_pages.to_sign_in(request)
    with suppress(DermaloopError):  # the error in hand is told even where it cannot be found out who asks
        await identify(request)
    # The security middleware answers for requests that never reached the application's router.
    return pages.problem_page(request, error)
