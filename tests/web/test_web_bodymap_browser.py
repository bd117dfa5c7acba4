"""The body map in a real Chromium: by pointer, by keys, by a screen reader's tree, and without a script."""

import re
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest

from dermaloop.web.bodymap import read_place
from support.gallery import gallery
from support.live import Watched, axe_violations, chromium, serving

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = pytest.mark.browser

HEAD = '{% import "_bodymap.html" as b %}{{ b.assets() }}'
FORM = """{%% import "_bodymap.html" as b %%}<form method="post">
{{ b.control("place", _("Body site"), body_regions, body_outlines()%s) }}
<button type="submit">Send</button></form>"""
STILL = '{% import "_bodymap.html" as b %}{{ b.picture(body_regions, body_outlines(), marks, "One lesion") }}'
MARKS = [SimpleNamespace(view="back", x=0.6, y=0.25, label="1")]


@pytest.fixture(scope="module")
def address():
    snippets = {
        "/new": (HEAD, FORM % ""),
        "/again": (HEAD, FORM % ", chosen=place, marks=marks"),
        "/still": (HEAD, STILL),
    }
    values = {"marks": MARKS, "place": read_place({"region": "back-knee-left"})}
    with serving(gallery(snippets, {}, values=values)) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with chromium() as launched:
        yield launched


@pytest.fixture
def watched(browser, address):
    pages = Watched(browser, address)
    yield pages
    pages.close()


def _sent(page):
    page.get_by_role("button", name="Send").click()
    return {name: values[0] for name, values in parse_qs(page.locator("pre").inner_text()).items()}


def test_a_click_gives_the_point_and_the_site(watched):
    page = watched.open("/new")
    expect(page.locator(".body-said")).to_have_text("No place chosen")
    box = page.locator("svg[data-view=back]").bounding_box()
    page.mouse.click(box["x"] + 0.62 * box["width"], box["y"] + 0.28 * box["height"])
    expect(page.locator(".body-said")).to_have_text("Upper back, right (Back)")
    expect(page.locator("svg[data-view=back] .body-point")).to_be_visible()
    expect(page.locator("svg[data-view=front] .body-point")).to_be_hidden()
    place = page.locator("svg[data-view=back] .body-point .dot").bounding_box()
    assert place["x"] + place["width"] / 2 == pytest.approx(box["x"] + 0.62 * box["width"], abs=1.5)
    sent = _sent(page)
    assert (sent["view"], sent["site"], sent["region"]) == ("back", "posterior torso", "back-upper-back-right")
    assert float(sent["x"]) == pytest.approx(0.62, abs=0.01)
    assert float(sent["y"]) == pytest.approx(0.28, abs=0.005)
    assert read_place(sent).site == "posterior torso"


def test_mouth_and_flank_are_reached_over_what_they_lie_on(watched):
    page = watched.open("/new")
    for name, site in (("front-mouth", "oral/genital"), ("front-flank-left", "lateral torso")):
        page.locator(f'[data-region="{name}"]').click()
        assert page.locator("input[name=site]").input_value() == site


def test_everything_goes_by_keys(watched):
    page = watched.open("/new")
    page.locator("h1").click()
    page.keyboard.press("Tab")
    focused = page.locator("[data-region]:focus")
    expect(focused).to_have_attribute("aria-label", "Neck (Front)")
    page.keyboard.press("Space")
    expect(page.get_by_role("radio", name="Neck (Front)")).to_be_checked()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("radio", name="Scalp (Front)")).to_be_checked()
    expect(focused).to_have_attribute("aria-label", "Scalp (Front)")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("radio", name="Sole and heel, left (Back)")).to_be_checked()
    before = float(page.locator("input[name=x]").input_value())
    page.keyboard.press("Shift+ArrowLeft")
    assert float(page.locator("input[name=x]").input_value()) < before
    expect(page.get_by_role("radio", name="Sole and heel, left (Back)")).to_be_checked()
    for _ in range(40):  # upwards into the calf, and never off the figure
        page.keyboard.press("Shift+ArrowUp")
    expect(page.locator(".body-said")).to_have_text(re.compile(r"(Calf|Hollow of the knee|Thigh), left"))
    for _ in range(60):
        page.keyboard.press("Shift+ArrowLeft")
    assert 0 < float(page.locator("input[name=x]").input_value()) < 0.5
    assert read_place(_sent(page)).view == "back"


def test_a_place_can_be_cleared(watched):
    page = watched.open("/again")
    expect(page.locator(".body-said")).to_have_text("Hollow of the knee, left (Back)")
    expect(page.locator("svg[data-view=back] .body-mark")).to_be_visible()
    page.get_by_role("button", name="Clear the place").click()
    expect(page.locator(".body-said")).to_have_text("No place chosen")
    assert _sent(page) == {}


def test_a_place_chosen_before_is_sent_again(watched):
    sent = _sent(watched.open("/again"))
    assert read_place(sent).region == "back-knee-left"


def test_without_a_script_a_list_is_there(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address + "/new")
    expect(page.locator(".bodies")).to_be_hidden()
    page.get_by_label("Region").select_option(label="Shin, right")
    sent = _sent(page)
    assert read_place(sent).site == "lower extremity"
    context.close()


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_it_fits_the_screen_and_its_regions_a_finger(watched, width):
    page = watched.open("/new", viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("front-face", "front-chest-left", "back-upper-back-left", "front-thigh-right"):
        box = page.locator(f'[data-region="{name}"]').bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_in_german_it_speaks_german(watched):
    page = watched.open("/new", locale="de-DE")
    page.locator('[data-region="front-chest-right"]').click()
    expect(page.locator(".body-said")).to_have_text("Brust, rechts (Vorderseite)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/new", "/again", "/still"])
def test_axe_finds_nothing(browser, address, path, scheme):
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(address + path)
    assert axe_violations(page) == []
    context.close()
