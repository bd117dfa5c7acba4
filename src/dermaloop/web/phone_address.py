"""Under which address a phone can reach this server, if under any.

Owns that question. Refuses to guess: an address that only this computer understands is none. A phone in the same room
is another computer, so the same holds for it as for any (docs/accounts.md).
"""

from __future__ import annotations

from starlette.requests import Request

from dermaloop.web.settings import Settings, is_loopback


def phone_address(request: Request, settings: Settings) -> str | None:
    """The beginning of an address, without its last slash; None where phones cannot reach the server.

    Args:
        request: Of the browser that will show the code: what reached us from elsewhere can be reached from there.
        settings: Where the server listens, and what it is called.
    """
    if is_loopback(settings.host) and not settings.proxies:
        return None
    scheme = "https" if settings.secure else request.url.scheme
    if not is_loopback(request.url.hostname or "localhost"):
        return f"{scheme}://{request.url.netloc}"
    name = next((one for one in settings.host_names if not is_loopback(one)), None)
    if name is None:
        return None
    shown = f"[{name}]" if ":" in name else name
    port = None if settings.proxies else request.url.port
    return f"{scheme}://{shown}" + (f":{port}" if port else "")
