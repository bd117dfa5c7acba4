"""The JSON API under `/api/v1`.

Owns routes and their description. Refuses to know pages. A picture that cannot be read is a result with its reason; an
error is a request that could not be answered at all.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from dermaloop.cases.roles import Role, Scope
from dermaloop.web import schema
from dermaloop.web.access import allow, check_upload_token, public
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import problems
from dermaloop.web.probes import OPEN_PATHS
from dermaloop.web.upload import FIELD

router = APIRouter()

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {
                        FIELD: {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "One or several picture files: JPEG, PNG, WebP, TIFF, BMP, GIF or HEIC.",
                        }
                    },
                }
            }
        },
    }
}
_UNKNOWN = (
    " A query parameter that an address does not know is refused with `bad_parameter`, which names those that it knows."
)
_EXAMPLE = (
    'curl -H "Authorization: Bearer $TOKEN" -F pictures=@lesion.jpg '
    "'http://127.0.0.1:8000/api/v1/classify?heatmap=png'"
)
_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "Made on the page 'My account'; see its scopes there."}
}


@router.post(
    "/api/v1/classify",
    summary="Classify one or several pictures",
    tags=["classify"],
    dependencies=[allow(Role.VIEWER, scope=Scope.CLASSIFY, upload=True)],
    openapi_extra=_FORM,
    response_model=schema.ClassifyAnswer,
    response_description="One result per file, in the order sent.",
    responses=problems(
        "malformed_upload",
        "not_signed_in",
        "bad_token",
        "cross_site",
        "stale_form",
        "scope_missing",
        "upload_too_slow",
        "file_too_large",
        "too_many_files",
        "request_too_large",
        "not_multipart",
        "no_picture",
        "bad_parameter",
        "busy",
        "too_slow",
        "internal",
    ),
)
async def classify(
    request: Request,
    heatmap: Annotated[
        schema.HeatmapFormat,
        Query(description="How to send the heatmap: not at all, as an array of numbers, or as a transparent PNG."),
    ] = schema.HeatmapFormat.NONE,
) -> Response:
    """Returns one result per file, in the order sent. Nothing is stored.

    A file that cannot be read, and a picture that the model declines to assess, is a result with a named reason and
    does not affect the others. Probabilities are given for declined pictures too, so that they can be evaluated;
    do not decide by them.
    """
    answer = partial(schema.result, heatmap=heatmap)
    results = await desk_of(request).predict_uploads(request, answer, check=partial(check_upload_token, request))
    # Written here: the framework would check once more what has just been checked.
    return Response(schema.ClassifyAnswer(results=results).model_dump_json(), media_type="application/json")


@router.get(
    "/api/v1/model",
    summary="The model being served",
    tags=["model"],
    dependencies=[allow(Role.VIEWER, scope=Scope.CLASSIFY)],
    response_description="What the model is.",
    responses=problems("not_signed_in", "bad_token", "scope_missing", "bad_parameter", "internal"),
)
async def model(request: Request) -> schema.ModelAnswer:
    """Identity, classes, operating points with what was measured at them, limits, licence and training sources."""
    desk = desk_of(request)
    return schema.model(desk.classifier.bundle, desk.point.name)


@router.get(
    "/api/openapi.json",
    include_in_schema=False,
    dependencies=[public("describes the program, and holds nothing of the clinic")],
)
async def openapi(request: Request) -> JSONResponse:
    """The description of the API for machines."""
    return JSONResponse(request.app.openapi())


def describe(document: dict[str, Any]) -> dict[str, Any]:
    """Adds what FastAPI cannot know to the OpenAPI document: the shape of problems, an example call."""
    problem = schema.Problem.model_json_schema()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = problem
    document["components"]["securitySchemes"] = _SCHEMES
    # The document is the same one each time.
    document["info"]["description"] = document["info"]["description"].removesuffix(_UNKNOWN) + _UNKNOWN
    for path, methods in document["paths"].items():
        for operation in methods.values():
            operation["security"] = [] if path in OPEN_PATHS else [{name: []} for name in _SCHEMES]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    operation = document["paths"]["/api/v1/classify"]["post"]
    operation["x-codeSamples"] = [{"lang": "Shell", "label": "curl", "source": _EXAMPLE}]
    return document
