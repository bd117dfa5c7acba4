# ruff: noqa: INP001 - a script beside its pictures, not a package
"""Takes the screenshots of this folder from a running page: `python docs/screenshots/take.py LINK`.

LINK is the one that `dermaloop serve` prints, or `dermaloop account link`: it signs the browser in.

They show the drawn sample only, never a patient's picture.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parent
SHOTS = (
    ("page-light.png", "light", {"width": 1120, "height": 840}),
    ("page-dark.png", "dark", {"width": 400, "height": 860}),
)


def main(link: str) -> None:
    """Writes both pictures: a result on a desk in daylight, and the same on a phone at night."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        first = browser.new_context()
        first.new_page().goto(link)
        signed_in = first.storage_state()
        address = link.partition("/enter/")[0]
        for name, scheme, viewport in SHOTS:
            page = browser.new_page(
                viewport=viewport, color_scheme=scheme, reduced_motion="reduce", storage_state=signed_in
            )
            page.goto(f"{address}/sample/irregular")
            page.screenshot(path=FOLDER / name)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
