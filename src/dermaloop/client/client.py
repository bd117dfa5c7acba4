"""What a program can ask a dermaloop server for, one method each.

Owns how a client is made and closed; its methods are `client.patients`, `client.cases`, `client.screening`,
`client.models` and `client.practice`. Refuses to know how requests travel (`client.transport`). Every method raises
`ProblemError` where the server refuses and `ClientError` where no answer comes. A method that makes something takes a
`key` of the caller's choice, so that a program which was restarted can ask again without making it twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from dermaloop.client.cases import Cases
from dermaloop.client.models import Models
from dermaloop.client.patients import Patients
from dermaloop.client.practice import PracticeWork
from dermaloop.client.screening import Screenings
from dermaloop.client.transport import Transport


class Client(Patients, Cases, Screenings, Models, PracticeWork):
    """A dermaloop server, as a program uses it.

    Args:
        address: Of the server, e.g. `https://clinic.example.org` or `http://127.0.0.1:8000`.
        token: Made on the page 'My account', with the scopes that the program needs.
        timeout_s: Longest time without a sign of life from the server, in seconds.
        attempts: How often one request is sent at most, over lost connections and a server that is busy.
        authority: Certificates (PEM) to trust in place of the usual ones, e.g. of the hospital's own authority.
        plain_http: Whether the token may go over plain HTTP to another computer.

    Raises:
        ClientError: The address cannot be used.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        timeout_s: float = 60.0,
        attempts: int = 5,
        authority: Path | None = None,
        plain_http: bool = False,
    ) -> None:
        super().__init__(
            Transport(
                address, token, timeout_s=timeout_s, attempts=attempts, authority=authority, plain_http=plain_http
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self._transport.close()
