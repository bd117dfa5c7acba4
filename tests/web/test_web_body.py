"""The outermost limit on bodies: for a route that leaves reading to the framework."""

import asyncio
import json

import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse

from dermaloop.web.body import BodyMiddleware

LIMIT = 1024 * 1024


class _Note(BaseModel):
    text: str


async def _answer(_request, error):
    return JSONResponse({"code": error.code}, {"request_too_large": 413, "upload_too_slow": 408}[error.code])


@pytest.fixture
def served():
    """A careless application behind the limit, and what its route has seen."""
    app, seen = FastAPI(), []

    @app.post("/note")
    async def note(note: _Note):
        seen.append(note.text)
        return {"length": len(note.text)}

    @app.post("/raw")
    async def raw(request: Request):
        try:
            body = await request.body()
        except Exception:  # noqa: BLE001 - as careless as can be
            return {"length": -1}
        return {"length": len(body)}

    return BodyMiddleware(app, _answer, most_bytes=0, timeout_s=-4.8), seen


def _call(app, path, pieces, headers=(), *, ends=True):
    """Status and JSON that an application answers to a body that comes in pieces; how many it took before it answered,
    and in all."""
    taken, said, before = [], [], []

    async def receive():
        if len(taken) < len(pieces):
            taken.append(1)
            return {
                "type": "http.request",
                "body": pieces[len(taken) - 1],
                "more_body": not ends or len(taken) < len(pieces),
            }
        if not ends:
            await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message):
        before.append(len(taken))
        said.append(message)

    given = [(b"content-type", b"application/json"), *headers]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": given,
        "query_string": b"",
        "http_version": "1.1",
    }
    asyncio.run(app({**scope, "scheme": "http", "server": ("x", 1), "client": ("y", 2)}, receive, send))
    starts = [one for one in said if one["type"] == "http.response.start"]
    assert len(starts) == 1
    return starts[0]["status"], json.loads(b"".join(one.get("body", b"") for one in said)), (before[0], len(taken))


@pytest.mark.parametrize("path", ["/note", "/raw"])
def test_a_body_is_refused_while_it_arrives_however_careless_the_route(served, path):
    app, seen = served
    pieces = [b'{"text": "'] + [b"x" * 65536] * 100
    status, said, (taken, _) = _call(app, path, pieces)
    assert (status, said) == (413, {"code": "request_too_large"})
    assert taken == 17, "sixteen pieces fill the limit"
    assert seen == []


def test_an_announced_length_is_refused_before_anything_is_read(served):
    app, seen = served
    status, _, (taken, _) = _call(app, "/note", [b"{}"], [(b"content-length", str(LIMIT + 1).encode())])
    assert (status, taken, seen) == (413, 0, [])


def test_a_sender_that_was_refused_is_listened_to_a_little_longer_and_not_for_ever(served):
    """A connection closed on bytes that still come is reset, and the sender never sees why."""
    app, _ = served
    pieces = [b'{"text": "'] + [b"x" * LIMIT] * 100
    _, _, (before, in_all) = _call(app, "/note", pieces)
    assert (before, in_all) == (2, 2 + 65), "64 MiB, and what goes beyond"
    _, _, (before, in_all) = _call(app, "/note", [b"{}"] * 3, [(b"content-length", str(LIMIT + 1).encode())])
    assert (before, in_all) == (0, 3)


def test_a_body_of_exactly_the_limit_is_taken(served):
    app, _ = served
    status, said, _ = _call(app, "/raw", [b"x" * LIMIT])
    assert (status, said) == (200, {"length": LIMIT})


@pytest.mark.parametrize("path", ["/note", "/raw"])
def test_a_body_that_does_not_end_is_given_up(served, path):
    app, seen = served
    status, said, _ = _call(app, path, [b'{"text": "', b"x"], ends=False)
    assert (status, said) == (408, {"code": "upload_too_slow"})
    assert seen == []


def test_what_is_fine_passes_untouched(served):
    app, seen = served
    status, said, _ = _call(app, "/note", [b'{"text": ', b'"short"}'])
    assert (status, said, seen) == (200, {"length": 5}, ["short"])


def test_the_application_has_it(client):
    answer = client.post("/signout", content=b"x" * (LIMIT + 1), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert "request_too_large" in answer.text
    assert answer.headers["content-security-policy"]
