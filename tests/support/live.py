"""The application on a real port, and a real Chromium to look at it with."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import pytest
import uvicorn

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing but our own server can be reached at all
]


PATIENCE_MS = 60_000
"""How long a page may take for anything: no test depends on how fast, or how busy, the machine is."""


def find_chromium() -> str | None:
    """Path of an installed Chromium, or None."""
    return next((path for path in map(shutil.which, CHROMIUM_NAMES) if path), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """A running Chromium, whose pages are waited for patiently; skips the test, and says why, where there is none."""
    playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium here: install the package 'chromium' to run the browser tests")
    with playwright_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        playwright_api.expect.set_options(timeout=PATIENCE_MS)
        new_context = launched.new_context

        def patient_context(**options: Any) -> Any:
            context = new_context(**options)
            context.set_default_timeout(PATIENCE_MS)
            return context

        launched.new_context = patient_context
        yield launched
        launched.close()


AXE_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],  # of the rest one example each is enough
}
AXE_COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
"""What alone can differ between light and dark."""


def axe_violations(page: Any, rules: dict[str, Any] = AXE_RULES) -> list[dict[str, Any]]:
    """What axe finds wrong on a page, in short. The page's context must bypass the content security policy."""
    package = pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    page.wait_for_load_state("load")  # what was waited for can be there before the style sheet that gives it its size
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate((files(package) / "axe.min.js").read_text())
    found = page.evaluate("rules => axe.run(document, rules)", rules)
    assert found["passes"]
    return [{"rule": one["id"], "where": [node["html"][:160] for node in one["nodes"]]} for one in found["violations"]]


class Watched:
    """Pages that record what must not happen: errors in the console, and requests that leave the host."""

    def __init__(self, browser: Any, address: str) -> None:
        self._browser, self._address = browser, address
        self.problems: list[str] = []
        self._contexts: list[Any] = []

    def open(self, path: str, **options: Any) -> Any:
        """A page of the served application."""
        context = self._browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", lambda told: told.type in ("error", "warning") and self.problems.append(told.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self._check(request.url))
        page.goto(self._address + path)
        return page

    def _check(self, url: str) -> None:
        if not url.startswith((self._address + "/", "data:")):
            self.problems.append(url)

    def close(self) -> None:
        """Ends the pages and fails if anything happened."""
        for context in self._contexts:
            context.close()
        assert self.problems == []


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serves an application on a free port of this computer; gives its address without the last slash."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        port = listener.getsockname()[1]
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()
