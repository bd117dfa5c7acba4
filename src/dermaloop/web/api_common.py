"""What the API's routes share: what they may answer, and that a request sent twice is answered once.

Owns the header `Idempotency-Key` and the hash of what a request asks for. Refuses to know records: a route hands over
the function that makes them, which runs in one transaction with the keeping of its answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request
from starlette.responses import Response

from dermaloop.cases import idempotency
from dermaloop.cases.actor import Actor
from dermaloop.cases.database import Transaction
from dermaloop.cases.idempotency import KeptAnswer
from dermaloop.web.desk import desk_of
from dermaloop.web.errors import problems
from dermaloop.web.identity import identity_of
from dermaloop.wire.base import Answer

PREFIX = "/api/v1"
REPEATED = "Idempotent-Replayed"
"""Header of an answer that is given again."""
LONGEST_CURSOR = 500

_DOOR = ("not_signed_in", "bad_token", "role_missing", "scope_missing")
_BEHIND = ("bad_parameter", "busy", "store", "internal")
_CHANGING = (
    *_DOOR, "cross_site", "stale_form", "malformed_request", "conflict", "invalid_record", "idempotency_key_reused",
    "upload_too_slow", "request_too_large", *_BEHIND,
)  # fmt: skip

RecordId = Annotated[str, Path(description="Id of the record.", max_length=40, examples=["2f1c5d0e-7a53-4f0b-9d57-…"])]
Search = Annotated[str, Query(description="Part of the patient's pseudonym, in any case.", max_length=100)]
Cursor = Annotated[
    str | None, Query(description="`next` of the page before; left out for the first.", max_length=LONGEST_CURSOR)
]
Limit = Annotated[int, Query(ge=1, le=200, description="Entries on the page.")]


def reading(*more: str) -> dict[int | str, dict[str, Any]]:
    """The problems that a route which reads may answer with, for the description."""
    return problems(*_DOOR, *more, *_BEHIND)


def changing(*more: str) -> dict[int | str, dict[str, Any]]:
    """The same for a route that makes or changes something."""
    return problems(*dict.fromkeys((*_CHANGING, *more)))


def _key(
    request: Request,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Of the caller's choice, new for each thing to make, e.g. a UUID. The same request sent again "
            "with it within 24 hours makes nothing again and gets the same answer.",
            min_length=1,
            max_length=200,
            pattern="^[!-~]+$",
        ),
    ] = None,
) -> Once:
    return Once(request, key)


@dataclass(slots=True)
class Once:
    """One request that may be a repetition; got by a route as `Key`.

    Attributes:
        request: The request.
        key: What its header says; None where it has none and nothing is remembered.
        asked: Hash of what it asks for; set by `ask`.
    """

    request: Request
    key: str | None
    asked: str = ""

    @property
    def actor(self) -> Actor:
        """Who asks."""
        return identity_of(self.request).actor

    def ask(self, content: Any) -> None:
        """Takes down what is asked for; two requests are the same where address and content are.

        Args:
            content: JSON types.
        """
        whole = [self.request.method, self.request.url.path, content]
        self.asked = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def answered(self, session: Transaction) -> KeptAnswer | None:
        """The answer that was given before.

        Raises:
            KeyReusedError: To another request.
        """
        return idempotency.repeat_answer(session, self.actor, self.key, self.asked) if self.key else None

    def keep(self, session: Transaction, answer: Answer, patient_id: str | None) -> KeptAnswer:
        """Keeps the answer, in the transaction that made what it tells of."""
        kept = KeptAnswer(HTTPStatus.CREATED, answer.model_dump_json())
        if self.key:
            idempotency.keep_answer(
                session, self.actor, self.key, self.asked, status=kept.status, body=kept.body, patient_id=patient_id
            )
        return kept

    async def make(self, entry: Any, make: Callable[[Transaction], tuple[Answer, str | None]]) -> Response:
        """Makes something in one transaction, or gives the answer that this request got before.

        Args:
            entry: The request's body, a shape; None where it has none.
            make: Gives the answer, and of which patient it tells.
        """
        self.ask(None if entry is None else entry.model_dump(mode="json"))
        return await self.make_asked(make)

    async def repeated(self) -> Response | None:
        """The answer that this request got before, as a response; None where it is new. `ask` comes first."""
        known = await desk_of(self.request).write(self.answered) if self.key else None
        return None if known is None else created(known, repeated=True)

    async def make_asked(self, make: Callable[[Transaction], tuple[Answer, str | None]]) -> Response:
        """As `make`, where `ask` was called before."""

        def write(session: Transaction) -> tuple[KeptAnswer, bool]:
            known = self.answered(session)
            return (known, True) if known else (self.keep(session, *make(session)), False)

        kept, repeated = await desk_of(self.request).write(write)
        return created(kept, repeated=repeated)


Key = Annotated[Once, Depends(_key)]


def created(kept: KeptAnswer, *, repeated: bool) -> Response:
    """The answer as a response."""
    headers = {REPEATED: "true"} if repeated else {}
    return Response(kept.body, kept.status, headers, "application/json")
