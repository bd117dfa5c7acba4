"""Requests that are tried again: over a lost connection, and when the server says to come back.

Owns the connection, the key by which the server knows a repetition, and the waiting between tries. Refuses to know what
is asked for. Everything that makes something is sent with an `Idempotency-Key`, the same at every try, so that a
request whose answer was lost makes nothing twice.
"""

from __future__ import annotations

import ipaddress
import random
import ssl
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from dermaloop import __version__
from dermaloop.client.errors import ClientError, ProblemError

PREFIX = "/api/v1"
COME_BACK = frozenset({408, 429, 502, 503, 504})
"""What a server says that may answer in a moment."""
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0


class Transport:
    """A connection to one server with one token. Safe to use from several threads.

    Args:
        address: Of the server, e.g. `https://clinic.example.org`.
        token: Made on the page 'My account'.
        timeout_s: Longest time without a sign of life, in seconds.
        attempts: How often one request is sent at most.
        authority: Certificates (PEM) to trust in place of the usual ones.
        plain_http: Whether the token may go over plain HTTP to another computer.
        sleep: Waits, in seconds.

    Raises:
        ClientError: The address cannot be used.
    """

    def __init__(
        self,
        address: str,
        token: str,
        *,
        timeout_s: float,
        attempts: int,
        authority: Path | None,
        plain_http: bool,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        _require_usable(address, plain_http=plain_http)
        self._attempts = max(1, attempts)
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=address.rstrip("/") + PREFIX,
            headers={"Authorization": f"Bearer {token}", "User-Agent": f"dermaloop/{__version__}"},
            timeout=timeout_s,
            verify=True if authority is None else ssl.create_default_context(cafile=authority),
            trust_env=False,  # records of patients go to the server named, and through no proxy that happens to be set
        )

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    def get(self, path: str, **params: Any) -> httpx.Response:
        """Reads; parameters that are None are left out."""
        return self.send("GET", path, params={name: value for name, value in params.items() if value is not None})

    def post(self, path: str, *, key: str | None = None, **content: Any) -> httpx.Response:
        """Makes something, once however often it is sent.

        Args:
            path: Below `/api/v1`.
            key: Tells this request from others; made at random where it is None.
            content: As httpx takes it: `json`, or `data` and `files` (bytes, so that they can be sent again).
        """
        return self.send("POST", path, headers={"Idempotency-Key": key or str(uuid.uuid4())}, **content)

    def send(self, method: str, path: str, *, again: bool = True, **content: Any) -> httpx.Response:
        """Sends a request until it is answered.

        Args:
            method: HTTP's.
            path: Below `/api/v1`.
            again: Whether it may be sent again after the connection was lost or the server said to come back.
            content: As httpx takes it.

        Raises:
            ProblemError: The server refused it.
            ClientError: No answer came, however often it was sent.
        """
        for left in reversed(range(self._attempts)):
            try:
                response = self._http.request(method, path, **content)
            except httpx.TransportError as error:
                reached = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
                if left == 0 or (reached and not again):
                    raise self._lost(error) from error
                self._wait(left, {})
                continue
            if response.status_code in COME_BACK and again and left:
                self._wait(left, response.headers)
                continue
            if not response.is_success:
                raise ProblemError(response)
            return response
        raise AssertionError("every try ends above")

    @contextmanager
    def stream(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[httpx.Response]:
        """Reads something large piece by piece; sent once.

        Raises:
            ProblemError: The server refused it.
            ClientError: The connection was lost.
        """
        try:
            with self._http.stream("GET", path, params=params) as response:
                if not response.is_success:
                    response.read()
                    raise ProblemError(response)
                yield response
        except httpx.TransportError as error:
            raise self._lost(error) from error

    def _wait(self, left: int, headers: Mapping[str, str]) -> None:
        tried = self._attempts - left
        told = headers.get("retry-after", "")
        wait_s = float(told) if told.isdecimal() else _FIRST_WAIT_S * 2 ** (tried - 1)
        # Spread, so that many clients that lost one server do not come back in one moment.
        self._sleep(min(wait_s, _LONGEST_WAIT_S) * (1 + random.random() / 4))  # noqa: S311 - spreads, guards nothing

    def _lost(self, error: Exception) -> ClientError:
        return ClientError(
            f"the server gave no answer ({str(error) or type(error).__name__})",
            where=str(self._http.base_url.copy_with(raw_path=b"/")),
            way_out="Check that it runs and that the address is right.",
        )


def _require_usable(address: str, *, plain_http: bool) -> None:
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise _bad_address(address) from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise _bad_address(address)
    if url.scheme == "http" and not plain_http and not _is_this_computer(url.host):
        raise ClientError(
            "the token and patients' records would go over the network for everybody to read",
            where=address,
            way_out="Use https://, or say plain_http=True where the way is protected by other means.",
        )


def _is_this_computer(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bad_address(address: str) -> ClientError:
    return ClientError(
        "this is no address of a server", where=address[:100], way_out="Use e.g. https://clinic.example.org."
    )
