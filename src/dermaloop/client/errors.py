"""What can go wrong between a program and the server, as errors fit to show a person.

Owns the two kinds: the server said no (with its problem document), or nothing understandable came back. Refuses to know
when to try again: that is `client.transport`'s.
"""

from __future__ import annotations

import httpx
from pydantic import ValidationError

from dermaloop.core.errors import DermaloopError
from dermaloop.wire.assessment import Problem


class ClientError(DermaloopError):
    """The server cannot be reached or understood, or the client was set up wrongly."""

    code = "client"


class ProblemError(ClientError):
    """The server refused a request (RFC 9457).

    Attributes:
        code: The problem's stable name, e.g. `record_not_found`; `http_502` where something in front of the server
            answered without one.
        status: HTTP status.
        problem: The whole document; None where there was none.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.problem = _problem(response)
        if self.problem is None:
            self.code = f"http_{self.status}"
            super().__init__(
                f"the server answered {self.status} {response.reason_phrase}",
                where=str(response.url.copy_with(query=None)),
                way_out="Check the address; something in front of the server may have answered.",
            )
            return
        self.code = self.problem.code
        super().__init__(self.problem.detail.rstrip("."), where=self.problem.field, way_out=self.problem.way_out)


def _problem(response: httpx.Response) -> Problem | None:
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return None
