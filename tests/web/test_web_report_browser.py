"""The report printed by a real Chromium: one page, on A4 and on Letter, in both languages."""

import re

import pytest

from dermaloop.cases.roles import Role
from dermaloop.core.synthetic import draw_lesion
from dermaloop.web import pages, translation
from dermaloop.web.app import create_app
from dermaloop.web.report import CaseFacts, report_of
from dermaloop.web.settings import Settings
from dermaloop.web.upload import Upload
from dermaloop.web.views import assess
from support.facts import FACTS
from support.gallery import gallery
from support.hostile import save
from support.live import Watched, axe_violations, chromium, serving
from support.people import cookie, new_store

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = pytest.mark.browser

SHAPES = {"square": (600, 600), "wide": (800, 450), "tall": (450, 800)}
LONG = "The lesion has changed within a year; regression, an irregular network and several colours are to be seen. " * 8


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def sheets(toy_classifier):
    """An application that shows a report of each kind, in each language."""
    snippets = {}
    for code in translation.codes():
        with translation.speaking(code):
            for shape, size in SHAPES.items():
                content = save(draw_lesion(4, size_px=600, malignant=True).resize(size), "JPEG", quality=90)
                view = assess(toy_classifier, Upload("a picture with a name.jpg", content), Settings())
                snippets[f"{code}/{shape}/bare"] = report_of(view, "non-commercial research", None)
                facts = FACTS if shape == "square" else CaseFacts(impression=LONG, patient="P" * 40)
                snippets[f"{code}/{shape}/case"] = report_of(view, "non-commercial research", facts)
    app = gallery({}, {})
    template = pages._templates().get_template("report.html")

    async def show(request):
        code = request.path_params["code"]
        with translation.speaking(code):
            name = f"{code}/{request.path_params['rest']}"
            text = template.render(report=snippets[name], language=translation.current(), back="/")
        return pages.HTMLResponse(text)

    app.add_route("/{code}/{rest:path}", show)
    app.router.routes.insert(0, app.router.routes.pop())
    app.router.routes.insert(0, app.router.routes.pop())  # the static files first
    with serving(app) as address:
        yield address, list(snippets)


def _count(pdf):
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf))


def test_every_report_is_one_page(browser, sheets):
    address, names = sheets
    watched = Watched(browser, address)
    page = watched.open("/" + names[0])
    for name in names:
        page.goto(f"{address}/{name}")
        for paper in ("A4", "Letter"):
            assert _count(page.pdf(format=paper)) == 1, (name, paper)
    page.evaluate("document.querySelector('.sheet-words').textContent = 'word '.repeat(6000)")
    assert _count(page.pdf(format="A4")) > 1, "the test would not see a second page"
    watched.close()


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_on_a_screen_it_is_not_wider_than_it(browser, sheets, width):
    address, names = sheets
    watched = Watched(browser, address)
    for name in names[:4]:
        page = watched.open("/" + name, viewport={"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        expect(page.get_by_role("button", name=re.compile("Print|Drucken"))).to_be_visible()
    watched.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser, sheets, scheme):
    address, names = sheets
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    for name in (names[0], names[1], names[-1]):
        page.goto(f"{address}/{name}")
        assert axe_violations(page) == []
    context.close()


def test_a_result_is_printed_from_its_page_without_sending_anything(browser, toy_classifier, tmp_path):
    picture = tmp_path / "lesion.jpg"
    picture.write_bytes(save(draw_lesion(4, size_px=500, malignant=True), "JPEG", quality=90))
    with new_store(tmp_path / "store") as store:
        app = create_app(Settings(), toy_classifier, store)
        with serving(app) as address:
            context = browser.new_context()
            context.add_cookies([cookie(app, Role.CLINICIAN, address)])
            page = context.new_page()
            page.add_init_script("window.print = () => { document.documentElement.dataset.printed = '1'; }")
            page.goto(address)
            page.locator("#files").set_input_files([str(picture)] * 2)
            page.locator("#list article").nth(1).wait_for()
            expect(page.locator("#live")).to_contain_text("Finished.")
            sent = []
            page.on("request", lambda request: request.url.startswith("data:") or sent.append(request.url))
            page.locator("#list article").nth(1).get_by_role("button", name="Print, or save as PDF").click()
            expect(page.locator("html")).to_have_attribute("data-printed", "1")
            assert sent == []
            shown = page.locator("body > .to-print .sheet-picture")
            assert shown.count() == 2
            assert shown.first.evaluate("image => image.complete && image.naturalWidth") == 500
            expect(page.locator("body > .to-print")).to_be_hidden()
            page.emulate_media(media="print")
            expect(page.locator("body > .to-print .sheet")).to_be_visible()
            expect(page.locator("main")).to_be_hidden()
            assert _count(page.pdf(format="A4")) == 1
            page.emulate_media(media="screen")
            page.evaluate("window.dispatchEvent(new Event('afterprint'))")
            expect(page.locator(".to-print")).to_have_count(0)
            context.close()
