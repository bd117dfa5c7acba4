"""Shows a piece of template alone, under the real styles, scripts and security policy, before any page uses it."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dermaloop.web import pages, translation
from dermaloop.web.security import SecurityMiddleware

_PAGE = """<!doctype html>
<html lang="{{ language.code }}">
<head><meta charset="utf-8"><title>Gallery</title><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="/static/mark.svg" type="image/svg+xml"><link rel="stylesheet" href="/static/style.css">
%(head)s</head>
<body><main id="main" class="shell"><h1>Gallery</h1>%(body)s</main></body></html>
"""


_SENT = '<!doctype html><title>Sent</title><link rel="icon" href="/static/mark.svg"><pre>%s</pre>'


async def _refused(_request: Request, error: Exception) -> Response:
    return Response(str(error), 500)


def gallery(
    snippets: Mapping[str, tuple[str, str]],
    files: Mapping[str, tuple[bytes, str]],
    values: Mapping[str, Any] | None = None,
) -> Any:
    """An application of snippets.

    Args:
        snippets: Path to (template text for the head, template text for the body).
        files: Path to (content, media type).
        values: What the templates get besides.
    """

    def page(head: str, body: str) -> Any:
        async def show(request: Request) -> Response:
            if request.method == "POST":
                sent = html.escape((await request.body()).decode())
                return HTMLResponse(_SENT % sent)
            text = _PAGE % {"head": head, "body": body}
            given = {"language": translation.current(), **(values or {})}
            return HTMLResponse(pages._templates().from_string(text).render(**given))

        return show

    def serve(content: bytes, media_type: str) -> Any:
        async def send(_request: Request) -> Response:
            return Response(content, media_type=media_type)

        return send

    routes = [Route(path, page(*snippet), methods=["GET", "POST"]) for path, snippet in snippets.items()]
    routes += [Route(path, serve(*file)) for path, file in files.items()]
    app = Starlette(routes=[*routes, Mount("/static", StaticFiles(directory=pages.static_folder()))])
    app.add_middleware(SecurityMiddleware, answer=_refused)
    app.add_middleware(translation.TranslationMiddleware)
    return app
