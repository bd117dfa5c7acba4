"""The two cookies and the token in every form, and how they hang together.

Owns names, signatures and attributes. Refuses to know accounts: it carries a secret that the database knows as a hash.
A signed-in browser carries the sign-in's secret; one that is not, a random number, so that the sign-in form can be tied
to it too. The token in a form is keyed over what the cookie carries: another site can neither read it nor make it.

Cookies of one host are shared by all its ports, so the name holds a few digits that belong to the store: two servers on
one computer do not sign each other's visitors out.

Source: OWASP Cross-Site Request Forgery Prevention Cheat Sheet (token tied to the session by HMAC; origin checked as
well), RFC 6265bis (the `__Host-` prefix).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Literal

from itsdangerous import BadSignature, Signer
from starlette.requests import Request
from starlette.responses import Response

_SIGN_IN_SALT, _VISIT_SALT, _FORM_SALT = b"dermaloop.sign-in", b"dermaloop.visit", b"dermaloop.form"
_VISIT_AGE_S = 12 * 60 * 60
_MOST_LENGTH = 300
_SAME_SITE: Literal["lax"] = "lax"
"""Not strict, so that a link in a letter leads to the page and not to the sign-in form; what changes anything needs
the token in a form besides."""


@dataclass(frozen=True, slots=True)
class Cookies:
    """Reads and writes the cookies of one server.

    Attributes:
        key: 32 secret bytes that belong to the store.
        secure: Whether browsers reach the server by TLS only.
        age_s: How long a browser keeps the sign-in; the server ends it by itself as well.
    """

    key: bytes = field(repr=False)
    secure: bool
    age_s: int

    @property
    def sign_in_name(self) -> str:
        """Name of the cookie of a signed-in browser."""
        return f"{self._prefix}sign-in-{self._digits}"

    @property
    def visit_name(self) -> str:
        """Name of the cookie of a browser that is not signed in."""
        return f"{self._prefix}visit-{self._digits}"

    @property
    def _prefix(self) -> str:
        # Browsers take a cookie of this prefix only when it is secure, for the whole host and for no other host.
        return "__Host-" if self.secure else ""

    @property
    def _digits(self) -> str:
        return hashlib.sha256(b"name" + self.key).hexdigest()[:8]

    def sign_in_secret(self, request: Request) -> str | None:
        """The secret that the browser carries, if the signature is ours; else None, without asking the database."""
        return self._read(request, self.sign_in_name, _SIGN_IN_SALT)

    def signed(self, secret: str) -> str:
        """The value of the sign-in cookie."""
        return Signer(self.key, _SIGN_IN_SALT, digest_method=hashlib.sha256).sign(secret).decode("ascii")

    def sign_in(self, response: Response, secret: str) -> None:
        """Lets the browser carry a new secret; the visitor's number goes."""
        self._write(response, self.sign_in_name, self.signed(secret), self.age_s)
        self._drop(response, self.visit_name)

    def sign_out(self, response: Response) -> None:
        """Takes the secret from the browser."""
        self._drop(response, self.sign_in_name)

    def visit(self, request: Request) -> str | None:
        """The visitor's number, if there is one and its signature is ours."""
        return self._read(request, self.visit_name, _VISIT_SALT)

    def begin_visit(self, response: Response, number: str) -> None:
        """Gives the browser a visitor's number."""
        signed = Signer(self.key, _VISIT_SALT, digest_method=hashlib.sha256).sign(number).decode("ascii")
        self._write(response, self.visit_name, signed, _VISIT_AGE_S)

    def form_token(self, carried: str) -> str:
        """The token for forms of the browser that carries this secret or number."""
        return hmac.new(self.key, _FORM_SALT + carried.encode(), hashlib.sha256).hexdigest()

    def _read(self, request: Request, name: str, salt: bytes) -> str | None:
        value = request.cookies.get(name, "")
        if not value or len(value) > _MOST_LENGTH or not value.isascii():
            return None
        try:
            return Signer(self.key, salt, digest_method=hashlib.sha256).unsign(value).decode("ascii")
        except BadSignature:
            return None

    def _write(self, response: Response, name: str, value: str, age_s: int) -> None:
        response.set_cookie(
            name, value, max_age=age_s, path="/", secure=self.secure, httponly=True, samesite=_SAME_SITE
        )

    def _drop(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite=_SAME_SITE)


def key_from(store_secret: bytes) -> bytes:
    """The cookies' own key, made from the store's secret: one secret to keep, and every server on the store agrees."""
    return hmac.new(store_secret, b"dermaloop cookies", hashlib.sha256).digest()


def new_visit() -> str:
    """A random number for a visitor."""
    return secrets.token_urlsafe(24)
