"""A German reader in a real Chromium: the browser's language, the switch, and what the script writes."""

import pytest

from dermaloop.cases.roles import Role
from dermaloop.web.app import create_app
from dermaloop.web.settings import Settings
from support.live import axe_violations, chromium, serving
from support.people import cookie, new_store

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def app(toy_classifier, tmp_path_factory):
    with new_store(tmp_path_factory.mktemp("translation") / "store") as store:
        yield create_app(Settings(), toy_classifier, store)


@pytest.fixture(scope="module")
def address(app):
    with serving(app) as found:
        yield found


@pytest.fixture
def german(browser, app, address):
    """Opens a page as a German browser does."""
    contexts = []

    def make(path, **options):
        context = browser.new_context(**{"locale": "de-DE", **options})
        contexts.append(context)
        context.add_cookies([cookie(app, Role.ADMIN, address)])
        page = context.new_page()
        page.goto(address + path)
        return page

    yield make
    for context in contexts:
        context.close()


def test_the_script_writes_as_the_page_does(german):
    page = german("/")
    page.locator("a[data-sample=irregular]").click()
    slider = page.locator("#list article").get_by_role("slider", name="Heatmap")
    slider.focus()
    page.keyboard.press("End")
    assert page.locator("#list output").evaluate("output => output.value") == "100\xa0%"
    expect(page.locator("#live")).to_contain_text("1 von 1 Bildern beurteilt. Fertig.")


def test_the_switch_turns_the_page_round_and_is_remembered(german):
    page = german("/model")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert page.url.endswith("/model")
    page.get_by_role("link", name="Assess").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Assess a photograph of a skin lesion")
    page.get_by_role("button", name="Deutsch").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Aufnahme einer Hautläsion beurteilen")
    assert "language" not in page.evaluate("document.cookie")


def test_the_switch_works_without_a_script(german):
    page = german("/", java_script_enabled=False)
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Assess a photograph of a skin lesion")


@pytest.mark.parametrize("path", ["/", "/sample/irregular", "/account", "/people"])
def test_german_words_fit_a_small_screen(german, path):
    page = german(path, viewport={"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("path", ["/", "/sample/irregular", "/nothing"])
def test_axe_finds_nothing(german, path):
    page = german(path, bypass_csp=True)
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true }")
    assert axe_violations(page) == []
