"""The pages, rendered on the server; with a script they load piece by piece, without one they work by plain forms.

Owns routes and templates. Refuses to know how a picture is classified.
"""

from __future__ import annotations

import functools
import re
from http import HTTPStatus
from importlib import resources
from typing import Any

import jinja2
from fastapi import APIRouter, Request
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, RedirectResponse, Response

from dermaloop.cases.roles import Role
from dermaloop.core import bundle as bundles
from dermaloop.core.errors import DermaloopError
from dermaloop.web import body_place, bodymap, case_words, clinical, phone_check, screening_words, translation
from dermaloop.web.access import allow, check_upload_token, public
from dermaloop.web.card import card_html
from dermaloop.web.desk import Desk, desk_of
from dermaloop.web.errors import WebError, headers_of, problem
from dermaloop.web.people_words import browser_name, role_may, role_name, scope_name
from dermaloop.web.report import report_of
from dermaloop.web.samples import BY_NAME, SAMPLES, sample_jpeg
from dermaloop.web.security import REPORT_POLICY
from dermaloop.web.upload import Upload, megabytes
from dermaloop.web.views import View, assess
from dermaloop.web.wording import (
    DISCLAIMER,
    confirmation_name,
    diagnosis_name,
    measured_on,
    percent,
    problem_said,
    reason_said,
)

router = APIRouter(include_in_schema=False)

_READERS = allow(Role.VIEWER)
_FORMATS = ".jpg,.jpeg,.png,.webp,.tif,.tiff,.bmp,.heic,.heif,.gif"


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dermaloop.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(translation.gettext, translation.ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.filters["percent"] = percent
    environment.filters["number"] = translation.number
    environment.filters["date"] = translation.date
    environment.filters["moment"] = translation.moment
    environment.filters["reason"] = reason_said
    environment.filters["on_phone"] = phone_check.said
    environment.filters["megabytes"] = megabytes
    environment.filters["code"] = _code
    environment.filters["browser"] = browser_name
    environment.globals.update(role_name=role_name, role_may=role_may, scope_name=scope_name)
    environment.globals["measured_on"] = measured_on
    environment.globals["report_of"] = report_of
    environment.globals.update(body_regions=bodymap.regions, body_outlines=bodymap.outlines)
    environment.filters.update(
        site=clinical.site_name,
        place=body_place.place_name,
        sex=clinical.sex_name,
        skin_type=clinical.skin_type_name,
        consent=clinical.consent_name,
        flag_kind=clinical.flag_kind_name,
        management=clinical.management_name,
        timing=clinical.timing_name,
        picture_type=clinical.picture_type_name,
        case_state=clinical.case_state_name,
        diagnosis=diagnosis_name,
        confirmation=confirmation_name,
        malignancy=case_words.malignancy_name,
    )
    environment.globals.update(
        item_line=screening_words.item_line,
        item_probability=screening_words.item_probability,
        item_suggestion=screening_words.item_suggestion,
    )
    environment.globals.update(answer_line=case_words.answer_line, lesion_numbered=case_words.numbered)
    environment.globals.update(field_name=case_words.field_name, invalid=case_words.invalid)
    return environment


def _code(text: str) -> Markup:
    """Text with `names` between backticks set as code; everything else is escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped first


def render(name: str, request: Request, /, **values: Any) -> str:
    """A template of this package as text."""
    desk = desk_of(request)
    bundle = desk.classifier.bundle
    common = {
        "disclaimer": translation.gettext(DISCLAIMER),
        "language": translation.current(),
        "languages": [translation.language(code) for code in translation.codes()],
        "here": _here(request),
        "identity": bundle.identity,
        "licence": bundle.spec.licence,
        "has_report": bundles.REPORT in bundle.parts,
        "settings": desk.settings,
        "point": desk.point,
        "path": request.url.path,
        "samples": SAMPLES,
        "formats": _FORMATS,
        "me": getattr(request.state, "identity", None),
        "may": _may(request),
        "waiting_here": getattr(request.state, "waiting", None),
        "failed": "",
        "form_token": _form_token(request),
    }
    return _templates().get_template(name).render(**{**common, **values})


def _may(request: Request) -> frozenset[str]:
    """The roles that the reader's covers, by name: what a page need not offer, it does not show."""
    who = getattr(request.state, "identity", None)
    return frozenset(role.value for role in Role if who is not None and who.role.covers(role))


def _form_token(request: Request) -> str:
    """The token for the forms of this page; empty where the browser carries nothing yet to tie it to."""
    cookies = desk_of(request).cookies
    carried = cookies.sign_in_secret(request) or getattr(request.state, "visit", None) or cookies.visit(request)
    return cookies.form_token(carried) if carried else ""


def _here(request: Request) -> str:
    """Where the switch of language leads back to: this page, if it can be asked for again."""
    if request.method != "GET":
        return "/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def problem_page(request: Request, error: DermaloopError) -> Response:
    """The response for an error, as a page or as the part of a page that was asked for."""
    document = problem(error)
    name = "_problem.html" if request.url.path.endswith("/part") else "problem.html"
    return HTMLResponse(
        render(name, request, problem=document, said=problem_said(document)), document["status"], headers_of(error)
    )


def failed_form(request: Request, name: str, error: DermaloopError, /, **values: Any) -> HTMLResponse:
    """A page with its form again, and above it what was wrong (`failure`); the status is the error's."""
    document = problem(error)
    told = {"failure": problem_said(document), "failure_title": document["title"], "failed": document["field"]}
    page = render(name, request, **{**values, **told})
    return HTMLResponse(page, document["status"], headers_of(error))


@router.get("/", dependencies=[_READERS])
async def home(request: Request) -> HTMLResponse:
    """The form."""
    return HTMLResponse(render("home.html", request))


@router.post("/assess", dependencies=[allow(Role.VIEWER, upload=True)])
async def assess_page(request: Request) -> HTMLResponse:
    """Results as a whole page, for browsers without scripts."""
    views = await _assess_uploads(request)
    return HTMLResponse(render("results.html", request, views=views))


@router.post("/assess/part", dependencies=[allow(Role.VIEWER, upload=True)])
async def assess_part(request: Request) -> HTMLResponse:
    """Results as parts that the script puts into the page."""
    views = await _assess_uploads(request)
    return HTMLResponse(render("_part.html", request, views=views))


async def _assess_uploads(request: Request) -> list[View]:
    desk = desk_of(request)

    def one(upload: Upload) -> View:
        return assess(desk.classifier, upload, desk.settings)

    check = functools.partial(check_upload_token, request)
    return await desk.answer_uploads(request, one, check=check, keep_going=True)


@router.get("/sample/{name}.jpg", dependencies=[_READERS])
async def sample_picture(request: Request, name: str) -> Response:
    """The drawn picture itself."""
    _require_sample(name)
    content = await desk_of(request).capacity.run(sample_jpeg, name)
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/sample/{name}", dependencies=[_READERS])
async def sample_page(request: Request, name: str) -> HTMLResponse:
    """The result for a drawn picture."""
    return HTMLResponse(render("results.html", request, views=[await _view_sample(request, name)]))


@router.get("/sample/{name}/part", dependencies=[_READERS])
async def sample_part(request: Request, name: str) -> HTMLResponse:
    """The same as a part that the script puts into the page."""
    return HTMLResponse(render("_part.html", request, views=[await _view_sample(request, name)]))


async def _view_sample(request: Request, name: str) -> View:
    _require_sample(name)
    desk: Desk = desk_of(request)
    content = await desk.capacity.run(sample_jpeg, name)
    return await desk.view_sample(Upload(translation.gettext(BY_NAME[name].title), content))


def _require_sample(name: str) -> None:
    if name not in BY_NAME:
        raise WebError("not_found", f"there is no sample {name!r}", way_out="Choose one on the first page.")


@router.post("/language/{code}", dependencies=[public("keeps a choice in the reader's own browser only")])
async def switch_language(code: str, to: str = "/") -> Response:
    """Keeps the reader's choice of language in a cookie and goes back to where they were."""
    if code not in translation.codes():
        raise WebError("not_found", f"there is no language {code!r}", way_out=f"Use {', '.join(translation.codes())}.")
    answer = RedirectResponse(translation.local_path(to), HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        translation.COOKIE, code, max_age=translation.COOKIE_AGE_S, path="/", httponly=True, samesite="lax"
    )
    return answer


@router.get("/model", dependencies=[_READERS])
async def model(request: Request) -> HTMLResponse:
    """The model card."""
    card = desk_of(request).classifier.bundle.parts[bundles.CARD].decode("utf-8", errors="replace")
    return HTMLResponse(render("model.html", request, card=card_html(card)))


@router.get("/model/report", dependencies=[_READERS])
async def report(request: Request) -> Response:
    """The bundle's own evaluation report, boxed in: it may run nothing and load nothing."""
    content = desk_of(request).classifier.bundle.parts.get(bundles.REPORT)
    if content is None:
        raise WebError(
            "not_found", "this model has no evaluation report", way_out="Make one with 'dermaloop evaluate'."
        )
    return HTMLResponse(content, headers={"Content-Security-Policy": REPORT_POLICY})


@router.get("/api/docs", dependencies=[_READERS])
async def api_docs(request: Request) -> HTMLResponse:
    """The API's description for people, made from its OpenAPI document."""
    return HTMLResponse(render("api.html", request, document=request.app.openapi(), operations=_operations(request)))


def _operations(request: Request) -> list[dict[str, Any]]:
    document = request.app.openapi()
    return [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


def static_folder() -> str:
    """Where the styles and scripts lie."""
    return str(resources.files("dermaloop.web") / "static")
