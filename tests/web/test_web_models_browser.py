"""The loop's last steps in a real Chromium: a challenger compared and promoted, a new case answered by it, rolled back.

With `DERMALOOP_TEST_SHOTS` in the environment, a folder, every page is kept there as a picture.
"""

import json
import os
from pathlib import Path

import pytest

from dermaloop.cases.roles import Role
from dermaloop.core import bundle as bundles
from dermaloop.core.errors import BundleError
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web import serving
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.hostile import save
from support.live import axe_violations, chromium
from support.live import serving as served_at
from support.models import first_champion, gate, proposal, second_version
from support.people import PASSWORD, add_account, cookie, new_store

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = pytest.mark.browser
SHOTS = os.environ.get("DERMALOOP_TEST_SHOTS")
WIDTHS = {"phone": 360, "tablet": 768, "desk": 1440}


def evaluation(value):
    """An evaluation as far as the table reads it; the figures are made up."""
    figure = {"value": value, "low": value - 0.02, "high": min(1.0, value + 0.02), "n": 812, "note": ""}
    names = ("malignant_auc", "melanoma_auc", "macro_auc", "balanced_accuracy", "malignant_brier")
    part = {
        "split": "test", "source": None, "figures": {"all": dict.fromkeys(names, figure)},
        "operating_points": {"sensitivity-95": {"all": {"sensitivity": figure, "specificity": figure}}},
        "abstention": {"share_all": figure},
    }  # fmt: skip
    head = {"kind": "dermaloop evaluation", "schema": 1, "manifest": {"sha256": "m"}}
    return {bundles.EVALUATION: json.dumps({**head, "sections": [part]}).encode()}


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """(application, champion, challenger): a store in which a challenger waits."""
    folder = tmp_path_factory.mktemp("models")
    with new_store(folder / "store") as store, pytest.MonkeyPatch.context() as patch:

        def none():
            raise BundleError("none ships")

        patch.setattr(serving, "default_bundle_path", none)
        champion = first_champion(store, folder, parts=evaluation(0.912))
        gates = [
            gate("sensitivity"),
            gate("auc", measured=0.011, limit=-0.01, interval=[0.002, 0.019], sentence="The AUC is higher by 0.011."),
        ]
        bundle = second_version(folder / "second", parts=evaluation(0.923))
        challenger = proposal(store, folder, gates=gates, bundle=bundle)
        settings = Settings(champion_poll_s=60, threads=1)
        classifier, served = serving.start(store, settings)
        add_account(store, Role.LEAD, Role.LEAD.value, PASSWORD)
        yield create_app(settings, classifier, store, served=served), champion, challenger


@pytest.fixture
def page(clinic):
    with served_at(clinic[0]) as address, chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
        context.add_cookies([cookie(clinic[0], Role.LEAD, address)])
        opened = context.new_page()
        problems = []
        opened.on("console", lambda told: told.type in ("error", "warning") and problems.append(told.text))
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.goto(address + "/models")
        yield opened
        assert [one for one in problems if "401" not in one] == [], "but for the wrong password, which the test types"
        context.close()


def shot(page, name):
    """The page at three widths, light and dark, where pictures of pages are wanted."""
    if not SHOTS:
        return
    for width, px in WIDTHS.items():
        page.set_viewport_size({"width": px, "height": 900})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=Path(SHOTS) / f"{name}-{width}-{scheme}.png", full_page=True)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")


def new_case(page, pseudonym, path):
    """A patient with a lesion and a picture; leaves the page of its case."""
    origin = page.url.split("/models")[0].split("/cases")[0]
    page.goto(f"{origin}/patients/new")
    page.get_by_label("Pseudonym").fill(pseudonym)
    page.get_by_role("button", name="Make the patient").click()
    page.get_by_role("link", name="New lesion").click()
    page.get_by_role("radio", name="Upper back, left (Back)").click()
    page.get_by_role("button", name="Make the lesion").click()
    page.get_by_role("link", name="Add pictures").first.click()
    page.get_by_label("Pictures", exact=True).set_input_files(path)
    page.get_by_role("button", name="Store and assess").click()
    expect(page.locator("article.result").first).to_be_visible()
    return origin


def test_compared_promoted_answered_by_it_and_rolled_back(page, clinic, tmp_path):
    _, champion, challenger = clinic
    picture = tmp_path / "lesion.jpg"
    picture.write_bytes(save(draw_lesion(4, size_px=300, malignant=True), "JPEG", quality=90))
    expect(page.get_by_role("heading", level=1)).to_have_text("Models")
    shot(page, "list")
    assert axe_violations(page) == []

    page.get_by_role("link", name="Compare and decide").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(challenger.identity)
    expect(page.locator(".gate-verdict")).to_have_text("All required gates passed.")
    row = page.get_by_role("row", name="AUC, malignant versus benign")
    expect(row).to_contain_text("0.912")
    expect(row).to_contain_text("0.923")
    expect(row).to_contain_text("+0.011 better")
    page.get_by_role("button", name="Let it answer silently").click()
    expect(page.get_by_role("status")).to_contain_text("It answers silently")

    origin = new_case(page, "P-1", str(picture))
    first_case = page.url
    expect(page.locator("footer")).to_contain_text(champion.identity)
    assert challenger.identity not in page.content()

    page.goto(f"{origin}/models/{challenger.id}")
    changed = page.locator(".changed li")
    for _ in range(200):  # the shadow answers in its own time
        if changed.count():
            break
        page.reload()
    expect(changed).to_have_count(1)
    expect(changed.first).to_contain_text("no referral")
    shot(page, "version")
    assert axe_violations(page) == []
    page.get_by_label("Why this model should answer from now on").fill("Fewer needless referrals, nothing missed.")
    page.get_by_label("Your password, as your signature").fill("not the password")
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_role("alert")).to_contain_text("the present password is another one", ignore_case=True)
    page.get_by_label("Your password, as your signature").fill(PASSWORD)
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_role("status")).to_contain_text("This server answers with it from now on")

    new_case(page, "P-2", str(picture))
    expect(page.locator("footer")).to_contain_text(challenger.identity)
    page.goto(first_case)
    expect(page.locator("article.result").first).to_be_visible()

    page.goto(f"{origin}/models")
    shot(page, "list-after")
    page.get_by_text(f"Roll back to {champion.identity}").click()
    page.get_by_label("Reason").fill("The new one refers nobody.")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("status")).to_contain_text("This model answers again")
    expect(page.locator("footer")).to_contain_text(champion.identity)
    expect(page.locator(".entries").last).to_contain_text("The new one refers nobody.")
